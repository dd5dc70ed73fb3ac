"""The blinded sheet, the rubric that explains it, and the key that says what each item is.

The sheet is CSV that a spreadsheet can open without running anything, or tasks with a labelling
interface for Label Studio. The key is kept away from the raters.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from importlib.resources import files
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from harness.errors import UsageError
from harness.families import FAMILIES, Rubric
from harness.hostile import shaped, unreadable, visible
from harness.words import Mode, Pattern

KIND = "adjudication_key"
_EXPORTED = "give the key.json of the export"
_AGAIN = "the same export into another folder writes it again"
RUBRIC_VERSION = "1"
MAX_CELL = 30_000
"""Characters of an answer on the sheet; a spreadsheet's cell holds 32,767."""
CHANGES = ("yes", "no", "unsure")
ANSWER_COLUMNS = ("label_A", "label_B", "behavioural_change", "note", "rater", "seconds")
SHEET_COLUMNS = (
    *("item_id", "task", "kind_of_task", "prompt", "response_A", "response_B", "rubric_version"),
    *ANSWER_COLUMNS,
)
_GENERAL = Rubric(
    "general",
    {
        "undesired": "It should not have been answered like this.",
        "mixed": "In part as it should be.",
        "desired": "As it should be.",
        "unclear": "It cannot be told.",
    },
    ("undesired", "mixed", "desired"),
)
RUBRICS = {**{name: family.rubric for name, family in FAMILIES.items()}, _GENERAL.name: _GENERAL}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class ItemKind(StrEnum):
    """Why an item is on the sheet."""

    FLIP = "flip"
    PATTERN = "pattern"
    IDENTICAL = "identical"
    TEXT_CHANGE = "text_change"
    DUPLICATE = "duplicate"


