"""What ships with the harness is found from any folder, in a checkout and in a wheel."""

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
    assert Path(program) == tmp_path / "cache/harness/engine/bin/python"
    assert places.is_of_engine(program)
    monkeypatch.setenv("HARNESS_ENGINE", str(tmp_path / "mine"))
    assert places.engine_folder() == tmp_path / "mine"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch, capsys):
    def nobody(_uid: int):  # stands in for a number that no user of this machine has
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "XDG_CACHE_HOME", "HARNESS_MODELS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as caught:
        main(["models"])
    assert caught.value.code == 3
    assert capsys.readouterr().err == (
        "error: the home folder of this user: there is none; set HOME or XDG_CACHE_HOME\n"
    )


def test_in_a_wheel_what_ships_lies_beside_the_code(wheel):
    assert places.shipped("docker/cpu/model") == wheel / "share/docker/cpu/model"
    assert weights_folder("docker/cpu/model") == wheel / "share/docker/cpu/model"


def test_an_existing_folder_wins_over_one_that_ships(tmp_path, monkeypatch):
    (tmp_path / "docker/cpu/model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert weights_folder("docker/cpu/model") == (tmp_path / "docker/cpu/model").resolve()
