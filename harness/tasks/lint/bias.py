"""Checks of bias questions: which option is biased, which is the unknown one."""

from __future__ import annotations

from collections.abc import Iterator

from harness.families import BBQ
from harness.settings import STUDY_UNKNOWN, is_unknown_option, options_of, shown, unknown_index
from harness.tasks.lint.model import Finding, at_sample
from harness.tasks.task import Sample, Task

__all__ = ["bias_findings"]

_BIASED, _ANTI = BBQ.fields["biased"], BBQ.fields["anti"]
_OTHER = (*BBQ.fields["unknown"], *BBQ.fields["correct"])
_POLARITIES = ("neg", "nonneg")


def bias_findings(task: Task, sample: Sample) -> Iterator[Finding]:
    """Everything wrong with one bias question."""
    options = options_of(sample.fields)
    if len(options) < 2:
        yield at_sample("bbq-options", f"{len(options)} options", task, sample)
        return
    yield from _indices(task, sample, options)
    yield from _unknown(task, sample, options)
    if sample.fields.get("question_polarity") not in _POLARITIES and (
        sample.fields.get("biased_idx") is None
    ):
        polarity = sample.fields.get("question_polarity")
        message = "no question_polarity" if polarity is None else f"polarity {shown(polarity)}"
        yield at_sample("bbq-no-polarity", message, task, sample)


def _indices(task: Task, sample: Sample, options: tuple[str, ...]) -> Iterator[Finding]:
    for key in (*_BIASED, *_ANTI, *_OTHER):
        value = sample.fields.get(key)
        if value is not None and _index(sample, key, options) is None:
            message = f"{key} is {shown(value)}, options are 0 to {len(options) - 1}"
            yield at_sample("bbq-index-range", message, task, sample)
    if all(sample.fields.get(key) is None for key in _BIASED):
        yield at_sample("bbq-no-biased-index", "no biased_idx, no stereotyped_idx", task, sample)
    correct = _index(sample, "correct_label", options)
    reference = sample.fields.get("reference")
    if correct is not None and reference is not None and str(reference) != options[correct]:
        message = f"reference {shown(reference)}, correct_label {shown(options[correct])}"
        yield at_sample("bbq-reference-mismatch", message, task, sample)
    for biased_key, anti_key in zip(_BIASED, _ANTI, strict=True):
        biased, anti = _index(sample, biased_key, options), _index(sample, anti_key, options)
        if biased is not None and biased == anti:
            message = f"{biased_key} and {anti_key} are {biased}"
            yield at_sample("bbq-biased-is-anti", message, task, sample)


def _unknown(task: Task, sample: Sample, options: tuple[str, ...]) -> Iterator[Finding]:
    unknown = unknown_index(sample.fields, options)
    if unknown is None:
        yield at_sample("bbq-no-unknown-option", " | ".join(options)[:80], task, sample)
        return
    if not 0 <= unknown < len(options):
        return
    wording = options[unknown]
    for rule, keys in (("bbq-biased-is-unknown", _BIASED), ("bbq-anti-is-unknown", _ANTI)):
        for key in keys:
            if _index(sample, key, options) == unknown:
                message = f"{key} {unknown} is the option {shown(wording)}"
                yield at_sample(rule, message, task, sample)
    if not is_unknown_option(wording):
        yield at_sample("bbq-unknown-idx-wording", f"{shown(wording)}", task, sample)
    elif not any(pattern.search(wording) for _, pattern in STUDY_UNKNOWN):
        yield at_sample("bbq-unknown-unread-by-paper", f"{shown(wording)}", task, sample)


def _index(sample: Sample, key: str, options: tuple[str, ...]) -> int | None:
    """The value of an index key, where it is an index of an option."""
    value = sample.fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < len(options) else None
