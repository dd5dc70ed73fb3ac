"""What is said of a machine before a download; ``uname`` stands in for other systems."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.places import shipped

SCRIPT = shipped("docker/cpu/engine/preflight.sh")
TOOLS = ("awk", "bash", "cat", "df", "dirname", "getconf", "ldconfig", "uname", "env")


class Machine:
    """A PATH of its own, and how long the answer took."""

    def __init__(self, folder: Path):
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.folder = folder
        for tool in TOOLS:
            if found := shutil.which(tool, path=f"{os.environ['PATH']}:/sbin:/usr/sbin"):
                (self.bin / tool).symlink_to(found)

    def has(self, name: str, script: str):
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/bash\n{script}\n")
        (self.bin / name).chmod(0o755)

    def asked(self, what: str, below: str = "", **variables: str):
        began = time.monotonic()
        done = subprocess.run(
            [str(self.bin / "bash"), str(SCRIPT), what, str(self.folder / "to be made" / below)],
            env={"PATH": str(self.bin), **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        self.took = time.monotonic() - began
        return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_any_python_one_message_comes_at_once(machine: Machine):
    code, out, said = machine.asked("engine")
    assert (code, out) == (3, "")
    assert said.startswith("preflight: Python 3.11, 3.12 or 3.13 is needed, there is none here")
    assert machine.took < 2
    assert not (machine.folder / "to be made").exists()


def test_the_first_python_that_will_do_is_taken(machine: Machine):
    machine.has("python3", 'echo "is Python 3.14"')
    machine.has("python3.12", f'exec {sys.executable} "$@"')
    assert machine.asked("engine")[:2] == (0, str(machine.bin / "python3.12"))


def test_a_python_that_was_named_is_used_or_refused_and_never_replaced(machine: Machine):
    machine.has("python3", f'exec {sys.executable} "$@"')
    machine.has("other", 'echo "is Python 3.9"')
    code, out, said = machine.asked("engine", PYTHON="other")
    assert (code, out) == (3, "")
    assert said.endswith("PYTHON: other is Python 3.9")
    assert machine.asked("engine", PYTHON=sys.executable)[:2] == (0, sys.executable)


def test_uv_brings_a_python_where_none_will_do(machine: Machine):
    machine.has("uv", "exit 2")  # knows no Python
    code, out, said = machine.asked("engine")
    assert (code, out) == (0, "uv")
    assert "uv brings 3.11" in said


def test_a_python_of_uvs_own_is_taken_as_it_is(machine: Machine):
    machine.has("uv", f"echo {sys.executable}")
    assert machine.asked("engine")[:2] == (0, sys.executable)


@pytest.mark.parametrize(
    ("system", "what", "code", "words"),
    [
        ("Darwin", "engine", 3, "no build for macOS; what works without it: plan, validate"),
        ("Darwin", "harness", 0, ""),
        ("MINGW64_NT-10.0", "harness", 3, "use WSL 2 (wsl --install), where everything works"),
        ("CYGWIN_NT-10.0", "engine", 3, "a Linux container of Docker Desktop"),
        ("FreeBSD", "engine", 3, "FreeBSD is not known here"),
    ],
)
def test_other_systems_are_told_at_once_what_works_there(machine, system, what, code, words):
    machine.has("python3", f'exec {sys.executable} "$@"')
    machine.has("uname", f'[ "$1" = -m ] && echo x86_64 || echo {system}')
    found, _, said = machine.asked(what)
    assert found == code
    assert words in said
    assert machine.took < 2


@pytest.mark.parametrize("tool", ["df", "getconf"])
def test_a_full_disk_and_another_libc_are_told_before_a_download(machine: Machine, tool: str):
    machine.has("python3", f'exec {sys.executable} "$@"')
    answers = {"df": "printf 'h\\nd 1 1 1000000 1 /\\n'", "getconf": "exit 1"}
    machine.has(tool, answers[tool])
    code, _, said = machine.asked("engine")
    assert code == 3
    assert {"df": "1.0 GB free at", "getconf": "needs glibc 2.28"}[tool] in said


@pytest.mark.parametrize("home", ["", "/to be made"])
def test_a_folder_that_cannot_be_written_is_told_before_a_download(home: str):
    ordinary = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
    with SCRIPT.open() as script:
        done = subprocess.run(
            ["bash", "-s", "engine", "/to be made/engine"],
            env={"PATH": os.environ["PATH"], **({"HOME": home} if home else {})},
            stdin=script,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **ordinary,
        )
    assert done.returncode == 3
    named = ", and your home is to be /to be made (HOME)" if home else ""
    assert f"/ cannot be written{named}: name another folder: HARNESS_ENGINE" in done.stderr


@pytest.mark.parametrize("taken", ["folder", "hidden", "file", "below a file"])
def test_an_engine_is_never_made_where_other_files_are(machine: Machine, taken: str):
    machine.has("python3", f'exec {sys.executable} "$@"')
    place = machine.folder / "to be made"
    kept = place if "file" in taken else place / (".thesis" if taken == "hidden" else "thesis")
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    code, said, why = machine.asked("engine", below="x" if taken == "below a file" else "")
    assert (code, said) == (3, "")
    assert ("holds other files" if "file" not in taken else "is a file") in why
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("left", ["", ".cpu-engine-begun", ".cpu-engine"])
def test_an_empty_folder_and_what_an_installation_left_are_taken(machine: Machine, left: str):
    machine.has("python3", f'exec {sys.executable} "$@"')
    place = machine.folder / "to be made"
    place.mkdir()
    if left:
        (place / left).write_text("")
        (place / "half").write_text("")
    assert machine.asked("engine")[0] == 0


def test_an_engine_that_is_there_needs_no_other_python(machine: Machine):
    own = machine.folder / "to be made" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    assert machine.asked("engine")[0] == 3
    (machine.folder / "to be made" / ".cpu-engine").write_text("")
    assert machine.asked("engine") == (0, str(own), "")


@pytest.mark.parametrize("program", ["exit 0", "cat"])
def test_a_program_that_is_no_python_will_not_do(machine: Machine, program: str):
    machine.has("mine", program)
    code, _, said = machine.asked("engine", PYTHON="mine")
    assert code == 3
    assert said.endswith("PYTHON: mine does not start")


@pytest.mark.parametrize("name", ["-c", "cd", "fail"])
def test_a_word_that_is_no_program_is_not_there(machine: Machine, name: str):
    code, _, said = machine.asked("engine", PYTHON=name)
    assert (code, said) == (
        3,
        f"preflight: Python 3.11, 3.12 or 3.13 is needed; PYTHON: {name} is not there",
    )


def test_a_python_too_old_for_the_probe_is_called_by_its_version(machine: Machine):
    """The stand-in answers as Python 2.7 does: it knows no ``-I``, and ``-V`` goes to stderr."""
    machine.has("old", '[ "$1" = -V ] && echo Python 2.7.18 >&2 && exit; exit 2')
    assert machine.asked("engine", PYTHON="old")[2].endswith("PYTHON: old is Python 2.7")
    machine.has("broken", '[ "$1" = -V ] && echo Python 3.12.1 && exit; exit 2')
    assert machine.asked("engine", PYTHON="broken")[2].endswith("PYTHON: broken does not start")


INNOCENT = ("sysconfig", "logging", "select", "string", "types", "ensurepip", "venv")


def test_files_of_the_working_folder_are_no_modules_of_the_probe(machine: Machine):
    machine.has("python3", f'exec {sys.executable} "$@"')
    for name in INNOCENT:
        (machine.folder / f"{name}.py").write_text("open('executed', 'w'); raise SystemExit(7)")
    assert machine.asked("engine") == (0, str(machine.bin / "python3"), "")
    assert not (machine.folder / "executed").exists()


@pytest.mark.parametrize(
    ("processor", "model", "code"),
    [
        ("x86_64", "flags\t\t: fpu sse4_2 avx f16c", 3),
        ("x86_64", "flags\t\t: fpu avx avx2", 0),
        ("x86_64", "model name\t: of a kernel that tells no flags", 0),
        ("aarch64", "Features\t: fp asimd", 0),
    ],
)
def test_a_processor_without_avx2_is_told_what_works_instead(machine, processor, model, code):
    """``cat`` stands in for the kernel's file of the processor."""
    machine.has("python3", f'exec {sys.executable} "$@"')
    machine.has("uname", f'[ "$1" = -m ] && echo {processor} || echo Linux')
    real = shutil.which("cat")
    machine.has("cat", f"""[ "$1" = /proc/cpuinfo ] && echo '{model}' && exit; exec {real} "$@" """)
    found, _, said = machine.asked("engine")
    assert found == code
    assert ("needs a processor with AVX2" in said) == ("Docker on another machine" in said)
    assert ("AVX2" in said) == bool(code)
    assert machine.asked("harness")[0] == 0


