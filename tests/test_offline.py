"""docker/offline: a folder that is not as it was made is not used, a whole one needs no network.

The folders here hold a stand-in for the harness, a wheel that prints its arguments; pip is real.
"""

from __future__ import annotations

import ensurepip
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_NETWORK = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
}
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
Done = subprocess.CompletedProcess[str]


def _stand_in_wheel(folder: Path) -> None:
    """A wheel of a ``harness`` that prints what it is called with, a word a line."""
    about = "standin-1.dist-info"
    with zipfile.ZipFile(folder / "standin-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("standin.py", "import sys\ndef main(): print(*sys.argv[1:], sep='\\n')\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: standin\nVersion: 1\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/entry_points.txt", "[console_scripts]\nharness = standin:main\n")
        wheel.writestr(f"{about}/RECORD", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As bundle.sh leaves one, without image and server."""
    made = tmp_path / "made"
    for name in ("harness", "models/small", "tasks"):
        (made / name).mkdir(parents=True)
    apart = sysconfig.get_config_var("WHEEL_PKG_DIR")  # as Debian keeps them
    bundled = Path(apart) if apart else Path(ensurepip.__file__).parent / "_bundled"
    pip = next(bundled.glob("pip-*.whl"))
    (made / "harness" / pip.name).write_bytes(pip.read_bytes())
    _stand_in_wheel(made / "harness")
    (made / "models/small/config.json").write_text("{}")
    (made / "tasks/one.yaml").write_text("name: one\n")
    (made / "python").write_text(f"{HERE}\n")
    _note_sums(made)
    return made


def _note_sums(made: Path) -> None:
    sums = "find . ! -type d ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum > SHA256SUMS"
    subprocess.run(["bash", "-c", sums], cwd=made, check=True)


def _docker(*arguments: str | Path, given: bytes = b"") -> str:
    done = subprocess.run(["docker", *arguments], input=given, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def offline(tmp_path: Path, folder: Path) -> Callable[..., Done]:
    (tmp_path / "sysconfig.py").write_text("raise SystemExit(7)")  # no module of ours

    def call(*flags: str, **variables: str) -> Done:
        return subprocess.run(
            ["bash", str(ROOT / "docker/offline/harness.sh"), str(folder), "ablation", *flags],
            cwd=tmp_path,
            env={**os.environ, **NO_NETWORK, "PYTHON": sys.executable, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return call


def _refused(done: Done, code: int, tmp_path: Path) -> str:
    """What it says; nothing was installed and nothing was run."""
    assert done.returncode == code
    assert done.stdout == ""
    assert not list(tmp_path.glob(".venv-offline-*"))
    return done.stderr


def test_a_whole_folder_is_used_without_an_index(offline, folder):
    done = offline("--profile", "controlled")
    assert done.returncode == 0, done.stderr
    said = done.stdout.split("\n")
    assert said[0] == "ablation"
    assert said[-3:-1] == ["--profile", "controlled"]
    pairs = set(zip(said[1:-1:2], said[2:-1:2], strict=True))
    assert {
        ("--backend", "native"),
        ("--model", f"small={folder}/models/small"),
        ("--tasks", f"{folder}/tasks"),
        ("--env", "HF_HUB_OFFLINE=1"),
    } <= pairs
    assert not {"--candidates", "--image", "--native-command"} & {flag for flag, _ in pairs}
    assert "is whole" in done.stderr


def test_two_that_begin_at_once_install_once(offline):
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: offline(), range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert (first.stderr + second.stderr).count("installing into") == 1


def test_flags_win_over_what_is_in_the_folder(offline):
    given = ("--model", "mine=/m", "--tasks", "/t", "--candidates", "/c.csv", "--backend", "native")
    said = offline(*given).stdout.split()
    assert said.count("--model") == said.count("--tasks") == said.count("--candidates") == 1
    assert said[-8:] == list(given)
    joined = [f"{flag}={value}" for flag, value in zip(given[::2], given[1::2], strict=True)]
    said = offline(*joined).stdout.split()
    assert said[-4:] == joined
    assert not {"--model", "--tasks", "--candidates", "--backend", "--image"} & set(said)


@pytest.mark.parametrize("name", ["models/small/config.json", "tasks/one.yaml", "python"])
def test_a_file_that_was_changed_is_named_and_nothing_is_installed(offline, folder, tmp_path, name):
    (folder / name).write_text("changed\n")
    assert f"./{name}: FAILED" in _refused(offline(), 2, tmp_path)


def test_a_missing_part_is_named(offline, folder, tmp_path):
    shutil.rmtree(folder / "models")
    assert "models/small/config.json" in _refused(offline(), 2, tmp_path)


def test_a_wheel_that_was_slipped_in_is_named(offline, folder, tmp_path):
    (folder / "harness/more-1-py3-none-any.whl").write_bytes(b"")
    assert "./harness/more-1-py3-none-any.whl" in _refused(offline(), 2, tmp_path)


def test_a_folder_without_sums_is_not_whole(offline, folder, tmp_path):
    (folder / "SHA256SUMS").unlink()
    assert "not whole" in _refused(offline(), 2, tmp_path)


def test_another_python_is_refused_with_the_version_that_is_needed(offline, tmp_path):
    said = _refused(offline(PYTHON="/bin/false"), 3, tmp_path)
    assert f"for Python {HERE}" in said


def test_containers_are_refused_where_no_image_was_packed(offline):
    done = offline("--backend", "docker")
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no image" in done.stderr


@pytest.mark.docker
def test_an_image_is_loaded_once_and_started_by_its_id(offline, folder):
    name = "harness-test-offline:1"
    image = _docker("import", "-", name, given=bytes(10240))
    _docker("save", "-o", folder / "image.tar", name)
    (folder / "image").write_text(f"{name} {image}\n")
    _note_sums(folder)
    _docker("image", "rm", name)
    try:
        for loads in (True, False):
            done = offline()
            assert done.returncode == 0, done.stderr
            assert f"--backend docker --image {image}" in done.stdout.replace("\n", " ")
            assert ("loading" in done.stderr) is loads
            assert "that it is a registry's was not checked" in done.stderr
    finally:
        _docker("image", "rm", name)


@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        ({"TASKS": "/nowhere"}, 2, "no task files"),
        ({"MODELS": "small"}, 2, "not NAME=FOLDER"),
        ({"MODELS": "small=org/hub-id"}, 2, "downloads none from a hub"),
        ({"MODELS": "a/b=/nowhere"}, 2, "not NAME=FOLDER"),
        ({"CANDIDATES": "/nowhere.csv"}, 2, "no such file"),
        ({"IMAGE": "harness-test-none:1", "MODELS": "small={model}"}, 3, "has no image"),
    ],
)
def test_what_cannot_be_packed_is_said_before_anything_is_made(
    folder, tmp_path, variables, code, said
):
    told = {key: text.format(model=folder / "models/small") for key, text in variables.items()}
    done = subprocess.run(
        ["bash", str(ROOT / "docker/offline/bundle.sh"), str(tmp_path / "new")],
        env={**os.environ, **NO_NETWORK, "MODELS": f"small={folder}/models/small", **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert not list(tmp_path.glob("new*"))


def test_a_folder_that_is_there_is_not_packed_over(folder):
    command = ["bash", str(ROOT / "docker/offline/bundle.sh"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "there already" in done.stderr


def test_with_offline_make_installs_nothing_from_an_index():
    command = ["make", "--no-print-directory", "-n", "ablation", "OFFLINE=D"]
    command += ["BACKEND=native", "MODELS=a=b c=d", "TASKS=t"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert line.split()[:4] == ["bash", "docker/offline/harness.sh", "D", "ablation"]
    for flag in ("--backend native", "--model a=b --model c=d", "--tasks t"):
        assert flag in line
