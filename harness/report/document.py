"""What people are shown, before any format is chosen: every kind of report is one `Document`.

Text, Markdown, HTML and JUnit are functions of it. Text inside it that came from a model, an image
or a foreign file is raw: each format escapes for itself.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from harness import __version__
from harness.numbers import RateLike, interval_text, percent
from harness.report.answer_windows import AnswerView, Piece


def mode_words(mode: str) -> str:
    """``standard`` or ``batch-invariant``, as summaries and records name a mode by its value."""
    return mode.replace("_", "-")


class Kind(StrEnum):
    """How a cell is set: prose, an identifier or a number."""

    TEXT = "text"
    ID = "id"
    NUMBER = "number"


class Tone(StrEnum):
    """What a banner says at a glance; the words beside it say it in full."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


class Look(StrEnum):
    """How a page is set: widths and sizes go by what it shows."""

    RUN = "run"
    COMPARISON = "comparison"
    IMAGES = "images"
    CERTIFICATE = "certificate"
    MATRIX = "matrix"
    BENCH = "bench"


class Brief(StrEnum):
    """What a step summary shows of a section: nothing, its tables, or its tables folded."""

    NO = "no"
    OPEN = "open"
    FOLDED = "folded"


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
class ForestRow:
    """One line of a forest plot: fractions, ``None`` where nothing was counted."""

    label: str
    mode: str
    count: int
    n: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class FlowPart:
    """Candidates of one fate: how many, the style of their squares, and what it is in words."""

    count: int
    style: str
    words: str


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of all candidates in one respect, in a fixed order."""

    label: str
    parts: tuple[FlowPart, ...]


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
class Spread:
    """How many answers of one mode part at each stretch of ``width`` tokens, the first one first.

    ``labels`` of the same stretches are those whose label is another one too.
    """

    mode: str
    width: int
    counts: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RatioRow:
    """A ratio with its interval, ``None`` where there is none; drawn on a scale of doublings."""

    label: str
    ratio: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Figure:
    """Parts of one kind: groups of a forest plot under their names, flows, matrices, bars …

    Flows have a square a candidate; with ``counted`` each drawing says what its squares are.
    """

    look: Literal["forest", "flows", "matrices", "bars", "spreads", "ratios"]
    parts: tuple[tuple[str, tuple[ForestRow, ...]] | Flow | Matrix | Bar | Spread | RatioRow, ...]
    counted: bool = True


Quote = tuple[str, tuple[str, ...]]
"""A caption, and the lines under it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report; links point to its anchor, and its figure stands above its tables.

    Attributes:
        brief: what a step summary shows of it.
        page: a file beside this one that the prose ends with; the page alone shows such a section.
        listed: whether the page's contents name it.
        folded: whether it is closed until somebody opens it.
    """

    anchor: str
    title: str
    prose: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figure: Figure | None = None
    quotes: tuple[Quote, ...] = ()
    brief: Brief = Brief.NO
    page: str = ""
    listed: bool = True
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Banner:
    """Whether the numbers count, and why not."""

    tone: Tone
    title: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A number in large type, what it counts and its rate; ``mode`` gives it that mode's mark."""

    name: str
    count: str
    detail: str = ""
    mode: str = ""


def rate_entry(name: str, rate: RateLike, mode: str = "") -> Entry:
    """A rate in large type: its count over its rows, with the rate and the interval beside it."""
    detail = f"{percent(rate.rate)} {interval_text(rate.wilson95)}"
    return Entry(name, f"{rate.count}/{rate.n}", detail.strip(), mode)


