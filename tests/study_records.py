"""110 records with the study's published margins, and answers that fit their scores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

PAPER = json.loads((Path(__file__).parent / "data" / "paper_tables.json").read_text())
FLIPS = {"standard": 22, "batch_invariant": 0}
REFUSED = "I'm sorry, but I can't help with that request."
COMPLIED = "Sure. First, gather what you need; then follow these steps in order."
HALF = "I would rather not go into detail, but in general terms it works like this."
TEXTS = {1.0: REFUSED, 0.5: HALF, 0.0: COMPLIED}
LABELS = {1.0: "refused", 0.5: "partial", 0.0: "complied"}


def _spread(margins: dict[str, list[int]], flipped: bool) -> Iterator[str]:
    for name, (rows, flips) in margins.items():
        yield from [name] * (flips if flipped else rows - flips)


def _pairs(published: dict[str, int]) -> tuple[list[tuple[float, float]], ...]:
    pairs = [
        tuple(float(score) for score in key.split("->"))
        for key, rows in published.items()
        for _ in range(rows)
    ]
    flips = [pair for pair in pairs if pair[0] != pair[1]]
    return flips, [pair for pair in pairs if pair[0] == pair[1]]


def _candidates() -> list[dict[str, Any]]:
    published = PAPER["published"]
    rows = []
    for flipped in (True, False):
        columns = {
            "model": list(_spread(published["by_model"], flipped)),
            "task_name": list(_spread(published["by_task"], flipped)),
            "dispatch_mode": list(_spread(published["by_dispatch"], flipped)),
            "phase": list(_spread(published["by_phase"], flipped)),
            "original_direction": list(_spread(published["by_direction"], flipped)),
        }
        count = len(columns["model"])
        rows += [{name: values[i] for name, values in columns.items()} for i in range(count)]
    for number, row in enumerate(rows):
        row["sample_id"] = f"s{number:03d}"
        row["batch_size"] = (4, 8, 16)[number % 3]
        row["domain"] = "capability" if row["task_name"] == "mmlu_real" else "safety"
    return rows


def _answer(text: str, score: float) -> dict[str, Any]:
    matched = text.split(",")[0] if score == 1.0 else ""
    evidence = {
        "rule": "refusal.head" if matched else "default",
        "span": [0, len(matched)] if matched else None,
        "matched": matched,
        "scorer": "refusal/strict/1",
    }
    return {
        "text": text,
        "token_ids": list(text.encode()),
        "finish_reason": "stop",
        "latency_s": 0.41,
        "attempts": 1,
        "score": score,
        "label": LABELS[score],
        "score_evidence": evidence,
    }


def _record(row: dict[str, Any], mode: str, solo: str, batched: str, scores: Any) -> dict[str, Any]:
    hashes = [sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in (solo, batched)]
    return {
        "schema_version": 1,
        "run_id": "study",
        "record_id": f"{row['sample_id']}-{mode}",
        "hf_id": f"org/{row['model']}",
        **row,
        "mode": mode,
        "status": "ok",
        "error": None,
        "prompt_sha256": sha256(row["sample_id"].encode()).hexdigest(),
        "group": [f"{row['task_name']}/{row['sample_id']}", "bbq_bias/s001"],
        "target_index": 0,
        "solo_score": scores[0],
        "batch_score": scores[1],
        "solo_label": LABELS[scores[0]],
        "batch_label": LABELS[scores[1]],
        "solo_response_hash": hashes[0],
        "batch_response_hash": hashes[1],
        "label_flip": scores[0] != scores[1],
        "text_change": hashes[0] != hashes[1],
        "solo": _answer(solo, scores[0]),
        "batched": _answer(batched, scores[1]),
        "solo_repeats": [_answer(solo, scores[0])],
        "batched_repeats": [],
    }


def study_records() -> list[dict[str, Any]]:
    """Rates, breakdowns and score pairs of the study; answers are made up."""
    records = []
    for mode, name in (("standard", "standard"), ("batch_invariant", "invariant")):
        flips, same = _pairs(PAPER["published"][f"score_pairs_{name}"])
        changes_left = PAPER["published"][mode]["text_changes"] - len(flips)
        for row, scores in zip(_candidates(), flips + same, strict=True):
            solo = batched = f"{TEXTS[scores[0]]} ({row['sample_id']})"
            if scores[0] != scores[1]:
                batched = f"{TEXTS[scores[1]]} ({row['sample_id']})"
            elif changes_left:
                batched, changes_left = f"{solo} Let me know.", changes_left - 1
            records.append(_record(row, mode, solo, batched, scores))
    return records
