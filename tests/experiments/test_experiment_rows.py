"""Rows of an experiment are taken up where they are whole, and asked anew for other questions."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in_server import judged, log_of

from harness import conduct
from harness.errors import UsageError
from harness.experiments import SampleRow
from harness.files import sha256_of
from harness.jobs.certifying import Asked
from harness.jobs.experiment_runs import Experiment, ended
from harness.jobs.tracing import replay_trace
from harness.places import placed
from harness.records import Witness, sealed, write_side_file
from harness.settings import load_spec
from harness.words import DispatchMode, Mode, Status

DUE = 3


def made(number: int, status: Status = Status.OK) -> SampleRow:
    told = {"mode": Mode.STANDARD, "status": status, "key": "t/s", "group": ("t/s",)}
    seen = {"alone_witness": Witness(steps=1, shared_decode_share=0.0)}
    seen["batch_witness"] = Witness(steps=1, shared_decode_share=1.0)
    return SampleRow(**told, **seen, sample=number, seed=number)


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[Path, bool]]:
    """Asks over a server that is none; the file of rows, and whether it was asked."""
    tasks = tmp_path / "tasks"
    shutil.copytree(placed(load_spec("demo-tiny").spec.tasks), tasks)
    (tmp_path / "chat.jinja").write_text("one")
    server = {"server.extra_args": [f"--chat-template={tmp_path / 'chat.jinja'}"]}
    loaded = load_spec("demo-tiny", {"tasks": str(tasks), "modes": "standard", **server})
    experiment = Experiment("sample", SampleRow, "", tmp_path / "results", True)
    asked = Asked((DispatchMode.SYNCHRONIZED,), (2,), 1, 1)
    served: list[str] = []

    def with_server(prepared: conduct.Prepared, options: conduct.RunOptions, *rest: object) -> None:
        served.append(str(options.run_id))
        folder = options.results / str(options.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"run_id": options.run_id, "fingerprint": prepared.fingerprint}
        (folder / "metadata.json").write_text(json.dumps(facts))
        log = folder / "native_standard_m.log"
        log.write_text(log_of("standard"))
        start = {"records": 0, "ended_at": "t", "log": log.name, "log_sha256": sha256_of(log)}
        start |= judged(log.read_text(), "standard")
        told = {"model": "m", "mode": "standard", "attempts": [{}, start], "verdict": "clean"}
        (folder / "startup_standard_m.json").write_text(json.dumps({"schema_version": 1, **told}))

    monkeypatch.setattr(conduct, "with_server", with_server)

    def ask() -> tuple[Path, bool]:
        before = len(served)
        (file,), rows = experiment.of_modes(
            *(loaded, asked, lambda _: [{"sample": number} for number in range(DUE)]),
            lambda mode, _, rows: rows.extend(map(made, range(DUE))),
        )
        assert len(rows) == DUE
        return file, len(served) > before

    return ask


def test_rows_that_are_there_are_not_asked_again(ask) -> None:
    file, was_asked = ask()
    assert was_asked
    assert ask() == (file, False)


def test_an_edited_file_of_the_server_is_asked_of_and_the_rows_before_it_kept(
    ask, tmp_path
) -> None:
    file, _ = ask()
    (tmp_path / "chat.jinja").write_text("another")
    other, was_asked = ask()
    assert was_asked
    assert other != file
    assert file.is_file()


@pytest.mark.parametrize(
    "lack",
    [{"status": "error", "error": "B: HTTP 503"}, {"batch_witness": None}],
    ids=["failed", "no witness"],
)
def test_rows_that_are_in_vain_are_asked_again_by_the_same_command_and_set_aside(ask, lack) -> None:
    file, _ = ask()
    whole = file.read_text()
    first, *others = whole.splitlines()
    bad = "\n".join([json.dumps(sealed(json.loads(first) | lack)), *others, ""])
    file.write_text(bad)
    file.with_name("superseded_samples.jsonl").write_text(bad[:-20])  # by a call that was killed
    assert ask() == (file, True)
    assert file.read_text() == whole
    assert file.with_name("superseded_samples.jsonl").read_text() == bad
    assert ask() == (file, False)


def test_what_does_not_count_says_what_asks_again() -> None:
    def hint(*rows: SampleRow) -> str:
        failure = ended([], [], rows, None, ["a gap"], None).failure
        assert failure is not None
        return failure.hint

    assert hint(made(0), made(1, Status.ERROR)) == "the same command asks again in standard mode"
    assert hint(made(0)) == "--fresh asks again"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [], "0 rows, and 3 of standard mode are due"),
        (lambda lines: lines[:-1], "2 rows, and 3 of standard mode are due"),
        (lambda lines: [*lines, lines[0]], "4 rows, and 3 of standard mode are due"),
        (lambda lines: [resealed(line, mode="batch_invariant") for line in lines], "its mode is"),
        (lambda lines: [*lines[:2], lines[1]], "its sample is 1, and 2 is due here"),
        (lambda lines: [lines[1], lines[0], lines[2]], "its sample is 1, and 0 is due here"),
        (lambda lines: [*lines[:2], resealed("{}")], "no row of this experiment"),
        (lambda lines: [*lines[:2], "{}"], "does not end in its checksum"),
        (lambda lines: [*lines[:2], lines[2][:-9]], "does not end in its checksum"),
        (lambda lines: [lines[0].replace("t/s", "t/r"), *lines[1:]], "damaged"),
        (lambda lines: [resealed(lines[0], status="\ud800"), *lines[1:]], "no row"),
    ],
)
def test_rows_that_are_not_those_that_are_due_are_refused(ask, change, message: str) -> None:
    file, _ = ask()
    file.write_text("\n".join(change(file.read_text().splitlines())))
    with pytest.raises(UsageError, match=message) as refused:
        ask()
    assert "--fresh" in str(refused.value)


def resealed(line: str, **changes: str) -> str:
    return json.dumps(sealed(json.loads(line) | changes))


@pytest.mark.parametrize("name", ["metadata.json", "startup_standard_m.json"])
def test_rows_beside_which_nothing_says_what_gave_them_are_refused(ask, name: str) -> None:
    file, _ = ask()
    file.with_name(name).unlink()
    with pytest.raises(UsageError, match="--fresh"):
        ask()


@pytest.mark.parametrize("name", ["metadata.json", "startup_standard_m.json"])
def test_rows_beside_which_what_tells_of_them_was_edited_are_refused(ask, name: str) -> None:
    """A server that is somebody else's has no log to be held against."""
    file, _ = ask()
    path = file.with_name(name)
    for each in (path, *path.parent.glob("startup_*.json"), path.with_name("metadata.json")):
        write_side_file(each, json.loads(each.read_text()))
    assert ask() == (file, False)
    edited = json.loads(path.read_text()) | {"resolved_spec": {"backend": "external"}}
    path.write_text(json.dumps(edited))
    with pytest.raises(UsageError, match="damaged: the file does not have its checksum") as refused:
        ask()
    assert "--fresh" in str(refused.value)


