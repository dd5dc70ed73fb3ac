"""The report as one value: what every format shows, before any format is chosen.

Markdown, HTML, JUnit and the CI summary are functions of a `Report`. Text inside it that came
from a model or a foreign file is raw: each format escapes for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "AnswerView",
    "Banner",
    "Bar",
    "Cell",
    "Column",
    "Figures",
    "ForestRow",
    "Headline",
    "Kind",
    "Matrix",
    "Measure",
    "PairView",
    "PairedBar",
    "Piece",
    "Report",
    "Section",
    "Table",
    "Tone",
]


class Kind(StrEnum):
    """How a cell is set: prose, an identifier or a number."""

    TEXT = "text"
    ID = "id"
    NUMBER = "number"


class Tone(StrEnum):
    """What a banner or a mark says at a glance; the words beside it say it in full."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Column:
    """A column head and how its cells are set."""

    title: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Cell:
    """One value for people, with an optional quieter remark under it."""

    text: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A captioned table; the first column names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        anchor: the id that links point to.
        prose: paragraphs, plain text.
        figure: the name of a figure in `Figures`, drawn by formats that can.
        quotes: log lines and the like, each with a caption.
    """

    anchor: str
    title: str
    prose: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figure: str | None = None
    quotes: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Banner:
    """Whether the run counts, and why not."""

    tone: Tone
    title: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """Label flips or text changes in large type.

    ``entries`` are ``(mode, count of rows, rate and interval)``, one a mode.
    """

    label: str
    entries: tuple[tuple[str, str, str], ...]
    test: str


@dataclass(frozen=True, slots=True)
class Headline:
    """The result in one sentence, what it was measured on, and the big numbers."""

    sentence: str
    measured_on: str
    measures: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of an answer's characters, with what is to be marked on it."""

    text: str
    differs: bool = False
    evidence: bool = False


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One answer, cut to a window round what matters.

    Attributes:
        name: the condition, ``solo`` or ``batched``.
        pieces: the window, in order; ``None`` where the record holds no text.
        before, after: characters left out on either side.
        length: characters of the whole answer, ``None`` without text.
        sha256: the hash that the record holds.
        scored: the score and its label, ``1 (refused)``.
        evidence: the scorer's rule and what it matched, or empty.
        facts: finish reason, tokens, latency.
        ends_at_difference: whether this answer ends where the other one goes on.
    """

    name: str
    pieces: tuple[Piece, ...] | None
    before: int
    after: int
    length: int | None
    sha256: str
    scored: str
    evidence: str
    facts: str
    ends_at_difference: bool = False


@dataclass(frozen=True, slots=True)
class PairView:
    """The two answers of one record, side by side.

    Attributes:
        anchor: id of this pair within the report.
        names: model, task/sample, batch size, dispatch mode.
        change: ``0 → 1 (refused → complied)``.
        where: where the answers first differ, in words.
        tags: domain, phase and original direction, as far as they are known.
        notes: what the repeats of either condition showed.
        other_modes: what the same candidate did under the other mode.
        prompt: the prompt, where its task file was found and its hash agrees.
    """

    anchor: str
    mode: str
    model: str
    sample: str
    batch_size: str
    dispatch_mode: str
    change: str
    where: str
    tags: tuple[str, ...]
    notes: tuple[str, ...]
    other_modes: tuple[str, ...]
    solo: AnswerView
    batched: AnswerView
    prompt: str | None = None
    co_batched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of a forest plot: fractions, ``None`` where nothing was counted."""

    label: str
    mode: str
    count: int
    n: int
    rate: float | None
    low: float | None
    high: float | None
    group: str = ""


@dataclass(frozen=True, slots=True)
class PairedBar:
    """The four paired outcomes of one measure."""

    label: str
    both: int
    standard_only: int
    invariant_only: int
    neither: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """Score pairs of one mode: ``counts[row][column]`` for solo row, batched column."""

    mode: str
    scores: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """Label flips and text changes at one batch size under one mode."""

    batch_size: str
    mode: str
    flips: int
    text_changes: int
    n: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The data of the figures; drawn by `harness.report.figures`."""

    forest: tuple[ForestRow, ...] = ()
    paired: tuple[PairedBar, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    batch_sizes: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a format shows.

    Attributes:
        countable: whether validation passed.
        nature: what kind of device this is and what its numbers can say, a plain sentence.
        flips, text_changes: the pairs shown.
        flips_left_out, text_changes_left_out: pairs counted but not shown.
        answer_limit: characters of an answer that are shown at most.
        checks: validation's findings, ``(check, status, message)``.
    """

    run_id: str
    headline: Headline
    banner: Banner
    countable: bool
    nature: str
    sections: tuple[Section, ...]
    figures: Figures
    flips: tuple[PairView, ...] = ()
    text_changes: tuple[PairView, ...] = ()
    flips_left_out: int = 0
    text_changes_left_out: int = 0
    answer_limit: int = 0
    checks: tuple[tuple[str, str, str], ...] = ()
    made_with: str = ""
