"""docker/cpu/engine/install.sh: one installation into a folder at a time, and whose it is.

The Python is a stand-in that makes environments and installs nothing; it notes what it is asked.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from harness.errors import EnvironmentError_
from harness.jobs.demo import install_engine
from harness.places import shipped

PYTHON = """#!/usr/bin/env bash
[ "$1" = -V ] || echo "$*" >> "$SAID"
case "$*" in
    -V) echo Python 3.12.1 ;;
    "-I - "*) echo "will do" ;;
    "-I -m venv "*) mkdir -p "$4/bin" "$4/lib"; cp "$0" "$4/bin/python" ;;
    *"-m pip"*) [ ! -f "$SAID.no-pip" ] || exit 1
        case "$*" in
            *--dry-run*) [ ! -f "$SAID.no-cpu-build" ] || exit 1 ;;
            *requirements.lock*) for _ in {1..100}; do [ ! -f "$SAID.slow" ] || sleep 0.1; done ;;
        esac ;;
esac
"""


class Place:
    """A folder for the engine, and two copies of the scripts as two environments have them."""

    def __init__(self, folder: Path):
        self.folder, self.said = folder, folder / "said"
        self.engine = folder / "engine"
        self.python = folder / "python"
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)
        self.running: list[subprocess.Popen[str]] = []
        for name in ("one", "other"):
            for part in ("engine", "plugin"):
                shutil.copytree(shipped(f"docker/cpu/{part}"), folder / name / part)

    def begin(self, name: str = "one", **more: str) -> subprocess.Popen[str]:
        told = {"SAID": str(self.said), "PYTHON": str(self.python), "HARNESS_INSTALLER": "pip"}
        words = ["bash", str(self.folder / name / "engine/install.sh"), str(self.engine)]
        running = subprocess.Popen(
            words,
            env={**os.environ, **told, **more},
            cwd=self.folder,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.running.append(running)
        return running

    def install(self, name: str = "one", **more: str) -> tuple[int, str]:
        running = self.begin(name, **more)
        said = running.communicate(timeout=60)[1]
        return running.returncode, said

    def asked(self) -> str:
        return self.said.read_text()

    def has(self, fault: str) -> Path:
        (path := self.folder / f"said.{fault}").touch()
        return path

    def wait_for(self, word: str) -> None:
        end = time.monotonic() + 30
        while not self.said.exists() or word not in self.asked():
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for running in made.running:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()


def test_two_environments_that_share_a_folder_install_one_after_the_other(place: Place):
    slow = place.has("slow")
    first = place.begin("one")
    place.wait_for("requirements.lock")
    second = place.begin("other")
    assert second.stderr is not None
    assert "another installation is at work" in second.stderr.readline()
    slow.unlink()
    assert first.communicate(timeout=60)[0] is None
    assert second.communicate(timeout=60)[1] == ""
    assert (first.returncode, second.returncode) == (0, 0)
    assert place.asked().count("-m venv") == 1
    assert place.install("other")[1].startswith("CPU engine is up to date")


def test_what_a_killed_installation_left_is_the_engines_whatever_is_left_of_it(place: Place):
    place.has("slow")
    first = place.begin()
    place.wait_for("requirements.lock")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    (place.folder / "said.slow").unlink()
    for half in ("bin/python", "pyvenv.cfg"):
        (place.engine / half).unlink(missing_ok=True)
    assert place.install()[0] == 0
    assert place.asked().count("-m venv") == 2


def test_a_pip_that_does_not_run_is_no_missing_build(place: Place):
    fault = place.has("no-pip")
    code, said = place.install()
    assert (code, "CUDA build, several" in said) == (3, False)
    assert "pip does not run in" in said
    fault.unlink()
    assert place.install()[0] == 0


def test_without_a_build_for_cpus_the_other_one_is_taken_and_said(place: Place):
    place.has("no-cpu-build")
    said = place.install()[1]
    assert "taking the CUDA build" in said or "CUDA build needs 12 GB" in said


def test_another_versions_engine_is_said_to_be_replaced_but_not_under_a_server(place: Place):
    assert place.install()[0] == 0
    with (place.folder / "other/engine/requirements.lock").open("a") as lock:
        lock.write("# another version\n")
    shutil.copy(shutil.which("sleep") or "", place.engine / "server")
    with subprocess.Popen([place.engine / "server", "60"]) as server:
        code, said = place.install("other")
        assert (code, f"it is in use (processes {server.pid} )" in said) == (3, True)
        assert place.install("one")[1].startswith("CPU engine is up to date")
        server.kill()
    code, said = place.install("other")
    assert (code, "replacing the engine in" in said) == (0, True)


def test_nothing_is_imported_from_the_working_folder_and_no_folder_for_scraps_is_needed(
    place: Place,
):
    assert place.install(TMPDIR="/nonexistent")[0] == 0
    assert [line for line in place.asked().splitlines() if not line.startswith("-I ")] == []
    assert not list(place.engine.glob(".plugin-*"))


INSTALL = """
import sys
from pathlib import Path
from harness.jobs import demo
demo._SCRIPTS, demo._looked = Path(sys.argv[1]), lambda: dict(demo.os.environ)
demo.install_engine()
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_an_installation_ends_with_the_harness_that_began_it(place: Place, sent: signal.Signals):
    script = "echo $$ > $SAID; sleep 60 & echo $! >> $SAID; wait"
    (place.folder / "one/engine/install.sh").write_text(script)
    words = [sys.executable, "-c", INSTALL, str(place.folder / "one/engine")]
    told = {**os.environ, "SAID": str(place.said), "HARNESS_ENGINE": str(place.engine)}
    with subprocess.Popen(words, env=told, stderr=subprocess.DEVNULL) as running:
        end = time.monotonic() + 30
        while not place.said.exists() or len(place.asked().split()) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        running.send_signal(sent)
    left = [Path("/proc", pid) for pid in place.asked().split()]
    while any(process.exists() for process in left):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(("code", "fails"), [(0, False), (3, True)])
def test_how_an_installation_ended_is_heard(
    place: Place, monkeypatch: pytest.MonkeyPatch, code: int, fails: bool
):
    (place.folder / "one/engine/install.sh").write_text(f"exit {code}")
    monkeypatch.setattr("harness.jobs.demo._SCRIPTS", place.folder / "one/engine")
    monkeypatch.setattr("harness.jobs.demo._looked", lambda: dict(os.environ))
    monkeypatch.setattr("sys.stderr", sys.__stderr__)
    found = pytest.raises(EnvironmentError_, match="was not installed") if fails else nullcontext()
    with found:
        install_engine()
