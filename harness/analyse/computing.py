"""Whether the servers show that they compute: what each answers to different prompts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from harness.analyse.checked import Checked, Outcome, failed, ok
from harness.analyse.statistics import ALPHA, mcnemar
from harness.records import IntArray
from harness.words import MODES, Mode

_DEGENERATE, _ALIKE = 0.5, 0.9
"""Shares of a server's prompts with a degenerate, and with one and the same answer."""
_FEWEST, _FEWEST_LONG, _LONG = 8, 3, 8
"""Prompts of which the second says anything, and where the answers have more tokens than that."""


class _Said(NamedTuple):
    """What a server said to one prompt.

    Attributes:
        idle: whether any of its answers is empty or a few tokens over and over.
        texts: by their hashes, alone and in the batch.
        tokens: of the shorter of these two.
    """

    idle: bool
    texts: tuple[str | None, str | None]
    tokens: int


_Prompt = tuple[str, str]
_Lifetime = tuple[str, int, int, str]
"""A model, the number of its mode, that of the start, and a way of sending."""


def servers_compute(run: Checked) -> Outcome:
    """A server that says the same, or nothing, to everything has not been asked anything.

    By model and mode, and by each start of a server and each way of sending, over the answers to
    different prompts, alone and in the batch, and over those to companions; see docs/verdict.md.
    """
    lifetimes = _lifetimes(run)
    servers: dict[tuple[str, int], dict[_Prompt, _Said]] = {}
    for (model, mode, *_), said in lifetimes.items():
        servers[model, mode] = said | servers.get((model, mode), {})
    bad: list[str] = []
    told: set[tuple[str, int]] = set()
    for (model, mode), answers in servers.items():
        if idle := _idle(f"{model} in {MODES[mode]} mode", answers.values()):
            told.add((model, mode))
            bad += idle
    for (model, mode, start, way), answers in sorted({**_whole(lifetimes), **lifetimes}.items()):
        if len(answers) < _FEWEST_LONG or (model, mode) in told:
            continue
        name = f"{model} in {MODES[mode]} mode" + (f", start {start}" if start else "")
        if idle := _idle(f"{name}, {way}" if way else name, answers.values()):
            told.add((model, mode))
            bad += idle
    if bad := bad + _of_companions(run) + _of_one_mode(lifetimes):
        return failed("the server does not show that it computes: ", bad)
    return ok(f"{len(servers)} server(s) answer different prompts differently")


def _lifetimes(run: Checked) -> Mapping[_Lifetime, dict[_Prompt, _Said]]:
    """By start and way of sending what was said to each prompt, by the first of its records."""
    found: dict[_Lifetime, dict[_Prompt, _Said]] = defaultdict(dict)
    names = ("mode", "key", "degenerate", "solo_hash", "batch_hash", "compared_tokens")
    ok = run.records.column("ok")
    columns = [run.records.column(name)[ok].tolist() for name in names]
    for start, mode, key, idle, solo, batch, tokens in zip(
        _starts(run)[ok].tolist(), *columns, strict=True
    ):
        model, task, sample, _, way = run.records.keys[key]
        said = found[model, mode, start, way].setdefault(
            (task, sample), _Said(idle, (solo, batch), tokens)
        )
        if idle and not said.idle:
            found[model, mode, start, way][task, sample] = said._replace(idle=True)
    return found


def _whole(
    lifetimes: Mapping[_Lifetime, dict[_Prompt, _Said]],
) -> dict[_Lifetime, dict[_Prompt, _Said]]:
    """What each start said to each prompt, however its batch was sent: one bad answer tells."""
    whole: dict[_Lifetime, dict[_Prompt, _Said]] = defaultdict(dict)
    for (model, mode, start, _), answers in lifetimes.items():
        of = whole[model, mode, start, ""]
        of |= {p: said for p, said in answers.items() if said.idle or p not in of}
    return whole


def _starts(run: Checked) -> IntArray:
    """The start of each record; where none is named, by how many each start gave."""
    starts = run.records.column("start")
    if starts.all():
        return starts
    starts = starts.copy()
    models = run.records.candidates["model"].to_numpy()[run.records.column("key")]
    for startup in run.files.startups:
        if startup.mode in MODES:
            own = (models == startup.model) & (starts == 0)
            own &= run.records.column("mode") == MODES.index(Mode(startup.mode))
            given = [(number, start.records or 0) for number, start in startup.answering()]
            numbers = [number for number, records in given for _ in range(records)]
            if own.sum() == len(numbers):
                starts[own] = np.array(numbers, np.int32)
    return starts


def _of_one_mode(lifetimes: Mapping[_Lifetime, dict[_Prompt, _Said]]) -> list[str]:
    """A path of kernels that breaks answers which the other path gives well: an exact test."""
    idle: dict[tuple[str, int], dict[_Prompt, bool]] = defaultdict(dict)
    for (model, mode, *_), answers in lifetimes.items():
        of = idle[model, mode]
        of |= {prompt: said.idle or of.get(prompt, False) for prompt, said in answers.items()}
    bad = []
    for model in sorted({model for model, _ in idle}):
        standard, invariant = idle[model, 0], idle[model, 1]
        both = [(standard[p], invariant[p]) for p in standard.keys() & invariant.keys()]
        only = both.count((True, False)), both.count((False, True))
        if mcnemar(*only).two_sided < ALPHA:
            bad.append(
                f"{model}: answers are empty or a few tokens over and over to {only[0]} prompts in "
                f"standard mode only, and to {only[1]} in batch-invariant mode only"
            )
    return bad


def _of_companions(run: Checked) -> list[str]:
    bad = []
    for (server, start, way), told in run.records.checks.batches.companions.said.items():
        if len(told) < _FEWEST_LONG:
            continue
        model, mode = server
        name = f"companions of {model} in {mode} mode, {way}"
        name += f", start {start}" if start else ""
        said = [_Said(idle, (text, text), -1) for text, idle in told.values()]
        bad += _idle(name, said, 2 * _FEWEST)
    return bad


def _idle(name: str, answers: Iterable[_Said], fewest: int = _FEWEST) -> list[str]:
    """What shows that a server did not compute its answers to different prompts."""
    said = list(answers)
    of, empty = len(said), sum(one.idle for one in said)
    if empty > of * _DEGENERATE:
        return [f"{name}: {empty} of {of} answers are empty or a few tokens over and over"]
    # the most frequent answer, alone or in the batch
    sides = zip(*[one.texts for one in said], strict=True)
    same = max(Counter(side).most_common(1)[0][1] for side in sides)
    if min(one.tokens for one in said) > _LONG:
        fewest = _FEWEST_LONG
    if same > of * _ALIKE and of >= fewest:
        return [f"{name}: {same} of {of} different prompts have the same answer"]
    return []
