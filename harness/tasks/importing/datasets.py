"""The data sets that can be imported: licence, home, prompt and columns, and how a row is read.

BBQ (Parrish 2022) asks for thought: a negative question (``Who is lazy?``) is answered in a biased
way by naming the stereotyped group, a non-negative one (``Who is diligent?``) by naming the other
group. The option that says "unknown" is neither.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.errors import UsageError, nearest, shown
from harness.files import packaged
from harness.tasks.answer_options import is_unknown_option
from harness.tasks.importing.source_rows import (
    Row,
    RowSkipped,
    answer_index,
    column,
    nested,
    optional,
    text,
    text_list,
)

_Convert = Callable[[Row, int], dict[str, Any]]
_CONVERT: dict[str, _Convert] = {}


def _rows_of(dataset: str) -> Callable[[_Convert], _Convert]:
    """The function makes a sample of a row of this data set and its number (from 0)."""

    def register(convert: _Convert) -> _Convert:
        _CONVERT[dataset] = convert
        return convert

    return register


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the hub keeps it: id, configuration and split; ``""`` where none is known to fit."""

    dataset_id: str = ""
    config: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One published data set.

    Attributes:
        name: as typed: ``bbq``, ``truthfulqa``, ``mmlu``, ``xstest``, ``jailbreakbench``.
        title: name and paper, for the task file's description.
        licence: SPDX id under which it is published.
        home: where it comes from.
        family: name of the kind of task that its rows are, and of its scorer.
        template: prompt template of the task file.
        columns: columns that a row must have, as published.
        one_of: columns of which a row must have one, the first taken.
        hub: default place on the hub.
    """

    name: str
    title: str
    licence: str
    home: str
    family: str
    template: str
    columns: tuple[str, ...]
    hub: Hub = Hub()
    one_of: tuple[str, ...] = ()

    def sample(self, row: Row, number: int) -> dict[str, Any]:
        """A sample of a row and its number (from 0).

        Raises:
            RowSkipped: it cannot be made without a guess.
        """
        return _CONVERT[self.name](row, number)

    def check_columns(self, row: Row, filters: Sequence[str]) -> None:
        """Refuse rows without the published columns, or without those that filters name.

        Raises:
            UsageError: a column is missing.
        """
        absent = [column for column in self.columns if column not in row]
        why = f"{self.name}: no column {', '.join(absent)}"
        if self.one_of and not any(name in row for name in self.one_of):
            hint = f"one column is to be called {' or '.join(self.one_of)}"
            there = ", ".join(map(shown, row)) or "none"
            raise UsageError(
                f"{self.name}: no column of prompts; columns found: {there}", hint=hint
            )
        if not absent and (absent := [column for column in filters if column not in row]):
            why = f"--where: no column '{absent[0]}'"
        if absent:
            hint = nearest(absent[0], row) or f"columns there: {', '.join(row)}"
            raise UsageError(why, hint=hint)


_LETTERS = "ABCD"
_OPTIONS = ("ans0", "ans1", "ans2")
_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("woman", "women", "girl", "girls", "female"), "f"),
    **dict.fromkeys(("man", "men", "boy", "boys", "male"), "m"),
    **dict.fromkeys(("transgenderwomen", "transgendermen", "transgender"), "trans"),
    **dict.fromkeys(("transf", "transm"), "trans"),
}
_GENDER_PREFIX = re.compile(r"^[MF]-(?=.)")
_UNKNOWN_TAG = "unknown"


@_rows_of("bbq")
def _bbq(row: Row, number: int) -> dict[str, Any]:
    options = [text(row, name) for name in _OPTIONS]
    polarity = text(row, "question_polarity").lower()
    if polarity not in ("neg", "nonneg"):
        raise RowSkipped("question_polarity is neither neg nor nonneg")
    unknown, stereotyped = _unknown_and_stereotyped(row, options)
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


def _unknown_and_stereotyped(row: Row, options: Sequence[str]) -> tuple[int, int]:
    """Which option says "unknown" and which is of the stereotyped group, by ``answer_info``."""
    info = nested(column(row, "answer_info"))
    if not isinstance(info, Mapping):
        raise RowSkipped("answer_info is not a mapping")
    tags = [nested(info.get(name)) for name in _OPTIONS]
    if not all(isinstance(tag, Sequence) and not isinstance(tag, str) and tag for tag in tags):
        raise RowSkipped("answer_info lacks an option")
    by_tag = [index for index, tag in enumerate(tags) if str(tag[-1]).lower() == _UNKNOWN_TAG]
    unknown = by_tag or [i for i, option in enumerate(options) if is_unknown_option(option)]
    if len(unknown) != 1:
        raise RowSkipped(f"{len(unknown)} options say unknown")
    location = str(optional(row, "target_loc")).removesuffix(".0")
    if location in {"0", "1", "2"} and int(location) != unknown[0]:
        return unknown[0], int(location)
    metadata = nested(optional(row, "additional_metadata"))
    in_metadata = metadata.get("stereotyped_groups") if isinstance(metadata, Mapping) else None
    groups = nested(optional(row, "stereotyped_groups") or in_metadata) or []
    listed = [groups] if isinstance(groups, str) else list(groups)
    wanted = {form for group in listed for form in _forms(str(group))}
    belong = [any(_forms(str(part)) & wanted for part in tag) for tag in tags]
    found = [i for i, belongs in enumerate(belong) if belongs and i != unknown[0]]
    if len(found) != 1:
        how_many = "both options belong" if found else "no option belongs"
        raise RowSkipped(f"{how_many} to the stereotyped groups")
    return unknown[0], found[0]


def _forms(group: str) -> set[str]:
    """A group's tag as it is compared: plain, without a gender prefix, and by its alias."""
    plain = re.sub(r"[\W_]+", "", group.lower())
    bare = re.sub(r"[\W_]+", "", _GENDER_PREFIX.sub("", group).lower())
    return {form for name in (plain, bare) for form in (name, _ALIASES.get(name, name)) if form}


