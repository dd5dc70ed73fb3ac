"""Reports for the tests, built from records the way a run's are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from study_records import study_records

from harness.analyse import Summary, summarise_run
from harness.analyse.validate import validate_run
from harness.records import Record, RunFiles, Startup
from harness.records.record import decode_record
from harness.report import Document, run_document

H100 = {
    "run_id": "study",
    "device": {"kind": "cuda", "name": "NVIDIA H100 80GB HBM3"},
    "versions": {"vllm": "0.19.1", "torch": "2.10.0"},
}
CPU = {**H100, "device": {"kind": "cpu", "name": None}}
SCRIPT = "<script>window.pwned = 1; alert(1)</script>"
IMAGE = '<img src="https://leak.invalid/x.png" onerror="window.pwned=1">'
TEMPLATE = "{{ 7 * 7 }}{% raw %} </textarea></pre></div></details>"
HOSTILE = (SCRIPT, IMAGE, TEMPLATE)
LONG = "x" * 50_000


def summary_of(records: Iterable[dict[str, Any]]) -> Summary:
    with tempfile.TemporaryDirectory() as folder:
        return summarise_run(written(records, Path(folder)))


def as_records(rows: Iterable[dict[str, Any]]) -> list[Record]:
    return [decode_record(json.dumps(row).encode()) for row in rows]


def files_of(metadata: dict[str, Any], *startups: Startup) -> RunFiles:
    return RunFiles(Path(), Path(), metadata, startups)


def written(records: Iterable[dict[str, Any]], folder: Path) -> Path:
    path = folder / "vllm_records.jsonl"
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(record) + "\n" for record in records)
    return path


def report_of(
    records: list[dict[str, Any]], metadata: dict[str, Any] = H100, **more: Any
) -> Document:
    with tempfile.TemporaryDirectory() as folder:
        path = written(records, Path(folder))
        validation = validate_run(path)
        return run_document(
            summarise_run(path), as_records(records), files_of(metadata), validation, **more
        )


@cache
def study_report() -> Document:
    return report_of(study_records())


@cache
def hostile_report() -> Document:
    records = study_records()
    flips = [record for record in records if record["label_flip"]]
    answers = [*HOSTILE, LONG, "\u202egnp.exe", "bell \x07 nul \x00", "half \ud800 pair"]
    for record, answer in zip(flips, answers, strict=False):
        record["batched"]["text"] = answer
        record["batched"]["score_evidence"]["matched"] = answer
        record["model"] = answer[:40]
    return run_document(summary_of(study_records()), as_records(records), files_of(H100))


def many_flips(count: int) -> Document:
    """One flip, with answers of 1,200 characters, under ``count`` sample ids."""
    flip = next(record for record in study_records() if record["label_flip"])
    answers = {"solo": "word " * 200 + "left " * 40, "batched": "word " * 200 + "right " * 40}
    sides = {side: {**flip[side], "text": text} for side, text in answers.items()}
    records = ({**flip, **sides, "sample_id": f"n{number}"} for number in range(count))
    return run_document(summary_of(study_records()), as_records(records), files_of(H100))
