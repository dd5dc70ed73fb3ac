"""What records tell of each asking that the log of its server tells too: steps, tokens, times."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from harness.records.answers import Witness
from harness.records.rows import AnswerRow, CompanionRow, Row
from harness.words import Asking, DispatchMode, Mode

NEAR_S = 1e-4
"""How near two measured times are by chance a hundred times as often as they are equal."""
_BATCHES = (Asking.B, Asking.B2)


class Footprint(NamedTuple):
    """One asking as far as a log can show it; those of a server that are alike are one.

    Attributes:
        start: of its server, from 1; 0 where it is not recorded.
        schedule: how its batch was sent; empty for a prompt alone.
        requests: how many were sent together.
        prompt: tokens of its prompt that were not in the cache; ``None`` for a batch, and where
            that is not known.
        tokens: of its answer; -1 where they are not recorded.
        stopped: whether the answer ended by itself.
        seen: its witness.
    """

    model: str
    mode: Mode
    start: int
    schedule: str
    requests: int
    prompt: int | None
    tokens: int
    stopped: bool
    seen: Witness


class Sent(NamedTuple):
    """At most so many prompts were sent to a server, in so many requests; some of them again."""

    prompts: int
    requests: int
    again: int


@dataclass(slots=True)
class Requests:
    """What the starts of one server were sent: what rows have in common, once.

    Attributes:
        firsts: by start, the prompts that were asked alone a first time.
        others: of each other asking its hash, the prompts sent, the requests that they took, and
            the prompts of one attempt.
        again: first askings that were sent again.
    """

    firsts: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    others: array[int] = field(default_factory=lambda: array("q"))
    again: int = 0

    def add(
        self,
        row: Row,
        companions: Sequence[CompanionRow],
    ) -> None:
        """One good record more."""
        start, own = row.start or 0, f"{row.task_name}/{row.sample_id}"
        self.firsts[start].add(own)
        if row.warmed and row.warmed >= len(companions):
            self.firsts[start].update([str(one.key) for one in companions])
        batch = bytes(row.group) if bytes(row.group) != b"null" else row.key
        for asking, one in row.asked:
            times = max(one.attempts or 1, 1)
            if asking is Asking.S0:
                self.again += times - 1
            elif asking in _BATCHES:
                as_list = row.dispatch_mode == DispatchMode.PROMPT_LIST
                size = row.batch_size
                sent = hash((start, asking is Asking.B, row.dispatch_mode, batch))
                self.others.extend((sent, times * size, times * (1 if as_list else size), size))
            else:  # rows of one prompt in one group share these, and so their times
                what = one.latency_s or (asking, *row.key)
                sent = hash((start, row.prompt_sha256 or own, what))
                self.others.extend((sent, times, times, 1))

    def join(self, later: Requests) -> None:
        """Add what later lines tell."""
        for start, prompts in later.firsts.items():
            self.firsts[start] |= prompts
        self.others.extend(later.others)
        self.again += later.again

    def total(self) -> Sent:
        """What all of it comes to."""
        table = np.array(self.others, np.int64).reshape(-1, 4)
        _, first = np.unique(table[:, 0], return_index=True)
        prompts, requests, once = (int(table[first, column].sum()) for column in (1, 2, 3))
        alone = self.again + sum(map(len, self.firsts.values()))
        return Sent(alone + prompts, alone + requests, self.again + prompts - once)


@dataclass(slots=True)
class Footprints:
    """The footprints of all good records, and times that no two askings can have in common.

    Attributes:
        first: each mark, and the line and asking that first has it.
        sent: by model and mode, what its server was sent.
        equal: lines of which two askings took the same time to the microsecond; two askings of a
            prompt alone, which its rows share, count once, at the first of these rows.
        near: neighbours among the times of a record that are nearer than `NEAR_S` and not equal,
            each once likewise.
    """

    first: dict[Footprint, tuple[int, Asking]] = field(default_factory=dict)
    sent: dict[tuple[str, str], Requests] = field(default_factory=lambda: defaultdict(Requests))
    equal: dict[int, int] = field(default_factory=dict)
    near: set[int] = field(default_factory=set)

    def add(
        self,
        row: Row,
        line: int,
        companions: Sequence[CompanionRow],
    ) -> None:
        """One good record more."""
        self.sent[row.model, str(row.mode)].add(row, companions)
        times = [(one.latency_s, asking in _BATCHES) for asking, one in row.asked if one.latency_s]
        for (one, batched), (later, too) in pairwise(sorted(times)):
            if later - one >= NEAR_S:
                continue
            alone = hash((row.model, row.mode, row.start, row.prompt_sha256 or row.key))
            pair = hash((line if batched or too else alone, one, later))
            if one == later:
                self.equal.setdefault(pair, line)
            else:
                self.near.add(pair)
        told = dict(row.asked)
        for asking, seen in row.witness.each() if row.witness else ():
            batch = asking in _BATCHES
            if asking in told and (seen.source == "log" or (seen.source and not batch)):
                mark = _footprint(row, told[asking], seen, batch=batch)
                if mark not in self.first:
                    self.first[Footprint(*mark)] = line, asking

    def join(self, later: Footprints) -> None:
        """Add what later lines tell."""
        for mark, place in later.first.items():
            self.first.setdefault(mark, place)
        for server, sent in later.sent.items():
            self.sent[server].join(sent)
        for pair, line in later.equal.items():
            self.equal.setdefault(pair, line)
        self.near |= later.near


def _footprint(
    row: Row, answer: AnswerRow, seen: Witness, *, batch: bool
) -> tuple[str, Mode, int, str, int, int | None, int, bool, Witness]:
    """The fields of a `Footprint`; a tuple is made in a fifth of its time, and most are known."""
    sent, cached = answer.prompt_tokens, answer.cached_tokens
    return (
        row.model,
        row.mode,
        row.start or 0,
        row.dispatch_mode if batch else "",
        row.batch_size if batch else 1,
        None if batch or sent is None or cached is None else sent - cached,
        answer.tokens,
        answer.finish_reason == "stop",
        seen,
    )