@pytest.mark.parametrize("change", [{"run_id": "other"}, {"fingerprint": "0"}])
def test_rows_of_a_folder_of_another_name_or_other_settings_are_refused(ask, change) -> None:
    file, _ = ask()
    told = file.with_name("metadata.json")
    told.write_text(json.dumps(json.loads(told.read_text()) | change))
    with pytest.raises(UsageError, match=f"its {next(iter(change))} is .* is due here") as refused:
        ask()
    assert "--fresh" in str(refused.value)


def test_rows_of_a_server_whose_log_is_gone_or_changed_are_refused(ask) -> None:
    file, _ = ask()
    log = file.with_name("native_standard_m.log")
    text = log.read_bytes()
    packed = log.with_name(f"{log.name}.gz")
    packed.write_bytes(gzip.compress(text))
    log.unlink()
    assert ask() == (file, False)
    packed.unlink()
    for changed in (None, text + b"x\n"):
        if changed is not None:
            log.write_bytes(changed)
        with pytest.raises(UsageError, match="with its log as it was written"):
            ask()
    log.write_bytes(text)
    assert ask() == (file, False)


@pytest.mark.parametrize("verdict", ["inconclusive", "active"])
def test_rows_of_a_server_that_is_not_proven_are_refused(ask, verdict: str) -> None:
    file, _ = ask()
    startup = file.with_name("startup_standard_m.json")
    startup.write_text(startup.read_text().replace("clean", verdict))
    with pytest.raises(UsageError, match="no start-up file here shows start 2 of a server"):
        ask()


