"""A lock has one holder, may be everybody's to take, and is never a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import EnvironmentError_
from harness.locks import Lock, holder_of, is_held


def test_a_lock_has_one_holder_who_is_named(tmp_path: Path):
    path = tmp_path / "a.lock"
    lock = Lock.take(path, "the first")
    assert lock is not None
    assert Lock.take(path, "the second") is None
    assert holder_of(path) == "the first"
    lock.release()
    lock.release()
    again = Lock.take(path, "the second")
    assert again is not None
    assert holder_of(path) == "the second"
    again.release()


def test_whether_a_lock_is_held_is_told_and_does_not_take_it(tmp_path: Path):
    path = tmp_path / "a.lock"
    assert not is_held(path)
    lock = Lock.take(path, str(os.getpid()))
    assert lock is not None
    assert is_held(path)
    lock.release()
    assert not is_held(path)


def test_a_lock_of_everybody_is_so_whatever_the_mask(tmp_path: Path):
    before = os.umask(0o077)
    try:
        for everybodys, mode in ((True, 0o666), (False, 0o600)):
            path = tmp_path / f"{everybodys}.lock"
            lock = Lock.take(path, "me", everybodys=everybodys)
            assert lock is not None
            lock.release()
            assert path.stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


def test_a_link_in_the_place_of_a_lock_is_refused(tmp_path: Path):
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "a.lock").symlink_to(tmp_path / "theirs")
    with pytest.raises(EnvironmentError_, match=r"a\.lock"):
        Lock.take(tmp_path / "a.lock", "me")
    assert (tmp_path / "theirs").read_text() == "precious"
