"""A case: one changed answer with all that it takes to see it again, in one file.

The file is closed under arithmetic: hashes, places and gaps follow from its own token ids and
log-probabilities, and `check_case` works them out again without a server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from math import exp
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from harness.cause.defects import known_defects
from harness.errors import UsageError, shown
from harness.files import read_json, write_json
from harness.findings import Finding
from harness.hostile import shaped
from harness.numbers import count_of
from harness.records import (
    Answer,
    Choice,
    Closeness,
    Divergence,
    Witness,
    diverged,
    text_hash,
)
from harness.settings import kept_spec
from harness.words import DispatchMode, Mode

SCHEMA = 1
_TRIALS = {"changed", "same", "vacuous"}
_ASKED = {"trials", "companions"}
_ROUNDED = 1e-3
"""Beyond a probability of 1, where two are told in 32 bits or less."""


class CasePrompt(Struct, frozen=True):
    """A prompt of the batch.

    Attributes:
        token_ids: as the server made them of the text; ``None`` where it did not tell.
    """

    text: str
    sha256: str
    token_ids: tuple[int, ...] | None


class CaseAnswer(Struct, frozen=True):
    """What the target was answered.

    Attributes:
        likely: the two likeliest tokens at each place.
    """

    text: str
    sha256: str
    token_ids: tuple[int, ...] | None
    likely: tuple[Choice, ...] | None = None

    @classmethod
    def of(cls, answer: Answer) -> CaseAnswer:
        """An answer as a case holds it."""
        text = answer.text or ""
        return cls(text, text_hash(text), answer.token_ids, answer.likely)

    @property
    def answer(self) -> Answer:
        """The answer that it was made of."""
        return Answer(text=self.text, token_ids=self.token_ids, likely=self.likely)


class CaseStack(Struct, frozen=True):
    """What a case was seen on.

    Attributes:
        image: by digest; ``None`` without a container.
        weights: SHA-256 over the files of each local model.
    """

    vllm: str | None
    device: str | None
    device_name: str | None
    capability: str | None
    image: str | None
    weights: dict[str, str]

    @property
    def kind(self) -> str:
        """Device and capability: what a replay needs alike."""
        return f"{self.device} {self.capability or ''}".strip()


class Case(Struct, frozen=True, kw_only=True):
    """One changed answer.

    Attributes:
        source: the run and the record that it was found in.
        spec: the run's settings: server arguments, request, controls.
        schedule: how the batch is sent.
        prompts: in the order in which they are sent; ``target`` is the place of the changed one.
        alone, batched: what the target was answered.
        divergence: where the two part, with the likeliest tokens on both sides.
        closeness: a tie, a confident choice, or unknown.
        witness: what the engine's steps showed of the batch.
        trials: of the smallest batch: changed, same, vacuous.
        asked: askings of batches in all, from how many companions.
        known: entries of the register that fit.
        sum: SHA-256 of all the rest.
    """

    schema_version: int = SCHEMA
    source: dict[str, str]
    mode: Mode
    stack: CaseStack
    spec: dict[str, Any]
    schedule: str
    prompts: tuple[CasePrompt, ...]
    target: int
    alone: CaseAnswer
    batched: CaseAnswer
    divergence: Divergence
    closeness: Closeness
    witness: Witness | None
    trials: dict[str, int]
    asked: dict[str, int]
    known: tuple[str, ...] = ()
    sum: str = ""

    @property
    def sealed(self) -> Case:
        """The case with its sum."""
        return msgspec.structs.replace(self, sum=_sum(msgspec.to_builtins(self)))

    @property
    def told(self) -> str:
        """What it shows, in one line."""
        found, gap = self.divergence, self.divergence.gap
        close = "" if gap is None else f" ({self.closeness}, gap {gap:.3g} nats)"
        schedule = self.schedule if self.schedule in set(DispatchMode) else "an unknown schedule"
        return (
            f"{self.mode.words}, {schedule}: the answer changes beside "
            f"{count_of(len(self.prompts) - 1, 'companion')}, first at {_place(found)}{close}"
        )


def _place(found: Divergence) -> str:
    """The first token that is another one, or the first character where no ids tell."""
    return f"character {found.char}" if found.token is None else f"token {found.token}"


def _sum(value: dict[str, Any]) -> str:
    rest = {key: one for key, one in value.items() if key != "sum"}
    return sha256(json.dumps(rest, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def write_case(case: Case, path: Path) -> None:
    """Write it, whole or not at all.

    Raises:
        EnvironmentError_: it cannot be written.
    """
    write_json(path, msgspec.to_builtins(case.sealed), parents=True)


def read_case(path: Path) -> Case:
    """Read a case file; its arithmetic is `check_case`'s.

    Raises:
        UsageError: it is none.
    """
    value = read_json(path)
    try:
        return shaped(value, Case)
    except msgspec.ValidationError as error:
        hint = "a case file is what `harness shrink` wrote"
        raise UsageError(f"is no case file: {error}", file=path, hint=hint) from None


def check_case(path: Path) -> tuple[Finding, ...]:
    """Every number and hash of a case file worked out again from what else it holds.

    Raises:
        UsageError: it is no case file.
    """
    return tuple(_checks(read_case(path), read_json(path)))


def _checks(case: Case, value: dict[str, Any]) -> Iterator[Finding]:
    known = case.schema_version == SCHEMA
    yield _finding("schema", known, f"version {case.schema_version}")
    yield _finding("sum", case.sum == _sum(value), "the file is as it was written")
    known = case.schedule in set(DispatchMode)
    yield _finding("schedule", known, f"{shown(case.schedule)} is how the batch is sent")
    yield _finding("spec", not (why := _misread(case)), why or "the settings are a run's")
    yield from _about_prompts(case.prompts)
    there = 0 <= case.target < len(case.prompts) and len(case.prompts) > 1
    yield _finding("target", there, f"place {case.target} of {len(case.prompts)}")
    for name, side in (("alone", case.alone), ("batched", case.batched)):
        fits = side.sha256 == text_hash(side.text)
        yield _finding(name, fits, "the hash is of the text")
        lengths = side.likely is None or len(side.likely) == len(side.token_ids or ())
        yield _finding(f"{name} likely", lengths, "a choice for each token")
        wrong = [n for n, one in enumerate(side.likely or ()) if not _is_a_choice(one)]
        message = "likeliest first, each token once, together at most certain"
        yield _finding(f"{name} order", not wrong, _but(message, wrong))
        yield _ids(name, {0: side.token_ids})
    found = diverged(case.alone.answer, case.batched.answer)
    stated = msgspec.structs.replace(case.divergence, evidence_after=None)
    yield _finding("divergence", found == stated, f"the two part at {_place(stated)}")
    yield _finding("closeness", case.closeness is case.divergence.closeness, str(case.closeness))
    yield from _chosen(case)
    changed = case.trials.get("changed", 0)
    told = set(case.trials) == _TRIALS and min(case.trials.values()) >= 0 < changed
    yield _finding("trials", told, f"the change was seen {changed} times")
    beside, asked = len(case.prompts) - 1, case.asked.get("trials", 0)
    enough = set(case.asked) == _ASKED and case.asked["companions"] >= beside
    of, last = case.asked.get("companions", 0), sum(case.trials.values())
    message = f"{beside} of {of} companions are left after {asked} trials, the last {last} of these"
    yield _finding("asked", enough and asked >= last > 0, message)
    yield from _about_the_stack(case.stack)
    if case.witness is None:
        yield Finding.not_checked("witness", "nobody saw whether two requests met in a step")
    else:
        yield _finding("witness", not case.witness.alone, "two requests met in a step")
    if unknown := sorted(set(case.known) - {defect.id for defect in known_defects()}):
        yield Finding.not_checked(
            "known", f"not in this register: {', '.join(map(shown, unknown))}"
        )


def _but(message: str, wrong: Sequence[int]) -> str:
    return f"{message}; not at {', '.join(map(str, wrong[:5]))}" if wrong else message


def _is_a_choice(one: Choice) -> bool:
    """Whether these can be the likeliest tokens at one place; vLLM rounds to 32 bits."""
    falling = all(a.logprob >= b.logprob for a, b in pairwise(one))
    once = len({likely.token for likely in one}) == len(one)
    return falling and once and sum(exp(min(here.logprob, 1)) for here in one) <= 1 + _ROUNDED


def _ids(name: str, of: Mapping[int, tuple[int, ...] | None]) -> Finding:
    wrong = [n for n, ids in of.items() if ids is not None and (not ids or min(ids) < 0)]
    return _finding(f"{name} ids", not wrong, _but("token ids are numbers from 0", wrong))


def _about_the_stack(stack: CaseStack) -> Iterator[Finding]:
    wrong = [
        f"{name}: {shown(told)}"
        for name, told, form in (
            ("capability", stack.capability, r"\d+\.\d+"),
            ("image", stack.image, r"(?:\S+@)?sha256:[0-9a-f]{64}"),
            *(("weights", told, "[0-9a-f]{64}") for told in stack.weights.values()),
        )
        if told is not None and not re.fullmatch(form, told)
    ]
    yield _finding("stack", not wrong, "; ".join(wrong) or f"seen on {stack.kind}")


def _misread(case: Case) -> str:
    """Why the settings are none of a run of one model in the case's mode; empty where they are."""
    try:
        spec = kept_spec(case.spec, "spec")
    except UsageError as error:
        return error.message
    if len(spec.models) != 1:
        return f"{len(spec.models)} models, and a case is of one"
    return "" if spec.modes == (case.mode,) else f"modes are not {case.mode} alone"


