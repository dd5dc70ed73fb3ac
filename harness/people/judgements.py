"""Judgements as they come back, checked line by line against the key."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from unicodedata import normalize

from msgspec import Struct, ValidationError

from harness.errors import UsageError
from harness.hostile import shaped, unreadable
from harness.numbers import count_of
from harness.people.sheet import (
    ANSWER_COLUMNS,
    CHANGES,
    RUBRICS,
    SHEET_COLUMNS,
    AnswerKey,
    content_hash,
)

MAX_SHOWN = 20
_CONTENT = ("prompt", "response_A", "response_B")
_NEEDED = ("label_A", "label_B", "behavioural_change")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one rater said of one item; ``source`` is the file and line it came from."""

    item_id: str
    rater: str
    label_a: str
    label_b: str
    behavioural_change: str
    note: str
    seconds: float | None
    source: str

    def as_json(self) -> dict[str, Any]:
        """The form in ``adjudications.jsonl``."""
        return asdict(self)


def rater_of(name: str) -> str:
    """Who a name is: Ann, ann and " ANN" are one rater, whose two votes would count as two."""
    return " ".join(normalize("NFKC", name).split()).casefold()


def read_judgements(text: str, file: str, key: AnswerKey) -> list[Judgement]:
    """The judgements in a filled sheet (CSV) or in an export of Label Studio (JSON).

    Rows in which nothing was filled in are left out.

    Raises:
        UsageError: every problem found, each with file and line.
    """
    judgements, problems = [], []
    seen: dict[tuple[str, str], int] = {}
    spelled: dict[str, str] = {}
    rows = _studio_rows if text.lstrip()[:1] in {"[", "{"} else _sheet_rows
    for line, given in rows(text, file):
        cells = {name: given.get(name, "").strip() for name in ANSWER_COLUMNS}
        if not any(cells[name] for name in _NEEDED):
            continue
        item_id, rater, source = given["item_id"], cells["rater"], f"{file}:{line}"
        found = [f"{source}: {problem}" for problem in _problems(given, cells, key)]
        who = rater_of(rater)
        if (name := spelled.setdefault(who, rater)) != rater:
            found.append(f"{source}: rater '{rater}' is '{name}' on lines before: one spelling")
        if before := seen.get((item_id, who)):
            found.append(f"{source}: item {item_id} was judged by {rater} on line {before} already")
        seen.setdefault((item_id, who), line)
        problems += found
        if not found:
            labels = cells["label_A"], cells["label_B"], cells["behavioural_change"]
            note, seconds = cells["note"], _number(cells["seconds"])
            judgements.append(Judgement(item_id.strip(), rater, *labels, note, seconds, source))
    if problems:
        shown, more = problems[:MAX_SHOWN], len(problems) - MAX_SHOWN
        raise UsageError(
            f"{count_of(len(problems), 'problem')} in the judgements; nothing was imported",
            file=file,
            detail=(*shown, f"and {more} more") if more > 0 else tuple(shown),
        )
    return judgements


def not_yet_there(
    new: Iterable[Judgement], known: Iterable[Judgement], file: str
) -> list[Judgement]:
    """The judgements that no earlier import has taken in, word for word.

    Raises:
        UsageError: a rater has judged an item otherwise before, or under another spelling of the
            name; with file and line of each.
    """
    known, fresh, repeats = list(known), [], list[str]()
    judged = {(one.item_id, rater_of(one.rater)): one for one in known}
    spelled = {rater_of(one.rater): one for one in known}
    for one in new:
        before = judged.get((one.item_id, rater_of(one.rater)))
        name = spelled.get(rater_of(one.rater), one)
        if name.rater != one.rater:
            what = f"rater '{one.rater}' is '{name.rater}' of {name.source}: use one spelling"
            repeats.append(f"{one.source}: {what}")
        elif before is None:
            fresh.append(one)
        elif replace(before, source=one.source) != one:
            what = f"{one.rater} has judged {one.item_id} otherwise already"
            repeats.append(f"{one.source}: {what} ({before.source})")
    if repeats:
        raise UsageError(
            f"{count_of(len(repeats), 'judgement')} there already, or of a rater of another "
            "spelling; nothing was imported",
            file=file,
            hint="adjudications are only ever added",
            detail=tuple(repeats[:MAX_SHOWN]),
        )
    return fresh


