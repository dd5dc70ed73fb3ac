"""What a run came to, section by section: one table of which tables and figure each shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from msgspec import UnsetType

from harness.analyse import ClaimStatus, OfEndpoints, Paired, Rate, ScorePair, Summary
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
    Forest,
    ForestRow,
    Matrices,
    Matrix,
    Section,
    Table,
    section,
    table,
)
from harness.words import Endpoint, Mode

MOST_SLICES = 30
"""Slices of one attribute that the forest plot draws."""
_FOREST_SLICES = ("model", "domain", "task_name", "dispatch_mode")
_MEASURES = tuple(f"#{endpoint.words}" for endpoint in Endpoint)
_CELLS = (
    ("both", "changed under both modes", "both", "changed under both"),
    ("first_only", "changed under standard only (b)", "standard", "standard only"),
    (
        "second_only",
        "changed under batch-invariant only (c)",
        "invariant",
        "batch-invariant only",
    ),
    ("neither", "changed under neither", "neither", "changed under neither"),
)
"""Cell of a paired table, its words, the style of its squares and what they are."""
_CLAIMS = {
    ClaimStatus.ESTABLISHED: "Basis",
    ClaimStatus.REFUTED: "Basis",
    ClaimStatus.NOT_ESTABLISHED: "Reason",
}
"""Kinds of claims in the order of their strength, and what is said of each."""


class Part(NamedTuple):
    """A section: what it shows of a summary.

    Attributes:
        tables: those without rows are left out, and without any the figure too.
        prose: what stands above the tables.
        otherwise: what stands where there is no table; where empty, there is no section then.
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
    for part in PARTS:
        figure = part.figure(summary)
        yield section(
            *(part.anchor, part.title, part.tables(summary), part.prose, part.otherwise),
            figure=figure,
            brief=part.brief,
        )


def paired_text(paired: Paired) -> str:
    """The discordant pairs and the exact test; ``b`` is standard only, ``c`` invariant only."""
    return discordant_text(paired.first_only, paired.second_only, paired.p_two_sided)


def _rates(counts: OfEndpoints[Rate]) -> Iterator[str]:
    return (rate_text(counts.of(endpoint)) for endpoint in Endpoint)


def _measure(mode: Mode, endpoint: Endpoint) -> str:
    return f"{mode.words}, {endpoint.words.lower()}"


def _slice_test(paired: Paired) -> tuple[str, str]:
    discordant = f"b={paired.first_only} c={paired.second_only}"
    if paired.underpowered:
        return discordant, f"underpowered: smallest possible p is {p_text(paired.smallest_p)}"
    holm = paired.p_holm
    remark = "" if isinstance(holm, UnsetType) else f"Holm-adjusted {p_equals(holm)}"
    return f"{discordant} {p_equals(paired.p_two_sided)}", remark


def _forest(summary: Summary) -> Forest:
    """Both endpoints over all rows, then label flips by what has more than one slice."""
    modes = summary.by_mode
    groups: dict[str, list[tuple[object, Mode, Rate]]] = {
        "All rows": [(e.words, mode, t.of(e)) for e in Endpoint for mode, t in modes.items()]
    }
    for attribute, slices in summary.breakdowns.each():
        if attribute in _FOREST_SLICES and len(slices) > 1:  # one slice is all rows once more
            groups[f"By {attribute.words}: label flips"] = [
                (entry.value, mode, rate)
                for entry in slices[:MOST_SLICES]
                for mode in modes
                if (rate := entry.mode(mode).label_flips).n
            ]
    return Forest(
        tuple(
            (
                title,
                tuple(
                    ForestRow(str(label), mode, r.count, r.n, r.rate, *r.wilson95 or (None, None))
                    for label, mode, r in rows
                ),
            )
            for title, rows in groups.items()
        )
    )


def _matrix(mode: Mode, rows: Iterable[ScorePair]) -> Matrix:
    """Scores in order, then states without a score by their name."""
    seen: Counter[tuple[str, ...]] = Counter()
    order: dict[str, tuple[bool, float, str]] = {}
    for row in rows:
        states = [
            (score is None, score or 0.0, str(label or "none") if score is None else f"{score:g}")
            for score, label in ((row.solo, row.solo_label), (row.batched, row.batched_label))
        ]
        order |= {state[-1]: state for state in states}
        seen[tuple(state[-1] for state in states)] += row.rows
    scores = tuple(sorted(order, key=order.__getitem__))
    counts = tuple(tuple(seen[a, b] for b in scores) for a in scores)
    return Matrix(mode.words, scores, counts)


