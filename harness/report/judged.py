"""What people said of the flips, where they were asked (`harness adjudicate import`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.report.headline import MODE_NAMES
from harness.report.model import Cell, Column, Kind, Section, Table
from harness.report.numbers import measure_text, percent, rate_text

__all__ = ["adjudication_section"]

Json = Mapping[str, Any]
_NUMBER = Kind.NUMBER


def _genuine_rows(genuine: Json) -> Iterator[tuple[Cell, Cell]]:
    yield Cell("different pairs of answers"), Cell(rate_text(genuine.get("items")))
    for mode, rate in (genuine.get("rows_by_mode") or {}).items():
        yield Cell(f"rows, {MODE_NAMES.get(mode, mode)} kernels"), Cell(rate_text(rate))


def _agreement_rows(agreement: Json) -> Iterator[tuple[Cell, ...]]:
    for name, measures in agreement.items():
        for pair in measures.get("pairs") or ():
            share = pair.get("agreement")
            kappas = (pair.get(f"kappa_{weight}") for weight in ("linear", "quadratic"))
            yield (
                Cell(name.replace("_", " "), " and ".join(map(str, pair.get("raters") or ()))),
                Cell(str(pair.get("n"))),
                Cell(percent(share)),
                Cell(measure_text(pair.get("kappa"), share)),
                *(Cell(measure_text(kappa)) for kappa in kappas),
                Cell(measure_text(measures.get("alpha_nominal"))),
                Cell(measure_text(measures.get("alpha_ordinal"))),
            )


def _control_rows(outcome: Json) -> Iterator[tuple[Cell, Cell]]:
    for kind, control in (outcome.get("controls") or {}).items():
        words = f"controls ({kind.replace('_', ' ')}): a change was seen"
        yield Cell(words), Cell(rate_text(control.get("judged_yes")))
    for rater, counts in (outcome.get("intra_rater") or {}).items():
        same = f"{counts.get('same_change')}/{counts.get('n')}"
        yield Cell(f"{rater}, duplicates: same judgement again"), Cell(same)


def adjudication_section(outcome: Json | None) -> Section | None:
    """Genuine flips with their interval, agreement, and how the controls were judged."""
    if not outcome or not outcome.get("judged_items"):
        return None
    genuine = outcome.get("genuine_flips") or {}
    heads = ("n", "Agreement", "kappa", "linear", "quadratic", "alpha", "alpha, ordinal")
    what = Column("Judged")
    tables = (
        Table(
            "Genuine flips",
            (what, Column("A change of behaviour", _NUMBER)),
            tuple(_genuine_rows(genuine)),
            f"{len(genuine.get('unresolved') or ())} without a majority are not counted.",
        ),
        Table(
            "Agreement of the raters",
            (what, *(Column(head, _NUMBER) for head in heads)),
            tuple(_agreement_rows(outcome.get("agreement") or {})),
        ),
        Table("Controls", (what, Column("Count", _NUMBER)), tuple(_control_rows(outcome))),
    )
    raters = len(outcome.get("raters") or ())
    prose = (
        f"{outcome['judged_items']} items were judged by {raters} rater(s) who did not know which "
        "answer was which. A flip is genuine if most of its raters saw a change of behaviour.",
    )
    shown = tuple(table for table in tables if table.rows)
    return Section("adjudication", "Judged by people", prose, shown)