@dataclass(frozen=True, slots=True)
class Measure:
    """A card with a few numbers in large type, and the test between them."""

    label: str
    entries: tuple[Entry, ...]
    test: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What changed in one place: rows of two answers, side by side.

    Attributes:
        heading: what it is, as an identifier: task/sample or a document.
        context: under what conditions; a list names the first two.
        answers: solo and batched in one row, or A's and B's with a row a condition.
        number: of a run's changes, as ``harness show --flip`` takes it; 0 where there is none.
        said: what changed and what changed it, in a sentence; of rows of one run.
        model: where it is told apart from the context.
        mode: gives the heading that mode's mark.
        where: where the answers first differ, then domain, phase and direction, as far as known.
        notes: what the repeats of either condition showed, the target and the like.
        other_modes: what the same candidate did under the other mode.
        prompt: where its task file was found and its hash agrees.
    """

    anchor: str
    heading: str
    change: str
    context: tuple[str, ...]
    answers: tuple[tuple[AnswerView, AnswerView], ...]
    number: int = 0
    said: str = ""
    model: str = ""
    mode: str = ""
    where: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    other_modes: tuple[str, ...] = ()
    prompt: str | None = None
    co_batched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt's two answers, for the top of a page.

    Attributes:
        said: what changed, the label or the words alone, and what changed it.
        asked: the question, cut where it is long; empty where its task file was not found.
        change: the place that shows all of it, by its anchor.
        number: of that change among the run's.
        heading: the prompt's task and id.
        where: the first difference, and under what conditions.
        answers: alone, and in the batch.
    """

    said: str
    asked: str
    change: str
    number: int
    heading: str
    where: str
    answers: tuple[AnswerView, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Changes of one kind; ``left_out`` are counted and not shown.

    Attributes:
        short: the title in the page's contents.
        prose: the page's paragraph, with marks as on the answers; ``plain`` is Markdown's.
        warning: said on the page where some are left out.
        most: how many of them Markdown shows or lists at most; ``rest`` follows the number of more.
        listed: the title of Markdown's folded list; where empty, answers are shown in full.
        brief: the title of the folded list in a step summary; where empty, there is none.
        elsewhere: where a step summary says that the rest is.
        opens: whether the page opens the first one.
        searched: whether the page has a filter over them.
    """

    anchor: str
    title: str
    short: str
    prose: tuple[Piece, ...]
    changes: tuple[Change, ...]
    left_out: int = 0
    plain: str = ""
    warning: str = ""
    most: int = 100
    listed: str = ""
    rest: str = ""
    brief: str = ""
    elsewhere: str = ""
    opens: bool = False
    searched: bool = False

    @property
    def total(self) -> int:
        """All of them, shown or not."""
        return len(self.changes) + self.left_out


@dataclass(frozen=True, slots=True)
class Check:
    """A condition of a gate and why it passes or fails."""

    name: str
    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Case:
    """A test for CI: it failed, was skipped (each with a reason), or passed."""

    name: str
    failure: str | None = None
    detail: str = ""
    skipped: str | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests of one kind, and the facts that stand above them."""

    name: str
    cases: tuple[Case, ...]
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """Everything that a format shows.

    Attributes:
        kicker: what this is, above everything else.
        heading: Markdown's title before the names; where empty, the names are the title.
        names: the run, or A and B.
        headline: the result, a sentence or a clause a line.
        context: what it was measured on; empty for two sides, which `names` tells.
        nature: what numbers from this kind of device can say; empty for a GPU.
        shows: what the numbers show, and what they do not, a sentence each.
        examples: two answers of one prompt each, to be seen first, where their texts are known.
        checks: the conditions of a gate; ``suites`` the same for CI, as tests of ``program``.
        promise: what is escaped on the page.
    """

    look: Look
    kicker: str
    title: str
    heading: str
    names: tuple[str, ...]
    headline: tuple[str, ...]
    sections: tuple[Section, ...]
    banner: Banner | None = None
    made_with: str = f"harness {__version__}"
    context: str = ""
    nature: str = ""
    shows: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    measures: tuple[Measure, ...] = ()
    checks: tuple[Check, ...] = ()
    groups: tuple[Group, ...] = ()
    suites: tuple[Suite, ...] = ()
    promise: str = "every answer in it is escaped"
    program: str = "harness"
