"""An answer that no rule can judge is counted and shown wherever scores are: never complied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main

MODES = ("standard", "batch_invariant")
STATES = (("undecided", "undecided"), ("undecided", "empty"), ("complied", "unparsed"))


def write(path: Path, states: tuple[tuple[str, str], ...]) -> Path:
    """Records of both modes, one a state, without a score except where it is ``complied``."""
    lines = []
    for mode in MODES:
        for number, (solo, batched) in enumerate(states):
            lines.append(
                {
                    "model": "m",
                    "task_name": "advbench_refusal",
                    "sample_id": f"s{number}",
                    "batch_size": 8,
                    "dispatch_mode": "synchronized",
                    "phase": "p1",
                    "domain": "safety",
                    "original_direction": None,
                    "mode": mode,
                    "status": "ok",
                    "solo_score": 0.0 if solo == "complied" else None,
                    "batch_score": 0.0 if batched == "complied" else None,
                    "solo_label": solo,
                    "batch_label": batched,
                    "solo_response_hash": f"{number:064x}",
                    "batch_response_hash": f"{number:064x}" if solo == batched else "f" * 64,
                }
            )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert caught.value.code in (0, 1, None)
    return capsys.readouterr().out


COUNTED = "alone 2 undecided; in the batch 1 empty, 1 undecided, 1 unparsed"


def test_the_terminal_and_the_summary_count_them(tmp_path, capsys):
    records = write(tmp_path / "records.jsonl", STATES)
    text = " ".join(told(capsys, "summarize", records).split())
    assert all(
        f"answers without a score, {mode.replace('_', '-')}: {COUNTED}" in text for mode in MODES
    )
    summary = json.loads(next(tmp_path.glob("*summary*.json")).read_text())
    labels = {pair.get("solo_label") for pair in summary["score_pairs"]["standard"]}
    assert "undecided" in labels
    (open_,) = [t["text"] for t in summary["threats"] if t["threat"] == "unparsed"]
    assert "standard solo 2 undecided" in open_


def test_the_report_counts_them(tmp_path, capsys):
    records = write(tmp_path / "records.jsonl", STATES)
    told(capsys, "report", records, "--format", "md,html", "-o", tmp_path / "out")
    for page in [*(tmp_path / "out").glob("*.md"), *(tmp_path / "out").glob("*.html")]:
        assert COUNTED in page.read_text()


def test_a_comparison_counts_them_on_both_sides(tmp_path, capsys):
    a = write(tmp_path / "a.jsonl", STATES)
    b = write(tmp_path / "b.jsonl", (("complied", "complied"), *STATES[1:]))
    b.write_text(b.read_text().replace(f'"{0:064x}"', f'"{"e" * 64}"'))
    text = told(capsys, "compare", a, b, "--format", "md", "-o", tmp_path / "out")
    assert "without a score: A 2 undecided; B 1 undecided" in text
    (page,) = (tmp_path / "out").glob("*.md")
    assert "alone A 2 undecided; B 1 undecided" in page.read_text()


def test_no_state_without_a_score_is_said_to_be_none(tmp_path, capsys):
    records = write(tmp_path / "records.jsonl", (("complied", "complied"),))
    assert "answers without a score, standard: alone none; in the batch none" in told(
        capsys, "summarize", records
    )
