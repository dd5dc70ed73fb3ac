"""The results that are kept: certificates follow from their runs, and README tells the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.cli import main

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "results/reference"
PAGES = sorted(KEPT.glob("*/report.md"))
SOME = [
    "h200-vllm-0.20.2-certificates/triton-three-lifetimes",
    "h200-vllm-0.20.2-certificates/fa3-three-lifetimes",
    "h200-vllm-0.19.1-tensor-parallel/tp2",
    "h200-vllm-0.20.2-tensor-parallel/tp2-pass-off",
    "h200-vllm-0.20.2-tensor-parallel/tp2-pass-on",
    "h200-vllm-0.20.2-tensor-parallel/tp1",  # its control: one GPU, the same weights
    "h200-vllm-0.20.2-tensor-parallel/tp2",  # servers that did not start, and one cut by a clock
    "h200-vllm-0.19.1-certificates/smol-triton-96",
    "h200-vllm-0.19.1-204-prompts/fa3-widths-24-48",  # one chance coincidence in eight rows
    "h200-vllm-0.20.2-certificates/fa2",  # a line that two processes wrote at once
]


def _rows(page: str) -> list[str]:
    """The lines of a page's first table."""
    lines = (ROOT / page).read_text("utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    after = (n for n, line in enumerate(lines[first:], first) if not line.startswith("|"))
    return lines[first : next(after)]


def test_the_table_of_readme_is_lines_of_the_page_of_results_as_they_stand_there():
    short, whole = _rows("README.md"), _rows("docs/results.md")
    assert len(short) == 10
    assert short == [line for line in whole if line in short]


@pytest.mark.parametrize("kept", SOME)
def test_a_kept_certificate_is_what_its_runs_come_to(kept, tmp_path, capsys):
    command = (
        "tar",
        "-xJf",
        str(KEPT / kept / "runs.tar.xz"),
        "-C",
        str(tmp_path),
    )  # as the page says
    subprocess.run(command, check=True)
    last_first = sorted(tmp_path.iterdir(), key=lambda run: run.name.rpartition("-")[2])[::-1]
    of = [word for run in last_first for word in ("--of", str(run))]  # any order gives the same
    with pytest.raises(SystemExit):
        main(["certify", *of, "--out", str(tmp_path / "new")])
    capsys.readouterr()
    for name in ("certificate.json", "certificate.md"):
        assert (tmp_path / "new" / name).read_bytes() == (KEPT / kept / name).read_bytes(), name


@pytest.mark.parametrize("page", PAGES, ids=[page.parent.name for page in PAGES])
def test_a_kept_page_is_drawn_without_the_prompts_of_its_run(page, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["report", str(page.parent), "--out", str(tmp_path)])
    capsys.readouterr()
    assert (tmp_path / "report.md").read_bytes() == page.read_bytes()


@pytest.mark.parametrize(
    "kept", sorted(KEPT.glob("*/certificate.json")), ids=lambda kept: kept.parent.name
)
def test_the_certificate_in_a_run_folder_is_of_that_run(kept, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["certify", "--of", str(kept.parent), "--out", str(tmp_path)])
    capsys.readouterr()
    for name in ("certificate.json", "certificate.md"):
        assert (tmp_path / name).read_bytes() == (kept.parent / name).read_bytes(), name