@_rows_of("truthfulqa")
def _truthfulqa(row: Row, number: int) -> dict[str, Any]:
    """One question; answers are in two columns, under ``choices`` and ``labels``, or are keys."""
    targets = nested(optional(row, "mc2_targets", "mc1_targets"))
    if targets is None:
        listed = [column(row, "correct_answers"), column(row, "incorrect_answers")]
    elif isinstance(targets, Mapping):
        pairs = list(targets.items())
        if "choices" in targets and "labels" in targets:
            pairs = list(zip(targets["choices"], targets["labels"], strict=False))
        listed = [[answer for answer, label in pairs if int(label) == kind] for kind in (1, 0)]
    else:
        raise RowSkipped("mc targets are not a mapping")
    correct, incorrect = map(text_list, listed)
    if set(correct) & set(incorrect):
        raise RowSkipped("an answer counts as correct and as incorrect")
    if not (correct and incorrect):
        raise RowSkipped("no correct or no incorrect answers")
    best = str(optional(row, "best_answer") or correct[0]).strip()
    return {
        "id": f"truthfulqa_{number:04d}",
        "question": text(row, "question"),
        "reference": best,
        "category": str(optional(row, "category") or ""),
        "correct_answers": correct if best in correct else [best, *correct],
        "incorrect_answers": incorrect,
    }


@_rows_of("mmlu")
def _mmlu(row: Row, number: int) -> dict[str, Any]:
    """One question of MMLU, with ``choices`` or one column an option."""
    choices = nested(optional(row, "choices"))
    if isinstance(choices, Mapping):
        choices = choices.get("text", ())
    elif choices is None:
        choices = [column(row, letter, f"option_{letter}") for letter in _LETTERS.lower()]
    elif not isinstance(choices, list | tuple):
        raise RowSkipped("choices is not a list")
    options = [str(option).strip() for option in choices]
    if len(options) != len(_LETTERS):
        raise RowSkipped(f"{len(options)} options instead of {len(_LETTERS)}")
    index = answer_index(column(row, "answer", "reference", "target"), options)
    subject = str(optional(row, "subject") or "").replace("_", " ").strip()
    slug = re.sub(r"\W+", "_", subject.lower()) or "question"
    return {
        "id": f"mmlu_{slug}_{number:05d}",
        "subject": subject.title(),
        "question": text(row, "question", "input"),
        **{f"option_{letter.lower()}": o for letter, o in zip(_LETTERS, options, strict=True)},
        "reference": _LETTERS[index],
    }


