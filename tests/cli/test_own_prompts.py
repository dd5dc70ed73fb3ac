"""Prompts of one's own in a few commands, none of them refused."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
import webbrowser
import zipfile
from pathlib import Path

import pytest
from answering_server import AnsweringServer, completion
from golden.folders import FOLDERS
from lm_eval_samples import chosen, generated

from harness import open_run
from harness.cli import main
from harness.jobs.starting import run_after_scan
from harness.settings import spec_keys
from harness.settings.run_spec import dotted
from harness.tasks import load_task

DOCS = Path(__file__).parents[2] / "docs"


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    code, told = left.value.code, capsys.readouterr()
    return (code if isinstance(code, int) else 0), told.out + told.err


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("profile", ["demo", "controlled"])
def test_what_init_writes_is_planned_as_it_is(capsys, tmp_path: Path, profile: str) -> None:
    assert said(capsys, "init", "mine", "-p", profile)[0] == 0
    code, text = said(capsys, "plan", "-c", "mine/run.yaml")
    assert code == 0, text
    assert "8 prompts" in text
    assert said(capsys, "tasks", "lint", "mine/tasks")[0] == 0
    check = ("candidates", "check", "mine/candidates.csv")
    assert said(capsys, *check, "-c", "mine/run.yaml")[0] == 0
    code, text = said(capsys, *check)
    assert (code, text.endswith("-c mine/run.yaml takes others\n")) == (2, True), text


@pytest.mark.parametrize("name", ["run.yaml", "candidates.csv", "tasks/my_prompts.yaml"])
def test_init_overwrites_nothing(capsys, tmp_path, name) -> None:
    assert said(capsys, "init")[0] == 0
    (tmp_path / name).write_text("mine: 1\n")
    code, text = said(capsys, "init")
    assert (code, f"{name}: there already" in text) == (2, True)
    assert (tmp_path / name).read_text() == "mine: 1\n"


@pytest.mark.parametrize("left", [(), ("run.yaml",), ("run.yaml", "candidates.csv")])
def test_an_init_that_was_cut_is_completed_by_the_same_command(capsys, tmp_path, left) -> None:
    assert said(capsys, "init")[0] == 0
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name in left:
        (tmp_path / name).unlink()
    code, text = said(capsys, "init")
    assert code == 0
    for path in whole:
        was_cut = path.relative_to(tmp_path).as_posix() in left
        assert f"{'wrote' if was_cut else 'kept '}  {path.relative_to(tmp_path)}\n" in text
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == whole


def test_what_a_person_changed_is_not_taken_for_a_cut_init(capsys, tmp_path) -> None:
    assert said(capsys, "init")[0] == 0
    (tmp_path / "candidates.csv").unlink()
    (tmp_path / "run.yaml").write_text("mine: 1\n")
    code, text = said(capsys, "init")
    assert (code, "run.yaml: there already" in text) == (2, True)
    assert not (tmp_path / "candidates.csv").exists()


@pytest.mark.parametrize("of", ["run", "task", "candidates"])
def test_a_schema_is_json_and_names_the_keys(capsys, of: str) -> None:
    code, text = said(capsys, "schema", of)
    assert code == 0
    keys = {"run": "extends", "task": "scorer", "candidates": "batch_size"}
    assert keys[of] in json.loads(text)["properties"]


def test_formats_md_tells_every_key_of_a_run_spec_and_what_it_means() -> None:
    text = (DOCS / "formats.md").read_text("utf-8")
    missing = [dotted(k.path) for k in spec_keys() if f"| `{dotted(k.path)}` |" not in text]
    assert missing == []
    assert [k.meaning for k in spec_keys() if k.meaning.replace("\n", " ") not in text] == []


def test_a_table_becomes_a_task_with_its_other_columns(capsys, tmp_path: Path) -> None:
    Path("p.csv").write_text("id,prompt,answer,topic\na,What is 1+1?,2,sums\nb,Say hi,,greetings\n")
    code, text = said(
        capsys, "tasks", "import", "csv", "p.csv", "-o", "t.yaml", "--scorer", "number"
    )
    assert code == 0, text
    task = load_task("t.yaml")
    assert task.scorer == "number"
    assert task.samples[0].fields["reference"] == "2"
    assert task.samples[0].fields["topic"] == "sums"
    assert "1 × no reference, which scorer number needs" in text
    assert "lint: 0 errors" in text


def test_an_import_beside_other_tasks_says_that_a_scan_of_the_folder_takes_them_too(capsys) -> None:
    Path("p.csv").write_text("prompt\nHi\n")
    words = ("tasks", "import", "csv", "p.csv", "-o")
    told = "(which of them{} change"
    assert told.format("") in said(capsys, *words, "t/one.yaml")[1]
    assert told.format(" and of 1 other task there") in said(capsys, *words, "t/two.yaml")[1]


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_table_is_read_with_the_separator_of_its_header(capsys, sign: str) -> None:
    Path("p.csv").write_text(
        f"prompt{sign}answer\nOne, two?{sign}3\n".replace("One, two?,", '"One, two?",')
    )
    code, text = said(
        capsys, "tasks", "import", "csv", "p.csv", "-o", "t.yaml", "--scorer", "exact"
    )
    assert code == 0, text
    (sample,) = load_task("t.yaml").samples
    assert (sample.fields["prompt"], sample.fields["reference"]) == ("One, two?", "3")


@pytest.mark.parametrize(
    ("table", "flags", "told"),
    [
        (
            "words,reply\na,b\n",
            (),
            "p.csv:1: csv: no column of prompts; columns found: 'words', 'reply' "
            "(one column is to be called prompt or question or input or text)",
        ),
        ("", (), "p.csv:1: no row became a sample: 0 read"),
        ("prompt,answer\nHi,\n", ("--scorer", "exact"), "no reference, which scorer exact needs"),
        ("prompt,answer\nHi,x\n", ("--scorer", "number"), "no number in the reference"),
        ("prompt,answer\nHi,(\n", ("--scorer", "regex"), "nothing was written: row_0"),
        ("prompt,answer\nHi,A\n", ("--scorer", "choice"), "no options (choices)"),
        ("prompt,answer\nHi\n", (), "p.csv:2: a row has not as many cells as the header"),
    ],
)
def test_a_table_that_makes_no_task_is_refused_with_its_place_and_leaves_nothing(
    capsys, table: str, flags: tuple[str, ...], told: str
) -> None:
    Path("p.csv").write_text(table)
    code, text = said(capsys, "tasks", "import", "csv", "p.csv", "-o", "new/t.yaml", *flags)
    assert (code, told in text) == (2, True), text
    assert not list(Path().rglob("t.yaml*"))


def test_an_import_that_is_refused_leaves_the_task_that_was_there(capsys) -> None:
    Path("t.yaml").write_text("mine: 1\n")
    Path("p.csv").write_text("prompt,answer\nHi,(\n")
    words = ("tasks", "import", "csv", "p.csv", "-o", "t.yaml", "--scorer", "regex")
    assert said(capsys, *words)[0] == 2
    assert Path("t.yaml").read_text() == "mine: 1\n"


def test_the_number_of_a_worked_answer_is_its_reference(capsys) -> None:
    worked = ["She sold 3+4 = 7.\n#### 1,018", "2 times 9 is 18 dollars", "The sum: -0.5."]
    rows = [generated(n, "5", False, target=target) for n, target in enumerate(worked)]
    Path("samples_gsm8k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("tasks", "import", "lm-eval", "samples_gsm8k.jsonl", "-o", "t.yaml")
    code, text = said(capsys, *words, "--scorer", "number")
    assert (code, "lint: 0 errors" in text) == (0, True), text
    assert [s.fields["reference"] for s in load_task("t.yaml").samples] == ["1018", "18", "-0.5"]
    assert said(capsys, "tasks", "lint", "t.yaml")[0] == 0


@pytest.mark.parametrize(
    "doc",
    [
        {"choices": ["red", "green", "blue"]},
        {"choices": {"text": ["red", "green", "blue"], "label": ["A", "B", "C"]}},
        {"query": "which?"},
    ],
)
def test_a_multiple_choice_keeps_its_options_and_its_target_is_one(capsys, doc) -> None:
    options = {
        f"gen_args_{n}": {"arg_0": "Q", "arg_1": f" {word}"}
        for n, word in enumerate(("red", "green", "blue"))
    }
    rows = [
        chosen(n, [0.0, 1.0, 2.0], 1) | {"doc": doc, "arguments": options, "target": target}
        for n, target in enumerate(("1", "B", "green", " green"))
    ]
    Path("samples_mc.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("tasks", "import", "lm-eval", "samples_mc.jsonl", "-o", "t.yaml", "--scorer", "choice")
    code, text = said(capsys, *words)
    assert code == 0, text
    found = [(s.fields["choices"], s.fields["reference"]) for s in load_task("t.yaml").samples]
    assert found == [(["red", "green", "blue"], "B")] * 4


def test_a_target_that_may_be_a_place_or_a_text_is_not_guessed(capsys) -> None:
    row = chosen(0, [1.0, 2.0], 1) | {"doc": {"choices": ["1", "2"]}, "target": "1"}
    Path("samples_mc.jsonl").write_text(json.dumps(row) + "\n")
    words = ("tasks", "import", "lm-eval", "samples_mc.jsonl", "-o", "t.yaml", "--scorer", "choice")
    code, text = said(capsys, *words)
    assert (code, "may be an option's place or its text: 1" in text) == (2, True), text


def test_lm_eval_samples_of_a_folder_become_a_task_each_document_once(capsys) -> None:
    Path("out/m").mkdir(parents=True)
    rows = [
        {
            "doc_id": n,
            "target": str(n),
            "filter": kind,
            "arguments": {"gen_args_0": {"arg_0": f"Q{n}"}},
        }
        for n in range(3)
        for kind in ("strict", "flexible")
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    Path("out/m/samples_gsm8k_2026.jsonl").write_text(text)
    code, told = said(capsys, "tasks", "import", "lm-eval", "out", "-o", "t.yaml")
    assert code == 0, told
    task = load_task("t.yaml")
    assert [s.fields["prompt"] for s in task.samples] == ["Q0", "Q1", "Q2"]
    assert task.scorer == "none"


@pytest.mark.parametrize("form", ["json", "eval"])
def test_an_inspect_log_becomes_a_task(capsys, form: str) -> None:
    turns = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello?"}]
    samples = [{"id": 1, "input": turns, "target": "hi"}, {"id": 2, "input": "bye?", "target": []}]
    path = Path(f"log.{form}")
    if form == "json":
        path.write_text(json.dumps({"samples": samples}))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for sample in samples:
                archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    code, told = said(capsys, "tasks", "import", "inspect", path, "-o", "t.yaml")
    assert code == 0, told
    assert [s.fields["prompt"] for s in load_task("t.yaml").samples] == ["hello?", "bye?"]


def test_a_sample_that_cannot_be_scored_is_refused_before_a_server_starts(capsys) -> None:
    said(capsys, "init")
    task = Path("tasks/my_prompts.yaml")
    task.write_text(task.read_text().replace(", reference: 42", ""))
    code, text = said(capsys, "plan", "-c", "run.yaml")
    assert code == 2
    assert "lacks reference" in text


ONE_URL = ("--tasks", "mine/tasks", "--max-tokens", "8", "--quiet")


def test_one_url_is_enough_for_a_scan_and_for_a_run_of_one_mode(capsys, tmp_path: Path) -> None:
    assert said(capsys, "init", "mine")[0] == 0
    with AnsweringServer("team/small") as server:
        url = ("--url", f"{server.url}/v1")
        code, text = said(
            capsys, "scan", *url, *ONE_URL, "--limit", 1, "--batch-sizes", 4, "--run-id", "s"
        )
        assert (code, "0 label flips, 0 text changes in 2 rows" in text) == (4, True), text
        assert "unproven  no log shows which kernels ran" in text
        Path("my.csv").write_text(
            "model,task_name,sample_id,batch_size,dispatch_mode\n"
            "small,my_prompts,sum,4,synchronized\n"
        )
        code, text = said(
            capsys, "run", *url, *ONE_URL, "--candidates", "my.csv", "--run-id", "one"
        )
    assert "NOT COUNTABLE" in text
    assert code == 4
    assert "Unproven: no log shows which kernels ran" in " ".join(text.split()).replace("│ ", "")
    assert "--external-log MODE=FILE" in text
    assert "--retry-errors" not in text
    assert "batch_invariant" not in text
    assert "candidates left out" not in text
    summary = json.loads(Path("results/one/summary.json").read_text("utf-8"))
    assert summary["stack"]["modes_proven"] is False
    assert not [claim for claim in summary["claims"] if claim["status"] == "established"]
    (record,) = (Path("results/one") / "vllm_records.jsonl").read_text("utf-8").splitlines()
    assert (json.loads(record)["model"], json.loads(record)["hf_id"]) == ("small", "team/small")
    assert json.loads(record)["status"] == "ok"
    assert open_run("results/one").countable is not None  # it was validated as it ended
    assert open_run("results/one").state == "unproven"
    shown = " ".join(said(capsys, "show", "one")[1].split())
    assert "Shows: these counts and nothing more." in shown
    code, listed = said(capsys, "runs")
    assert re.search(r"^one +unproven ", listed, re.MULTILINE)
    assert re.search(r"^s +unproven ", listed, re.MULTILINE)
    assert "does not count" not in listed


def test_a_scan_is_done_once_its_candidates_are_written(capsys, tmp_path: Path) -> None:
    def takes_the_place(*_: object) -> bool:
        """A folder that comes once the scan has begun: one that is there already is refused."""
        Path("taken").mkdir(exist_ok=True)
        return False

    assert said(capsys, "init", "mine")[0] == 0
    with AnsweringServer("team/small", v1__completions=takes_the_place) as server:
        scan = ("scan", "--url", f"{server.url}/v1", *ONE_URL, "--limit", 1, "--batch-sizes", 4)
        code, text = said(capsys, *scan, "--out", "taken")
        assert (code, list(Path("results").glob("*/report.html"))) == (3, []), text
        server.faults.clear()
        Path("taken").rmdir()
        code, text = said(capsys, *scan, "--out", "taken")
    assert (code, Path("taken").is_file()) == (4, True), text
    assert len(list(Path("results").iterdir())) == 1


@pytest.mark.parametrize(
    ("listed", "code", "told"),
    [
        ([], 3, "lists no model"),
        (["a", "b"], 2, "2 models are served there: a, b (say which with --model"),
    ],
)
def test_a_server_of_no_or_several_models_is_told_with_what_to_type(
    capsys, listed: list[str], code: int, told: str
) -> None:
    assert said(capsys, "init", "mine")[0] == 0

    def models(handler, _) -> bool:
        handler.say(200, {"data": [{"id": name} for name in listed]})
        return True

    with AnsweringServer("x", v1__models=models) as server:
        found, text = said(capsys, "scan", "--url", server.url, *ONE_URL)
    assert (found, told in text, "Traceback" in text) == (code, True, False), text


def test_a_file_that_starts_servers_asks_somebody_elses_too_and_says_what_it_leaves_out(
    capsys, tmp_path: Path
) -> None:
    assert said(capsys, "init", "mine")[0] == 0
    with AnsweringServer("smollm2-135m") as server:
        url = ("--url", server.url, "--max-tokens", "4")
        code, text = said(capsys, "scan", "-c", "mine/run.yaml", *url, "--run-id", "s")
    assert code == 4, text  # asked, and nothing changed
    assert "0 label flips" in text
    note = "servers that someone else runs are not started here, so this says nothing of them"
    assert text.count(note) == 1
    assert "server.overlap" in text
    assert f"asking the server at {server.url}" in text
    assert "starting the server" not in text
    assert "GPU hours" not in text


@pytest.mark.parametrize(
    "flag",
    [
        *("--port=1", "--overlap=1", "--gpu-device-ids=0", "--image=a", "--native-command=a"),
        *("--env=A=1", "--extra-args=--enforce-eager", "--extra-arg=--enforce-eager", "--jobs=2"),
    ],
)
def test_a_flag_for_servers_that_the_harness_starts_is_refused_of_somebody_elses(
    capsys, flag: str
) -> None:
    assert said(capsys, "init", "mine")[0] == 0
    words = ("scan", "-c", "mine/run.yaml", "--url", "http://127.0.0.1:9", flag)
    code, text = said(capsys, *words)
    name = flag.partition("=")[0]
    assert (code, f"leave {name} out" in text) == (2, True), text


def test_a_scan_of_one_url_alone_is_a_short_first_try_and_says_how_to_take_all(capsys) -> None:
    with AnsweringServer("small") as server:
        # a name that is none ends it right after it said so
        code, text = said(capsys, "scan", "--url", server.url, "--run-id", "a/b")
    assert (code, "no name of a run folder" in text) == (2, True), text
    assert "a first try, the first 16 prompts of study-d (profile): --limit 320 asks all" in text
    assert "64 rows of 16 prompts" in text
    assert "H200" not in text


@pytest.mark.parametrize("more", [("--limit", 320), ("--tasks", "mine/tasks")])
def test_a_scan_of_prompts_that_were_named_is_no_first_try(capsys, more) -> None:
    assert said(capsys, "init", "mine")[0] == 0
    with AnsweringServer("small") as server:
        text = said(capsys, "scan", "--url", server.url, "--run-id", "a/b", *more)[1]
    assert "no name of a run folder" in text
    assert "first try" not in text


@pytest.mark.parametrize("listed", ["other/name", "\x1b[2Jname"])
def test_another_name_at_a_url_is_refused_before_anything_starts_with_what_to_type(
    capsys, tmp_path: Path, listed: str
) -> None:
    assert said(capsys, "init", "mine")[0] == 0
    words = ("run", "-c", "mine/run.yaml", "--modes", "standard", "--run-id", "r", "--quiet")
    with AnsweringServer(listed) as server:
        code, text = said(capsys, *words, "--url", server.url, "--max-tokens", 4)
    assert code == 2, text
    assert "name, not smollm2-135m (say what it serves: --model smollm2-135m=" in text
    assert "goes on" not in text
    assert "\x1b" not in text
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("url", "code", "told"),
    [
        ("notaurl", 2, "--url: not the URL of a server"),
        ("http://127.0.0.1:9", 3, "or correct --url"),
    ],
)
def test_a_message_about_a_url_names_the_flag_that_was_typed(
    capsys, url: str, code: int, told: str
) -> None:
    found, text = said(capsys, "scan", "--url", url)
    assert (found, told in text, "--external" in text) == (code, True, False), text


def test_a_server_of_another_model_is_told_with_the_flag_that_names_it(capsys) -> None:
    assert said(capsys, "init", "mine")[0] == 0
    with AnsweringServer("team/small") as server:
        code, text = said(capsys, "scan", "-c", "mine/run.yaml", "--url", server.url)
    assert (code, "--model smollm2-135m=team/small" in text) == (2, True), text


def _own_prompts_of_the_readme() -> list[list[str]]:
    text = (DOCS.parent / "README.md").read_text("utf-8").partition("## Your own prompts")[2]
    block = text.split("```")[1]
    lines = [line.partition("#")[0] for line in block.splitlines() if line.startswith("harness")]
    return [line.split()[1:] for line in lines]


def other_words_in_company():
    """A fault: whoever is asked while another is asked too answers with a word more."""
    asked = [0]

    def answer(handler, body) -> bool:
        asked[0] += 1
        time.sleep(0.05)
        said = completion(body)
        for choice in said["choices"]:
            if asked[0] > 1 or len(said["choices"]) > 1:
                choice["text"] += " And so on."
                choice["token_ids"] = choice["token_ids"][::-1]
        asked[0] -= 1
        handler.say(200, said)
        return True

    return answer


def test_own_prompts_take_the_readmes_commands_and_none_is_refused(
    capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    Path("prompts.csv").write_text("prompt,reference\nWhat is 1+1?,2\nSay yes.,yes\n")
    commands = _own_prompts_of_the_readme()
    assert [words[0] for words in commands] == ["init", "tasks", "scan", "run", "open"]
    with AnsweringServer("smollm2-135m", v1__completions=other_words_in_company()) as server:
        # a stand-in for the engine, which takes minutes; its answers need no model
        more = ("--url", server.url, "--max-tokens", "8", "--dispatch-modes", "synchronized")
        for words in commands:
            asks = words[0] in ("scan", "run")
            run = next(Path("results").glob("*mine*"), Path()).name
            words = [*(run if word == "RUN" else word for word in words), *(more if asks else ())]
            monkeypatch.setattr(sys, "argv", ["harness", *words])
            code, text = said(capsys, *words)
            if words[0] == "scan":
                goes_on = f"harness run -c mine/run.yaml {shlex.join(more)} --candidates my.csv"
                assert f"next      {goes_on}\n" in text
            assert "no candidates yet" not in text
            assert code in ((0, 4) if asks else (0,)), (words, text)
            assert "unproven: nothing shows which kernels ran" in text or code == 0, (words, text)
    assert "my_prompts" in Path("my.csv").read_text()
    assert "mine," in Path("my.csv").read_text()
    assert opened


def test_imported_prompts_without_candidates_are_told_with_the_command_that_finds_them(
    capsys,
) -> None:
    assert said(capsys, "init", "mine")[0] == 0
    assert "no candidates yet" not in said(capsys, "plan", "-c", "mine/run.yaml")[1]
    Path("prompts.csv").write_text("prompt\nWhat is 1+1?\nSay yes.\n")
    words = ("tasks", "import", "csv", "prompts.csv", "-o", "mine/tasks/mine.yaml")
    finds = "harness scan -c mine/run.yaml --select text_change --out my.csv"
    assert f"next: {finds}" in said(capsys, *words)[1]
    code, text = said(capsys, "plan", "-c", "mine/run.yaml")
    assert (code, "no candidates yet, so not asked but in batches: mine (2 prompts)" in text) == (
        0,
        True,
    ), text
    assert f"{finds} finds them" in text


def test_the_command_after_a_scan_takes_what_the_scan_was_told_of_the_run() -> None:
    words = "--profile demo --batch-sizes 4 --out=my.csv --tasks 'my tasks' --fresh --jobs 2 -q"
    assert run_after_scan(shlex.split(words), "my flips.csv") == (
        "harness run --profile demo --tasks 'my tasks' --jobs 2 --candidates 'my flips.csv'"
    )


def test_the_schema_that_a_first_run_spec_names_lies_beside_it(capsys) -> None:
    assert said(capsys, "init", "mine")[0] == 0
    named = re.search(r"\$schema=(\S+)", Path("mine/run.yaml").read_text())
    assert named
    assert "extends" in json.loads((Path("mine") / named[1]).read_text())["properties"]


@pytest.mark.parametrize(
    "words",
    [
        *(("show",), ("summarize",), ("validate",), ("report", "-o", "out"), ("open",)),
        *(("export",), ("score", "-o", "again"), ("compare", "--mode-a", "standard")),
        *(("candidates", "export", "-o", "a.csv"), ("adjudicate", "export", "-o", "sheets")),
    ],
    ids=lambda words: words[0],
)
def test_a_run_is_named_as_the_list_names_it(
    capsys, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: True)
    FOLDERS["later"](Path("results/fa3"))
    FOLDERS["candidates"](Path("candidates"))
    parts = 2 if words[0] in ("candidates", "adjudicate") else 1
    run = ["fa3", "fa3", "--mode-b", "batch_invariant"] if words[0] == "compare" else ["fa3"]
    code, text = said(capsys, *words[:parts], *run, *words[parts:])
    assert "no such run" not in text
    assert code in (0, 1), text
    code, text = said(capsys, *words[:parts], "no-run", *run[1:], *words[parts:])
    assert (code, "the newest is 'fa3'; `harness runs` lists those of results" in text) == (2, True)
    code, text = said(capsys, *words[:parts], *["fa33", *run[1:]], *words[parts:])
    assert (code, "did you mean 'fa3'? `harness runs` lists those of results" in text) == (2, True)
