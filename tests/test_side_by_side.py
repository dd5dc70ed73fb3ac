"""The test scripts end what they started when they are ended; stand-ins for make and Python."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTES_AND_WAITS = """\
#!/bin/sh
echo $$ >> "$PIDS"
sleep 600
"""
MAKE = """\
#!/bin/sh
echo $$ >> "$PIDS"
case "$*" in
    test) bash tests/side_by_side.sh ;;
    "-s engine" | setup | dev | lint | docs) ;;
    *) sleep 600 ;;
esac
"""


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _lives(pid: int) -> bool:
    stat = Path("/proc", str(pid), "stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _whose_environment_holds(mark: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes() and _lives(int(path.parent.name)):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


SCRIPTS = (".ci/run", "tests/side_by_side.sh")
CASES = [(s, n, "") for s in SCRIPTS for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
STUBBORN = "trap '' TERM INT HUP\n"


@pytest.mark.parametrize(
    ("script", "number", "python"), [*CASES, (SCRIPTS[0], signal.SIGTERM, STUBBORN)]
)
def test_a_signal_ends_the_script_and_every_process_that_it_started(
    tmp_path, script, number, python
):
    for name in (".ci/run", "tests/side_by_side.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    _program(tmp_path / ".ci/docker-up.sh", "#!/bin/sh\n")
    waits = NOTES_AND_WAITS.replace("sleep", f"{python}sleep")
    _program(tmp_path / ".venv/bin/python", waits)
    _program(tmp_path / "docker/cpu/build.sh", "#!/bin/sh\n")
    for name in ("chromium", "docker", "mmdebstrap"):
        _program(tmp_path / "bin" / name, "#!/bin/sh\n")
    _program(tmp_path / "bin/make", MAKE)
    mark = f"PIDS={tmp_path}/pids"
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    environment |= {"PIDS": f"{tmp_path}/pids", "CI": "true"}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = subprocess.Popen(
            ["bash", script], cwd=tmp_path, env=environment, start_new_session=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 30
    wanted = 6  # Python runs six parts of the tests
    while time.monotonic() < deadline:
        started = (
            len((tmp_path / "pids").read_text().split()) if (tmp_path / "pids").exists() else 0
        )
        if started >= wanted + (4 if script == ".ci/run" else 1):
            break
        time.sleep(0.05)
    assert len(_whose_environment_holds(mark)) > wanted
    running.send_signal(number)
    assert running.wait(20) == (130 if number is signal.SIGINT else 143)
    time.sleep(0.3)
    assert _whose_environment_holds(mark) == []