def _about_prompts(prompts: Sequence[CasePrompt]) -> Iterator[Finding]:
    wrong = [n for n, p in enumerate(prompts) if p.sha256 != text_hash(p.text)]
    yield _finding("prompts", not wrong, f"hashes of {len(prompts)} prompts; wrong: {wrong}")
    texts = [prompt.text for prompt in prompts]
    twice = sorted({n for n, text in enumerate(texts) if text in texts[:n]})
    yield _ids("prompt", {n: prompt.token_ids for n, prompt in enumerate(prompts)})
    yield _finding("unique", not twice, f"each prompt is there once; again: {twice}")
    halves = [n for n, text in enumerate(texts) if any("\ud800" <= c <= "\udfff" for c in text)]
    bare = [n for n, text in enumerate(texts) if not text]
    message = f"each prompt is text; half a letter in: {halves}, nothing in: {bare}"
    yield _finding("sendable", not halves and not bare, message)


def _chosen(case: Case) -> Iterator[Finding]:
    """Where the likeliest token is taken, each that was taken is among the likeliest."""
    greedy = not (case.spec.get("request") or {}).get("temperature", 0)
    for name, side in (("alone", case.alone), ("batched", case.batched)):
        choices = enumerate(zip(side.token_ids or (), side.likely or (), strict=False))
        wrong = [n for n, (token, one) in choices if token not in {here.token for here in one}]
        if greedy or case.divergence.token in wrong:
            message = "each token that was taken is among the likeliest at its place"
            yield _finding(f"{name} chosen", not wrong, _but(message, wrong))


def _finding(check: str, holds: bool, message: str) -> Finding:
    made_by = "make it again with `harness shrink`; a case file is not edited"
    return Finding.ok(check, message) if holds else Finding.failed(check, message, made_by)
