"""The manners of the command line: help that fits a screen, completion, runs that can be found."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from harness.cli import main
from harness.cli.terminal import coloured

EXPECTED = Path(__file__).parents[1] / "golden" / "expected"
MORE = {"help-all-run", "help-without-a-part"}  # every setting; several pages in one
PAGES = [page for page in sorted(EXPECTED.glob("help-*.txt")) if page.stem not in MORE]
DEMO = Path(__file__).parents[1] / "golden" / "runs" / "demo"


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    code = left.value.code
    return (code if isinstance(code, int) else 0), capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_verbs_help_fits_a_screen_of_80_columns(page: Path) -> None:
    lines = page.read_text("utf-8").splitlines()[3:]
    assert len(lines) <= 40  # blank ones too, as `wc -l` counts
    assert max(map(len, lines)) <= 80


def test_examples_stand_before_the_options() -> None:
    text = (EXPECTED / "help-run.txt").read_text("utf-8")
    assert text.index("harness run --profile demo") < text.index("Options ─")


def test_every_setting_is_in_help_all_and_few_are_in_the_help() -> None:
    few, all_ = ((EXPECTED / f"help{n}-run.txt").read_text("utf-8") for n in ("", "-all"))
    assert "--gpu-memory-utilization" not in few
    assert "--gpu-memory-utilization" in all_


def test_the_verbs_and_their_settings_complete_in_a_shell(tmp_path: Path) -> None:
    def completed(line: str) -> str:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        environment = os.environ | words | {"_HARNESS_COMPLETE": "complete_bash"}
        command = [sys.executable, "-m", "harness"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.stdout

    assert "validate" in completed("harness val")
    assert "--candidates" in completed("harness run --cand")


def test_what_was_typed_or_read_moves_no_cursor_where_an_error_names_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["validate", "\x1b[2J\u202ex"])
    told = capsys.readouterr().err
    assert "⟦U+001B⟧[2J" in told
    assert not {"\x1b", "\u202e"} & set(told)


def test_a_run_is_listed_with_its_state(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "runs", "--results", DEMO.parent)
    assert code == 0
    assert re.search(r"demo +(counts|not validated|does not count)", text)


def test_the_folders_of_experiments_are_listed_whole_or_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, kind in (("x-trace-1", "trace"), ("x-sample-1", "sample"), ("cut", "trace")):
        (tmp_path / name).mkdir()
        metadata = {**json.loads((DEMO / "metadata.json").read_text()), "kind": kind}
        (tmp_path / name / "metadata.json").write_text(json.dumps(metadata))
    (tmp_path / "x-trace-1" / "trace.jsonl").write_text("{}\n{}\n")
    (tmp_path / "x-sample-1" / "samples.jsonl").write_text("{}\n")
    text = said(capsys, "runs", "--results", tmp_path)[1]
    assert re.search(r"x-trace-1 +rows +2 ", text)
    assert re.search(r"x-sample-1 +rows +1 ", text)
    assert re.search(r"cut +(unfinished|not validated) +0 ", text)


def test_no_run_says_how_to_make_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "harness demo" in said(capsys, "runs", "--results", tmp_path)[1]


def test_a_folder_that_was_named_and_is_not_there_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert said(capsys, "runs", "--results", tmp_path / "nope")[0] == 2


def test_the_first_help_starts_with_an_example() -> None:
    text = (EXPECTED / "help.txt").read_text("utf-8")
    assert text.index("harness demo") < text.index("Options ─")


def test_both_sides_of_a_change_have_one_pair_of_names(capsys: pytest.CaptureFixture[str]) -> None:
    whole, screen = said(capsys, "show", DEMO, "--flip", 1)[1], said(capsys, "show", DEMO)[1]
    for text in (whole, screen):
        assert re.search(r"^ *alone  ", text, re.MULTILINE)
        assert re.search(r"^ *in its batch  ?", text, re.MULTILINE)
    assert "solo" not in whole + screen


def test_one_change_is_shown_with_both_answers_whole(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "show", DEMO, "--flip", "1")
    assert code == 0
    assert "⟪diary⟫" in text
    assert "⟪notebook⟫" in text


def test_a_pipe_gets_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "a ⟪changed⟫ word"
    assert coloured(line) == line
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert "\x1b[" in coloured(line)
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured(line) == line


def _refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that is refused as it is typed."""
    with pytest.raises(SystemExit) as left:
        main(list(words))
    assert left.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        *(("run", "--profile", "demo", "--run-id", "x\udcff"), ("validate", "x\udcff")),
        *(("plan", "--model", "x\udcff=y"), ("init", "x\udcff")),
        ("compose", "-c", "x.yaml", "--out", "x\udcff"),
    ],
)
def test_bytes_that_are_no_text_are_refused_as_they_are_typed(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "is not UTF-8: byte 0xff (name it in UTF-8)" in _refused(words, capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        *(("run", "--profile", "demo", "--results", ""), ("demo", "--results=")),
        *(("runs", "--results", ""), ("clean", "--results", ""), ("report", "x", "-o", "")),
    ],
)
def test_a_place_of_no_name_is_not_taken_for_the_current_folder(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ": nothing is named (a variable that is not set?" in _refused(words, capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("profile", ["study-d", "smoke", "my_run.yaml", ""])
def test_a_profile_that_is_no_demo_is_refused_with_those_that_are(
    profile: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["demo", "--profile", profile])
    assert left.value.code == 2
    assert f"--profile: '{profile}' is no demo (demo or demo-tiny;" in capsys.readouterr().err


@pytest.mark.parametrize("there", [True, False])
def test_a_demo_that_is_refused_leaves_no_folder_that_it_made(
    there: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("harness.jobs.demo._looked", dict)
    monkeypatch.setattr("harness.jobs.demo._engine", lambda _: nullcontext())
    results = tmp_path / "new/results"
    if there:
        results.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit) as left:
            main(["demo", "-p", "demo-tiny", "--results", str(results), "--port", port])
    assert left.value.code == 3
    assert f"port {port}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == (["new", "results"] if there else [])
