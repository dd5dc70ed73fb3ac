"""What a replayed trace shows: each request in its traffic against the same request alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from harness.analyse import upper_bound
from harness.experiments.pairing import by_mode, paired, share_one_text
from harness.flips import flips
from harness.records import Answer, Witness
from harness.words import Mode, Status


class TraceRow(Struct, frozen=True, kw_only=True):
    """One request of a trace under one mode; one line of ``trace.jsonl``.

    Attributes:
        row: its place in the order of arrival, from 1; ``line`` is the trace file's.
        question: what makes it the same as another request: SHA-256 of prompt and lengths.
        key: ``task/sample`` where the prompt is one of the population, which alone are scored.
        asked_prompt_tokens, asked_answer_tokens: of the trace, ``None`` where it has a text.
        due_s, sent_s, done_s: seconds after the first request was due: when this one was due, when
            its last byte left, when its answer was whole.
        late_ms: the error of its arrival, ``sent_s`` less ``due_s`` in milliseconds.
        alone, again: S1 and S2: alone before the trace and after it.
        answer: B: in the trace.
        witness: of its own steps, what is certain of it; ``None`` where the engine's account does
            not add up.
        neighbours: rows that shared a step with it, and how many steps; ``None`` too where requests
            that left in the same moment may have changed places.
        start: which start of its server answered, from 1.
    """

    row: int
    line: int
    mode: Mode
    status: Status
    error: str = ""
    question: str
    key: str | None = None
    asked_prompt_tokens: int | None = None
    asked_answer_tokens: int | None = None
    due_s: float
    sent_s: float | None = None
    done_s: float | None = None
    late_ms: float | None = None
    alone: Answer | None = None
    again: Answer | None = None
    answer: Answer | None = None
    witness: Witness | None = None
    neighbours: tuple[tuple[int, int], ...] | None = None
    start: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it is evidence: answered, and seen in a step with others."""
        return self.status is Status.OK and self.witness is not None and self.witness.shared

    @property
    def in_vain(self) -> bool:
        """Whether it was not answered, or has no witness."""
        return self.status is not Status.OK or self.witness is None

    @property
    def is_noise(self) -> bool:
        """Whether it was answered otherwise alone when nothing but time had changed."""
        return _hash(self.alone) != _hash(self.again)

    @property
    def text_change(self) -> bool:
        """Whether the trace's answer is another text than the one alone."""
        return _hash(self.alone) != _hash(self.answer)

    @property
    def label_flip(self) -> bool | None:
        """Whether it is judged another way; ``None`` where nothing judges it."""
        if self.key is None or self.alone is None or self.answer is None:
            return None
        one, other = self.alone, self.answer
        return flips(one.score, one.label, other.score, other.label)


class Late(Struct, frozen=True):
    """Errors of arrival in milliseconds, of all requests that left."""

    p50_ms: float
    p99_ms: float
    most_ms: float


class TraceOfMode(Struct, frozen=True, kw_only=True):
    """A trace under one mode; prompts, not rows, are counted but where it says so.

    Attributes:
        rows, errors: requests, and those that were not answered.
        witnessed: rows with a witness of their own; ``vacuous``: those of them that met nobody.
        late: errors of arrival; ``None`` where none left.
        certain: those of which it is certain whom they met.
        neighbours: rows that such a counted row met, in the median and at most.
        prompts: different requests with a counted row.
        text_changes, label_flips: of them, those that any row changes; ``labelled`` have a scorer.
        noise: of them, those answered otherwise alone the second time: nothing is claimed of them.
        bound: one-sided 95% upper bound of the share of prompts whose text changes, noise left out.
        computes: whether different prompts have different answers.
    """

    rows: int
    errors: int
    witnessed: int
    vacuous: int
    certain: int
    late: Late | None
    neighbours: tuple[float, int]
    prompts: int
    text_changes: int
    labelled: int
    label_flips: int
    noise: int
    bound: float | None
    computes: bool


class Traffic(Struct, frozen=True, kw_only=True):
    """A trace under one mode or both.

    Attributes:
        paired: standard only and invariant only, of the prompts that both modes count.
        p_two_sided: exact McNemar of these; ``None`` with one mode.
        gaps: why not everything counts, in words; a trace with one is not countable.
    """

    by_mode: dict[Mode, TraceOfMode]
    paired: tuple[int, int] | None
    p_two_sided: float | None
    gaps: tuple[str, ...]


def traffic(rows: Sequence[TraceRow]) -> Traffic:
    """What the rows of a trace come to, by prompt."""
    parts = by_mode(rows)
    told = {mode: _of_mode(own) for mode, own in parts.items()}
    counts, p = paired([_changed(own) for own in parts.values()])
    return Traffic(by_mode=told, paired=counts, p_two_sided=p, gaps=tuple(_gaps(told)))


def _of_mode(rows: Sequence[TraceRow]) -> TraceOfMode:
    ok = [row for row in rows if row.status is Status.OK]
    counted = [row for row in ok if row.counts]
    changed = _changed(counted)
    judged = {row.question for row in counted if row.label_flip is not None}
    noise = {row.question for row in counted if row.is_noise}
    met = sorted(len(row.neighbours) for row in counted if row.neighbours is not None)
    late = [row.late_ms for row in rows if row.late_ms is not None]
    return TraceOfMode(
        rows=len(rows),
        errors=len(rows) - len(ok),
        witnessed=sum(row.witness is not None for row in ok),
        vacuous=sum(row.witness is not None and row.witness.alone for row in ok),
        certain=sum(row.neighbours is not None for row in ok),
        late=_late(late),
        neighbours=(median(met), met[-1]) if met else (0, 0),
        prompts=len({row.question for row in counted}),
        text_changes=sum(changed.values()),
        labelled=len(judged - noise),
        label_flips=len({r.question for r in counted if r.label_flip and not r.is_noise} - noise),
        noise=len(noise),
        bound=upper_bound(sum(changed.values()), len(changed)) if changed else None,
        computes=not share_one_text({row.question: _hash(row.alone) for row in counted}),
    )


def _changed(rows: Iterable[TraceRow]) -> Mapping[str, bool]:
    """Whether any counted row of a prompt changed; prompts with noise are not in it."""
    found: dict[str, bool] = {}
    noise = set()
    for row in rows:
        if row.counts:
            found[row.question] = found.get(row.question, False) or row.text_change
            if row.is_noise:
                noise.add(row.question)
    return {name: changed for name, changed in found.items() if name not in noise}


def _late(values: Iterable[float]) -> Late | None:
    found = sorted(values, key=abs)
    if not found:
        return None
    at = [abs(found[min(len(found) - 1, int(share * len(found)))]) for share in (0.5, 0.99, 1.0)]
    return Late(*at)


def _gaps(told: Mapping[Mode, TraceOfMode]) -> Iterable[str]:
    for mode, of in told.items():
        if of.errors:
            yield f"{mode.words}: {of.errors} of {of.rows} requests failed"
        if lost := of.rows - of.errors - of.witnessed:
            yield (
                f"{mode.words}: {lost} of {of.rows} requests have no witness: the engine's account "
                "does not add up to them"
            )
        if of.noise:
            yield f"{mode.words}: {of.noise} of {of.prompts} prompts change alone, by noise"
        if not of.prompts:
            yield f"{mode.words}: no request met another one"
        if not of.computes:
            yield f"{mode.words}: different prompts have the same answer"


def _hash(answer: Answer | None) -> str | None:
    return None if answer is None else answer.response_hash
