"""What a command needs of its process: memory, a working folder, signals that are heard."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
HARNESS = f"{sys.executable} -m harness"


def shell(command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=ENVIRONMENT,
        check=False,
        timeout=120,
    )


def python(code: str) -> subprocess.CompletedProcess[str]:
    # tests in a background job ignore SIGINT, and what they start would too
    heard = f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    return subprocess.run(
        [sys.executable, "-c", heard], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )


@pytest.mark.parametrize("verb", ["plan --profile demo", "validate results/reference", "clean"])
def test_too_little_address_space_is_one_line_and_exit_3(verb):
    done = shell(f"ulimit -v 250000; {HARNESS} {verb}")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line == (
        "error: this process may use 256.0 MB of address space and needs 536.9 MB "
        "(ulimit -v 524288, or more for the server, or unlimited)"
    )


def test_half_a_gibibyte_of_address_space_is_enough():
    done = shell(f"ulimit -v 524288; {HARNESS} plan --profile demo")
    assert done.returncode == 0, done.stderr
    assert shell(f"ulimit -v 250000; {HARNESS} --help").returncode == 0


@pytest.mark.parametrize("verb", ["plan --profile demo", "run --profile demo", "compose"])
def test_a_working_folder_that_is_gone_is_named(tmp_path, verb):
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(f"rmdir ../gone; {HARNESS} {verb}", cwd=gone)
    assert done.returncode in (2, 3)
    assert len(done.stderr.splitlines()) == 1
    if done.returncode == 3:
        assert done.stderr == "error: the working folder is gone (cd into one that is there)\n"


IGNORED = """
import os, signal, time
from harness.cli.terminal import hold_signals
hold_signals()
class Late:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass
try:
    Late()
    time.sleep(5)
    print("lost")
except KeyboardInterrupt:
    print("heard")
"""


def test_a_signal_that_comes_where_python_ignores_errors_is_heard_and_says_nothing():
    done = python(IGNORED)
    assert (done.stdout, done.stderr) == ("heard\n", "")


def test_any_other_error_that_is_ignored_is_still_told():
    done = python(IGNORED.replace("os.kill(os.getpid(), signal.SIGINT)", "1 / 0"))
    assert "ZeroDivisionError" in done.stderr


def test_a_signal_after_the_last_word_ends_the_process_without_a_traceback():
    done = python(
        "import os, signal\n"
        "from harness.cli.terminal import hold_signals\n"
        "hold_signals()()\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


STOPPED = "error: stopped by a signal (the same command goes on, or starts again)\n"


def test_ctrl_c_in_any_verb_is_one_line():
    done = python(
        "import harness.jobs.this_machine as verb\n"
        "verb.where = lambda name: signal.raise_signal(signal.SIGINT)\n"
        "from harness.cli.app import main\nmain(['where'])"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", STOPPED)


def test_ctrl_c_of_which_a_compiled_module_made_an_import_error_is_one_line():
    done = python(
        "import harness.jobs.this_machine as verb\n"
        "def where(name):\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    except KeyboardInterrupt as stopped:\n"
        "        raise ImportError('initialization failed') from stopped\n"
        "verb.where = where\n"
        "from harness.cli.app import main\nmain(['where'])"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", STOPPED)


@pytest.mark.parametrize("name", ["harness.cli", "typer", "harness.cli.runpod_verbs"])
def test_ctrl_c_while_the_command_loads_is_one_line(name):
    done = python(
        "import signal, sys\n"
        "from harness.__main__ import main\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {name!r}:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "sys.argv[1:] = ['where']\n"
        "main()"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", STOPPED)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_between_the_steps_of_any_verb_is_one_line(number):
    done = python(
        "import os, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # nohup's tests ignore it
        "import harness.jobs.this_machine as verb\n"
        f"verb.where = lambda name: os.kill(os.getpid(), signal.{number})\n"
        "from harness.cli.app import main\n"
        "sys.argv[1:] = ['where']\nmain()"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", STOPPED)


def test_a_hangup_that_nohup_ignores_stays_ignored():
    done = python(
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from harness.cli.terminal import hold_signals\n"
        "done = hold_signals()\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
        "signal.raise_signal(signal.SIGHUP)\n"
        "done()\n"
        "signal.raise_signal(signal.SIGHUP)\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("umask", "folder", "file"),
    [("0777", 0o700, 0o600), ("0277", 0o700, 0o600), ("0022", 0o755, 0o644)],
)
def test_what_is_made_is_its_owners_whatever_the_umask(tmp_path, umask, folder, file):
    """A results folder that nobody could enter was refused from then on."""
    done = shell(f"umask {umask}; {HARNESS} init {tmp_path}/made/of/it")
    assert done.returncode == 0, done.stderr
    made = tmp_path / "made"
    assert {p.stat().st_mode & 0o777 for p in (made, made / "of", made / "of/it")} == {folder}
    assert (made / "of/it/run.yaml").stat().st_mode & 0o777 == file


def test_a_folder_that_is_shut_to_this_user_is_told_with_what_opens_it(tmp_path):
    done = python(
        "import os, sys\n"
        "os.access = lambda *_, **__: False\n"
        "from harness.cli.app import main\n"
        f"main(['runs', '--results', {str(tmp_path)!r}])"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"is not readable. (chmod u+rwX '{tmp_path}', or name another)\n")


@pytest.mark.parametrize("verb", ["runs", "run --profile demo"])
def test_a_results_folder_that_can_be_listed_and_not_entered_is_refused(tmp_path, verb):
    """Its runs were not seen: none was said to be there."""
    done = python(
        "import os\n"
        "os.access = lambda path, mode, **_: not mode & os.X_OK\n"
        "from harness.cli.app import main\n"
        f"main([*{verb.split()}, '--results', {str(tmp_path)!r}])"
    )
    told = f"(chmod u+rwX {tmp_path}, or name another with --results)"
    said = f"error: {tmp_path}: this user may not enter it {told}\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
