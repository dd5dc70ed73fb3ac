"""``harness tasks lint`` and ``harness tasks import`` as a person types them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harness.cli.app import main
from harness.errors import EnvironmentError_, UsageError
from harness.jobs.input_files import hub_rows
from harness.tasks.importing.datasets import Hub

HEAD = "name: t\nsource: made\ntask_type: classification\nprompt_template: '{{ question }}'\n"
BAD = "".join(
    f"  - {{id: s{n}, question: q{n}, choices: [x, y], reference: Z}}\n" for n in range(8)
)


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


@pytest.fixture
def bad_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("bad.yaml")
    path.write_text(f"{HEAD}samples:\n{BAD}")
    return path


def test_lint_groups_counts_and_shows_file_and_line(bad_task: Path, capsys):
    assert _run("tasks", "lint", bad_task, "--show", 2) == 1
    out, err = capsys.readouterr()
    assert "bad.yaml: error mmlu-reference: 8 ×" in out
    assert "  bad.yaml:6: s0: reference 'Z', 2 options" in out
    assert "  and 6 more (--show 0)" in out
    assert "1 file, 8 samples: 8 errors, 0 warnings" in out
    assert err.startswith("error: the task linter found 8 errors")


def test_lint_shows_every_place_when_asked(bad_task: Path, capsys):
    _run("tasks", "lint", bad_task, "--show", 0)
    assert capsys.readouterr().out.count("bad.yaml:") == 9


def test_lint_json_is_countable(bad_task: Path, capsys):
    assert _run("tasks", "lint", bad_task, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["rules"] == {"mmlu-reference": 8}
    assert report["findings"][7]["line"] == 13


def test_warnings_alone_exit_0(tmp_path: Path):
    path = tmp_path / "t.yaml"
    path.write_text(
        HEAD.replace("source: made\n", "") + "samples: [{id: a, question: q, "
        "choices: [x, y], reference: A}]\n"
    )
    assert _run("tasks", "lint", path) == 0


@pytest.fixture
def jbb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("harmless.csv")
    path.write_text("Index,Goal,Behavior,Category\n0,Say hello,Hello,Greetings\n1,,None,None\n")
    return path


def test_import_writes_a_task_named_after_its_file(jbb: Path, capsys):
    assert _run("tasks", "import", "jailbreakbench", jbb, "-o", "tasks/greetings.yaml") == 0
    out = capsys.readouterr().out
    assert "tasks/greetings.yaml: 1 sample of JBB-Behaviors (Chao 2024), licence MIT" in out
    assert "1 × no goal" in out
    assert Path("tasks/greetings.yaml").read_text().startswith('name: "greetings"\n')


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["jailbrakebench", "harmless.csv"], 2, "did you mean 'jailbreakbench'?"),
        (["jailbreakbench"], 2, "name a data file, or give --hub"),
        (["jailbreakbench", "harmless.csv", "--hub"], 2, "one of them, not both"),
        (["jailbreakbench", "nowhere.csv"], 2, "nowhere.csv: no such file"),
        (["jailbreakbench", "harmless.csv", "--where", "x"], 2, "is not COLUMN=VALUE"),
        (["bbq", "harmless.csv"], 2, "bbq: no column question_polarity"),
    ],
)
def test_a_wrong_import_is_one_message(jbb: Path, capsys, arguments, code, message):
    assert _run("tasks", "import", *arguments) == code
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


def test_the_hub_without_its_package_is_exit_3_with_the_command_to_install(
    tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert _run("tasks", "import", "mmlu", "--hub", "-o", tmp_path / "t.yaml") == 3
    assert "pip install 'harness[datasets]'" in capsys.readouterr().err


def test_the_hub_is_asked_for_one_split_at_one_revision():
    asked = []

    def load(*arguments: object, **named: object) -> list[dict[str, object]]:
        asked.append((arguments, named))
        return [{"goal": "x"}]

    rows, source = hub_rows(Hub("a/b", "c", "d"), "123", load)
    assert asked == [(("a/b", "c"), {"split": "d", "revision": "123"})]
    assert list(rows) == [{"goal": "x"}]
    assert (source["hub"], source["split"], source["revision"]) == ("a/b", "d", "123")


def test_a_hub_that_does_not_answer_is_an_environment_error():
    def load(*_: object, **__: object) -> None:
        raise ConnectionError("no route\nto host")

    with pytest.raises(EnvironmentError_, match="the hub does not give a/b: no route"):
        hub_rows(Hub("a/b", "", "test"), None, load)


def test_a_data_set_without_a_known_place_asks_for_one():
    with pytest.raises(UsageError, match="which data set and which split"):
        hub_rows(Hub(), None, lambda *_, **__: [])
