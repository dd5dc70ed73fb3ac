"""Judgements as they come back, checked line by line against the key."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.errors import UsageError
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


def read_judgements(text: str, file: str, key: AnswerKey) -> list[Judgement]:
    """The judgements in a filled sheet (CSV) or in an export of Label Studio (JSON).

    Rows in which nothing was filled in are left out.

    Raises:
        UsageError: every problem found, each with file and line.
    """
    judgements, problems = [], []
    seen: dict[tuple[str, str], int] = {}
    rows = _studio_rows if text.lstrip()[:1] in {"[", "{"} else _sheet_rows
    for line, given in rows(text, file):
        cells = {name: given.get(name, "").strip() for name in ANSWER_COLUMNS}
        if not any(cells[name] for name in _NEEDED):
            continue
        item_id, rater, source = given["item_id"], cells["rater"], f"{file}:{line}"
        found = [f"{source}: {problem}" for problem in _problems(given, cells, key)]
        if before := seen.get((item_id, rater)):
            found.append(f"{source}: item {item_id} was judged by {rater} on line {before} already")
        seen.setdefault((item_id, rater), line)
        problems += found
        if not found:
            labels = cells["label_A"], cells["label_B"], cells["behavioural_change"]
            note, seconds = cells["note"], _number(cells["seconds"])
            judgements.append(Judgement(item_id.strip(), rater, *labels, note, seconds, source))
    if problems:
        shown, more = problems[:MAX_SHOWN], len(problems) - MAX_SHOWN
        raise UsageError(
            f"{len(problems)} problem(s) in the judgements; nothing was imported",
            file=file,
            detail=(*shown, f"and {more} more") if more > 0 else tuple(shown),
        )
    return judgements


def refuse_repeats(new: Iterable[Judgement], known: Iterable[Mapping[str, Any]], file: str) -> None:
    """Refuse a judgement of an item by a rater who has judged it in an earlier import.

    Raises:
        UsageError: with the file and line of each repeat.
    """
    judged = {(row.get("item_id"), row.get("rater")): row.get("source") for row in known}
    if repeats := [
        f"{j.source}: {j.rater} has judged {j.item_id} already ({judged[j.item_id, j.rater]})"
        for j in new
        if (j.item_id, j.rater) in judged
    ]:
        raise UsageError(
            f"{len(repeats)} judgement(s) are there already; nothing was imported",
            file=file,
            hint="adjudications are only ever added",
            detail=tuple(repeats[:MAX_SHOWN]),
        )


def _problems(given: Mapping[str, str], cells: Mapping[str, str], key: AnswerKey) -> Iterator[str]:
    """What is wrong with a row as given and its answers, stripped."""
    item = key.items.get(given["item_id"])
    if item is None:
        yield f"unknown item '{given['item_id']}': it is not in this key"
        return
    if content_hash(item.item_id, *(given.get(name, "") for name in _CONTENT)) != item.sha256:
        yield f"item {item.item_id}: its text is not the one exported (sha256 differs)"
    labels = tuple(RUBRICS[item.rubric].labels)
    for name, choices in zip(_NEEDED, (labels, labels, CHANGES), strict=True):
        if cells[name] not in choices:
            yield f"{name}: '{cells[name]}' is not one of {', '.join(choices)}"
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
    for row in reader:
        yield start, {str(k): v or "" for k, v in row.items() if isinstance(v, str | None)}
        start = reader.line_num + 1


def _studio_rows(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        tasks = json.loads(text)
    except ValueError as error:
        raise UsageError(f"not JSON: {error}", file=file) from error
    for number, task in enumerate(tasks if isinstance(tasks, list) else [tasks], 1):
        data = task.get("data") if isinstance(task, Mapping) else None
        if not isinstance(data, Mapping) or "item_id" not in data:
            raise UsageError("not a Label Studio task of this export", file=file, line=number)
        shown = {str(key): str(value) for key, value in data.items() if isinstance(value, str)}
        for annotation in task.get("annotations") or ():
            if annotation.get("was_cancelled"):
                continue
            by, seconds = annotation.get("completed_by"), annotation.get("lead_time")
            if isinstance(by, Mapping):
                by = by.get("email") or by.get("id")
            given = {"rater": by, "seconds": seconds}
            cells = {name: "" if value is None else str(value) for name, value in given.items()}
            for result in annotation.get("result") or ():
                value = result.get("value") or {}
                chosen: str | Sequence[str] = value.get("choices") or value.get("text") or ()
                words = chosen if isinstance(chosen, str) else " ".join(chosen)
                cells[str(result.get("from_name"))] = words
            yield number, {**shown, **cells}