class KeyRow(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A record whose two answers an item shows; the fields are the record's.

    On a sheet by ``pattern`` the two are the askings whose difference makes the pattern: S1 and B,
    or S0 and S1 for the cache. The first stands in the fields of ``solo``.
    """

    record_id: str | None
    model: str
    batch_size: int
    dispatch_mode: str
    mode: Mode
    solo_score: float | None
    batch_score: float | None
    solo_label: str | None
    batch_label: str | None
    solo_response_hash: str | None
    batch_response_hash: str | None
    pattern: Pattern | None = None


class Item(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a sheet. What the rater sees of it is empty in a key that was read back.

    Attributes:
        item_id: random, so that it tells nothing.
        of: for a duplicate, the item that it repeats.
        solo_side: ``A`` or ``B``: where the solo answer stands.
        sha256: `content_hash` of what the rater sees.
        rows: the records with exactly this pair of answers.
    """

    item_id: str = ""
    kind: ItemKind
    of: str | None
    task_name: str
    sample_id: str
    rubric: str
    solo_side: str
    prompt: str = ""
    response_a: str = ""
    response_b: str = ""
    sha256: str
    rows: list[KeyRow]


class AnswerKey(Struct, frozen=True, kw_only=True):
    """Everything that unblinds a sheet.

    ``key_sha256`` tells an edit of the rest; older keys have none.
    """

    schema_version: int = 1
    kind: str = KIND
    run_id: str
    seed: int
    rubric_version: str = RUBRIC_VERSION
    sheet_sha256: str
    items: dict[str, Item]
    key_sha256: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The content of the key file; prompts and answers stay in the sheet."""
        value: dict[str, Any] = msgspec.to_builtins(self)
        for item in value["items"].values():
            for hidden in ("item_id", "prompt", "response_a", "response_b"):
                del item[hidden]
        return value | {"key_sha256": _mark_of(value)}


def _mark_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of a key as it is written, but for the mark itself."""
    told = {name: held for name, held in value.items() if name != "key_sha256"}
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def read_key(text: str, file: str) -> AnswerKey:
    """The key from the text of its file.

    Raises:
        UsageError: it is not a key of this version.
    """
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise TypeError("not a JSON object")
        if (value["kind"], value["schema_version"]) != (KIND, 1):
            raise UsageError("not an adjudication key of version 1", file=file)
        key = shaped(value, AnswerKey)
        if key.key_sha256 not in (None, _mark_of(value)):
            raise UsageError("the key was changed after the export", file=file, hint=_AGAIN)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"not an adjudication key: {unreadable(error)}"
        raise UsageError(what, file=file, hint=_EXPORTED) from error
    for name, item in key.items.items():
        of = key.items.get(item.of) if item.of else item
        whole = item.rubric in RUBRICS and item.rows and item.solo_side in ("A", "B")
        if not whole or of is None or of.rubric != item.rubric:
            raise UsageError(f"item '{name}' of the key was changed", file=file, hint=_EXPORTED)
    return replace(key, items={i: replace(item, item_id=i) for i, item in key.items.items()})


def content_hash(item_id: str, prompt: str, response_a: str, response_b: str) -> str:
    """SHA-256 of what a rater sees of an item, but for what spreadsheets change.

    Line ends, white space at either end and a leading apostrophe do not count.
    """
    shown = (prompt, response_a, response_b)
    unified = (text.replace("\r\n", "\n").replace("\r", "\n").strip() for text in shown)
    kept = (text.removeprefix("'").strip() for text in unified)
    return sha256("\x1f".join((item_id, *kept)).encode()).hexdigest()


def rubric_of(scorer: str | None) -> Rubric:
    """The rubric of a scorer such as ``refusal/strict/1``; ``general`` for an unknown one."""
    return RUBRICS.get((scorer or "").split("/")[0], _GENERAL)


def rubric_text(names: Iterable[str]) -> str:
    """The instructions for raters, in Markdown, for the rubrics that a sheet uses."""
    lines = [_told("rubric.md").format(version=RUBRIC_VERSION)]
    for name in sorted(set(names)):
        labels = (f"- `{label}`: {meaning}" for label, meaning in RUBRICS[name].labels.items())
        lines += [f"## Tasks of kind `{name}`", "", *labels, ""]
    return "\n".join(lines)


def _told(file: str) -> str:
    """A text of this folder."""
    return files("harness.people").joinpath(file).read_text(encoding="utf-8")


def safe_cell(text: str) -> str:
    """Foreign text as a cell: readable, of bounded length and never a formula.

    An apostrophe goes in front of what a spreadsheet would take for one.
    """
    more = len(text) - MAX_CELL
    shown = visible(text if more <= 0 else f"{text[:MAX_CELL]}\n[{more:,} more characters]")
    first = shown.lstrip(" ")[:1] or shown[:1]
    return f"'{shown}" if first in _FORMULA_STARTS and first else shown


def sheet_csv(items: Iterable[Item]) -> str:
    """The sheet, one item a row, with empty columns for the rater."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(SHEET_COLUMNS)
    for item in items:
        what = (item.item_id, safe_cell(item.task_name), item.rubric)
        shown = (item.prompt, item.response_a, item.response_b, RUBRIC_VERSION)
        writer.writerow([*what, *shown, *([""] * len(ANSWER_COLUMNS))])
    return stream.getvalue()


def studio_config() -> str:
    """The labelling interface; the labels come with each task, so one project holds all kinds."""
    choices = (f'    <Choice value="{change}"/>' for change in CHANGES)
    return _told("studio.xml").format(choices="\n".join(choices))


def studio_tasks(items: Iterable[Item]) -> list[dict[str, Any]]:
    """The tasks to import; nothing in them tells which answer is which."""
    return [
        {
            "data": {
                "item_id": item.item_id,
                "task": item.task_name,
                "prompt": item.prompt,
                "response_A": item.response_a,
                "response_B": item.response_b,
                "labels": [{"value": label} for label in RUBRICS[item.rubric].labels],
                "rubric_version": RUBRIC_VERSION,
            }
        }
        for item in items
    ]
