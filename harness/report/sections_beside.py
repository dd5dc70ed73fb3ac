"""What stands beside a run's main comparison: claims, threats, profiles, noise, kinds of flips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.numbers import NONE, interval_text, p_text, percent, rate_text, score_text
from harness.report.document import Brief, Section, Table, mode_words, table
from harness.words import Endpoint

if TYPE_CHECKING:
    from harness.analyse import Summary

MAX_LISTED = 200
_CLAIMS = ("established", "strengthened", "inconclusive", "not_established")
"""Kinds of claims in the order of their strength."""
_UNCARRIED = ("inconclusive", "not_established")
_OUTCOMES = ("both", "paper_only", "strict_only", "neither")

Json = Mapping[str, Any]
Row = tuple[object, ...]


def claims_section(summary: Summary) -> Section | None:
    """One table a status, in the order of their strength."""
    tables = []
    for status in _CLAIMS:
        claims = [claim for claim in summary.claims if claim.status == status]
        if claims:
            heads = ("Claim", "Reason" if status in _UNCARRIED else "Basis")
            title = claims[0].status.words.capitalize()
            tables.append(table(title, heads, ((c.text, c.reason or NONE) for c in claims)))
    if not tables:
        return None
    prose = (
        "Computed from these records. A claim is about the tested rows on the tested stack and "
        "about nothing wider.",
    )
    return Section("claims", "Claim ledger", prose, tuple(tables), brief=Brief.FOLDED)


def threats_section(summary: Summary, metadata: Json) -> Section | None:
    """What the run could not exclude, and what it says itself that it left open."""
    left = metadata.get("not_controlled")
    threats = ((threat.threat, threat.text) for threat in summary.threats)
    tables = (
        table("Threats", ("@Threat", "What leaves it open"), threats),
        table(
            "Left to the server or to chance",
            ("Not controlled",),
            ((point,) for point in (left if isinstance(left, list) else ())),
        ),
    )
    shown = tuple(table for table in tables if table.rows)
    return Section("threats", "Threats not excluded", (), shown) if shown else None


def profiles_section(comparison: Json | None) -> Section | None:
    """Flips under both scorer profiles, and the rows on which they disagree."""
    if not comparison or not comparison.get("by_mode"):
        return None
    outcomes = ("#Both", "#Paper only", "#Strict only", "#Neither")
    counts = ("Kernels", "#Scores differ", "#Flips: paper", "#Flips: strict", *outcomes)
    tallies = (
        (
            mode_words(mode),
            f"{tally['scores_differ']}/{tally['answers']}",
            *(tally["label_flips"][name] for name in ("paper", "strict", *_OUTCOMES)),
        )
        for mode, tally in sorted(comparison["by_mode"].items(), reverse=True)  # standard first
    )
    tables = [table("Flips under both profiles", counts, tallies)]
    listed = comparison.get("disagreements") or ()
    rows = [_disagreement(row) for row in listed[:MAX_LISTED]]
    more = len(listed) + int(comparison.get("disagreements_left_out") or 0) - len(rows)
    if rows:
        sides = ("paper: solo → batched", "strict: solo → batched")
        note = f"{more:,} more are not listed here." if more else ""
        heads = ("@Row", "Condition", "Flip in", *sides)
        tables.append(table("Where the profiles disagree", heads, rows, note))
    prose = (
        "The same answers, scored twice: “paper” is the study's own algorithm, “strict” reads the "
        "answer alone and has states for answers that it cannot parse.",
    )
    return Section("profiles", "Two scorer profiles", prose, tuple(tables))


def _disagreement(row: Json) -> Row:
    def said(change: Json) -> tuple[str, str]:
        solo = score_text(change["solo_score"], change.get("solo_label"))
        batched = score_text(change["batch_score"], change.get("batch_label"))
        return f"{solo} → {batched}", f"{change['solo_rule']}; {change['batch_rule']}"

    return (
        (f"{row['task_name']}/{row['sample_id']}", str(row["model"])),
        f"{mode_words(row['mode'])}, batch {row['batch_size']}",
        "paper" if row["paper"]["flip"] else "strict",
        said(row["paper"]),
        said(row["strict"]),
    )


def noise_section(summary: Summary) -> Section:
    """How often the same question, asked again, got another answer without any batch."""
    repeats: list[Row] = []
    beyond: list[Row] = []
    for mode, floor in summary.noise_floor.items():
        for condition, again in (("solo", floor.solo), ("batched", floor.batched)):
            if again:
                rates = (rate_text(again.of(endpoint)) for endpoint in Endpoint)
                repeats.append((f"{mode.words}, {condition} again", again.repeats, *rates))
        if floor.batch_beyond_repeat is None:
            continue
        for endpoint in Endpoint:
            cells = floor.batch_beyond_repeat.of(endpoint)
            counts = cells.both, cells.batch_only, cells.repeat_only, cells.neither
            name = f"{mode.words}, {endpoint.words.lower()}"
            beyond.append((name, *counts, p_text(cells.p_two_sided)))
    if not repeats:
        prose = (
            "No answer was asked for twice, so this run does not know how often the text changes "
            "without any batch.",
        )
        return Section("noise", "Noise floor", prose)
    tables = (
        table(
            "Asked again, nothing changed",
            ("Kernels and condition", "#Repeats", *(f"#{endpoint.words}" for endpoint in Endpoint)),
            repeats,
            "Rows in which any repeat differs from the first answer of the same condition.",
        ),
        table(
            "The batch against a solo repeat",
            ("Measure", "#Both", "#Batch only", "#Repeat only", "#Neither", "#p (exact)"),
            beyond,
            "“Batch only”: the batched answer differs from solo and the solo repeat does not.",
        ),
    )
    prose = ("A batch effect is what goes beyond the change that repeating alone produces.",)
    return Section("noise", "Noise floor", prose, tuple(t for t in tables if t.rows))


def kinds_section(summary: Summary) -> Section | None:
    """Flips by direction and by kind."""
    rows = [
        (mode.words, k.up, k.down, p_text(k.p_symmetry), k.hard, k.soft, k.state)
        for mode, k in summary.flip_kinds.items()
    ]
    if not rows:
        return None
    heads = ("Kernels", "#Score up", "#Score down", "#p (symmetric)", "#Hard", "#Soft", "#State")
    note = (
        "Hard: the scores lie on both sides of 0.5. Soft: they do not. State: one answer has no "
        "score (unparsed, empty or undecided). p: exact test that up and down are equally likely."
    )
    kinds = table("Flips by direction and kind", heads, rows, note)
    return Section("kinds", "Kinds of flips", (), (kinds,))


def robustness_section(summary: Summary) -> Section | None:
    """Intervals of the difference, bounds on nothing seen, cross-mode agreement, clusters."""
    clusters = summary.clusters
    tests = ((endpoint.words, clusters.of(endpoint)) for endpoint in Endpoint)
    shared = (
        f"{clusters.n_rows} rows in {clusters.n_clusters} clusters of equal model, "
        f"task and sample; the largest holds {clusters.largest}. The sign-flip test swaps "
        "the two modes of a whole cluster."
    )
    tables = (
        table(
            "Difference of the two modes (standard − batch-invariant)",
            (
                *("Measure", "#Difference", "#Newcombe 10", "#Tango", "#One-sided p"),
                "#Detectable at 80% power",
            ),
            (
                (
                    endpoint.words,
                    percent(paired.difference.estimate),
                    interval_text(paired.difference.newcombe95),
                    interval_text(paired.difference.tango95),
                    p_text(paired.p_one_sided),
                    percent(paired.detectable_rate80),
                )
                for endpoint in Endpoint
                if (paired := summary.paired.of(endpoint)).difference.estimate is not None
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
                    f"{mode.words}, {endpoint.words.lower()}",
                    f"{rate.count}/{rate.n}",
                    interval_text(rate.clopper_pearson95),
                    percent(rate.upper95),
                    percent(rate.margin),
                )
                for mode, counts in summary.by_mode.items()
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
                for name in ("solo", "batched")
                for differs in (getattr(summary.cross_mode, name),)
            ),
            "Being free of batch effects is one thing; answering as the other mode is another.",
        ),
        table(
            "Clusters",
            ("Measure", "#Informative clusters", "#p (two-sided)", "#Method"),
            ((name, t.informative, p_text(t.p_two_sided), t.method) for name, t in tests),
            shared,
        ),
    )
    shown = tuple(table for table in tables if table.rows)
    return Section("robustness", "Robustness", (), shown) if shown else None


def conduct_table(summary: Summary) -> Table | None:
    """Median times of an answer, retries and answers cut at the token limit."""

    def seconds(value: float | None) -> str:
        return NONE if value is None else f"{value:.2f} s"

    rows = []
    for mode in summary.latency:
        times, tries = summary.latency[mode], summary.retries[mode]
        medians = seconds(times.solo_median_s), seconds(times.batched_median_s)
        rows.append((mode.words, *medians, tries.solo, tries.batched, tries.truncated))
    heads = (
        *("Kernels", "#Solo, median", "#Batched, median"),
        *("#Solo retried", "#Batched retried", "#Cut at limit"),
    )
    return table("Answers", heads, rows) if rows else None