def test_a_folder_that_no_environment_can_lie_in_is_told_before_a_download(machine: Machine):
    machine.has("python3", f'exec {sys.executable} "$@"')
    code, _, said = machine.asked("engine", below="a:b")
    assert (code, "a:b: no environment of Python can lie in" in said) == (3, True)


def test_a_folder_by_a_relative_name_that_begins_with_a_dash(machine: Machine):
    machine.has("python3", f'exec {sys.executable} "$@"')
    done = subprocess.run(
        [str(machine.bin / "bash"), str(SCRIPT), "engine", "-x"],
        env={"PATH": str(machine.bin)},
        cwd=machine.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("cached", [0, 3_400_000_000])
def test_files_kept_for_speed_are_no_memory_in_use(machine: Machine, cached: int):
    """``cat`` stands in for the kernel's files of a container."""
    machine.has("python3", f'exec {sys.executable} "$@"')
    real = shutil.which("cat")
    machine.has(
        "cat",
        f"""case "$*" in
        *memory.max) echo 4294967296 ;; *memory.current) echo 3800000000 ;;
        *memory.stat*) echo "file 1"; echo "inactive_file {cached}" ;;
        *) exec {real} "$@" ;; esac""",
    )
    code, _, said = machine.asked("engine")
    assert (code, "0.5 GB of memory available" in said) == ((0, False) if cached else (3, True))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_installation_that_is_ended_leaves_no_process(tmp_path: Path, number: signal.Signals):
    place, root = tmp_path / "engine", str(Path(__file__).parents[1])
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heard}; from harness.cli import main; main(['engine'])"]
    told = {**os.environ, "HARNESS_ENGINE": str(place), "PYTHONPATH": root}
    with subprocess.Popen(command, env=told, stderr=subprocess.PIPE, text=True) as running:
        while not (place / "pyvenv.cfg").exists():
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(number)
        said = running.communicate(timeout=60)[1]
    assert (running.returncode, said.splitlines()[-1][:27]) == (130, "error: stopped by a signal ")
    left = [p for p in Path("/proc").glob("[0-9]*/environ") if _of(p, f"HARNESS_ENGINE={place}")]
    assert left == []


def _of(environ: Path, word: str) -> bool:
    try:
        return word.encode() in environ.read_bytes()
    except OSError:
        return False
