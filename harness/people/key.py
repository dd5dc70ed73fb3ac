"""The key of a sheet: what each item is, kept away from the raters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from harness.errors import UsageError

KIND = "adjudication_key"


class ItemKind(StrEnum):
    """Why an item is on the sheet."""

    FLIP = "flip"
    IDENTICAL = "identical"
    TEXT_CHANGE = "text_change"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A record whose two answers an item shows."""

    record_id: str | None
    model: str
    batch_size: int
    dispatch_mode: str
    mode: str
    solo_score: float | None
    batch_score: float | None
    solo_label: str | None
    batch_label: str | None
    solo_response_hash: str | None
    batch_response_hash: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a sheet.

    Attributes:
        item_id: random, so that it tells nothing.
        of: for a duplicate, the item that it repeats.
        solo_side: ``A`` or ``B``: where the solo answer stands.
        sha256: `content_hash` of what the rater sees.
        rows: the records with exactly this pair of answers.
    """

    item_id: str
    kind: ItemKind
    of: str | None
    task_name: str
    sample_id: str
    rubric: str
    solo_side: str
    prompt: str
    response_a: str
    response_b: str
    sha256: str
    rows: tuple[KeyRow, ...]

    def side(self, condition: str) -> str:
        """``A`` or ``B`` for ``solo`` or ``batched``."""
        other = "B" if self.solo_side == "A" else "A"
        return self.solo_side if condition == "solo" else other


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Everything that unblinds a sheet."""

    run_id: str
    seed: int
    rubric_version: str
    sheet_sha256: str
    items: Mapping[str, Item]

    def as_json(self) -> dict[str, Any]:
        """The content of the key file; prompts and answers stay in the sheet."""
        hidden = {"item_id", "prompt", "response_a", "response_b"}
        items = {
            item_id: {k: v for k, v in asdict(item).items() if k not in hidden}
            for item_id, item in self.items.items()
        }
        head = {"schema_version": 1, "kind": KIND, "run_id": self.run_id, "seed": self.seed}
        more = {"rubric_version": self.rubric_version, "sheet_sha256": self.sheet_sha256}
        return {**head, **more, "items": items}


def content_hash(item_id: str, prompt: str, response_a: str, response_b: str) -> str:
    """SHA-256 of what a rater sees of an item, but for what spreadsheets change.

    Line ends, white space at either end and a leading apostrophe do not count.
    """
    shown = (prompt, response_a, response_b)
    unified = (text.replace("\r\n", "\n").replace("\r", "\n").strip() for text in shown)
    kept = (text.removeprefix("'").strip() for text in unified)
    return sha256("\x1f".join((item_id, *kept)).encode()).hexdigest()


def read_key(text: str, file: str) -> AnswerKey:
    """The key from the text of its file.

    Raises:
        UsageError: it is not a key of this version.
    """
    try:
        value = json.loads(text)
        if value["kind"] != KIND or value["schema_version"] != 1:
            raise UsageError("not an adjudication key of version 1", file=file)
        items = {
            item_id: Item(
                item_id=item_id,
                prompt="",
                response_a="",
                response_b="",
                **{
                    **entry,
                    "kind": ItemKind(entry["kind"]),
                    "rows": tuple(KeyRow(**row) for row in entry["rows"]),
                },
            )
            for item_id, entry in value["items"].items()
        }
        return AnswerKey(
            run_id=str(value["run_id"]),
            seed=int(value["seed"]),
            rubric_version=str(value["rubric_version"]),
            sheet_sha256=str(value["sheet_sha256"]),
            items=items,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"not an adjudication key: {error}", file=file, hint="give the key.json of the export"
        ) from error
