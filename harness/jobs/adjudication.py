"""Flips sent out to people, blinded, and their judgements taken in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from harness.errors import UsageError
from harness.files import append_text, read_rows, read_text, write_json, write_whole
from harness.people import (
    Judgement,
    Outcome,
    adjudicate,
    build_export,
    read_judgements,
    read_key,
    refuse_repeats,
    rubric_text,
    sheet_csv,
    studio_config,
    studio_tasks,
)
from harness.records import read_run_files
from harness.report import outcome_lines, prompts_of

JUDGEMENTS = "adjudications.jsonl"
OUTCOME = "adjudication.json"


@dataclass(frozen=True, slots=True)
class SentOut:
    """The files of an export, and whether its sheet shows the prompts."""

    files: tuple[Path, ...]
    has_prompts: bool


def send_out(run: Path, out: Path, *, controls: float, seed: int, tasks: Path | None) -> SentOut:
    """Write a blinded sheet of a run's flips with its rubric, and the key beside them.

    Args:
        controls: share of the sheet that is controls.
        seed: draws order, sides and controls.
        tasks: task folder, for the prompts; else the run's own.

    Raises:
        UsageError: the run cannot be read, or ``out`` has an export already.
    """
    files = read_run_files(run)
    prompts = prompts_of(files, tasks)
    name = str(files.metadata.get("run_id") or files.records_path.name)
    drawn = build_export(
        (row for _, row in read_rows(files.records_path)),
        run_id=name,
        prompts=prompts,
        controls=controls,
        seed=seed,
    )
    raters = out / "for_raters"
    texts = {
        raters / "sheet.csv": "\ufeff" + sheet_csv(drawn.items),
        raters / "label_studio_tasks.json": _pretty(studio_tasks(drawn.items)),
        raters / "label_studio_config.xml": studio_config(),
        raters / "rubric.md": rubric_text(item.rubric for item in drawn.items),
        out / "key.json": _pretty(drawn.key.as_json()),
    }
    there = next((path for path in texts if path.exists()), None)
    if there is not None:
        raise UsageError("there already", file=there, hint="choose another folder with -o")
    for path, text in texts.items():
        write_whole(path, text, parents=True)
    return SentOut(tuple(texts), bool(prompts))


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class TakenIn:
    """How many judgements are new, the file that they were added to, and what all of them say."""

    added: int
    file: Path
    outcome: Outcome

    def outcome_json(self) -> dict[str, Any]:
        """The outcome for a machine."""
        return dict(to_builtins(self.outcome))

    def lines(self) -> Iterator[str]:
        """The outcome for a person."""
        return iter(outcome_lines(self.outcome))


def take_in(sheets: Sequence[Path], key: Path, run: Path | None) -> TakenIn:
    """Check filled sheets against the key, add them to those that are there, and sum up.

    Args:
        sheets: filled sheets (CSV) or exports of Label Studio (JSON); none, to sum up again.
        key: the export's ``key.json``.
        run: the folder to add to; else beside the key.

    Raises:
        UsageError: a file cannot be read or has a bad line; nothing is added then.
        EnvironmentError_: the judgements cannot be written.
    """
    answers = read_key(read_text(key), str(key))
    folder = run or key.parent
    target = folder / JUDGEMENTS
    known = [row for _, row in read_rows(target)] if target.is_file() else []
    new: list[Judgement] = []
    for sheet in sheets:
        judged = read_judgements(read_text(sheet), str(sheet), answers)
        refuse_repeats(judged, [*known, *(item.as_json() for item in new)], str(sheet))
        new += judged
    if new:
        append_text(target, "".join(json.dumps(item.as_json()) + "\n" for item in new))
    mine = [Judgement(**row) for row in known if row.get("item_id") in answers.items]
    outcome = adjudicate([*mine, *new], answers)
    write_json(folder / OUTCOME, to_builtins(outcome))
    return TakenIn(len(new), target, outcome)
