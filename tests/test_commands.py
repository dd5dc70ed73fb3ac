"""Every command that README, docs, help pages and the Makefile show is one that the program takes.

Each is parsed by the program itself, flags, values and arguments; nothing is started. A run spec's
own commands (``run``, ``scan``, ``ablation`` of a shipped profile) are planned as well.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from golden.folders import FOLDERS

from harness.cli import main
from harness.cli.app import app, with_flags_of
from harness.errors import UsageError
from harness.jobs import run_list, this_machine
from harness.serve import Swept

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))),
    ROOT / "examples" / "README.md",
]
JOB = ROOT / "examples" / "gate" / "workflow.yml"
_BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```", re.M | re.S)
_INLINE = re.compile(r"`((?:\.venv/bin/)?harness [^`]+)`")
_COMMAND = re.compile(r"(?:^|[\s;&(])(?:\.venv/bin/)?harness\s+([a-z].*)")
_WITHIN = re.compile(r"\$\((?:\.venv/bin/)?harness\s+([^)]*)\)")
_ENDS = re.compile(r"\s+(?:#|\||&&|\|\||;|>|2>|<|\().*$")
_TARGETS = ("demo", "doctor", "smoke", "ablation", "images-compare", "clean")
_VALUES = {"…": "x", "${{ github.run_id }}": "1", "$IMAGE": "a:b", "$image": "a:b"}


def _commands(text: str) -> Iterator[str]:
    """The arguments of each ``harness`` command in a text, a continued line as one."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.lstrip("@ ").startswith(("echo", "||")):
            continue
        line = re.sub(r"\s# .*", "", line)
        yield from _WITHIN.findall(line)
        line = _WITHIN.sub("x", line)
        for part in re.split(r"(?:&&|;|\|)(?=\s)", line):
            if found := _COMMAND.search(f" {part}"):
                yield _ENDS.sub("", found[1]).strip().rstrip(".,:)")


