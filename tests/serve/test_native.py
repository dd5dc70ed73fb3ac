"""Native servers: a log from the first byte, and nothing left running on any way out."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import EnvironmentError_
from harness.machine import ProcessId
from harness.serve import LaunchOptions, read_log, sweep_folder
from harness.serve.leftovers import OwnerFile, Swept
from harness.serve.native import NativeBackend, NativeServer

TREE = Path(__file__).parent / "stand_in_processes.py"
Start = Callable[..., NativeServer]
Until = Callable[[Callable[[], bool]], None]


def tree(behaviour: str = "plain") -> str:
    return f"{sys.executable} {TREE} {behaviour}"


def pids(log_path: Path) -> tuple[int, int] | None:
    match = re.search(r"pids (\d+) (\d+)", read_log(log_path))
    return (int(match[1]), int(match[2])) if match else None


def alive(pid: int) -> bool:
    process = ProcessId.of(pid)
    return process is not None and process.alive


def started_tree(server: NativeServer, until: Until) -> tuple[int, int]:
    until(lambda: pids(server.log_path) is not None)
    found = pids(server.log_path)
    assert found is not None
    return found


def test_stopping_ends_a_child_that_detached_and_ignores_sigterm(start_native: Start, until: Until):
    server = start_native(tree())
    parent, child = started_tree(server, until)
    server.stop()
    assert not alive(parent)
    assert not alive(child)
    assert server.state().exit_code == -signal.SIGTERM


def test_a_server_that_ignores_sigterm_is_killed_after_the_grace_time(
    start_native: Start, until: Until
):
    server = start_native(tree("stubborn"), stop_s=0.5)
    parent, _ = started_tree(server, until)
    server.stop()
    assert not alive(parent)
    assert server.state().detail == "ended by SIGKILL"


def test_what_a_dead_server_leaves_behind_is_ended_without_being_asked(
    start_native: Start, until: Until
):
    server = start_native(tree("leaves"))
    _, child = started_tree(server, until)
    until(lambda: not server.state().running)
    until(lambda: not alive(child))
    assert server.state().exit_code == 7


def test_stop_can_be_called_twice(start_native: Start, until: Until):
    server = start_native(tree())
    started_tree(server, until)
    server.stop()
    state = server.state()
    server.stop()
    assert server.state() == state


def test_a_second_lifetime_does_not_write_over_the_first_log(start_native: Start, until: Until):
    first = start_native(tree())
    started_tree(first, until)
    first.stop()
    before = read_log(first.log_path)
    second = start_native(tree())
    started_tree(second, until)
    assert first.log_path.name == "native_standard_tiny.log"
    assert second.log_path.name == "native_standard_tiny.2.log"
    assert read_log(first.log_path) == before


def test_an_owner_file_exists_as_long_as_the_server(start_native: Start, until: Until):
    server = start_native(tree())
    path = server.log_path.parent / "native_standard_tiny.pid.json"
    owner = OwnerFile.read(path)
    assert not owner.harness_gone
    assert owner.server_pid == server.pid
    assert owner.run_id == "test-run"
    server.stop()
    assert not path.exists()


def test_a_command_that_does_not_exist_is_refused_before_anything_starts(
    native_options: Callable[..., LaunchOptions], tmp_path: Path
):
    with pytest.raises(EnvironmentError_, match="not an executable"):
        NativeBackend().check(native_options("no-such-python -m vllm"))


def test_a_command_that_cannot_be_executed_is_an_environment_error(
    native_options: Callable[..., LaunchOptions], tmp_path: Path
):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF not really")
    broken.chmod(0o755)
    with pytest.raises(EnvironmentError_, match="cannot be run"):
        NativeBackend().start(native_options(str(broken)), tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.pid.json"))


def test_the_server_gets_no_variable_that_hides_the_evidence(
    start_native: Start, until: Until, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("VLLM_USE_RUST_FRONTEND", "1")
    server = start_native(tree())
    started_tree(server, until)
    environment = Path(f"/proc/{server.pid}/environ").read_bytes().split(b"\0")
    names = {entry.partition(b"=")[0] for entry in environment}
    assert not names & {b"PYTHONWARNINGS", b"TORCH_CPP_LOG_LEVEL", b"VLLM_USE_RUST_FRONTEND"}
    assert b"VLLM_BATCH_INVARIANT=0" in environment


def test_a_package_beside_a_run_is_not_taken_for_vllm(
    start_native: Start, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm/__init__.py").write_text("open('ran', 'w')\n")
    (tmp_path / "json.py").write_text("open('ran', 'w')\n")
    monkeypatch.chdir(tmp_path)
    server = start_native()
    until(lambda: "startup complete" in read_log(server.log_path))
    assert not (tmp_path / "ran").exists()


def test_a_secret_reaches_the_server_and_no_file(
    start_native: Start, until: Until, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_canary_value")
    server = start_native(tree())
    started_tree(server, until)
    assert b"HF_TOKEN=hf_canary_value" in Path(f"/proc/{server.pid}/environ").read_bytes()
    assert "hf_canary_value" not in json.dumps(server.describe())
    for path in server.log_path.parent.iterdir():
        assert b"hf_canary_value" not in path.read_bytes()


def test_what_is_inherited_is_told_without_secrets(
    start_native: Start, until: Until, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_ENDPOINT", "https://me:pw-canary@hub.example")
    monkeypatch.setenv("NVIDIA_API_KEY", "nv-canary")
    server = start_native(tree())
    started_tree(server, until)
    told = server.describe()["inherited_environment"]
    assert told["HF_ENDPOINT"] == "https://[redacted]@hub.example"  # type: ignore[index]
    assert told["NVIDIA_API_KEY"] == "[redacted]"  # type: ignore[index]


HARNESS = """
import sys, time
from pathlib import Path
from harness.machine import Host
from harness.serve import launch_options
from harness.serve.native import NativeBackend
from harness.settings import ModelSpec, RunSpec, ServerSettings
from harness.words import BackendName, Mode
folder, port, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
spec = RunSpec(backend=BackendName.NATIVE, models=(ModelSpec(name="tiny", hf_id="a/b"),), tasks="t",
               server=ServerSettings(port=port, native_command=command, stop_timeout_s=1))