def stored_fault(one: Judgement, key: AnswerKey) -> str:
    """What no judgement that was taken in has; empty where it has none of it.

    Its item may be of another sheet than the key's: then any rubric's labels are known.
    """
    item = key.items.get(one.item_id)
    rubrics = [RUBRICS[item.rubric]] if item else list(RUBRICS.values())
    labels = tuple(dict.fromkeys(label for rubric in rubrics for label in rubric.labels))
    told = (one.label_a, one.label_b, one.behavioural_change)
    wrong = _unknown_labels(dict(zip(_NEEDED, told, strict=True)), labels)
    return next(wrong, "" if one.rater else "rater: empty")


def _unknown_labels(cells: Mapping[str, str], labels: Sequence[str]) -> Iterator[str]:
    for name, choices in zip(_NEEDED, (labels, labels, CHANGES), strict=True):
        if cells[name] not in choices:
            yield f"{name}: '{cells[name]}' is not one of {', '.join(choices)}"


def _problems(given: Mapping[str, str], cells: Mapping[str, str], key: AnswerKey) -> Iterator[str]:
    """What is wrong with a row as given and its answers, stripped."""
    item = key.items.get(given["item_id"])
    if item is None:
        yield f"unknown item '{given['item_id']}': it is not in this key"
        return
    if content_hash(item.item_id, *(given.get(name, "") for name in _CONTENT)) != item.sha256:
        yield f"item {item.item_id}: its text is not the one exported (sha256 differs)"
    yield from _unknown_labels(cells, tuple(RUBRICS[item.rubric].labels))
    if not cells["rater"]:
        yield "rater: empty"
    if cells["seconds"] and _number(cells["seconds"]) is None:
        yield f"seconds: '{cells['seconds']}' is not a number"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _sheet_rows(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(1 << 24)
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    if missing := [name for name in SHEET_COLUMNS if name not in (reader.fieldnames or ())]:
        what = f"columns are missing: {', '.join(missing)}"
        raise UsageError(what, file=file, line=1, hint="fill in the sheet")
    start = 2
    try:
        for row in reader:
            yield start, {str(k): v or "" for k, v in row.items() if isinstance(v, str | None)}
            start = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"not CSV: {error}", file=file, line=start) from error


class _Chosen(Struct):
    choices: list[str] | None = None
    text: str | list[str] | None = None


class _Result(Struct):
    value: _Chosen
    from_name: str = ""


class _Annotation(Struct):
    was_cancelled: bool | None = None
    completed_by: int | str | dict[str, Any] | None = None
    lead_time: float | None = None
    result: list[_Result] = []


class _Task(Struct):
    """What is read of a task in an export of Label Studio."""

    data: dict[str, Any]
    annotations: list[_Annotation] = []


def _studio_rows(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        tasks = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {unreadable(error)}", file=file) from error
    for number, value in enumerate(tasks if isinstance(tasks, list) else [tasks], 1):
        try:
            task = shaped(value, _Task)
        except ValidationError as error:
            what = f"not a Label Studio task of this export: {error}"
            raise UsageError(what, file=file, line=number) from error
        shown = {key: told for key, told in task.data.items() if isinstance(told, str)}
        if "item_id" not in shown:
            raise UsageError("not a Label Studio task of this export", file=file, line=number)
        for annotation in task.annotations:
            if annotation.was_cancelled:
                continue
            by = annotation.completed_by
            if isinstance(by, dict):
                by = by.get("email") or by.get("id")
            given = {"rater": by, "seconds": annotation.lead_time}
            cells = {name: "" if told is None else str(told) for name, told in given.items()}
            for result in annotation.result:
                chosen = result.value.choices or result.value.text or ()
                cells[result.from_name] = chosen if isinstance(chosen, str) else " ".join(chosen)
            yield number, {**shown, **cells}
