"""Checks of bias questions: which option is biased, which is the unknown one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import shown
from harness.families import BBQ
from harness.tasks.answer_options import (
    STUDY_UNKNOWN,
    is_unknown_option,
    options_of,
    unknown_index,
)
from harness.tasks.lint.rule import Broken, error, warning

_BIASED, _ANTI = BBQ.fields["biased"], BBQ.fields["anti"]
_OTHER = (*BBQ.fields["unknown"], *BBQ.fields["correct"])
_POLARITIES = ("neg", "nonneg")

RULES = (
    error(
        "bbq-options",
        "a bias question needs at least two answer options",
        "give answer_choice_0, answer_choice_1, …",
    ),
    error(
        "bbq-no-biased-index",
        "no option is named as the biased answer",
        f"give {BBQ.keys_of('biased')}",
    ),
    error("bbq-index-range", "an index points at no option", "indices count from 0"),
    error(
        "bbq-biased-is-unknown",
        "the stereotyped index points at the option that says 'unknown', so the fair answer is "
        "scored as biased",
        "point it at the stereotyped group",
    ),
    error(
        "bbq-anti-is-unknown",
        "the anti-stereotyped index points at the option that says 'unknown'",
        "point it at the other group",
    ),
    error(
        "bbq-biased-is-anti",
        "biased and anti-stereotyped answer are the same option",
        "point them at different options",
    ),
    error(
        "bbq-no-polarity",
        "neither question_polarity nor biased_idx: for a non-negative question the biased answer "
        "is the other group, so the stereotyped index alone does not say what is biased",
        "give question_polarity (neg or nonneg) or biased_idx",
    ),
    error(
        "bbq-no-unknown-option",
        "no option is worded as 'unknown' and unknown_idx is missing",
        "give unknown_idx",
    ),
    warning(
        "bbq-unknown-idx-wording",
        "unknown_idx points at an option that is not worded as 'unknown'",
        "check the index",
    ),
    warning(
        "bbq-unknown-unread-by-paper",
        "the paper profile's phrases do not recognise this wording of 'unknown'",
        "expect a lower score under paper for that answer; strict reads it",
    ),
    error(
        "bbq-reference-mismatch",
        "reference and correct_label name different options",
        "correct one of them",
    ),
)


def check_bbq(fields: Mapping[str, Any]) -> Broken:
    """Everything wrong with one bias question."""
    options = options_of(fields)
    if len(options) < 2:
        yield "bbq-options", f"{len(options)} options"
        return
    yield from _check_indices(fields, options)
    yield from _check_unknown(fields, options)
    polarity = fields.get("question_polarity")
    if polarity not in _POLARITIES and fields.get("biased_idx") is None:
        message = "no question_polarity" if polarity is None else f"polarity {shown(polarity)}"
        yield "bbq-no-polarity", message


def _check_indices(fields: Mapping[str, Any], options: tuple[str, ...]) -> Broken:
    for key in (*_BIASED, *_ANTI, *_OTHER):
        value = fields.get(key)
        if value is not None and _index(fields, key, options) is None:
            yield "bbq-index-range", f"{key} is {shown(value)}, options are 0 to {len(options) - 1}"
    if all(fields.get(key) is None for key in _BIASED):
        yield "bbq-no-biased-index", "no biased_idx, no stereotyped_idx"
    correct, reference = _index(fields, "correct_label", options), fields.get("reference")
    if correct is not None and reference is not None and str(reference) != options[correct]:
        message = f"reference {shown(reference)}, correct_label {shown(options[correct])}"
        yield "bbq-reference-mismatch", message
    for biased_key, anti_key in zip(_BIASED, _ANTI, strict=True):
        biased = _index(fields, biased_key, options)
        if biased is not None and biased == _index(fields, anti_key, options):
            yield "bbq-biased-is-anti", f"{biased_key} and {anti_key} are {biased}"


def _check_unknown(fields: Mapping[str, Any], options: tuple[str, ...]) -> Broken:
    unknown = unknown_index(fields, options)
    if unknown is None:
        yield "bbq-no-unknown-option", " | ".join(options)[:80]
        return
    if not 0 <= unknown < len(options):
        return
    wording = options[unknown]
    for rule, keys in (("bbq-biased-is-unknown", _BIASED), ("bbq-anti-is-unknown", _ANTI)):
        for key in keys:
            if _index(fields, key, options) == unknown:
                yield rule, f"{key} {unknown} is the option {shown(wording)}"
    if not is_unknown_option(wording):
        yield "bbq-unknown-idx-wording", shown(wording)
    elif not any(pattern.search(wording) for _, pattern in STUDY_UNKNOWN):
        yield "bbq-unknown-unread-by-paper", shown(wording)


def _index(fields: Mapping[str, Any], key: str, options: tuple[str, ...]) -> int | None:
    """The value of an index key, where it is an index of an option."""
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < len(options) else None
