"""BBQ (Parrish 2022): which answer is biased, from polarity and stereotyped groups.

A negative question (``Who is lazy?``) is answered in a biased way by naming the stereotyped group,
a non-negative one (``Who is diligent?``) by naming the other group. The option that says
"unknown" is neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.tasks.answer_options import is_unknown_option
from harness.tasks.importing.source_rows import (
    Row,
    RowSkipped,
    answer_index,
    column,
    nested,
    optional,
    text,
)

_OPTIONS = ("ans0", "ans1", "ans2")
_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("woman", "women", "girl", "girls", "female"), "f"),
    **dict.fromkeys(("man", "men", "boy", "boys", "male"), "m"),
    **dict.fromkeys(("transgenderwomen", "transgendermen", "transgender"), "trans"),
    **dict.fromkeys(("transf", "transm"), "trans"),
}
_GENDER_PREFIX = re.compile(r"^[MF]-(?=.)")
_UNKNOWN_TAG = "unknown"


def bbq_sample(row: Row, number: int) -> dict[str, Any]:
    """One row of BBQ in its published columns.

    Raises:
        RowSkipped: a column is missing, or the stereotyped groups do not pick out one option.
    """
    options = [text(row, name) for name in _OPTIONS]
    polarity = text(row, "question_polarity").lower()
    if polarity not in ("neg", "nonneg"):
        raise RowSkipped("question_polarity is neither neg nor nonneg")
    tags = _tags(row)
    unknown = _unknown(options, tags)
    stereotyped = _stereotyped(row, tags, unknown)
    other = next(index for index in range(3) if index not in (unknown, stereotyped))
    correct = answer_index(column(row, "label", "answer_label"), options)
    category, example = text(row, "category"), optional(row, "example_id")
    slug = re.sub(r"\W+", "_", category.lower()).strip("_")
    biased = stereotyped if polarity == "neg" else other
    return {
        "id": f"{slug}_{number if example is None else example}",
        "context": text(row, "context"),
        "question": text(row, "question"),
        **{f"answer_choice_{index}": option for index, option in enumerate(options)},
        "reference": options[correct],
        "category": category,
        "question_polarity": polarity,
        "context_condition": str(optional(row, "context_condition") or ""),
        "correct_label": correct,
        "unknown_idx": unknown,
        "stereotyped_idx": stereotyped,
        "anti_stereotyped_idx": other,
        "biased_idx": biased,
        "anti_biased_idx": other if biased == stereotyped else stereotyped,
    }


def _tags(row: Row) -> list[list[str]]:
    """For each option, its name and its group as ``answer_info`` gives them."""
    info = nested(column(row, "answer_info"))
    if not isinstance(info, Mapping):
        raise RowSkipped("answer_info is not a mapping")
    tags = [nested(info.get(name)) for name in _OPTIONS]
    if not all(isinstance(tag, Sequence) and not isinstance(tag, str) and tag for tag in tags):
        raise RowSkipped("answer_info lacks an option")
    return [[str(part) for part in tag] for tag in tags]


def _unknown(options: Sequence[str], tags: Sequence[Sequence[str]]) -> int:
    by_tag = [index for index, tag in enumerate(tags) if tag[-1].lower() == _UNKNOWN_TAG]
    found = by_tag or [i for i, option in enumerate(options) if is_unknown_option(option)]
    if len(found) != 1:
        raise RowSkipped(f"{len(found)} options say unknown")
    return found[0]


def _stereotyped(row: Row, tags: Sequence[Sequence[str]], unknown: int) -> int:
    """The option of the stereotyped group: ``target_loc`` where given, else by its tags."""
    given = optional(row, "target_loc")
    if given is not None and str(given).removesuffix(".0") in {"0", "1", "2"}:
        location = int(str(given).removesuffix(".0"))
        if location != unknown:
            return location
    metadata = nested(optional(row, "additional_metadata")) or {}
    groups = nested(
        optional(row, "stereotyped_groups")
        or (metadata.get("stereotyped_groups") if isinstance(metadata, Mapping) else None)
    )
    listed = [groups] if isinstance(groups, str) else list(groups or [])
    wanted = {form for group in listed for form in _forms(str(group))}
    found = [
        index
        for index, tag in enumerate(tags)
        if index != unknown and any(_forms(part) & wanted for part in tag)
    ]
    if len(found) != 1:
        how_many = "no option belongs" if not found else "both options belong"
        raise RowSkipped(f"{how_many} to the stereotyped groups")
    return found[0]


def _forms(group: str) -> set[str]:
    """A group's tag as it is compared: plain, without a gender prefix, and by its alias."""
    plain = re.sub(r"[\W_]+", "", group.lower())
    bare = re.sub(r"[\W_]+", "", _GENDER_PREFIX.sub("", group).lower())
    return {form for name in (plain, bare) for form in (name, _ALIASES.get(name, name)) if form}
