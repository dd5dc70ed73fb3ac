"""Records with the study's published margins, built from its tables."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

TABLES = Path(__file__).parents[1] / "data" / "paper_tables.json"
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
FAMILIES = {
    "model": "by_model",
    "task_name": "by_task",
    "dispatch_mode": "by_dispatch",
    "phase": "by_phase",
    "original_direction": "by_direction",
}
DOMAINS = {"mmlu_real": "capability"}


def _spread(margins, *, flipped):
    """The values of a family over its flipped (or other) rows."""
    return [
        value
        for value, (rows, flips) in margins.items()
        for _ in range(flips if flipped else rows - flips)
    ]


def _score_pairs(published, *, flipped):
    pairs = []
    for name, rows in published.items():
        solo, batched = (float(score) for score in name.split("->"))
        if (solo != batched) is flipped:
            pairs += [(solo, batched)] * rows
    return pairs


def _digest(*parts):
    return sha256(repr(parts).encode()).hexdigest()


def _candidates(published):
    candidates = []
    for flipped in (True, False):
        columns = {
            name: _spread(published[table], flipped=flipped) for name, table in FAMILIES.items()
        }
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        candidates += rows
    for number, row in enumerate(candidates):
        row["sample_id"] = f"{row['task_name']}_{number:03d}"
        row["batch_size"] = (4, 8, 16, 32)[number % 4]
        row["domain"] = DOMAINS.get(row["task_name"], "safety")
    return candidates


def _standard(published):
    pairs = _score_pairs(published["score_pairs_standard"], flipped=True)
    return pairs + _score_pairs(published["score_pairs_standard"], flipped=False)


@pytest.fixture(scope="session")
def tables():
    return json.loads(TABLES.read_text())


@pytest.fixture
def study_rows(tables):
    """110 records: 55 candidates in both modes; the first 25 change their text in standard."""
    published = tables["published"]
    scores = {
        "standard": _standard(published),
        "batch_invariant": _score_pairs(published["score_pairs_invariant"], flipped=False),
    }
    changed = {name: published[name]["text_changes"] for name in scores}
    rows = []
    for mode, pairs in scores.items():
        for number, candidate in enumerate(_candidates(published)):
            solo, batched = pairs[number]
            texts = number, number + (1000 if number < changed[mode] else 0)
            rows.append(
                {
                    **candidate,
                    "mode": mode,
                    "status": "ok",
                    "solo_score": solo,
                    "batch_score": batched,
                    "solo_response_hash": _digest(mode, texts[0]),
                    "batch_response_hash": _digest(mode, texts[1]),
                }
            )
    assert all(set(row) == set(REQUIRED) for row in rows)
    return rows


@pytest.fixture
def write(tmp_path):
    """Write rows (objects or raw lines) as a records file."""

    def _write(rows, name="records.jsonl"):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path = tmp_path / name
        path.write_text("".join(line + "\n" for line in lines))
        return path

    return _write
