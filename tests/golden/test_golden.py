"""What every reading verb says and writes, byte for byte, as it was before its inside was moved.

The cases are in `cases.py`, what they read in `folders.py`, what is expected in ``expected/``: one
``.txt`` a case with each command, its exit code, stdout, stderr and the files it wrote, and the
files that are compared whole. After a change that is wanted, ``python -m tests.golden.rewrite``
writes them anew, and `CHANGES` says why.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .cases import CASES, VERBS_WITH_PARTS, Case
from .folders import ROOT
from .playing import EXPECTED, as_text, environment, lay_out, normalised, play

BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_outputs_are_the_expected_ones(case: Case, tmp_path: Path):
    expected = {path.name: path.read_bytes().decode() for path in EXPECTED.glob(f"{case.name}.*")}
    found = play(case, tmp_path)
    assert found[f"{case.name}.txt"] == expected[f"{case.name}.txt"]
    assert sorted(found) == sorted(expected)
    for name, text in found.items():
        assert text == expected[name], name


def test_every_expected_file_has_its_case():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {path.name.split(".")[0] for path in EXPECTED.iterdir()} == set(names)


@pytest.mark.parametrize("page", ["help", *(f"help-{verb}" for verb in VERBS_WITH_PARTS)])
def test_every_command_of_a_help_page_has_a_case(page: str):
    text = (EXPECTED / f"{page}.txt").read_text("utf-8").split("Commands ─")[-1]
    listed = re.findall(r"^│ ([a-z]+) ", text, re.MULTILINE)
    assert listed
    assert {f"{page}-{name}" for name in listed} <= set(BY_NAME)


@pytest.mark.parametrize("name", ["help", "summarize-demo", "error-garbled"])
def test_a_process_of_its_own_says_the_same(name: str, tmp_path: Path):
    case = BY_NAME[name]
    lay_out(case, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "harness", *case.commands[0]],
        cwd=tmp_path,
        env=environment(tmp_path) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    said = as_text(
        case.commands[0], done.returncode, done.stdout.decode(), done.stderr.decode(), tmp_path
    )
    assert (EXPECTED / f"{name}.txt").read_bytes().decode().startswith(said)


def test_only_the_two_places_are_taken_out_of_a_text(tmp_path: Path):
    numbers = "88 records, p=9.8e-04 [34.2, 74.2] 2026-11-28T00:31:39 v0.32.0 3.11.7 sha256:00ff"
    assert normalised(numbers, tmp_path) == numbers
    assert normalised(f"{tmp_path}/demo: 3", tmp_path) == "<here>/demo: 3"
    assert normalised(f"{ROOT}/candidates:12", tmp_path) == "<project>/candidates:12"
    assert normalised(f"{tmp_path}0/demo", tmp_path) == f"{tmp_path}0/demo"
