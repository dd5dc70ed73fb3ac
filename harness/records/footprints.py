"""What records tell of each asking that the log of its server tells too: steps, tokens, times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from harness.records.answers import Witness
from harness.records.rows import AnswerRow, Row
from harness.words import Asking, Mode

NEAR_S = 1e-4
"""How near two measured times are by chance a hundred times as often as they are equal."""


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


@dataclass(slots=True)
class Footprints:
    """The footprints of all good records, and times that no two askings can have in common.

    Attributes:
        first: each mark, and the line and asking that first has it.
        equal: lines of which two askings took the same time to the microsecond.
        near: neighbours among the times of a record that are nearer than `NEAR_S` and not equal.
    """

    first: dict[Footprint, tuple[int, Asking]] = field(default_factory=dict)
    equal: list[int] = field(default_factory=list)
    near: int = 0

    def add(self, row: Row, line: int, asked: Sequence[tuple[Asking, AnswerRow]]) -> None:
        """One good record more."""
        times = sorted([one.latency_s for _, one in asked if one.latency_s])
        apart = [later - one for one, later in pairwise(times)]
        self.near += sum([0 < time < NEAR_S for time in apart])
        if 0 in apart:
            self.equal.append(line)
        told = dict(asked)
        for asking, seen in row.witness.each() if row.witness else ():
            batch = asking in (Asking.B, Asking.B2)
            if asking in told and (seen.source == "log" or (seen.source and not batch)):
                mark = _footprint(row, told[asking], seen, batch=batch)
                self.first.setdefault(mark, (line, asking))


def _footprint(row: Row, answer: AnswerRow, seen: Witness, *, batch: bool) -> Footprint:
    sent, cached = answer.prompt_tokens, answer.cached_tokens
    return Footprint(
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
