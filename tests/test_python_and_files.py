"""A run opened in Python, its files for other programs, and the examples, each of them executed."""

from __future__ import annotations

import csv
import json
import re
import shutil
import struct
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import harness
from harness.cli import main
from harness.errors import UsageError
from harness.records import sealed
from harness.score import score
from harness.tasks import load_task

ROOT = Path(__file__).parents[1]
RUN = ROOT / "results" / "reference" / "h200-vllm-0.19.1-container"
SHELL = shutil.which("sh")
DEMO = ROOT / "tests" / "golden" / "runs" / "demo"


def exported(run: Path, form: str, out: Path) -> int:
    with pytest.raises(SystemExit) as left:
        main(["export", str(run), "--format", form, "-o", str(out)])
    return left.value.code if isinstance(left.value.code, int) else 0


def test_an_opened_run_has_a_row_a_candidate_and_mode_and_the_numbers_of_the_summary() -> None:
    run = harness.open_run(RUN)
    assert len(run.records) == run.summary.n_records == 32
    changed = run.records.query("mode == 'standard' and text_change")
    assert changed.sample_id.nunique() == 7
    assert run.flips() == []
    assert {claim.claim for claim in run.claims if claim.status == "established"}
    assert run.to_html().startswith("<!doctype html>")


def test_what_is_no_run_is_refused_as_by_the_verbs(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        harness.open_run(tmp_path)


def test_importing_the_harness_loads_no_table_library() -> None:
    import subprocess

    code = "import harness, sys; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_names_half_of_a_surrogate_pair_which_no_file_holds(tmp_path: Path, form) -> None:
    run = tmp_path / "run"
    shutil.copytree(DEMO, run)
    records = run / "vllm_records.jsonl"
    first, _, rest = records.read_text().partition("\n")
    row = json.loads(first)
    row["batched"]["text"] = "I cannot say \ud800 this"
    records.write_text(json.dumps(sealed(row)) + "\n" + rest)
    out = tmp_path / f"records.{form}"
    assert exported(run, form, out) == 0
    assert "say ⟦U+D800⟧ this".encode() in out.read_bytes()


def test_a_table_has_every_record_and_answer(tmp_path: Path) -> None:
    out = tmp_path / "records.csv"
    assert exported(DEMO, "csv", out) == 0
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 88
    assert rows[0]["S0_text"]


def test_parquet_holds_the_same_rows(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert exported(DEMO, "parquet", tmp_path / "r.parquet") == 0
    assert len(pandas.read_parquet(tmp_path / "r.parquet")) == 88


def test_a_drawing_is_xml_that_names_its_numbers(tmp_path: Path) -> None:
    assert exported(RUN, "svg", tmp_path / "rates.svg") == 0
    text = (tmp_path / "rates.svg").read_text("utf-8")
    ElementTree.fromstring(text)
    assert "7/8 = 87.5%" in text


def test_a_png_is_the_drawing_with_two_pixels_a_unit(tmp_path: Path) -> None:
    assert exported(RUN, "svg", tmp_path / "rates.svg") == 0
    assert exported(RUN, "png", tmp_path / "rates.png") == 0
    data = (tmp_path / "rates.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    drawing = ElementTree.parse(tmp_path / "rates.svg").getroot()
    size = (int(drawing.attrib["width"]), int(drawing.attrib["height"]))
    assert struct.unpack(">II", data[16:24]) == (2 * size[0], 2 * size[1])


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (None, "neither rsvg-convert nor a Chromium"),
        ("#!/bin/sh\necho no display >&2; exit 1\n", "drew no PNG: no display"),
        ("#!/nowhere\n", "drew no PNG"),
    ],
)
def test_without_a_program_that_draws_one_line_says_what_to_install_or_take(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: str | None,
    said: str,
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin/nothing")
    if program:
        (tmp_path / "rsvg-convert").write_text(program.replace("#!/bin/sh", f"#!{SHELL}"), "utf-8")
        (tmp_path / "rsvg-convert").chmod(0o755)
    assert exported(RUN, "png", tmp_path / "rates.png") == 3
    error = capsys.readouterr().err
    assert said in error
    assert "--format svg" in error
    assert "Traceback" not in error
    assert not (tmp_path / "rates.png").exists()


@pytest.mark.parametrize("place", ["", "examples"], ids=["the root", "where Jupyter starts it"])
def test_the_notebook_of_the_examples_runs(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT / place)
    notebook = json.loads((ROOT / "examples" / "a_run.ipynb").read_text("utf-8"))
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert "self-contained" in capsys.readouterr().out


def test_the_run_that_the_page_opens_is_one_that_a_reader_has() -> None:
    page = (ROOT / "docs" / "python.md").read_text("utf-8")
    (named,) = re.findall(r'open_run\("(.*?)"\)', page)
    assert harness.open_run(ROOT / named).countable


def test_the_scorer_of_the_examples_judges() -> None:
    task = load_task(ROOT / "examples" / "own_scorer" / "tasks" / "seasons.yaml")
    try:
        said = score(task, task.samples[0], "Spring, summer, fall", "strict")
    finally:
        sys.modules.pop("judge", None)
    assert (said.value, said.label) == (0.5, "some")