@_rows_of("xstest")
def _xstest(row: Row, number: int) -> dict[str, Any]:
    """One prompt of XSTest; ``label`` is the file's own, or read from a ``contrast_`` type."""
    kind = str(optional(row, "type") or "")
    label = str(optional(row, "label") or ("unsafe" if kind.startswith("contrast_") else "safe"))
    given = optional(row, "id", "id_v2", "id_v1")
    return {
        "id": f"xstest_{number if given is None else given}",
        "instruction": text(row, "prompt"),
        "reference": "REFUSAL_EXPECTED" if label == "unsafe" else "COMPLIANCE_EXPECTED",
        "label": label,
        "category": kind,
        "focus": str(optional(row, "focus") or ""),
    }


@_rows_of("jailbreakbench")
def _jailbreakbench(row: Row, number: int) -> dict[str, Any]:
    """One behaviour of JBB-Behaviors; the request is its ``Goal``."""
    index = optional(row, "index")
    return {
        "id": f"jbb_{number if index is None else index}",
        "instruction": text(row, "goal"),
        "behavior": str(optional(row, "behavior") or ""),
        "category": str(optional(row, "category") or ""),
        "origin": str(optional(row, "source") or ""),
    }


@_rows_of("csv")
def _table(row: Row, number: int) -> dict[str, Any]:
    """Any table with a prompt a row; other columns are kept under their names."""
    given = optional(row, "id", "sample_id", "doc_id")
    reference = optional(row, "reference", "answer", "target")
    known: dict[str, Any] = {"id": f"row_{number}" if given is None else str(given)}
    known["prompt"] = str(column(row, *known_datasets()["csv"].one_of))
    known |= {} if reference is None else {"reference": nested(reference)}
    if (options := optional(row, "choices")) is not None:
        known["choices"] = text_list(options)
    return {**{k: v for k, v in row.items() if v not in (None, "")}, **known}


@_rows_of("lm-eval")
def _lm_eval(row: Row, number: int) -> dict[str, Any]:
    """A document of a sample file: the prompt as it was sent, the options, and the target."""
    arguments = nested(column(row, "arguments"))
    options = _options(row, arguments)
    while isinstance(arguments, Mapping | Sequence) and not isinstance(arguments, str):
        if not arguments:
            raise RowSkipped("no prompt in arguments")
        values = list(arguments.values()) if isinstance(arguments, Mapping) else list(arguments)
        arguments = values[0]
    if not isinstance(arguments, str) or not arguments.strip():
        raise RowSkipped("no prompt in arguments")
    asked = _asked(f"doc_{row.get('doc_id', number)}", arguments, optional(row, "target"))
    return asked | ({"choices": options} if options else {})


def _options(row: Row, arguments: Any) -> list[str]:
    """The options of a multiple choice: the document's, else the continuations that were rated."""
    doc = nested(row.get("doc"))
    choices = doc.get("choices") if isinstance(doc, Mapping) else None
    if isinstance(choices, Mapping):
        choices = choices.get("text")
    if isinstance(choices, list) and choices:
        return [str(option).strip() for option in choices]
    listed = arguments.values() if isinstance(arguments, Mapping) else arguments
    pairs = [list(one.values()) if isinstance(one, Mapping) else one for one in listed or ()]
    rated = [pair[1] for pair in pairs if isinstance(pair, list | tuple) and len(pair) > 1]
    texts = [option.strip() for option in rated if isinstance(option, str)]
    return texts if len(texts) == len(pairs) > 1 else []


@_rows_of("inspect")
def _inspect(row: Row, number: int) -> dict[str, Any]:
    """A sample of an inspect log; of a conversation the last turn of the user is taken."""
    asked = column(row, "input")
    if isinstance(asked, Sequence) and not isinstance(asked, str):
        turns = [turn for turn in asked if isinstance(turn, Mapping) and turn.get("role") == "user"]
        content = turns[-1].get("content") if turns else None
        parts = content if isinstance(content, list) else []
        texts = [str(part.get("text", "")) for part in parts if isinstance(part, Mapping)]
        asked = content if isinstance(content, str) else "".join(texts)
    if not str(asked).strip():
        raise RowSkipped("no text of a user")
    return _asked(str(row.get("id", number)), str(asked), optional(row, "target"))


def _asked(sample_id: str, prompt: str, reference: Any) -> dict[str, Any]:
    target = {"references": reference} if isinstance(reference, list) else {"reference": reference}
    return {"id": sample_id, "prompt": prompt, **({} if reference is None else target)}


@cache
def known_datasets() -> Mapping[str, Dataset]:
    """Every data set by its name, in the order of ``datasets.yaml``."""
    listed = packaged("harness.tasks.importing", "datasets.yaml", list[Dataset])
    return {dataset.name: dataset for dataset in listed}
