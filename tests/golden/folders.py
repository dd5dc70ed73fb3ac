"""What the cases read: the saved runs, and copies of them with one thing changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECORDS = "vllm_records.jsonl"


def _copy_of(source: Path) -> Callable[[Path], None]:
    def copy(target: Path) -> None:
        shutil.copytree(source, target)

    return copy


def _changed_copy(change: Callable[[Path], None], run: str = "demo") -> Callable[[Path], None]:
    def copy(target: Path) -> None:
        shutil.copytree(HERE / "runs" / run, target)
        change(target)

    return copy


def _rewrite(run: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    rows = [json.loads(line) for line in (run / RECORDS).read_text("utf-8").splitlines()]
    change(rows)
    (run / RECORDS).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _other_answers(run: Path) -> None:
    """A later version's: flips in both modes and both directions, other answers alone, one change
    less. Every answer is one that the run itself gave to a prompt of the same task.
    """

    def change(rows: list[dict[str, Any]]) -> None:
        asked = [row for row in rows if row["task_name"] == "neighbourly_refusal"]
        standard = [row for row in asked if row["mode"] == "standard"]
        refused = [row for row in standard if row["solo_label"] == "refused"]
        complied = [row for row in standard if row["solo_label"] == "complied"]
        refusal, compliance = refused[-1]["solo"], complied[-1]["solo"]
        changed = next(row for row in rows if row["text_change"])
        _says(changed, "batched", changed["solo"])
        for row in refused[:3]:
            _says(row, "batched", compliance)
        for row in complied[:2]:
            _says(row, "batched", refusal)
        for condition in ("solo", "batched"):
            _says(refused[3], condition, refusal)
            _says(refused[4], condition, compliance)
        invariant = [row for row in asked if row["mode"] == "batch_invariant"]
        _says(next(r for r in invariant if r["solo_label"] == "refused"), "batched", compliance)
        for row in rows:
            row["run_id"] = "later"

    _rewrite(run, change)
    metadata = json.loads((run / "metadata.json").read_text("utf-8"))
    metadata["run_id"] = "later"
    metadata["versions"]["torch"] = "2.14.0+cpu"
    (run / "metadata.json").write_text(json.dumps(metadata), "utf-8")


def _says(row: dict[str, Any], condition: str, answer: dict[str, Any]) -> None:
    """Give a record another answer in its own time, with everything that follows from it."""
    short = {"solo": "solo", "batched": "batch"}[condition]
    row[condition] = {**answer, "latency_s": row[condition]["latency_s"]}
    row[f"{short}_score"], row[f"{short}_label"] = answer["score"], answer["label"]
    row[f"{short}_response_hash"] = sha256(answer["text"].encode()).hexdigest()
    if condition == "solo":
        row["solo_repeats"] = [answer for _ in row["solo_repeats"]]
    solo, batched = ((row[f"{s}_score"], row[f"{s}_label"]) for s in ("solo", "batch"))
    row["label_flip"] = solo != batched
    row["text_change"] = row["solo_response_hash"] != row["batch_response_hash"]


def _half_a_last_line(run: Path) -> None:
    whole = (run / RECORDS).read_bytes()
    (run / RECORDS).write_bytes(whole[:-200])


def _no_json_in_line_3(run: Path) -> None:
    lines = (run / RECORDS).read_text("utf-8").splitlines(keepends=True)
    lines[2] = lines[2][:100] + "\n"
    (run / RECORDS).write_text("".join(lines), "utf-8")


def _another_log(run: Path) -> None:
    log = next(iter(sorted(run.glob("*_standard_*.log"))))
    log.write_text(log.read_text("utf-8") + "one more line\n", "utf-8")


def _one_mode_not_proven(run: Path) -> None:
    for path in run.glob("startup_batch_invariant_*.json"):
        startup = json.loads(path.read_text("utf-8"))
        for attempt in startup["attempts"]:
            attempt["verdict"] = "inconclusive"
        path.write_text(json.dumps(startup), "utf-8")


def _an_error_and_another_prompt(run: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[4] |= {"status": "error", "error": "the request failed: HTTP 500"}
        rows[5]["prompt_sha256"] = "0" * 64

    _rewrite(run, change)


def _only_records(run: Path) -> None:
    for path in run.iterdir():
        if path.name != RECORDS:
            path.unlink()


FOLDERS: dict[str, Callable[[Path], None]] = {
    "candidates": _copy_of(ROOT / "candidates"),
    "inputs": _copy_of(HERE / "inputs"),
    "reference": _copy_of(ROOT / "results/reference/h100-vllm-0.19.1-random-1b"),
    "demo": _copy_of(HERE / "runs/demo"),
    "interrupted": _copy_of(HERE / "runs/interrupted"),
    "later": _changed_copy(_other_answers),
    "torn": _changed_copy(_half_a_last_line),
    "garbled": _changed_copy(_no_json_in_line_3),
    "other-log": _changed_copy(_another_log),
    "unproven": _changed_copy(_one_mode_not_proven),
    "faulty": _changed_copy(_an_error_and_another_prompt),
    "bare": _changed_copy(_only_records),
}
"""By name: writes the folder to a path that does not exist yet."""
