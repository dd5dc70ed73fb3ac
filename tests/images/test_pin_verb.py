"""``harness pin`` and ``harness images list`` as typed."""

from __future__ import annotations

import json

import pytest

from harness.cli import main
from harness.images import ImageLock

pytestmark = pytest.mark.docker


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def test_pin_writes_the_lock_and_says_the_digest(push, name, tmp_path, capsys):
    digest = push(f"{name}:v1", "one")
    lock = tmp_path / "images.lock.yaml"
    assert _run("pin", f"{name}:v1", "--lock", str(lock), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["images"][0]["digest"] == digest
    entry = ImageLock.load(lock).get(f"{name}:v1")
    assert entry is not None
    assert entry.digest == digest


def test_pinning_again_accepts_the_new_image(push, name, tmp_path, capsys):
    lock = tmp_path / "images.lock.yaml"
    push(f"{name}:v1", "one")
    assert _run("pin", f"{name}:v1", "--lock", str(lock)) == 0
    second = push(f"{name}:v1", "two")
    assert _run("pin", f"{name}:v1", "--lock", str(lock)) == 0
    assert second in capsys.readouterr().out


def test_list_shows_an_image_that_is_not_the_locked_one(push, build, name, tmp_path, capsys):
    lock = tmp_path / "images.lock.yaml"
    push(f"{name}:v1", "one")
    _run("pin", f"{name}:v1", "--lock", str(lock))
    build(f"{name}:v1", "impostor")
    capsys.readouterr()
    assert _run("images", "list", "--lock", str(lock), "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["images"]
    assert row["here"] == "another image has this name here"


def test_pinning_what_is_nowhere_is_exit_3_and_writes_nothing(name, tmp_path, capsys):
    lock = tmp_path / "images.lock.yaml"
    assert _run("pin", f"{name}:v1", "--lock", str(lock)) == 3
    assert "cannot be pulled" in capsys.readouterr().err
    assert not lock.exists()