PARTS = (
    Part(
        "results",
        "Results",
        lambda s: (
            table(
                "By mode",
                ("Kernels", "#Records", "#OK", "#Errors", *_MEASURES),
                ((m.words, t.records, t.ok, t.errors, *_rates(t)) for m, t in s.by_mode.items()),
                "A label flip: the solo and the batched answer have different scores. A text "
                "change: they have different hashes. Brackets hold the Wilson 95% interval, in "
                "per cent.",
            ),
        ),
        otherwise="No record was counted.",
        figure=_forest,
        brief=Brief.OPEN,
    ),
    Part(
        "paired",
        "Paired comparison",
        lambda s: (
            table(
                "Paired outcomes",
                ("Outcome of a pair", *_MEASURES),
                (
                    *(
                        (words, *(getattr(s.paired.of(e), cell) for e in Endpoint))
                        for cell, words, *_ in _CELLS
                    ),
                    (
                        "exact McNemar, two-sided",
                        *(paired_text(s.paired.of(e)) for e in Endpoint),
                    ),
                )
                if len(s.by_mode) > 1
                else (),
            ),
        ),
        "Each candidate was asked under both kernel paths, so the two paths are compared pair by "
        "pair; only pairs in which exactly one path changed carry information about a difference.",
        "Only one mode was run: nothing is paired.",
        lambda s: Flows(
            tuple(
                Flow(
                    endpoint.words,
                    tuple(
                        FlowPart(getattr(s.paired.of(endpoint), cell), style, words)
                        for cell, _, style, words in _CELLS
                    ),
                )
                for endpoint in Endpoint
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
        lambda s: (
            table(
                "Threats",
                ("@Threat", "What leaves it open"),
                ((threat.threat, threat.text) for threat in s.threats),
            ),
            table(
                "Left to the server or to chance",
                ("Not controlled",),
                ((point,) for point in s.stack.not_controlled),
            ),
        ),
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
                        _slice_test(entry.paired.label_flips),
                    )
                    for entry in slices
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
                    Bar(
                        str(entry.value),
                        mode,
                        t.label_flips.count,
                        t.text_changes.count,
                        t.label_flips.n,
                    )
                    for entry in s.breakdowns.batch_size
                    for mode in s.by_mode
                    for t in (entry.mode(mode),)
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
                ("#Solo score", "#Batched score", "#Rows"),
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
            tuple(_matrix(mode, rows) for mode, rows in s.score_pairs.items() if rows)
        ),
    ),
    Part(
        "kinds",
        "Kinds of flips",
        lambda s: (
            table(
                "Flips by direction and kind",
                (
                    *("Kernels", "#Score up", "#Score down", "#p (symmetric)"),
                    *("#Hard", "#Soft", "#State"),
                ),
                (
                    (mode.words, k.up, k.down, p_text(k.p_symmetry), k.hard, k.soft, k.state)
                    for mode, k in s.flip_kinds.items()
                ),
                "Hard: the scores lie on both sides of 0.5. Soft: they do not. State: one answer "
                "has no score (unparsed, empty or undecided). p: exact test that up and down are "
                "equally likely.",
            ),
        ),
    ),
    Part(
        "noise",
        "Noise floor",
        lambda s: (
            table(
                "Asked again, nothing changed",
                ("Kernels and condition", "#Repeats", *_MEASURES),
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
                ("Measure", "#Both", "#Batch only", "#Repeat only", "#Neither", "#p (exact)"),
                (
                    (
                        *(_measure(mode, endpoint), c.both, c.batch_only),
                        *(c.repeat_only, c.neither, p_text(c.p_two_sided)),
                    )
                    for mode, floor in s.noise_floor.items()
                    if floor.batch_beyond_repeat
                    for endpoint in Endpoint
                    for c in (floor.batch_beyond_repeat.of(endpoint),)
                ),
                "“Batch only”: the batched answer differs from solo and the solo repeat does not.",
            ),
        ),
        "A batch effect is what goes beyond the change that repeating alone produces.",
        "No answer was asked for twice, so this run does not know how often the text changes "
        "without any batch.",
    ),
    Part(
        "robustness",
        "Robustness",
        lambda s: (
            table(
                "Difference of the two modes (standard − batch-invariant)",
                (
                    *("Measure", "#Difference", "#Newcombe 10", "#Tango", "#One-sided p"),
                    "#Detectable at 80% power",
                ),
                (
                    (
                        *(endpoint.words, percent(paired.difference.estimate)),
                        interval_text(paired.difference.newcombe95),
                        interval_text(paired.difference.tango95),
                        *(p_text(paired.p_one_sided), percent(paired.detectable_rate80)),
                    )
                    for endpoint in Endpoint
                    if (paired := s.paired.of(endpoint)).difference.estimate is not None
                ),
            ),
            table(
                "Exact bounds",
                (
                    *("Kernels and measure", "#Count", "#Clopper-Pearson 95%"),
                    *("#One-sided upper 95%", "#Supports a margin of"),
                ),
                (
                    (
                        *(_measure(mode, endpoint), f"{rate.count}/{rate.n}"),
                        interval_text(rate.clopper_pearson95),
                        *map(percent, (rate.upper95, rate.margin)),
                    )
                    for mode, counts in s.by_mode.items()
                    for endpoint in Endpoint
                    if (rate := counts.of(endpoint)).upper95 is not None
                ),
                "What a count, zero included, rules out: rates above the one-sided bound.",
            ),
            table(
                "Do the two modes agree with each other?",
                ("Condition", "#Label differs", "#Text differs"),
                (
                    (name, rate_text(differs.label_differs), rate_text(differs.text_differs))
                    for name, differs in (
                        ("solo", s.cross_mode.solo),
                        ("batched", s.cross_mode.batched),
                    )
                ),
                "Being free of batch effects is one thing; answering as the other mode is another.",
            ),
            table(
                "Clusters",
                ("Measure", "#Informative clusters", "#p (two-sided)", "#Method"),
                (
                    (endpoint.words, t.informative, p_text(t.p_two_sided), t.method)
                    for endpoint in Endpoint
                    for t in (s.clusters.of(endpoint),)
                ),
                f"{s.clusters.n_rows} rows in {s.clusters.n_clusters} clusters of equal model, "
                f"task and sample; the largest holds {s.clusters.largest}. The sign-flip test "
                "swaps the two modes of a whole cluster.",
            ),
        ),
    ),
)
"""The sections, in no order of theirs: `harness.report.sections_run` has it."""
