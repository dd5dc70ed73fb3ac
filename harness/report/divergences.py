"""Where the answers in batches leave those alone: counted while a run's records go by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import median, quantiles
from typing import NamedTuple

from harness.records import TIE, Closeness, Divergence, Record
from harness.report.document import Figure, Section, Spread
from harness.report.wording import wording
from harness.words import Asking, Mode

_MOST_BARS = 16


class _Parted(NamedTuple):
    """A row's divergence, and whether its label is another one too."""

    at: Divergence
    label: bool


class Divergences:
    """Those of a run, by mode."""

    def __init__(self) -> None:
        self._of: dict[Mode, list[_Parted]] = defaultdict(list)
        self._against: set[Asking] = set()

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records, each looked at as it goes by."""
        for record in records:
            if record.ok and (found := record.divergence) is not None:
                known = record.askings.S1 is not None and not record.s1_after_batch
                alone = Asking.S1 if known else Asking.S0
                self._against.add(alone)
                differs = record.differs(alone, Asking.B)
                self._of[record.mode].append(_Parted(found, bool(differs and differs.label)))
            yield record

    def section(self) -> Section | None:
        """Places, gaps and evidence by mode, with a bar for each stretch of tokens."""
        told = wording("run/divergence")
        tokens = {
            mode: [one for one in self._of[mode] if one.at.token is not None]
            for mode in Mode
            if mode in self._of
        }
        last = max((one.at.token or 0 for rows in tokens.values() for one in rows), default=0)
        drawn = tuple(_spread(mode, rows, last) for mode, rows in tokens.items() if rows)
        return told.section(
            told.table("places", (_places(m, rows) for m, rows in tokens.items() if rows)),
            told.table("closeness", (_closeness(mode, rows) for mode, rows in self._of.items())),
            figure=Figure("spreads", drawn) if drawn else None,
            against=" or ".join(sorted(self._against)),
            tie=TIE,
        )


def _places(mode: Mode, rows: list[_Parted]) -> tuple[object, ...]:
    at = sorted(one.at.token for one in rows if one.at.token is not None)
    quarters = quantiles(at, n=4) if len(at) > 1 else [at[0]] * 3
    lengths = [one.at.of for one in rows if one.at.of is not None]
    middle = f"{median(lengths):g}" if lengths else None
    spread = f"{quarters[0]:g} to {quarters[2]:g}"
    return mode.words, len(at), f"{median(at):g}", spread, at[0], at[-1], middle


def _closeness(mode: Mode, rows: list[_Parted]) -> tuple[object, ...]:
    kinds = [one.at.closeness for one in rows]
    after = [one.at.evidence_after for one in rows]
    counts = (kinds.count(kind) for kind in Closeness)
    return mode.words, *counts, after.count(True), after.count(False), after.count(None)


def _spread(mode: Mode, rows: list[_Parted], last: int) -> Spread:
    width = last // _MOST_BARS + 1
    bars = last // width + 1
    places = [(one.at.token or 0) // width for one in rows]
    labels = [place for place, one in zip(places, rows, strict=True) if one.label]
    every = range(bars)
    return Spread(
        mode.value,
        width,
        tuple(places.count(n) for n in every),
        tuple(labels.count(n) for n in every),
    )
