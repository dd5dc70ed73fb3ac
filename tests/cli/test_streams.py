"""Standard streams that are closed, full, or whose reader has left."""

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
