"""Files are written whole or not at all, and what cannot be read says where."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness import files
from harness.errors import EnvironmentError_, UsageError
from harness.files import (
    read_json,
    read_rows,
    read_text,
    sha256_of,
    sha256_unpacked,
    sweep_temporary,
    text_unpacked,
    write_json,
    write_rows,
    write_whole,
)
from harness.records import scan_records
from harness.words import Mode
from tests.chaos.disks import can_mount


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", ["a\r\nb\u2028é\n", b"\x00\xff"])
def test_content_is_written_byte_for_byte(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_whole(path, content)
    data = content.encode() if isinstance(content, str) else content
    assert (path.read_bytes(), _names(tmp_path)) == (data, ["a.txt"])


def test_the_temporary_file_stands_beside_and_is_looked_at_before_it_counts(tmp_path):
    path, seen = tmp_path / "a.yaml", []
    write_whole(path, "new", check=lambda file: seen.append((file.name, path.exists())))
    assert seen == [(f".a.yaml.{os.getpid()}.tmp", False)]


def test_a_half_written_file_is_removed_where_no_writer_here_or_elsewhere_has_it(tmp_path):
    mine, held, left = (f".a.json.{pid}.tmp" for pid in (os.getpid(), 2**22 + 1, 2**22 + 2))
    for name in (mine, held, left):
        (tmp_path / name).write_text("{")
    with (tmp_path / held).open("r+b") as elsewhere:
        fcntl.flock(elsewhere, fcntl.LOCK_EX)
        assert sweep_temporary(tmp_path, dry_run=True) == 1
        assert _names(tmp_path) == sorted([mine, held, left])
        assert sweep_temporary(tmp_path) == 1
        assert _names(tmp_path) == sorted([mine, held])
    write_whole(tmp_path / "b.json", "", check=lambda file: _insist_held(file))
    assert _names(tmp_path) == sorted([mine, "b.json"])


def _insist_held(file: Path) -> None:
    with file.open("r+b") as stream, pytest.raises(BlockingIOError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_file_that_its_check_refuses_is_not_written(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("old")

    def refuse(_: Path) -> None:
        raise UsageError("no task")

    with pytest.raises(UsageError, match="no task"):
        write_whole(path, "new", check=refuse)
    assert (path.read_text(), _names(tmp_path)) == ("old", ["a.yaml"])


def test_a_missing_folder_is_made_only_when_asked(tmp_path):
    path = tmp_path / "x/y/a.txt"
    with pytest.raises(EnvironmentError_) as caught:
        write_whole(path, "a")
    assert str(caught.value) == f"{path}: cannot be written: No such file or directory"
    write_whole(path, "a", parents=True)
    assert path.read_text() == "a"


def test_a_private_file_is_for_its_owner_only(tmp_path):
    path = tmp_path / "cache/a.json"
    write_whole(path, "a", parents=True, private=True)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent)]
    assert modes == [0o600, 0o700]


def test_a_public_file_follows_the_umask(tmp_path):
    old = os.umask(0o022)
    try:
        write_whole(tmp_path / "a", "a")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_full_disk_names_the_file_and_the_space_left_and_leaves_nothing(
    tmp_path, monkeypatch, call
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(f"harness.files.os.{call}", full)
    path = tmp_path / "a.json"
    with pytest.raises(EnvironmentError_) as caught:
        write_json(path, {})
    assert caught.value.file == str(path)
    assert "cannot be written: No space left on device, " in caught.value.message
    assert caught.value.message.endswith(" MB left")
    assert _names(tmp_path) == []


@pytest.mark.skipif(
    not can_mount() and "CI" not in os.environ, reason="only root may have a small file system"
)
def test_a_file_system_without_room_for_one_file_more_says_so(tmp_path):
    write = f"from harness.files import *; write_json(Path({str(tmp_path / 'a.json')!r}), {{}})"
    mount = f"mount -t tmpfs -o nr_inodes=1 tmpfs {shlex.quote(str(tmp_path))}"
    shell = f"{mount} && exec {shlex.join([sys.executable, '-c', write])}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", shell], capture_output=True, text=True)
    assert " MB and no more files left (free some space" in done.stderr


def test_a_folder_in_the_way_is_named(tmp_path):
    with pytest.raises(EnvironmentError_, match="cannot be written: Is a directory"):
        write_whole(tmp_path, "a")


def test_a_file_system_that_does_not_sync_folders_is_written_to(tmp_path, monkeypatch):
    real = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr("harness.files.os.fsync", only_files)
    write_whole(tmp_path / "a", "a")
    assert (tmp_path / "a").read_text() == "a"


def test_json_is_indented_ascii_with_a_last_line_end(tmp_path):
    value = {"a": [1, {"é": "\ud800"}], "path": Path("x"), "mode": Mode.STANDARD}
    write_json(tmp_path / "a.json", value)
    with (tmp_path / "b.json").open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=2, default=str)
        stream.write("\n")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_rows_are_read_back_as_they_were_written(tmp_path):
    rows = [{"text": "a\u2028b\x85c\x0cd\r\n\ud800"}, {}, {"n": 10**30}]
    write_rows(tmp_path / "a.jsonl", iter(rows))
    assert list(read_rows(tmp_path / "a.jsonl")) == list(enumerate(rows, 1))


def test_rows_that_end_in_an_error_leave_the_old_file(tmp_path):
    path = tmp_path / "a.jsonl"
    write_rows(path, [{"old": 1}])

    def rows():
        yield {"new": 1}
        raise UsageError("no more")

    with pytest.raises(UsageError, match="no more"):
        write_rows(path, rows())
    assert (list(read_rows(path)), _names(tmp_path)) == ([(1, {"old": 1})], ["a.jsonl"])


def test_text_is_read_without_its_byte_order_mark(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(tmp_path / "a") == "a\nb\nc\n"


def test_text_that_is_not_utf8_names_the_line(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\nb\n\xe9\n")
    with pytest.raises(UsageError) as caught:
        read_text(tmp_path / "a")
    assert str(caught.value) == f"{tmp_path / 'a'}:3: not UTF-8: byte 0xe9 (save it as UTF-8)"


@pytest.mark.parametrize("read", [read_text, read_json, lambda path: list(read_rows(path))])
def test_what_is_not_there_or_no_file_is_a_usage_error(tmp_path, read):
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path / "none")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_json_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{}\n')
    assert next(read_rows(path)) == (1, {"a": 1})
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    assert read_json(path) == {"a": 1}


BROKEN = [
    (b'{"a": 1', "not JSON: Expecting ',' delimiter at column 8"),
    (b"[1]", "not a JSON object"),
    (b'"a"', "not a JSON object"),
    (b'{"a": "\xe9"}', "not UTF-8: byte 0xe9"),
    (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "not readable: nested too deeply"),
    (b'{"a": ' + b"1" * 5000 + b"}", "not readable: Exceeds the limit (4300 digits)"),
]


@pytest.mark.parametrize(("data", "message"), BROKEN)
def test_a_broken_object_says_what_is_wrong_on_its_first_line(tmp_path, data, message):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}:1: {message}")


@pytest.mark.parametrize(("data", "message"), BROKEN)
def test_a_broken_row_says_what_is_wrong_and_on_which_line(tmp_path, data, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n \n" + data + b"\n{}\n")
    rows = read_rows(path)
    assert next(rows) == (1, {})
    with pytest.raises(UsageError) as caught:
        next(rows)
    assert str(caught.value).startswith(f"{path}:3: {message}")


def test_a_broken_object_names_the_line_inside_the_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{\n "a": 1,\n "b" 2\n}\n')
    with pytest.raises(UsageError) as caught:
        read_json(path)
    assert str(caught.value) == f"{path}:3: not JSON: Expecting ':' delimiter at column 6"


def test_an_empty_file_is_no_object_and_has_no_rows(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"")
    assert list(read_rows(path)) == []
    with pytest.raises(UsageError, match="not JSON: Expecting value at column 1"):
        read_json(path)


@pytest.mark.parametrize(
    "read",
    [
        read_json,
        read_text,
        sha256_of,
        sha256_unpacked,
        text_unpacked,
        lambda path: list(read_rows(path)),
    ],
)
def test_a_pipe_that_lies_where_a_file_should_is_refused_and_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "a")
    with pytest.raises(UsageError, match="a: not a regular file"):
        read(tmp_path / "a")


def test_a_pipe_that_the_caller_gave_has_no_hash_of_what_was_read_from_it_before():
    taken, given = os.pipe()
    os.close(given)
    with pytest.raises(UsageError, match="it is read twice: save it first"):
        sha256_of(Path(f"/dev/fd/{taken}"))
    os.close(taken)


def test_a_pipe_that_the_caller_gave_is_read():
    reader, writer = os.pipe()
    os.write(writer, b"given\n")
    os.close(writer)
    try:
        assert read_text(Path(f"/dev/fd/{reader}")) == "given\n"
    finally:
        os.close(reader)


@pytest.mark.skipif(
    not can_mount() and "CI" not in os.environ, reason="only root may have a small file system"
)
@pytest.mark.parametrize("room", ["size=8k", "size=12k", "nr_inodes=4"])
def test_files_that_belong_together_are_all_there_or_none(tmp_path, room):
    write = (
        "from harness.errors import EnvironmentError_\n"
        "from harness.files import *\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "texts = {folder / name: name * 2000 for name in 'abcd'}\n"
        "try: write_new(texts, hint='')\n"
        "except EnvironmentError_ as error: print(error.message, sorted(folder.iterdir()))\n"
    )
    mount = f"mount -t tmpfs -o {room} tmpfs {shlex.quote(str(tmp_path))}"
    shell = f"{mount} && exec {shlex.join([sys.executable, '-c', write])}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", shell], capture_output=True, text=True)
    assert done.stdout.startswith("cannot be written: No space left on device, ")
    assert done.stdout.endswith(" []\n")


@pytest.mark.parametrize("before", ["", "{}\n{}\n"])
@pytest.mark.parametrize("read", [lambda path: list(files.read_lines(path)), scan_records])
def test_a_line_without_an_end_in_sight_is_one_message(tmp_path, monkeypatch, before, read):
    """As of a file that a disk left with zeros: nothing was said for as long as they were read."""
    monkeypatch.setattr(files, "LARGEST", 4096)
    path = tmp_path / "rows.jsonl"
    path.write_text(before)
    os.truncate(path, 3 << 20)
    with pytest.raises(UsageError, match=r"rows.jsonl:\d: a line longer than") as refused:
        read(path)
    assert refused.value.line == before.count("\n") + 1
