"""Judgements as they come back, checked line by line against the key."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from harness.errors import UsageError
from harness.people.key import AnswerKey, content_hash
from harness.people.rubric import CHANGES, RUBRICS
from harness.people.sheet import ANSWER_COLUMNS, SHEET_COLUMNS

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


class _Row(NamedTuple):
    """A row of a sheet before it is checked."""

    line: int
    cells: Mapping[str, str]


def read_judgements(text: str, file: str, key: AnswerKey) -> list[Judgement]:
    """The judgements in a filled sheet (CSV) or in an export of Label Studio (JSON).

    Rows in which nothing was filled in are left out.

    Raises:
        UsageError: every problem found, each with file and line.
    """
    rows = _studio_rows(text, file) if text.lstrip()[:1] in ("[", "{") else _csv_rows(text, file)
    judgements, problems = [], []
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        if not any(row.cells.get(name, "").strip() for name in _NEEDED):
            continue
        found = list(_problems(row, key))
        rater = row.cells.get("rater", "").strip()
        name = (row.cells["item_id"], rater)
        if name in seen:
            found.append(f"item {name[0]} was judged by {rater} on line {seen[name]} already")
        seen.setdefault(name, row.line)
        problems += [f"{file}:{row.line}: {problem}" for problem in found]
        if not found:
            cells = {name: row.cells.get(name, "").strip() for name in ANSWER_COLUMNS}
            judgements.append(
                Judgement(
                    item_id=row.cells["item_id"].strip(),
                    rater=rater,
                    label_a=cells["label_A"],
                    label_b=cells["label_B"],
                    behavioural_change=cells["behavioural_change"],
                    note=cells["note"],
                    seconds=_number(cells["seconds"]),
                    source=f"{file}:{row.line}",
                )
            )
    if problems:
        more = len(problems) - MAX_SHOWN
        shown = [*problems[:MAX_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        raise UsageError(
            f"{len(problems)} problem(s) in the judgements; nothing was imported",
            file=file,
            detail=tuple(shown),
        )
    return judgements


def refuse_repeats(new: Iterable[Judgement], known: Iterable[Mapping[str, Any]], file: str) -> None:
    """Refuse a judgement of an item by a rater who has judged it in an earlier import.

    Raises:
        UsageError: with the file and line of each repeat.
    """
    judged = {(row.get("item_id"), row.get("rater")): row.get("source") for row in known}
    repeats = [
        f"{j.source}: {j.rater} has judged {j.item_id} already ({judged[j.item_id, j.rater]})"
        for j in new
        if (j.item_id, j.rater) in judged
    ]
    if repeats:
        raise UsageError(
            f"{len(repeats)} judgement(s) are there already; nothing was imported",
            file=file,
            hint="adjudications are only ever added",
            detail=tuple(repeats[:MAX_SHOWN]),
        )


def _problems(row: _Row, key: AnswerKey) -> Iterator[str]:
    cells = row.cells
    item = key.items.get(cells["item_id"])
    if item is None:
        yield f"unknown item '{cells['item_id']}': it is not in this key"
        return
    shown = [cells.get(name, "") for name in _CONTENT]
    if content_hash(item.item_id, *shown) != item.sha256:
        yield f"item {item.item_id}: its text is not the one exported (sha256 differs)"
    allowed = tuple(RUBRICS[item.rubric].labels)
    for name, choices in (
        ("label_A", allowed),
        ("label_B", allowed),
        ("behavioural_change", CHANGES),
    ):
        value = cells.get(name, "").strip()
        if value not in choices:
            yield f"{name}: '{value}' is not one of {', '.join(choices)}"
    if not cells.get("rater", "").strip():
        yield "rater: empty"
    seconds = cells.get("seconds", "").strip()
    if seconds and _number(seconds) is None:
        yield f"seconds: '{seconds}' is not a number"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _csv_rows(text: str, file: str) -> Iterator[_Row]:
    csv.field_size_limit(1 << 24)
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    missing = [name for name in SHEET_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise UsageError(
            f"columns are missing: {', '.join(missing)}",
            file=file,
            line=1,
            hint="fill in the sheet",
        )
    start = 2
    for cells in reader:
        yield _Row(start, {str(k): v or "" for k, v in cells.items() if isinstance(v, str | None)})
        start = reader.line_num + 1


def _studio_rows(text: str, file: str) -> Iterator[_Row]:
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
            if not annotation.get("was_cancelled"):
                yield _Row(number, {**shown, **_annotation(annotation)})


def _annotation(annotation: Mapping[str, Any]) -> dict[str, str]:
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        by = by.get("email") or by.get("id")
    cells = {"rater": "" if by is None else str(by)}
    if annotation.get("lead_time") is not None:
        cells["seconds"] = str(annotation["lead_time"])
    for result in annotation.get("result") or ():
        value = result.get("value") or {}
        chosen: Sequence[str] = value.get("choices") or value.get("text") or ()
        cells[str(result.get("from_name"))] = (
            chosen if isinstance(chosen, str) else " ".join(chosen)
        )
    return cells
