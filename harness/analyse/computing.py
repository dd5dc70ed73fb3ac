"""Whether the servers show that they compute: what each answers to different prompts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analyse.checked import Checked, Outcome, failed, ok
from harness.analyse.statistics import ALPHA, mcnemar
from harness.numbers import count_of
from harness.records import BoolArray, IntArray, numbered
from harness.words import MODES, Mode

_DEGENERATE, _ALIKE = 0.5, 0.9
"""Shares of a server's prompts with a degenerate, and with one and the same answer."""
_FEWEST, _FEWEST_LONG, _LONG = 8, 3, 8
"""Prompts of which the second says anything, and where the answers have more tokens than that."""
_Numbers = npt.NDArray[np.int64]
_Lifetime = tuple[str, int, int, str]
"""A model, the number of its mode, that of the start, and a way of sending."""


class _Figures(NamedTuple):
    """What a server said to different prompts: how many, how many idle, the most that are alike.

    Attributes:
        idle: prompts with an answer that is empty or a few tokens over and over.
        same: prompts with its most frequent answer, alone or in the batch.
        tokens: of the shortest answer.
    """

    prompts: int
    idle: int
    same: int
    tokens: int


@dataclass(frozen=True)
class _Said:
    """What was said to each prompt in each lifetime, a place each; by the first of its records.

    Attributes:
        lifetimes: in order of appearance.
        lifetime: of each place, its number.
        prompt: likewise, of task and sample.
        idle: whether any of its answers is empty or a few tokens over and over.
        texts: alone and in the batch, equal numbers for equal hashes.
        tokens: of the shorter of these two.
    """

    lifetimes: list[_Lifetime]
    lifetime: _Numbers
    prompt: _Numbers
    idle: BoolArray
    texts: tuple[_Numbers, _Numbers]
    tokens: IntArray

    def grouped(self, parts: int) -> tuple[list[Any], _Numbers]:
        """The first parts of the lifetimes' names, and the number of each place's."""
        numbers = dict[Any, int]()
        of = [numbers.setdefault(name[:parts], len(numbers)) for name in self.lifetimes]
        return list(numbers), np.array(of, np.int64)[self.lifetime]

    def figures(self, parts: int, *, idle_first: bool = False) -> dict[Any, _Figures]:
        """By so many parts of the lifetimes' names; of a prompt the first answer counts.

        Args:
            idle_first: an idle answer counts before others, the last of them.
        """
        names, group = self.grouped(parts)
        chosen = np.arange(len(group))
        if len(names) < len(self.lifetimes):  # which may have been asked one prompt
            number, _ = numbered(group, self.prompt)
            rank = self.lifetime + 1
            rank = np.where(self.idle, -rank, rank) if idle_first else rank
            order = np.lexsort((rank, number))
            chosen = order[np.diff(number[order], prepend=-1) > 0]
        of = group[chosen]
        shortest = np.full(len(names), np.iinfo(np.int64).max)
        np.minimum.at(shortest, of, self.tokens[chosen])
        same = np.ones(len(names), np.int64)
        for texts in self.texts:
            again = np.bincount(texts)[texts[chosen]] > 1  # any other is an answer to one prompt
            alike, first = numbered(of[again], texts[chosen][again])
            np.maximum.at(same, of[again][first], np.bincount(alike))
        columns = np.bincount(of), np.bincount(of, weights=self.idle[chosen]), same, shortest
        rows = zip(*(column.astype(np.int64).tolist() for column in columns), strict=True)
        return {name: _Figures(*row) for name, row in zip(names, rows, strict=True)}


