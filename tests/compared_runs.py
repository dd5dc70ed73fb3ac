"""Run folders for comparisons: small, whole, and changed by a test before they are written."""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from stand_in_server import judged, log_of

MODES = ("standard", "batch_invariant")
LABELS = {1.0: "refused", 0.5: "partial", 0.0: "complied"}
REQUIRED = (
    "model",
    "task_name",
    "sample_id",
    "batch_size",
    "dispatch_mode",
    "phase",
    "domain",
    "original_direction",
    "mode",
    "status",
    "solo_score",
    "batch_score",
    "solo_response_hash",
    "batch_response_hash",
)

CANDIDATE = REQUIRED[:8]

_TIMES = count()
"""Each answer has a time of its own."""


def answer(text: str, score: float | None) -> dict[str, Any]:
    return {
        "text": text,
        "token_ids": list(text.encode("utf-8", "surrogatepass")),
        "finish_reason": "stop",
        "latency_s": 0.1 + next(_TIMES) / 1000,
        "attempts": 1,
        "score": score,
        "label": LABELS.get(score, "unparsed"),
    }


def digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def record(number: int, mode: str) -> dict[str, Any]:
    row = {
        "schema_version": 1,
        "record_id": f"{number}-{mode}",
        "model": "m",
        "hf_id": "org/m",
        "task_name": "t",
        "sample_id": f"s{number}",
        "batch_size": 4,
        "dispatch_mode": "synchronized",
        "phase": None,
        "domain": "safety",
        "original_direction": None,
        "mode": mode,
        "status": "ok",
        "error": None,
        "prompt_sha256": digest(f"prompt {number}"),
        "group": ["t/s0", "t/s1", "t/s2", "t/s3"],
        "target_index": number % 4,
        "sampling": {"max_tokens": 64, "temperature": 0.0, "seed": 42},
        "score_profile": "strict",
        "solo_repeats": [],
        "batched_repeats": [],
    }
    says(row, "solo", f"I cannot help with that, {number}.", 1.0)
    says(row, "batched", f"I cannot help with that, {number}.", 1.0)
    row["solo_repeats"] = [dict(row["solo"])]
    return row


def says(row: dict[str, Any], condition: str, text: str, score: float | None) -> None:
    """Give a record another answer, with everything that follows from it."""
    short = {"solo": "solo", "batched": "batch"}[condition]
    row[condition] = answer(text, score)
    row[f"{short}_score"], row[f"{short}_label"] = score, row[condition]["label"]
    row[f"{short}_response_hash"] = digest(text)
    if condition == "solo":
        row["solo_repeats"] = [dict(row["solo"])]
    if "batched" in row:
        states = [(row[f"{s}_score"], row[f"{s}_label"]) for s in ("solo", "batch")]
        row["label_flip"] = states[0] != states[1]
        row["text_change"] = row["solo_response_hash"] != row["batch_response_hash"]


@cache
def _evidence(verdict: str) -> dict[str, Any]:
    """What a log of the made-up server gives for a verdict, with its quoted lines."""
    modes = {"clean": "standard", "active": "batch_invariant"}
    if (mode := modes.get(verdict)) is None:
        return {"vllm_version": "0.30.0", "device": "cuda"}
    return judged(log_of(mode, version="0.30.0"), mode)["evidence"]


def attempt(verdict: str, **more: Any) -> dict[str, Any]:
    return {
        "ready_after_s": 3.0,
        "records": 4,
        "ended_at": "t",
        "verdict": verdict,
        "server": {"environment": {"VLLM_BATCH_INVARIANT": str(int(verdict == "active"))}},
        "evidence": _evidence(verdict),
        "facts": {"vllm_version": "0.30.0", "arguments": {"dtype": "float16", "port": 8000}},
        "error": None,
    } | more


class MadeRun:
    """A run folder; `write` puts it on disk."""

    def __init__(self, folder: Path, candidates: int = 4, modes: tuple[str, ...] = MODES) -> None:
        self.folder = folder
        self.rows = [record(number, mode) for mode in modes for number in range(candidates)]
        self.attempts = {
            mode: [attempt({"standard": "clean", "batch_invariant": "active"}[mode])]
            for mode in modes
        }
        self.metadata: dict[str, Any] = {
            "run_id": folder.name,
            "complete": True,
            "sessions": [{"exit": 0}],
            "device": {"kind": "cuda", "name": "NVIDIA H100 80GB HBM3"},
            "versions": {"vllm": "0.30.0", "torch": "2.10.0", "harness": "0.1.0"},
            "resolved_spec": {
                "modes": list(modes),
                "server": {"port": 8000, "dtype": "float16"},
                "controls": {"prefix_caching": "off"},
            },
            "mode_parity": {"m": []},
        }

    def row(self, number: int, mode: str = "standard") -> dict[str, Any]:
        return next(r for r in self.rows if (r["sample_id"], r["mode"]) == (f"s{number}", mode))

    def flip(self, number: int, mode: str = "standard") -> None:
        says(self.row(number, mode), "batched", "Sure, here it is.", 0.0)

    @property
    def records(self) -> Path:
        return self.folder / "vllm_records.jsonl"

    def write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [row | {"run_id": self.folder.name} for row in self.rows]
        self.records.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (self.folder / "metadata.json").write_text(json.dumps(self.metadata))
        plan = {row["sample_id"]: {key: row[key] for key in CANDIDATE} for row in self.rows}
        text = "".join(json.dumps(row) + "\n" for row in plan.values())
        (self.folder / "selected_candidates.jsonl").write_text(text)
        for mode, attempts in self.attempts.items():
            startup = {"model": "m", "mode": mode, "attempts": attempts}
            (self.folder / f"startup_{mode}_m.json").write_text(json.dumps(startup))
        return self.folder

    def write_foreign(self) -> Path:
        """Only the required columns, and nothing beside the file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "theirs.jsonl"
        rows = [{key: row[key] for key in REQUIRED} for row in self.rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path