def shown() -> list[tuple[str, str]]:
    """Where a command stands, and its arguments."""
    found: list[tuple[str, str]] = []
    for page in dict.fromkeys(PAGES):
        text = page.read_text("utf-8")
        for block in _BLOCK.findall(text):
            found += [(page.name, command) for command in _commands(block)]
        for inline in _INLINE.findall(_BLOCK.sub("", text)):
            found += [(page.name, command) for command in _commands(inline)]
    found += [(JOB.name, command) for command in _commands(JOB.read_text("utf-8"))]
    for name, text in _helps():
        found += [(f"{name} --help", command) for command in _commands(text)]
    made = subprocess.run(
        ["make", "-n", "-B", "A=a:b", "B=c:d", *_TARGETS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found += [("Makefile", command) for command in _commands(made.stdout)]
    return list(dict.fromkeys(found))


def _helps() -> Iterator[tuple[str, str]]:
    """Every verb and the text of its help."""
    for group in (app, *(added.typer_instance for added in app.registered_groups)):
        of_group = "" if group is app else f"{group.info.name} "
        yield of_group.strip(), _examples(str(group.info.help), group.info.epilog)
        for verb in group.registered_commands:
            named = verb.name or verb.callback.__name__
            yield f"{of_group}{named}", _examples(str(verb.help), verb.epilog)


def _examples(text: str, epilog: object) -> str:
    """What of a help is set as it is typed, and its last line."""
    shown = [part for part in text.split("\n\n") if part.lstrip().startswith("\b")]
    return "\n".join([*shown, epilog if isinstance(epilog, str) else ""])


COMMANDS = shown()
_WHOLE = re.compile(r"^[a-z-]+( [a-z-]+)?$")


def parsed(words: list[str]) -> str:
    """The verb that the words name, after the program has read every one of them."""
    with_flags_of(words, whole_help=True)
    command, name = typer.main.get_command(app), "harness"
    context = command.make_context(name, list(words))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        if not rest:
            break
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return str(name)


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{p}: {c}" for p, c in COMMANDS])
def test_a_command_that_is_shown_is_one_that_the_program_takes(
    page: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "place_of", lambda run, _: run)  # the runs of a page are not here
    for sign, value in _VALUES.items():
        command = command.replace(sign, value)
    words = shlex.split(command)
    if _WHOLE.match(command) and page.endswith(".md"):
        words = [*words, "--help"]  # a verb named in a sentence, without its arguments
    words = ["--help" if word == "--help-all" else word for word in words]
    code = 0
    try:
        assert parsed(words)
    except typer.Exit as left:
        code = left.exit_code
    assert code == 0


def test_there_are_commands_on_every_kind_of_page() -> None:
    pages = {page for page, _ in COMMANDS}
    assert {"README.md", "Makefile", "ci-gate.md", "formats.md", "run --help", JOB.name} <= pages
    assert len(COMMANDS) > 100


def test_the_gate_of_the_docs_is_green_and_red_on_a_planted_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = [command for page, command in COMMANDS if page == JOB.name and "-o gate" in command]
    words = shlex.split(gates[0].replace("${{ github.run_id }}", "1"))
    monkeypatch.chdir(tmp_path)
    FOLDERS["demo"](tmp_path / "gates" / "production")
    for planted, code in (("same", 0), ("later", 1)):
        tonight = tmp_path / "results" / "gate-1"
        shutil.rmtree(tonight, ignore_errors=True)
        FOLDERS["demo" if planted == "same" else planted](tonight)
        for path in (tonight / "vllm_records.jsonl", tonight / "metadata.json"):
            path.write_text(path.read_text("utf-8").replace("004810-demo", "004811-demo"), "utf-8")
        with pytest.raises(SystemExit) as left:
            main(words)
        said = capsys.readouterr()
        assert left.value.code == code, (planted, said.out, said.err)
        assert (tmp_path / "gate" / "comparison.html").is_file()


@pytest.mark.vllm_cpu
@pytest.mark.timeout(1200)
def test_the_gate_without_a_gpu_runs_as_its_page_says_green_and_then_red(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "ci-gate.md").read_text("utf-8")
    part = page.partition("## Green and red")[2].partition("## In GitHub")[0]
    for name in ("examples", "docker", "candidates", ".venv", ".venv-cpu"):
        if (ROOT / name).exists():
            (tmp_path / name).symlink_to(ROOT / name)
    codes = []
    for line in "".join(_BLOCK.findall(part)).splitlines():
        if line.startswith("make "):
            continue  # the checkout's own, which these tests run in
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        codes.append(done.returncode)
        if " compare " in line:
            said = " ".join(done.stdout.split())
            shown = re.findall(r"^    (\w+ new-label-flips:)", part, re.M)[len(codes) > 4]
            assert shown in said, said
    assert codes == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("spec", ["gate/gate.yaml", "own_scorer/run.yaml"])
def test_an_example_is_planned_as_it_is(
    spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as left:
        main(["plan", "-c", f"examples/{spec}"])
    assert left.value.code in (0, None), capsys.readouterr().err
    sys.modules.pop("judge", None)


def test_every_example_is_listed_and_what_is_listed_is_there() -> None:
    text = (ROOT / "examples" / "README.md").read_text("utf-8")
    links = {(ROOT / "examples" / link).resolve() for link in re.findall(r"\]\(([^)]+)\)", text)}
    assert all(link.exists() for link in links)
    named = {
        link.relative_to(ROOT / "examples").parts[0] for link in links if "examples" in link.parts
    }
    there = {path.name for path in (ROOT / "examples").iterdir()} - {"README.md"}
    assert named == there


def test_the_job_of_the_examples_keeps_its_runs_where_git_takes_them() -> None:
    job = yaml.safe_load(JOB.read_text("utf-8"))
    steps = "\n".join(step.get("run", "") for step in job["jobs"]["gate"]["steps"])
    for kept in re.findall(r"gates/[\w.]+", steps):
        ignored = subprocess.run(["git", "check-ignore", "-q", kept], cwd=ROOT, check=False)
        assert ignored.returncode == 1, kept


@pytest.mark.parametrize("run", [None, "r", "nowhere/r"])
def test_clean_says_that_a_folder_that_was_named_is_not_there(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "file"
    place.touch()
    for results in (Path("nowhere"), place) if run != "nowhere/r" else (Path("results"),):
        with pytest.raises(UsageError, match="no such folder") as told:
            this_machine.clean(run, results, dry_run=True)
        assert told.value.exit_code == 2
        assert "--results" in str(told.value)
    monkeypatch.setattr(this_machine, "sweep_everything", lambda *_, **__: Swept())
    assert this_machine.clean(None, Path("results"), dry_run=True).failure is None  # the usual one


def test_clean_does_the_rest_and_says_what_it_could_not(tmp_path, monkeypatch):
    swept = Swept(["ended the server a"], failed=["b.pid.json cannot be removed: read-only"])
    monkeypatch.setattr(this_machine, "sweep_everything", lambda *_, **__: swept)
    done = this_machine.clean(None, tmp_path, dry_run=False)
    assert list(done.lines) == ["ended the server a"]
    assert done.failure is not None
    assert done.failure.exit_code == 3
    assert done.failure.detail == ("b.pid.json cannot be removed: read-only",)