def servers_compute(run: Checked) -> Outcome:
    """A server that says the same, or nothing, to everything has not been asked anything.

    By model and mode, and by each start of a server and each way of sending, over the answers to
    different prompts, alone and in the batch, and over those to companions; see docs/verdict.md.
    """
    said = _said(run)
    servers = said.figures(2)
    bad: list[str] = []
    told: set[tuple[str, int]] = set()
    for (model, mode), figures in servers.items():
        if idle := _idle(f"{model} in {MODES[mode]} mode", figures):
            told.add((model, mode))
            bad += idle
    whole = {(*name, ""): of for name, of in said.figures(3, idle_first=True).items()}
    for (model, mode, start, way), figures in sorted({**whole, **said.figures(4)}.items()):
        if figures.prompts < _FEWEST_LONG or (model, mode) in told:
            continue
        name = f"{model} in {MODES[mode]} mode" + (f", start {start}" if start else "")
        if idle := _idle(f"{name}, {way}" if way else name, figures):
            told.add((model, mode))
            bad += idle
    if bad := bad + _of_companions(run) + _of_one_mode(said):
        return failed("the server does not show that it computes: ", bad)
    return ok(f"{count_of(len(servers), 'server')}: different prompts, different answers")


def _said(run: Checked) -> _Said:
    """By start and way of sending what was said to each prompt, by the first of its records."""
    records, rows = run.records, np.flatnonzero(run.records.column("ok"))
    key, mode = records.column("key")[rows], records.column("mode")[rows]
    candidates, start = records.candidates, _starts(run)[rows]
    model, way = (candidates[name].cat.codes.to_numpy()[key] for name in ("model", "dispatch_mode"))
    lifetime, first = numbered(model, mode, start, way)
    columns = (model[first], mode[first], start[first], way[first])
    words = [candidates[name].cat.categories.tolist() for name in ("model", "dispatch_mode")]
    names = [
        (words[0][m], number, s, words[1][w])
        for m, number, s, w in zip(*(column.tolist() for column in columns), strict=True)
    ]
    prompt = records.samples[key]
    place, first = numbered(lifetime, prompt)
    idle = np.bincount(place, weights=records.column("degenerate")[rows], minlength=len(first)) > 0
    told = (records.column(f"{side}_said")[rows[first]] for side in ("solo", "batch"))
    solo, batch = (numbered(texts)[0] for texts in told)
    tokens = records.column("compared_tokens")[rows[first]]
    return _Said(names, lifetime[first], prompt[first], idle, (solo, batch), tokens)


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


def _of_one_mode(said: _Said) -> list[str]:
    """A path of kernels that breaks answers which the other path gives well: an exact test."""
    servers, server = said.grouped(2)
    idle = dict[tuple[str, int], dict[bool, _Numbers]]()
    for number, name in enumerate(servers):
        own = server == number
        broken = np.unique(said.prompt[own & said.idle])
        idle[name] = {True: broken, False: np.setdiff1d(said.prompt[own], broken)}
    nothing = {True: np.array([], np.int64), False: np.array([], np.int64)}
    bad = []
    for model in sorted({model for model, _ in servers}):
        standard, invariant = (idle.get((model, mode), nothing) for mode in (0, 1))
        only = tuple(
            np.intersect1d(standard[one], invariant[not one]).size for one in (True, False)
        )
        if mcnemar(*only).two_sided < ALPHA:
            bad.append(
                f"{model}: answers are empty or a few tokens over and over to {only[0]} prompts in "
                f"standard mode only, and to {only[1]} in batch-invariant mode only"
            )
    return bad


def _of_companions(run: Checked) -> list[str]:
    bad = list[str]()
    finds = run.records.checks.batches.companions
    for (server, start, way), told in finds.said.items():
        if len(told) < _FEWEST_LONG:
            continue
        model, mode = server
        name = f"companions of {model} in {mode} mode, {way}"
        name += f", start {start}" if start else ""
        same = Counter(told.values()).most_common(1)[0][1]
        idle = finds.idle[server, start, way]
        figures = _Figures(len(told), len(idle), same, -1)
        bad += _idle(name, figures, 2 * _FEWEST)
    return bad


def _idle(name: str, said: _Figures, fewest: int = _FEWEST) -> list[str]:
    """What shows that a server did not compute its answers to different prompts."""
    of, empty, same, tokens = said
    if empty > of * _DEGENERATE:
        return [f"{name}: {empty} of {of} answers are empty or a few tokens over and over"]
    if tokens > _LONG:
        fewest = _FEWEST_LONG
    if same > of * _ALIKE and of >= fewest:
        return [f"{name}: {same} of {of} different prompts have the same answer"]
    return []
