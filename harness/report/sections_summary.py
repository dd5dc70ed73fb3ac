"""What a run came to, section by section: one table of which tables and figure each shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from msgspec import UnsetType

from harness.analyse import ClaimStatus, OfEndpoints, Paired, Rate, Summary
from harness.numbers import (
    NONE,
    discordant_text,
    interval_text,
    p_equals,
    p_text,
    percent,
    rate_text,
    score_text,
)
from harness.report.document import (
    Bar,
    Bars,
    Brief,
    Figure,
    Flow,
    FlowPart,
    Flows,
    Matrices,
    Section,
    Table,
    section,
    table,
)
from harness.report.run_figures import forest, score_matrix
from harness.words import Endpoint, Mode

T = TypeVar("T")
_MEASURES = " | ".join(f"#{endpoint.words}" for endpoint in Endpoint)
_CELLS = {
    "both": ("changed under both modes", "both", "changed under both"),
    "first_only": ("changed under standard only (b)", "standard", "standard only"),
    "second_only": ("changed under batch-invariant only (c)", "invariant", "batch-invariant only"),
    "neither": ("changed under neither", "neither", "changed under neither"),
}
"""Cell of a paired table, its words, the style of its squares and what they are."""
_CLAIMS = {
    ClaimStatus.ESTABLISHED: "Basis",
    ClaimStatus.STRENGTHENED: "Basis",
    ClaimStatus.INCONCLUSIVE: "Reason",
    ClaimStatus.NOT_ESTABLISHED: "Reason",
}
"""Kinds of claims in the order of their strength, and what is said of each."""


class Part(NamedTuple):
    """A section: tables, the prose above them or without any, and the figure that goes with them.

    Where there is neither a table with rows nor a word, there is no section.
    """

    anchor: str
    title: str
    tables: Callable[[Summary], Iterable[Table]]
    prose: str = ""
    otherwise: str = ""
    figure: Callable[[Summary], Figure | None] = lambda _: None
    brief: Brief = Brief.NO


def summary_sections(summary: Summary) -> Iterator[Section | None]:
    """Every section that the summary alone fills; ``None`` for one with nothing to show."""
    for name, title, tables, prose, otherwise, figure, brief in PARTS:
        drawn, shown = figure(summary), tables(summary)
        yield section(name, title, shown, prose, otherwise, figure=drawn, brief=brief)


def paired_text(paired: Paired) -> str:
    """The discordant pairs and the exact test; ``b`` is standard only, ``c`` invariant only."""
    return discordant_text(paired.first_only, paired.second_only, paired.p_two_sided)


def _rates(counts: OfEndpoints[Rate]) -> Iterator[str]:
    return (rate_text(counts.of(endpoint)) for endpoint in Endpoint)


def _each(of: OfEndpoints[T]) -> Iterator[tuple[str, T]]:
    return ((endpoint.words, of.of(endpoint)) for endpoint in Endpoint)


def _each_of_modes(modes: Mapping[Mode, OfEndpoints[T] | None]) -> Iterator[tuple[str, T]]:
    for mode, both in modes.items():
        for name, one in _each(both) if both else ():
            yield f"{mode.words}, {name.lower()}", one


def answers_table(summary: Summary) -> Table:
    """Median times of an answer, retries and answers cut at the token limit."""
    rows = (
        (
            mode.words,
            *(NONE if t is None else f"{t:.2f} s" for t in (t.solo_median_s, t.batched_median_s)),
            *(tries.solo, tries.batched, tries.truncated),
        )
        for mode, t in summary.latency.items()
        for tries in (summary.retries[mode],)
    )
    medians = "#Solo, median | #Batched, median"
    heads = f"Kernels | {medians} | #Solo retried | #Batched retried | #Cut at limit"
    return table("Answers", heads, rows)


PARTS = (
    Part(
        "results",
        "Results",
        lambda s: [
            table(
                "By mode",
                f"Kernels | #Records | #OK | #Errors | {_MEASURES}",
                ((m.words, t.records, t.ok, t.errors, *_rates(t)) for m, t in s.by_mode.items()),
                "A label flip: the solo and the batched answer have different scores. A text "
                "change: they have different hashes. Brackets hold the Wilson 95% interval, in "
                "per cent.",
            )
        ],
        otherwise="No record was counted.",
        figure=forest,
        brief=Brief.OPEN,
    ),
    Part(
        "paired",
        "Paired comparison",
        lambda s: (
            [
                table(
                    "Paired outcomes",
                    f"Outcome of a pair | {_MEASURES}",
                    [
                        *(
                            (words, *(getattr(p, cell) for _, p in _each(s.paired)))
                            for cell, (words, *_) in _CELLS.items()
                        ),
                        ("exact McNemar, two-sided", *(paired_text(p) for _, p in _each(s.paired))),
                    ],
                )
            ]
            if len(s.by_mode) > 1
            else []
        ),
        "Each candidate was asked under both kernel paths, so the two paths are compared pair by "
        "pair; only pairs in which exactly one path changed carry information about a difference.",
        "Only one mode was run: nothing is paired.",
        lambda s: Flows(
            tuple(
                Flow(
                    name,
                    tuple(FlowPart(getattr(p, c), *style) for c, (_, *style) in _CELLS.items()),
                )
                for name, p in _each(s.paired)
            ),
            counted=False,
        ),
        Brief.OPEN,
    ),
    Part(
        "claims",
        "Claim ledger",
        lambda s: (
            table(
                status.words.capitalize(),
                ("Claim", told),
                ((c.text, c.reason or NONE) for c in s.claims if c.status is status),
            )
            for status, told in _CLAIMS.items()
        ),
        "Computed from these records. A claim is about the tested rows on the tested stack and "
        "about nothing wider.",
        brief=Brief.FOLDED,
    ),
    Part(
        "threats",
        "Threats not excluded",
        lambda s: [
            table(
                *("Threats", "@Threat | What leaves it open"),
                ((threat.threat, threat.text) for threat in s.threats),
            ),
            table(
                *("Left to the server or to chance", ["Not controlled"]),
                ((point,) for point in s.stack.not_controlled),
            ),
        ],
    ),
    Part(
        "breakdowns",
        "Breakdowns",
        lambda s: (
            table(
                f"By {attribute.words}",
                (
                    *(f"@{attribute.words.capitalize()}", "#Rows"),
                    *(f"#{mode.words}: label flips" for mode in s.by_mode),
                    "#exact McNemar, label flips",
                ),
                (
                    (
                        *("(not given)" if entry.value is None else entry.value, entry.n),
                        *(
                            (flips, f"text {texts}")
                            for flips, texts in (_rates(entry.mode(mode)) for mode in s.by_mode)
                        ),
                        (
                            discordant,
                            f"underpowered: smallest possible p is {p_text(test.smallest_p)}",
                        )
                        if test.underpowered
                        else (
                            f"{discordant} {p_equals(test.p_two_sided)}",
                            ""
                            if isinstance(test.p_holm, UnsetType)
                            else f"Holm-adjusted {p_equals(test.p_holm)}",
                        ),
                    )
                    for entry in slices
                    for test in (entry.paired.label_flips,)
                    for discordant in (f"b={test.first_only} c={test.second_only}",)
                ),
            )
            for attribute, slices in s.breakdowns.each()
            if any(entry.value for entry in slices)
        ),
        "Label flips, with text changes below them. The slices are exploratory. p is adjusted by "
        "Holm's method within each table, and a slice that could not reach p < 0.05 with any "
        "outcome is marked as underpowered.",
        figure=lambda s: (
            Bars(
                tuple(
                    Bar(str(entry.value), mode, flips.count, texts.count, flips.n)
                    for entry in s.breakdowns.batch_size
                    for mode in s.by_mode
                    for flips, texts in ([rate for _, rate in _each(entry.mode(mode))],)
                )
            )
            if s.breakdowns.batch_size
            else None
        ),
        brief=Brief.FOLDED,
    ),
    Part(
        "score-pairs",
        "Score pairs",
        lambda s: (
            table(
                f"{mode.words} kernels",
                "#Solo score | #Batched score | #Rows",
                (
                    (
                        score_text(row.solo, row.solo_label or None),
                        score_text(row.batched, row.batched_label or None),
                        row.rows,
                    )
                    for row in rows
                ),
            )
            for mode, rows in s.score_pairs.items()
        ),
        "On the diagonal the two scores agree; every other cell is a label flip.",
        figure=lambda s: Matrices(
            tuple(score_matrix(mode, rows) for mode, rows in s.score_pairs.items() if rows)
        ),
    ),
    Part(
        "kinds",
        "Kinds of flips",
        lambda s: [
            table(
                "Flips by direction and kind",
                "Kernels | #Score up | #Score down | #p (symmetric) | #Hard | #Soft | #State",
                (
                    (mode.words, k.up, k.down, p_text(k.p_symmetry), k.hard, k.soft, k.state)
                    for mode, k in s.flip_kinds.items()
                ),
                "Hard: the scores lie on both sides of 0.5. Soft: they do not. State: one answer "
                "has no score (unparsed, empty or undecided). p: exact test that up and down are "
                "equally likely.",
            )
        ],
    ),
    Part(
        "noise",
        "Noise floor",
        lambda s: [
            table(
                "Asked again, nothing changed",
                f"Kernels and condition | #Repeats | {_MEASURES}",
                (
                    (f"{mode.words}, {condition} again", again.repeats, *_rates(again))
                    for mode, floor in s.noise_floor.items()
                    for condition, again in (("solo", floor.solo), ("batched", floor.batched))
                    if again
                ),
                "Rows in which any repeat differs from the first answer of the same condition.",
            ),
            table(
                "The batch against a solo repeat",
                "Measure | #Both | #Batch only | #Repeat only | #Neither | #p (exact)",
                (
                    (name, c.both, c.batch_only, c.repeat_only, c.neither, p_text(c.p_two_sided))
                    for name, c in _each_of_modes(
                        {mode: floor.batch_beyond_repeat for mode, floor in s.noise_floor.items()}
                    )
                ),
                "“Batch only”: the batched answer differs from solo and the solo repeat does not.",
            ),
        ],
        "A batch effect is what goes beyond the change that repeating alone produces.",
        "No answer was asked for twice, so this run does not know how often the text changes "
        "without any batch.",
    ),
    Part(
        "robustness",
        "Robustness",
        lambda s: [
            table(
                "Difference of the two modes (standard − batch-invariant)",
                "Measure | #Difference | #Newcombe 10 | #Tango | #One-sided p | "
                "#Detectable at 80% power",
                (
                    (
                        *(name, percent(d.estimate)),
                        *map(interval_text, (d.newcombe95, d.tango95)),
                        *(p_text(paired.p_one_sided), percent(paired.detectable_rate80)),
                    )
                    for name, paired in _each(s.paired)
                    if (d := paired.difference).estimate is not None
                ),
            ),
            table(
                "Exact bounds",
                "Kernels and measure | #Count | #Clopper-Pearson 95% | #One-sided upper 95% | "
                "#Supports a margin of",
                (
                    (
                        *(name, f"{rate.count}/{rate.n}", interval_text(rate.clopper_pearson95)),
                        *map(percent, (rate.upper95, rate.margin)),
                    )
                    for name, rate in _each_of_modes(s.by_mode)
                    if rate.upper95 is not None
                ),
                "What a count, zero included, rules out: rates above the one-sided bound.",
            ),
            table(
                "Do the two modes agree with each other?",
                "Condition | #Label differs | #Text differs",
                (
                    (name, rate_text(differs.label_differs), rate_text(differs.text_differs))
                    for cross in (s.cross_mode,)
                    for name, differs in (("solo", cross.solo), ("batched", cross.batched))
                ),
                "Being free of batch effects is one thing; answering as the other mode is another.",
            ),
            table(
                "Clusters",
                "Measure | #Informative clusters | #p (two-sided) | #Method",
                (
                    (name, test.informative, p_text(test.p_two_sided), test.method)
                    for name, test in _each(s.clusters)
                ),
                f"{s.clusters.n_rows} rows in {s.clusters.n_clusters} clusters of equal model, "
                f"task and sample; the largest holds {s.clusters.largest}. The sign-flip test "
                "swaps the two modes of a whole cluster.",
            ),
        ],
    ),
)
"""The sections; `harness.report.sections_run` has their order."""
