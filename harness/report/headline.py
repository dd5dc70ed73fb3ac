"""The first screen: the result in a sentence, what it was measured on, and whether it counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.report.model import Banner, Headline, Measure, Tone
from harness.report.numbers import NONE, interval_text, p_text, paired_text, percent, rate_text

__all__ = ["MODE_NAMES", "banner", "checks", "headline", "measured_on", "nature"]

MODE_NAMES = {"standard": "standard", "batch_invariant": "batch-invariant"}
MEASURES = (("label_flips", "Label flips"), ("text_changes", "Text changes"))

Json = Mapping[str, Any]


def _modes(summary: Json) -> list[str]:
    by_mode = summary.get("by_mode") or {}
    first = [mode for mode in MODE_NAMES if mode in by_mode]
    return first + [mode for mode in by_mode if mode not in MODE_NAMES]


def _told(summary: Json) -> tuple[str, str]:
    """The measure that the sentence tells: label flips, or text changes where no label flipped."""
    counts = {
        measure: sum((c.get(measure) or {}).get("count") or 0 for c in summary["by_mode"].values())
        for measure, _ in MEASURES
    }
    flips, changes = MEASURES
    return changes if counts[changes[0]] and not counts[flips[0]] else flips


def _sentence(summary: Json) -> str:
    modes = _modes(summary)
    if not modes:
        return "No record was counted."
    measure, label = _told(summary)
    clauses = "; ".join(
        f"{MODE_NAMES.get(mode, mode)} kernels: "
        f"{rate_text(summary['by_mode'][mode].get(measure))} {label.lower()}"
        for mode in modes
    )
    sentence = f"{clauses[0].upper()}{clauses[1:]}"
    paired = (summary.get("paired") or {}).get(measure) or {}
    if paired.get("p_two_sided") is None or len(modes) < 2:
        return f"{sentence}."
    return f"{sentence}; {_test(summary, measure, paired)}."


def _test(summary: Json, measure: str, paired: Json) -> str:
    """The paired test, by prompt where several rows share one: they are not independent."""
    clusters = summary.get("clusters") or {}
    if (clusters.get("largest") or 0) > 1:
        p = (clusters.get(measure) or {}).get("p_two_sided")
        return f"exact sign-flip p = {p_text(p)} over {clusters['n_clusters']} prompts"
    return f"exact McNemar p = {p_text(paired['p_two_sided'])}"


def _measures(summary: Json) -> tuple[Measure, ...]:
    rows = []
    for measure, label in MEASURES:
        entries = []
        for mode in _modes(summary):
            rate = summary["by_mode"][mode].get(measure) or {}
            if rate.get("n"):
                detail = f"{percent(rate.get('rate'))} {interval_text(rate.get('wilson95'))}"
                entries.append((mode, f"{rate['count']}/{rate['n']}", detail.strip()))
        test = paired_text((summary.get("paired") or {}).get(measure))
        if entries:
            rows.append(Measure(label, tuple(entries), "" if test == NONE else test))
    return tuple(rows)


def _first(values: Iterable[Any]) -> str | None:
    return next((str(value) for value in values if value), None)


def measured_on(summary: Json, metadata: Json, startups: Sequence[Json]) -> str:
    """Device, vLLM and torch in one line, as far as the run recorded them."""
    stack, versions = summary.get("stack") or {}, metadata.get("versions") or {}
    evidence = [
        attempt.get("evidence") or {}
        for startup in startups
        for attempt in startup.get("attempts") or ()
    ]
    kind = {"cpu": "vLLM's CPU engine", "cuda": "GPU"}.get(str(_device(summary, metadata)))
    device = metadata.get("device") or {}
    name = _first((stack.get("device_name"), device.get("name")))
    stated = (stack.get("vllm"), versions.get("vllm"))
    vllm = _first((*stated, *(e.get("vllm_version") for e in evidence)))
    torch = _first((versions.get("torch"), *(e.get("torch_version") for e in evidence)))
    parts = (
        ": ".join(part for part in (kind or "device not recorded", name) if part),
        f"vLLM {vllm}" if vllm else "vLLM version not recorded",
        f"PyTorch {torch}" if torch else "PyTorch version not recorded",
    )
    return " · ".join(parts)


def _device(summary: Json, metadata: Json) -> str | None:
    device = metadata.get("device") or {}
    return (summary.get("stack") or {}).get("device") or device.get("kind")


def nature(summary: Json, metadata: Json) -> str:
    """What numbers from this kind of device can say; empty for a GPU."""
    kind = _device(summary, metadata)
    if kind == "cpu":
        return (
            "This run used vLLM's CPU engine. Its numbers show the mechanism and test the "
            "pipeline; they say nothing about a GPU or about a real model."
        )
    if kind is None:
        return "The records do not say on which device they were made."
    return ""


def headline(
    summary: Json, metadata: Json, startups: Sequence[Json], *, countable: bool
) -> Headline:
    """The sentence that people quote; it says so itself when the run does not count."""
    sentence = _sentence(summary)
    if not countable:
        sentence = f"Not countable: {sentence[0].lower()}{sentence[1:]}"
    return Headline(sentence, measured_on(summary, metadata, startups), _measures(summary))


def checks(validation: Json | None) -> tuple[tuple[str, str, str], ...]:
    """Validation's findings as ``(check, status, message)``."""
    rows = (validation or {}).get("findings") or ()
    return tuple(
        (str(row.get("check")), str(row.get("status")), str(row.get("message") or ""))
        for row in rows
    )


def _reasons(validation: Json | None, *statuses: str) -> tuple[str, ...]:
    return tuple(
        f"{name}: {message}" if message else name
        for name, status, message in checks(validation)
        if status in statuses
    )


def banner(validation: Json | None, *, countable: bool) -> Banner:
    """Whether the run counts; every check that failed or could not be made is named."""
    if validation is None:
        return Banner(Tone.BAD, "Not countable: this run was not validated")
    if not countable:
        failed = _reasons(validation, "failed") or ("no reason was recorded",)
        return Banner(Tone.BAD, "Not countable: do not quote these numbers as a result", failed)
    open_points = _reasons(validation, "not_checked", "warning")
    if open_points:
        return Banner(Tone.NOTE, "Countable with reservations: no check failed", open_points)
    return Banner(Tone.GOOD, "Countable: the run is complete and every check passed")
