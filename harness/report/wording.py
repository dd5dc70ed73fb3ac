"""The words of a report's tables and sections, from ``wording.yaml``; the code brings the rows."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from msgspec import Struct, convert, field, yaml

from harness.numbers import NONE
from harness.report.document import Brief, Cell, Column, Figure, Kind, Quote, Section, Table

_KINDS = {"#": Kind.NUMBER, "@": Kind.ID}


class Shape(Struct, frozen=True, forbid_unknown_fields=True):
    """What is written round a table's rows; ``{name}`` stands for a fact.

    Attributes:
        heads: with `` | `` between; ``#`` begins one over numbers, ``@`` one over identifiers.
    """

    caption: str
    heads: str
    note: str = ""


class Told(Struct, frozen=True, forbid_unknown_fields=True):
    """What is written in a section; ``prose`` where a table has a row, ``otherwise`` where not."""

    title: str = ""
    prose: str = ""
    otherwise: str = ""
    brief: Brief = Brief.NO
    tables: dict[str, Shape] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    anchor: str = ""

    def table(self, name: str, rows: Iterable[Iterable[object]], **facts: object) -> Table:
        """The table of that name; in its rows ``None`` is a dash, a pair a text and its remark.

        Args:
            facts: what the caption, the heads and the note name; ``{rows}`` is known.
        """
        shape = self.tables[name]
        cells = tuple(
            tuple(
                Cell(*map(str, v)) if isinstance(v, tuple) else Cell(NONE if v is None else str(v))
                for v in row
            )
            for row in rows
        )
        caption, heads, note = (
            text.format_map({"rows": len(cells), **facts})
            for text in (shape.caption, shape.heads, shape.note)
        )
        columns = (Column(h.lstrip("#@"), _KINDS.get(h[:1], Kind.TEXT)) for h in heads.split(" | "))
        return Table(caption, tuple(columns), cells, note)

    def section(
        self,
        *tables: Table,
        figure: Figure | None = None,
        quotes: Iterable[Quote] = (),
        more: Iterable[str] = (),
        **facts: object,
    ) -> Section | None:
        """The tables that have rows under their words; ``None`` without either.

        Args:
            figure: is left out without a row.
            more: paragraphs after the first one.
            facts: what the prose names.
        """
        shown = tuple(table for table in tables if table.rows)
        words = self.prose.format_map(facts) if shown else self.otherwise
        prose = (*((words,) if words else ()), *more)
        if not shown and not prose:
            return None
        drawn = figure if shown else None
        return Section(
            self.anchor, self.title, prose, shown, drawn, tuple(quotes), brief=self.brief
        )


def wording(name: str) -> Told:
    """The words of ``kind/anchor``: ``run/results``, ``images/stack``."""
    return _wordings()[name]


@cache
def _wordings() -> dict[str, Told]:
    text = files("harness.report").joinpath("wording.yaml").read_bytes()
    kinds = yaml.decode(text, type=dict[str, dict[str, dict[str, object]]])
    return {
        f"{kind}/{anchor}": convert({**told, "anchor": anchor}, Told)
        for kind, found in kinds.items()
        for anchor, told in found.items()
    }
