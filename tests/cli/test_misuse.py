"""A command line that is refused: in plain words, with what was meant or what shows it."""

from __future__ import annotations

import webbrowser

import pytest
from golden.folders import FOLDERS

from harness.cli import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("inspect x", "No such command 'inspect' (did you mean 'show'? see `harness --help`)"),
        ("images inspect x", "(did you mean 'inventory'? see `harness images --help`)"),
        ("sumarize x", "(did you mean 'summarize'? see `harness --help`)"),
        ("bisekt", "No such command 'bisekt' (see `harness --help`)"),  # bisect is not in the list
        ("run --dry-run", "(`harness plan` with the same words shows what it would do)"),
        ("template", "Missing argument 'kind': k8s, slurm (see `harness template --help`)"),
        ("compare a b --mode-a standart", "'batch_invariant' (did you mean 'standard'? see"),
        ("adjudicate export x -o y --by flop", "'flop' is not one of 'flip', 'pattern' (did you"),
        ("validate x --expected-rows-per-mode x", "must be a whole number (see"),
        ("compare a b --max-flip-rate 2", "must be less than or equal to 1 (see"),
        ("validate x --require-modes standart", "no mode 'standart' (did you mean 'standard'?)"),
        ("init x --profile demoo", "no profile 'demoo' (did you mean 'demo'?)"),
        ("schema tsk", "no schema 'tsk' (did you mean 'task'?)"),
        ("scan --profile demo --select text_chang", "(did you mean 'text_change'?)"),
    ],
)
def test_a_word_that_does_not_fit_is_refused_in_plain_words(
    words: str, told: str, capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(words.split())
    said = capsys.readouterr().err
    assert (left.value.code, told in said) == (2, True), said
    assert not [theirs for theirs in ("\t", "Value error", "Input should") if theirs in said]


@pytest.mark.parametrize("opens", [True, False])
def test_where_no_browser_opens_the_report_it_is_said(
    opens: bool, capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: opens)
    FOLDERS["later"](tmp_path / "run")
    with pytest.raises(SystemExit):
        main(["open", str(tmp_path / "run")])
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'run' / 'report.html'}\n"
    assert ("no browser could be started here" in said.err) is not opens