options = launch_options(spec, spec.models[0], Mode.STANDARD, run_id=folder.name)
server = NativeBackend().start(options, folder)
print(server._supervisor.pid, flush=True)
if sys.argv[4] == "exit":
    while "pids" not in server.log_path.read_text():
        time.sleep(0.02)
    sys.exit(0)
time.sleep(600)
"""


@pytest.fixture
def other_harness(tmp_path: Path, free_port: int, until: Until) -> Callable[..., tuple]:
    """Another harness process with a server; its handle, its supervisor's id and its server's."""

    def start(behaviour: str = "plain", then: str = "wait") -> tuple:
        folder = tmp_path / f"run-{secrets.token_hex(4)}"  # no other test's
        process = subprocess.Popen(
            [sys.executable, "-c", HARNESS, folder, str(free_port), tree(behaviour), then],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        supervisor = int(process.stdout.readline())
        log_path = folder / "native_standard_tiny.log"
        until(lambda: pids(log_path) is not None)
        until(lambda: then == "exit" or bool(list(folder.glob("*.pid.json"))))
        found = pids(log_path)
        assert found is not None
        return process, supervisor, found, folder

    return start


def test_kill_9_of_the_harness_ends_its_server_at_once(other_harness, until: Until):
    harness, _, (parent, child), _ = other_harness()
    harness.kill()
    harness.wait()
    until(lambda: not alive(parent))
    until(lambda: not alive(child))


def test_a_harness_that_forgets_to_stop_leaves_nothing(other_harness, until: Until):
    harness, _, (parent, child), folder = other_harness(then="exit")
    assert harness.wait() == 0
    until(lambda: not alive(parent) and not alive(child))
    assert not list(folder.glob("*.pid.json"))


def test_a_sweep_ends_what_is_left_when_the_supervisor_was_killed_too(other_harness, until: Until):
    harness, supervisor, (parent, child), folder = other_harness("stubborn")
    os.kill(supervisor, signal.SIGKILL)
    harness.kill()
    harness.wait()
    until(lambda: not alive(supervisor))
    assert alive(parent)
    assert alive(child)
    told = sweep_folder(folder)
    assert not alive(parent)
    assert not alive(child)
    name = f"the server native_standard_tiny (pid {parent}) of run {folder.name}"
    assert told.lines == [f"ended {name}: its harness was killed"]
    assert not list(folder.glob("*.pid.json"))


def test_a_sweep_leaves_the_server_of_a_living_harness_alone(other_harness):
    harness, _, (parent, _), folder = other_harness()
    try:
        told = sweep_folder(folder)
        assert told.lines == []
        assert "its harness is alive" in told.kept[0]
        assert alive(parent)
    finally:
        harness.kill()
        harness.wait()


def test_a_sweep_never_ends_a_process_that_only_has_the_same_id(tmp_path: Path):
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        OwnerFile(
            mark="a-mark-that-nobody-carries",
            run_id="r",
            harness=ProcessId.of(os.getpid()),
            supervisor=ProcessId.of(bystander.pid),
            server_pid=bystander.pid,
            grace_s=0.1,
        ).write(tmp_path / "native_standard_tiny.pid.json")
        text = (tmp_path / "native_standard_tiny.pid.json").read_text()
        old = re.sub(r'"start_time": \d+', '"start_time": 1', text)
        (tmp_path / "native_standard_tiny.pid.json").write_text(old)
        assert sweep_folder(tmp_path) == Swept()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("damage", ['{"mark": ', "", "[]", '{"mark": 7}', "\xff"])
def test_a_damaged_owner_file_is_named_and_goes_where_no_server_of_its_run_lives(
    tmp_path: Path, damage: str
):
    path = tmp_path / "native_standard_tiny.pid.json"
    path.write_bytes(damage.encode("latin-1"))
    would = sweep_folder(tmp_path, dry_run=True)
    assert path.exists()
    assert would.lines[0].startswith("would remove")
    told = sweep_folder(tmp_path)
    assert not path.exists()
    assert str(path) in told.lines[0]
    assert "cannot be read" in told.lines[0]
    assert f"no process of run {tmp_path.name} lives" in told.lines[0]


def _damage(path: Path, how: str) -> None:
    text = path.read_text()
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_text(text[:40])
    elif how == "another mark":
        path.write_text(re.sub(r'"mark": ".', '"mark": "x', text))
    else:
        path.write_text(re.sub(r'"pid": \d+', '"pid": 1', text))


HOWS = ("gone", "cut", "another mark", "other processes")


@pytest.mark.parametrize("how", HOWS)
def test_a_living_server_is_ended_with_its_dead_harness_whatever_became_of_its_owner_file(
    other_harness, until: Until, how: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("harness.serve.leftovers._GRACE_S", 0.5)
    harness, supervisor, (parent, child), folder = other_harness("stubborn")
    os.kill(supervisor, signal.SIGKILL)
    harness.kill()
    harness.wait()
    until(lambda: not alive(supervisor))
    _damage(folder / "native_standard_tiny.pid.json", how)
    told = sweep_folder(folder)
    assert not alive(parent)
    assert not alive(child)
    assert any("ended" in line and "its harness was killed" in line for line in told.lines)
    assert not list(folder.glob("*.pid.json"))


@pytest.mark.parametrize("how", HOWS)
def test_the_server_of_a_living_harness_stays_whatever_became_of_its_owner_file(
    other_harness, how: str
):
    harness, _, (parent, _), folder = other_harness()
    try:
        _damage(folder / "native_standard_tiny.pid.json", how)
        told = sweep_folder(folder)
        assert alive(parent)
        assert not any("ended" in line for line in told.lines)
        assert any("its harness is alive" in line for line in told.kept)
        if how == "cut":
            assert any("cannot be read" in line for line in told.kept)
            assert (folder / "native_standard_tiny.pid.json").exists()
    finally:
        harness.kill()
        harness.wait()


def test_an_owner_file_of_another_host_stays(tmp_path: Path):
    path = tmp_path / "native_standard_tiny.pid.json"
    somewhere = OwnerFile(
        mark="m",
        run_id="r",
        harness=ProcessId(1, 1),
        supervisor=None,
        server_pid=1,
        grace_s=0.1,
        host="somewhere-else",
    )
    somewhere.write(path)
    told = sweep_folder(tmp_path)
    assert path.exists()
    assert told.kept == [
        "the server native_standard_tiny (pid 1) of run r (on host somewhere-else)"
    ]


def test_what_a_sweep_cannot_remove_is_told_and_the_rest_is_done(tmp_path: Path, monkeypatch):
    damaged = tmp_path / "native_standard_tiny.pid.json"
    damaged.write_text("{")
    (tmp_path / f".summary.json.{2**22 + 1}.tmp").write_text("{")

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", refused)
    told = sweep_folder(tmp_path)
    assert not told.lines
    assert len(told.failed) == 2
    assert "cannot be removed: Read-only file system (make its disk writable" in told.failed[0]
    half = f"1 half-written file in {tmp_path} cannot be removed (make its disk writable)"
    assert told.failed[1] == half


def test_a_folder_in_the_place_of_an_owner_file_is_told_with_its_place_and_moved_away(tmp_path):
    (tmp_path / "native_standard_tiny.pid.json").mkdir()
    (tmp_path / "native_standard_small.pid.json").symlink_to("native_standard_small.pid.json")
    told = sweep_folder(tmp_path)
    (failed,) = told.failed
    assert failed.startswith(str(tmp_path / "native_standard_tiny.pid.json"))
    assert "a folder is in the way: move it" in failed
    assert "disk" not in failed
    (removed,) = told.lines
    assert "native_standard_small" in removed


def test_a_sweep_removes_what_a_dead_writer_left_half_written(tmp_path: Path):
    path = tmp_path / f"rescored/strict/.vllm_records.jsonl.{2**22 + 1}.tmp"
    path.parent.mkdir(parents=True)
    path.write_text('{"')
    would = sweep_folder(tmp_path, dry_run=True)
    assert would.lines == [f"would remove 1 half-written file in {tmp_path}"]
    assert path.exists()
    assert sweep_folder(tmp_path).lines == [f"removed 1 half-written file in {tmp_path}"]
    assert not path.exists()


def test_a_process_that_no_signal_ends_is_named_and_waited_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("harness.serve.leftovers.end_processes", lambda *_, **__: None)
    path, mark = tmp_path / "native_standard_tiny.pid.json", secrets.token_hex(8)
    held = {**os.environ, "HARNESS_SERVER": mark}
    stuck = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=held)
    try:
        OwnerFile(
            mark=mark,
            run_id=tmp_path.name,
            harness=ProcessId(stuck.pid, 1),
            supervisor=None,
            server_pid=stuck.pid,
            grace_s=0.1,
        ).write(path)
        told = sweep_folder(tmp_path)
        assert "does not end, even by SIGKILL" in told.kept[0]
        assert not told.lines
        assert path.exists()
    finally:
        stuck.kill()
        stuck.wait()