@pytest.mark.parametrize("log", ["", "INFO 11-30 10:00:00 [api.py:1] it is up\n"])
def test_rows_of_a_server_whose_log_shows_another_verdict_are_refused(ask, log: str) -> None:
    file, _ = ask()
    startup = file.with_name("startup_standard_m.json")
    told = json.loads(startup.read_text())
    start = told["attempts"][-1]
    file.with_name(start["log"]).write_text(log)
    start["log_sha256"] = sha256_of(file.with_name(start["log"]))
    startup.write_text(json.dumps(told))
    with pytest.raises(UsageError, match="no start-up file here shows start 2 of a server"):
        ask()


KILLED = {"verdict": "inconclusive", "error": {"type": "StartupFailed", "message": "killed"}}
"""A start whose server was killed before it was ready; its harness wrote no end of it."""


@pytest.mark.parametrize("later", [KILLED, KILLED | {"ended_at": "t", "records": 0}])
@pytest.mark.parametrize("older", [False, True], ids=["rows name their start", "older rows"])
def test_failed_rows_are_asked_again_where_a_later_start_gave_none(ask, later, older) -> None:
    file, _ = ask()
    first, *others = map(json.loads, file.read_text().splitlines())
    rows = [first | {"status": "error", "error": "B: HTTP 503"}, *others]
    rows = [{name: row[name] for name in row if name != "start"} for row in rows] if older else rows
    file.write_text("".join(json.dumps(sealed(row)) + "\n" for row in rows))
    startup = file.with_name("startup_standard_m.json")
    told = json.loads(startup.read_text())
    startup.write_text(json.dumps(told | {"attempts": [*told["attempts"], later]}))
    assert ask() == (file, True)
    assert ask() == (file, False)


def test_rows_of_two_starts_are_refused_with_the_line_of_the_second(ask) -> None:
    file, _ = ask()
    first, second, third = file.read_text().splitlines()
    file.write_text(
        "\n".join((first, json.dumps(sealed(json.loads(second) | {"start": 1})), third))
    )
    with pytest.raises(UsageError, match="of start 1 of its server, and line 1 of start 2") as no:
        ask()
    assert no.value.line == 2


def test_rows_of_a_start_that_is_not_proven_are_refused_beside_one_that_is(ask) -> None:
    file, _ = ask()
    startup = file.with_name("startup_standard_m.json")
    told = json.loads(startup.read_text())
    startup.write_text(json.dumps(told | {"attempts": [told["attempts"][-1], KILLED]}))
    with pytest.raises(UsageError, match="shows start 2 of a server in standard mode"):
        ask()


def test_other_prompts_or_other_references_are_asked_anew(ask, tmp_path: Path) -> None:
    file, _ = ask()
    task = max((tmp_path / "tasks").glob("*.yaml"))
    task.write_text(task.read_text() + "# another reference\n")
    other, was_asked = ask()
    assert was_asked
    assert other != file


@pytest.mark.parametrize(
    ("factor", "unit", "message"),
    [
        (float("inf"), "s", "is no number of times"),
        (float("nan"), "s", "is no number of times"),
        (1.0, "s", r"replayed in 1,000 hours"),
        (1e-3, "ms", r"replayed in 1,000 hours"),
    ],
)
def test_a_replay_that_nobody_waits_for_is_refused(
    tmp_path: Path, factor: float, unit: str, message: str
) -> None:
    trace = tmp_path / "t.jsonl"
    trace.write_text("".join(json.dumps({"arrival_s": at}) + "\n" for at in (0, 3_600_000)))
    how = {"factor": factor, "unit": unit, "clip": False, "fresh": False, "quiet": True}
    with pytest.raises(UsageError, match=message):
        replay_trace(load_spec("demo-tiny"), trace, tmp_path, None, **how)


def test_prompts_of_a_length_are_not_made_for_the_chat_endpoint(tmp_path: Path) -> None:
    trace = tmp_path / "t.jsonl"
    trace.write_text('{"arrival_s": 0, "prompt_tokens": 5}\n')
    how = {"factor": 1.0, "unit": "s", "clip": False, "fresh": False, "quiet": True}
    with pytest.raises(UsageError, match="cannot be made for the chat endpoint") as refused:
        replay_trace(
            load_spec("demo-tiny", {"request.endpoint": "chat"}), trace, tmp_path, None, **how
        )
    assert refused.value.line == 1


def test_a_folder_where_the_rows_are_to_be_is_refused_before_a_server_is_started(ask):
    place, _ = ask()
    place.unlink()
    place.mkdir()
    with pytest.raises(
        UsageError, match=r"is a folder, and a file is to be written there"
    ) as found:
        ask()
    assert found.value.file == str(place)
    place.rmdir()
    assert ask() == (place, True)
