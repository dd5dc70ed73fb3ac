"""What stands beside a run's main comparison: claims, threats, profiles, noise, kinds of flips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.numbers import NONE, interval_text, p_text, percent, score_text
from harness.report.document import Brief, Cell, Column, Kind, Section, Table, mode_words
from harness.report.summary_numbers import rate_text
from harness.words import Endpoint

Json = Mapping[str, Any]
_NUMBER = Kind.NUMBER
MAX_LISTED = 200
_STATUSES = {
    "established": "Established",
    "strengthened": "Strengthened",
    "inconclusive": "Inconclusive",
    "not_established": "Not established",
}
_OUTCOMES = ("both", "paper_only", "strict_only", "neither")


def claims_section(summary: Json) -> Section | None:
    """One table a status, in the order of their strength."""
    claims: Sequence[Json] = summary.get("claims") or ()
    known = dict.fromkeys([*_STATUSES, *(str(claim.get("status")) for claim in claims)])
    tables = []
    for status in known:
        rows = tuple(
            (Cell(str(claim.get("text"))), Cell(str(claim.get("reason") or NONE)))
            for claim in claims
            if str(claim.get("status")) == status
        )
        if rows:
            head = Column("Reason" if status in ("not_established", "inconclusive") else "Basis")
            title = _STATUSES.get(status, status)
            tables.append(Table(title, (Column("Claim"), head), rows))
    if not tables:
        return None
    prose = (
        "Computed from these records. A claim is about the tested rows on the tested stack and "
        "about nothing wider.",
    )
    return Section("claims", "Claim ledger", prose, tuple(tables), brief=Brief.FOLDED)


def threats_section(summary: Json, metadata: Json) -> Section | None:
    """What the run could not exclude, and what it says itself that it left open."""
    columns = (Column("Threat", Kind.ID), Column("What leaves it open"))
    found = tuple(
        (Cell(str(threat.get("threat"))), Cell(str(threat.get("text"))))
        for threat in summary.get("threats") or ()
    )
    left = metadata.get("not_controlled")
    open_points = tuple((Cell(str(point)),) for point in left) if isinstance(left, list) else ()
    tables = tuple(
        table
        for table in (
            Table("Threats", columns, found),
            Table("Left to the server or to chance", (Column("Not controlled"),), open_points),
        )
        if table.rows
    )
    if not tables:
        return None
    return Section("threats", "Threats not excluded", (), tables)


def _count_rows(comparison: Json) -> Iterator[tuple[Cell, ...]]:
    by_mode = comparison.get("by_mode") or {}
    for mode in sorted(by_mode, key=lambda mode: (mode != "standard", mode)):
        tally = by_mode[mode]
        flips = tally.get("label_flips") or {}
        texts = [
            mode_words(mode),
            f"{tally.get('scores_differ')}/{tally.get('answers')}",
            flips.get("paper"),
            flips.get("strict"),
            *(flips.get(outcome) for outcome in _OUTCOMES),
        ]
        yield tuple(Cell(str(text)) for text in texts)


def _said(change: Json) -> Cell:
    solo = score_text(change.get("solo_score"), change.get("solo_label"))
    batched = score_text(change.get("batch_score"), change.get("batch_label"))
    rules = f"{change.get('solo_rule')}; {change.get('batch_rule')}"
    return Cell(f"{solo} → {batched}", rules)


def _disagreement_rows(comparison: Json) -> Iterator[tuple[Cell, ...]]:
    for row in (comparison.get("disagreements") or ())[:MAX_LISTED]:
        paper, strict = row.get("paper") or {}, row.get("strict") or {}
        mode = str(row.get("mode"))
        yield (
            Cell(f"{row.get('task_name')}/{row.get('sample_id')}", str(row.get("model"))),
            Cell(f"{mode_words(mode)}, batch {row.get('batch_size')}"),
            Cell("paper" if paper.get("flip") else "strict"),
            _said(paper),
            _said(strict),
        )


def profiles_section(comparison: Json | None) -> Section | None:
    """Flips under both scorer profiles, and the rows on which they disagree."""
    if not comparison or not comparison.get("by_mode"):
        return None
    heads = ("Scores differ", "Flips: paper", "Flips: strict")
    outcomes = ("Both", "Paper only", "Strict only", "Neither")
    columns = (Column("Kernels"), *(Column(head, Kind.NUMBER) for head in (*heads, *outcomes)))
    tables = [Table("Flips under both profiles", columns, tuple(_count_rows(comparison)))]
    rows = tuple(_disagreement_rows(comparison))
    total = len(comparison.get("disagreements") or ()) + int(
        comparison.get("disagreements_left_out") or 0
    )
    if rows:
        titles = ("Condition", "Flip in", "paper: solo → batched", "strict: solo → batched")
        heads_ = (Column("Row", Kind.ID), *(Column(title) for title in titles))
        note = f"{total - len(rows):,} more are not listed here." if total > len(rows) else ""
        tables.append(Table("Where the profiles disagree", heads_, rows, note))
    prose = (
        "The same answers, scored twice: “paper” is the study's own algorithm, “strict” reads the "
        "answer alone and has states for answers that it cannot parse.",
    )
    return Section("profiles", "Two scorer profiles", prose, tuple(tables))


def _columns(first: str, *numbers: str) -> tuple[Column, ...]:
    return Column(first), *(Column(title, _NUMBER) for title in numbers)


def _by_mode(summary: Json, key: str) -> Iterator[tuple[str, Json]]:
    for mode, value in (summary.get(key) or {}).items():
        if value:
            yield mode_words(mode), value


def _cells(*texts: Any) -> tuple[Cell, ...]:
    return tuple(Cell(NONE if text is None else str(text)) for text in texts)


def _table(caption: str, columns: tuple[Column, ...], rows: Iterable[Any], note: str = "") -> Table:
    return Table(caption, columns, tuple(rows), note)


def _repeat_rows(summary: Json) -> Iterator[tuple[Cell, ...]]:
    for mode, floor in _by_mode(summary, "noise_floor"):
        for condition in ("solo", "batched"):
            repeats = floor.get(condition)
            if repeats:
                rates = (rate_text(repeats.get(endpoint)) for endpoint in Endpoint)
                yield _cells(f"{mode}, {condition} again", repeats.get("repeats"), *rates)


def _beyond_rows(summary: Json) -> Iterator[tuple[Cell, ...]]:
    for mode, floor in _by_mode(summary, "noise_floor"):
        for endpoint in Endpoint:
            table = (floor.get("batch_beyond_repeat") or {}).get(endpoint)
            if table:
                counts = (table.get(c) for c in ("both", "batch_only", "repeat_only", "neither"))
                yield _cells(
                    f"{mode}, {endpoint.words.lower()}", *counts, p_text(table.get("p_two_sided"))
                )


def noise_section(summary: Json) -> Section:
    """How often the same question, asked again, got another answer without any batch."""
    repeats = tuple(_repeat_rows(summary))
    if not repeats:
        prose = (
            "No answer was asked for twice, so this run does not know how often the text changes "
            "without any batch.",
        )
        return Section("noise", "Noise floor", prose)
    tables = [
        _table(
            "Asked again, nothing changed",
            _columns(
                "Kernels and condition", "Repeats", *(endpoint.words for endpoint in Endpoint)
            ),
            repeats,
            "Rows in which any repeat differs from the first answer of the same condition.",
        )
    ]
    beyond = tuple(_beyond_rows(summary))
    if beyond:
        heads = ("Both", "Batch only", "Repeat only", "Neither", "p (exact)")
        note = "“Batch only”: the batched answer differs from solo and the solo repeat does not."
        tables.append(
            _table("The batch against a solo repeat", _columns("Measure", *heads), beyond, note)
        )
    prose = ("A batch effect is what goes beyond the change that repeating alone produces.",)
    return Section("noise", "Noise floor", prose, tuple(tables))


def kinds_section(summary: Json) -> Section | None:
    """Flips by direction and by kind."""
    rows = tuple(
        _cells(
            mode,
            *(kinds.get(key) for key in ("up", "down")),
            p_text(kinds.get("p_symmetry")),
            *(kinds.get(key) for key in ("hard", "soft", "state")),
        )
        for mode, kinds in _by_mode(summary, "flip_kinds")
    )
    if not rows:
        return None
    heads = ("Score up", "Score down", "p (symmetric)", "Hard", "Soft", "State")
    note = (
        "Hard: the scores lie on both sides of 0.5. Soft: they do not. State: one answer has no "
        "score (unparsed, empty or undecided). p: exact test that up and down are equally likely."
    )
    table = _table("Flips by direction and kind", _columns("Kernels", *heads), rows, note)
    return Section("kinds", "Kinds of flips", (), (table,))


def _difference_rows(summary: Json) -> Iterator[tuple[Cell, ...]]:
    for endpoint in Endpoint:
        paired = (summary.get("paired") or {}).get(endpoint) or {}
        difference = paired.get("difference") or {}
        if difference.get("estimate") is not None:
            yield _cells(
                endpoint.words,
                percent(difference["estimate"]),
                interval_text(difference.get("newcombe95")),
                interval_text(difference.get("tango95")),
                p_text(paired.get("p_one_sided")),
                percent(paired.get("detectable_rate80")),
            )


def _bound_rows(summary: Json) -> Iterator[tuple[Cell, ...]]:
    for mode, counts in (summary.get("by_mode") or {}).items():
        for endpoint in Endpoint:
            rate = counts.get(endpoint) or {}
            if rate.get("upper95") is not None:
                yield _cells(
                    f"{mode_words(mode)}, {endpoint.words.lower()}",
                    f"{rate['count']}/{rate['n']}",
                    interval_text(rate.get("clopper_pearson95")),
                    percent(rate["upper95"]),
                    percent(rate.get("margin")),
                )


def _cross_rows(summary: Json) -> Iterator[tuple[Cell, ...]]:
    for condition, rates in (summary.get("cross_mode") or {}).items():
        if rates:
            yield _cells(
                condition,
                rate_text(rates.get("label_differs")),
                rate_text(rates.get("text_differs")),
            )


def _cluster_rows(clusters: Json) -> Iterator[tuple[Cell, ...]]:
    for endpoint in Endpoint:
        test = clusters.get(endpoint)
        if test:
            p = p_text(test.get("p_two_sided"))
            yield _cells(endpoint.words, test.get("informative"), p, test.get("method"))


def robustness_section(summary: Json) -> Section | None:
    """Intervals of the difference, bounds on nothing seen, cross-mode agreement, clusters."""
    clusters = summary.get("clusters") or {}
    shared = (
        f"{clusters.get('n_rows')} rows in {clusters.get('n_clusters')} clusters of equal model, "
        f"task and sample; the largest holds {clusters.get('largest')}. The sign-flip test swaps "
        "the two modes of a whole cluster."
    )
    heads = ("Difference", "Newcombe 10", "Tango", "One-sided p", "Detectable at 80% power")
    rates = ("Count", "Clopper-Pearson 95%", "One-sided upper 95%", "Supports a margin of")
    candidates = (
        _table(
            "Difference of the two modes (standard − batch-invariant)",
            _columns("Measure", *heads),
            _difference_rows(summary),
        ),
        _table(
            "Exact bounds",
            _columns("Kernels and measure", *rates),
            _bound_rows(summary),
            "What a count, zero included, rules out: rates above the one-sided bound.",
        ),
        _table(
            "Do the two modes agree with each other?",
            _columns("Condition", "Label differs", "Text differs"),
            _cross_rows(summary),
            "Being free of batch effects is one thing; answering as the other mode is another.",
        ),
        _table(
            "Clusters",
            _columns("Measure", "Informative clusters", "p (two-sided)", "Method"),
            _cluster_rows(clusters),
            shared,
        ),
    )
    tables = tuple(table for table in candidates if table.rows)
    return Section("robustness", "Robustness", (), tables) if tables else None


def conduct_table(summary: Json) -> Table | None:
    """Median times of an answer, retries and answers cut at the token limit."""
    retries, latency = (summary.get(key) or {} for key in ("retries", "latency"))

    def seconds(value: Any) -> str:
        return NONE if value is None else f"{value:.2f} s"

    rows = tuple(
        _cells(
            mode_words(mode),
            seconds((latency.get(mode) or {}).get("solo_median_s")),
            seconds((latency.get(mode) or {}).get("batched_median_s")),
            *((retries.get(mode) or {}).get(key) for key in ("solo", "batched", "truncated")),
        )
        for mode in dict.fromkeys((*latency, *retries))
    )
    if not rows:
        return None
    heads = ("Solo, median", "Batched, median", "Solo retried", "Batched retried", "Cut at limit")
    return _table("Answers", _columns("Kernels", *heads), rows)
