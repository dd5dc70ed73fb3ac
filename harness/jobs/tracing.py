"""Production traffic replayed: every request at its own time, against the same request alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from harness import conduct
from harness.errors import UsageError, nearest
from harness.experiments import (
    Arrival,
    Met,
    Request,
    TraceOfMode,
    TraceRow,
    Traffic,
    clipped,
    neighbours,
    read_trace,
    refuse_long,
    traffic,
)
from harness.files import sha256_of
from harness.jobs import Done
from harness.jobs.certifying import Asked
from harness.jobs.experiment_runs import Due, Experiment, ended
from harness.machine import first_in_line
from harness.numbers import count_of, p_equals, percent
from harness.plan import Lifetime
from harness.records import Answer, new_run_id, text_hash
from harness.replay import Dispatcher, RequestFailed, Sent, scored
from harness.replay import Due as Timed
from harness.settings import LoadedSpec
from harness.tasks import Prompt
from harness.words import DispatchMode, Mode, RequestEndpoint, Status

_LONGEST_S = 24 * 3600
_STRIDE = 7
"""Tokens from where one made prompt begins to where the next one does."""


def replay_trace(
    loaded: LoadedSpec,
    trace: Path,
    results: Path,
    out: Path | None,
    *,
    factor: float,
    unit: str,
    clip: bool,
    fresh: bool,
    quiet: bool,
) -> Done:
    """Replay a trace under each mode of the spec; a mode that is there is not asked again.

    Raises:
        UsageError: the trace cannot be read, or a request does not fit into the server.
        HarnessError: as `harness.conduct.run`.
    """
    room = loaded.spec.server.max_model_len
    arrivals = read_trace(trace, unit=unit, limit=loaded.spec.limit)
    arrivals = clipped(arrivals, room) if clip else arrivals
    refuse_long(arrivals, room, trace)
    made = next((one for one in arrivals if one.prompt_tokens is not None), None)
    if made and loaded.spec.request.endpoint is RequestEndpoint.CHAT:
        what = "a prompt of so many tokens cannot be made for the chat endpoint, which takes a text"
        hint = "a trace with prompts, or --endpoint completions"
        raise UsageError(what, file=trace, line=made.line, hint=hint)
    if not isfinite(factor):
        raise UsageError(f"--factor: {factor} is no number of times")
    if (lasts_s := arrivals[-1].at_s / factor) > _LONGEST_S:
        raise UsageError(
            f"at a factor of {factor:g} this trace is replayed in {lasts_s / 3600:,.0f} hours, and "
            f"at most {_LONGEST_S // 3600} are",
            file=trace,
            line=arrivals[-1].line,
            hint="--unit ms where its times are milliseconds, --limit, or another --factor",
        )
    mark = f"{sha256_of(trace)} {factor!r} {unit} {clip} {loaded.spec.limit}"
    mark += f" {new_run_id(results, '')}" if fresh else ""
    replayed = Experiment("trace", TraceRow, mark, results, quiet)
    # a server's plan has a row; a trace has its own requests
    asked = Asked((DispatchMode.SYNCHRONIZED,), (2,), 1, 1)
    told = _Arrivals(trace, arrivals, factor)
    files, rows = replayed.of_modes(loaded, asked, told.due, partial(_Replay, told))
    found_out = traffic(rows)
    lines = [f"trace of {count_of(len(arrivals), 'request')}, {_span(arrivals, factor)}"]
    lines += [line for mode, of in found_out.by_mode.items() for line in _lines(mode, of)]
    lines += _compared(found_out)
    return ended(lines, files, rows, found_out, found_out.gaps, out)


class _Question:
    """A request as it is sent, and how it was answered alone."""

    def __init__(self, prompt: str | tuple[int, ...], tokens: int | None, of: Prompt | None):
        self.prompt, self.of = prompt, of
        # a length that is asked for is held: the answer neither ends before nor goes on
        self.own: Mapping[str, Any] = (
            {} if tokens is None else {"max_tokens": tokens, "ignore_eos": True}
        )
        told = json.dumps([prompt, self.own], sort_keys=True)
        self.name = text_hash(told)
        self.alone: list[Answer] = []
        self.error = ""


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """The requests of a trace, replayed so many times as fast."""

    file: Path
    all: Sequence[Arrival]
    factor: float

    def due_s(self, place: int) -> float:
        """When a request is due."""
        return self.all[place].at_s / self.factor

    def known(self, prepared: conduct.Prepared) -> list[_Question | None]:
        """Each request as it is sent; ``None`` where its prompt is made of a server's tokens.

        Raises:
            UsageError: it names a sample that is none.
        """
        population = prepared.population.prompts
        by_key = {prompt.key: prompt for prompt in population}
        by_text = {prompt.text: prompt for prompt in population}
        found: list[_Question | None] = []
        for place, one in enumerate(self.all):
            if one.sample is not None and one.sample not in by_key:
                hint = nearest(one.sample, by_key)
                what = f"no sample '{one.sample}'"
                raise UsageError(what, file=self.file, line=one.line, hint=hint)
            if one.prompt is not None:
                found.append(_Question(one.prompt, one.answer_tokens, by_text.get(one.prompt)))
            elif one.prompt_tokens is not None:
                found.append(None)
            else:
                prompt = by_key[one.sample or population[place % len(population)].key]
                found.append(_Question(prompt.text, one.answer_tokens, prompt))
        shared = {question.name: question for question in found if question}
        return [question and shared[question.name] for question in found]

    def due(self, prepared: conduct.Prepared) -> list[Due]:
        """What each row of a mode is of."""
        return [
            {
                "row": place + 1,
                "line": one.line,
                "due_s": round(self.due_s(place), 6),
                "asked_prompt_tokens": one.prompt_tokens,
                "asked_answer_tokens": one.answer_tokens,
                "key": question.of.key if question and question.of else None,
                **({"question": question.name} if question else {}),
            }
            for place, (one, question) in enumerate(
                zip(self.all, self.known(prepared), strict=True)
            )
        ]


class _Replay:
    """What is done with the server of one mode; it appends to the rows that it is given."""

    def __init__(
        self, arrivals: _Arrivals, mode: Mode, prepared: conduct.Prepared, rows: list[TraceRow]
    ) -> None:
        self._prepared, self._mode, self._rows = prepared, mode, rows
        self._arrivals, self._known = arrivals, arrivals.known(prepared)

    async def __call__(self, _: Lifetime, dispatcher: Dispatcher, __: object) -> None:
        asked = await self._questions(dispatcher)
        alone = list({question.name: question for question in asked}.values())
        if not self._prepared.spec.controls.prefix_caching.forbids_earlier:
            await self._alone(dispatcher, alone)  # then each finds its own prompt in the cache
            for question in alone:
                question.alone.clear()
        await self._alone(dispatcher, alone)
        dues = [
            Timed(self._arrivals.due_s(place), question.prompt, question.own)
            for place, question in enumerate(asked)
        ]
        with first_in_line():
            sent, steps = await dispatcher.on_time(dues)
        await self._alone(dispatcher, alone)
        answered = [place for place, one in enumerate(sent) if one.reply]
        order = sorted(answered, key=lambda place: sent[place].sent_s or 0.0)
        requests = [_request(sent[place]) for place in order]
        met: dict[int, Met] = {}
        if all(requests) and (found := neighbours(steps, [one for one in requests if one])):
            met = dict(zip(order, found, strict=True))
        self._rows += (
            self._row(place, asked[place], dues[place], one, met.get(place), order)
            for place, one in enumerate(sent)
        )

    async def _questions(self, dispatcher: Dispatcher) -> list[_Question]:
        both = list(zip(self._arrivals.all, self._known, strict=True))
        counted = (one.prompt_tokens or 0 for one, known in both if known is None)
        ids = await self._tokens(dispatcher, max(counted, default=0))
        found, shared = list[_Question](), dict[str, _Question]()
        for place, (one, known) in enumerate(both):
            if known is None:
                tokens = one.prompt_tokens or 0
                begin = place * _STRIDE % (len(ids) - tokens + 1)
                made = _Question(tuple(ids[begin : begin + tokens]), one.answer_tokens, None)
                known = shared.setdefault(made.name, made)
            found.append(known)
        return found

    async def _tokens(self, dispatcher: Dispatcher, most: int) -> list[int]:
        """Tokens to make prompts of: the population's own, as the server tells them."""
        ids: list[int] = []
        wanted = most + _STRIDE * len(self._arrivals.all) if most else 0
        for prompt in self._prepared.population.prompts:
            if len(ids) < wanted:
                await dispatcher.solo(prompt.text, own={"max_tokens": 1})
                ids += dispatcher.prompt_ids[0] or ()
        if wanted and not ids:
            raise UsageError(
                "the server does not tell a prompt's tokens, so none of a given length is made",
                hint="give a trace with prompts",
            )
        return ids * -(-most // max(1, len(ids)))  # a longer prompt says them again

    async def _alone(self, dispatcher: Dispatcher, questions: Sequence[_Question]) -> None:
        """Ask each once, one after the other."""
        profile = self._prepared.spec.score_profile
        for question in questions:
            try:
                answer = await dispatcher.solo(question.prompt, own=question.own)
            except RequestFailed as error:
                question.error = f"alone: {error}"
                continue
            if dispatcher.witness is None or not dispatcher.witness.alone:
                question.error = "alone: nothing shows that it shared no step with another request"
            question.alone.append(scored(answer, question.of, profile))

    def _row(
        self,
        place: int,
        question: _Question,
        due: Timed,
        sent: Sent,
        met: Met | None,
        order: Sequence[int],
    ) -> TraceRow:
        arrival, error = self._arrivals.all[place], sent.error or question.error
        ok = not error and len(question.alone) == 2
        answer = sent.reply.answer if sent.reply else None
        return TraceRow(
            row=place + 1,
            line=arrival.line,
            mode=self._mode,
            status=Status.OK if ok else Status.ERROR,
            error=error,
            question=question.name,
            key=question.of.key if question.of else None,
            asked_prompt_tokens=arrival.prompt_tokens,
            asked_answer_tokens=arrival.answer_tokens,
            due_s=round(due.at_s, 6),
            sent_s=sent.sent_s,
            done_s=sent.done_s,
            late_ms=None if sent.sent_s is None else round((sent.sent_s - due.at_s) * 1e3, 3),
            alone=question.alone[0] if ok else None,
            again=question.alone[1] if ok else None,
            answer=answer and scored(answer, question.of, self._prepared.spec.score_profile),
            witness=met.witness if met else None,
            neighbours=(
                tuple((order[n] + 1, steps) for n, steps in met.neighbours)
                if met and met.neighbours is not None
                else None
            ),
        )


def _request(sent: Sent) -> Request | None:
    """What the account of the engine's steps needs of a request; ``None`` where it is not told."""
    answer = sent.reply.answer if sent.reply else Answer()
    if answer.prompt_tokens is None or answer.cached_tokens is None or answer.token_ids is None:
        return None
    computed = answer.prompt_tokens - answer.cached_tokens
    stopped = answer.finish_reason == "stop"
    return Request(computed, len(answer.token_ids), stopped, sent.sent_s or 0.0)


def _span(arrivals: Sequence[Arrival], factor: float) -> str:
    recorded = arrivals[-1].at_s
    return f"{recorded:.1f} s as recorded, replayed in {recorded / factor:.1f} s ({factor:g}x)"


def _lines(mode: Mode, of: TraceOfMode) -> Iterator[str]:
    yield f"{mode.words} kernels"
    if of.late:
        late = of.late
        yield (
            f"  arrival   p50 {late.p50_ms:.1f} ms, p99 {late.p99_ms:.1f} ms, at most "
            f"{late.most_ms:.1f} ms from when it was due"
        )
    yield (
        f"  witness   {of.witnessed} of {of.rows - of.errors} answered rows, {of.vacuous} of them "
        f"met nobody; {of.certain} know whom they met: {of.neighbours[0]:g} others in the median, "
        f"{of.neighbours[1]} at most"
    )
    yield f"  text      {of.text_changes} of {of.prompts - of.noise} prompts change in the traffic"
    yield f"  label     {of.label_flips} of {of.labelled} judged prompts flip"
    yield f"  noise     {of.noise} of {of.prompts} prompts change alone"
    if of.bound is not None:
        yield f"  bound     at most {percent(of.bound)} of prompts (one-sided 95%)"


def _compared(found: Traffic) -> Iterator[str]:
    if found.paired is not None:
        one, other = found.paired
        p = p_equals(found.p_two_sided)
        yield f"modes     text by prompt: {one} standard only, {other} invariant only, {p}"
