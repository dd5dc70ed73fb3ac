"""Standard streams that are closed, full, or whose reader has left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUMMARY = f"{sys.executable} -m harness candidates --help"


def said(redirected: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {SUMMARY} {redirected}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "redirected", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "| head -1", "2>/dev/full"]
)
def test_closed_streams_and_a_reader_that_leaves_are_no_error(redirected):
    code, heard = said(redirected)
    assert code == 0
    assert "Traceback" not in heard
    assert "Exception" not in heard


def test_a_result_that_cannot_be_written_is_one_line_and_exit_3():
    assert said(">/dev/full") == (3, "error: standard output: No space left on device\n")


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"PYTHONUTF8": "1"}])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_what_a_server_said_is_printed_whatever_letters_it_has(tmp_path, flags, locale):
    row = {"mode": "standard", "model": "m", "sample_id": "s", "task_name": "t", "run_id": "r"}
    row |= {"batch_size": 8, "dispatch_mode": "synchronized", "phase": "p", "domain": "safety"}
    row |= {"original_direction": None, "solo_score": 1.0, "batch_score": 1.0}
    row |= {"solo_response_hash": "a" * 64, "batch_response_hash": "a" * 64}
    row |= {"status": "error", "error": "half \udcff, \x1b[31mred, \u202edesrever"}
    records = tmp_path / "records.jsonl"
    records.write_text(json.dumps(row) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "validate", records, *flags],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **locale},
        check=False,
    )
    printed, remarked = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 1, remarked
    assert "Traceback" not in remarked
    assert "⟦U+DCFF⟧, ⟦U+001B⟧[31mred, ⟦U+202E⟧desrever" in remarked
    if flags:
        assert "half \udcff, \x1b[31mred" in "".join(
            found["message"] for found in json.loads(printed)["findings"]
        )
    else:
        assert "⟦U+DCFF⟧, ⟦U+001B⟧[31mred, ⟦U+202E⟧desrever" in printed
