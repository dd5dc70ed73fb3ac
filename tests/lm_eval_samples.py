"""Self-written lines in the form in which lm-evaluation-harness 0.4 logs samples."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any


def _hash(value: Any) -> str:
    return sha256(str(value).encode()).hexdigest()


def generated(
    number: int, said: str, right: bool, strict: str = "strict-match", **more: Any
) -> dict[str, Any]:
    """A sample of a generating task (exact_match under a filter)."""
    prompt = f"Question: What is {number} plus {number}?\nAnswer:"
    last = said.rsplit(" ", 1)[-1].rstrip(".")
    return {
        "doc_id": number,
        "doc": {"question": f"What is {number} plus {number}?", "answer": str(2 * number)},
        "target": str(2 * number),
        "arguments": {
            "gen_args_0": {
                "arg_0": prompt,
                "arg_1": {"until": ["Question:"], "do_sample": False, "temperature": 0.0},
            }
        },
        "resps": [[said]],
        "filtered_resps": [last],
        "filter": strict,
        "metrics": ["exact_match"],
        "doc_hash": _hash(("doc", number)),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(2 * number),
        "exact_match": float(right),
    } | more


def chosen(number: int, scores: list[float], target: int, **more: Any) -> dict[str, Any]:
    """A sample of a multiple-choice task (acc, acc_norm), log-likelihoods as text."""
    prompt = f"The plim of zorb {number} is"
    best = scores.index(max(scores))
    pairs = [[str(score), str(i == best)] for i, score in enumerate(scores)]
    return {
        "doc_id": number,
        "doc": {"query": prompt, "choices": ["a", "b", "c"], "gold": target},
        "target": str(target),
        "arguments": {
            f"gen_args_{i}": {"arg_0": prompt, "arg_1": f" {choice}"}
            for i, choice in enumerate("abc")
        },
        "resps": [[pair] for pair in pairs],
        "filtered_resps": pairs,
        "filter": "none",
        "metrics": ["acc", "acc_norm"],
        "doc_hash": _hash(("doc", number)),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(target),
        "acc": float(best == target),
        "acc_norm": float(best == target),
    } | more


def write_samples(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path
