"""What the system refuses is told with its place, its reason and the next step."""

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import HarnessError, UsageError
from harness.files import append_bytes, cut, read_json, read_lines, write_json, write_whole
from harness.records import RunFolder, scan_records
from harness.refused import insist_on_file, insist_on_place, refusal, trouble

MORE_FILES = "Too many open files (allow this process more open files: ulimit -n)"


def exhausted(statement: str) -> str:
    """What a process says that meets a statement with no descriptor left."""
    code = (
        "import importlib.readers, harness.records.reader, resource, sys\n"
        "from pathlib import Path\n"
        "from harness.cli.terminal import why_refused\n"
        "from harness.errors import EnvironmentError_\n"
        "from harness.files import packaged, read_json, read_lines, write_json\n"
        "from harness.records import scan_records\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        f"try: {statement}\n"
        "except EnvironmentError_ as error: print(error)\n"
        "except OSError as error: print(why_refused(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_file_of_the_package_that_cannot_be_opened_is_not_said_to_be_unwritable():
    said = exhausted("packaged('harness', 'defects.yaml', list)")
    assert said.endswith(f"defects.yaml: cannot be opened: {MORE_FILES}")


@pytest.mark.parametrize(
    ("read", "what"),
    [
        ("read_json(Path('a.json'))", "read"),
        ("next(read_lines(Path('a.json')))", "read"),
        ("scan_records(Path('a.json'))", "read"),
        ("write_json(Path('a.json'), {})", "written"),
    ],
)
def test_too_many_open_files_are_not_the_files_fault(read, what, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([p for p in sys.path if p]))
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "a.json", {})
    assert exhausted(read) == f"a.json: cannot be {what}: {MORE_FILES}"


def test_a_file_that_is_at_fault_itself_is_read_as_before(tmp_path):
    write_json(tmp_path / "a.json", {})
    assert read_json(tmp_path / "a.json") == {}
    assert [number for number, _ in read_lines(tmp_path / "a.json")] == [1]
    assert len(scan_records(tmp_path / "a.json")) == 0


@pytest.mark.parametrize(
    ("number", "next_step"),
    [
        (errno.EROFS, "make its disk writable, or write to another folder"),
        (errno.EFBIG, "allow larger files: ulimit -f, or write to another folder"),
        (errno.EACCES, "allow this user to write, or write to another folder"),
        (errno.EDQUOT, "free some space, or write to another folder"),
        (errno.EISDIR, "a folder is in the way: move it, or write to another folder"),
        (errno.ENOTDIR, "a file is in the way of a folder: move it, or write to another folder"),
    ],
)
def test_what_cannot_be_written_has_a_next_step(number, next_step):
    error = OSError(number, os.strerror(number), "a/b")
    assert refusal(error, "a/b").hint == next_step
    told = trouble(error, "the run folder")
    assert told.file == "a/b"
    assert told.hint == (next_step if number != errno.EACCES else None)  # it may be a reader's


def test_a_file_larger_than_allowed_is_told_with_its_next_step(tmp_path):
    write = f"from harness.files import *; write_whole(Path({str(tmp_path / 'a')!r}), 'a' * 9000)"
    done = subprocess.run(
        ["sh", "-c", f'ulimit -f 4; exec {sys.executable} -c "$0"', write],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "a: cannot be written: File too large (allow larger files: ulimit -f" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("trace", "trace.csv", "--profile", "demo-tiny", "-o"),
        ("sample", "--profile", "demo-tiny", "--temperature", "0.7", "-o"),
        ("scan", "--profile", "demo-tiny", "--out"),
        ("images", "bisect", "a", "b", "-o"),
        ("shrink", "run", "record", "-o"),
    ],
    ids=lambda words: words[0],
)
def test_a_folder_where_a_verb_is_to_write_is_refused_before_anything_is_looked_at(
    words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    for place in ("taken", "file/below/it"):
        with pytest.raises(SystemExit, match="2"):
            main([*words, place])
        (line,) = capsys.readouterr().err.splitlines()
        assert "folder" in line or "directory" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]


@pytest.mark.parametrize("kind", ["device", "pipe", "link", "stdout"])
def test_what_is_no_file_is_not_replaced_by_one(kind, tmp_path):
    place = tmp_path / "taken"
    if kind == "device":
        try:
            os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        except PermissionError:  # who may make none is refused a link to the machine's own
            place.symlink_to(os.devnull)
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "link":
        os.mkfifo(tmp_path / "real")
        place.symlink_to("real")
    else:
        (tmp_path / "out").touch()
        place = Path("/dev/stdout")
    before = sorted((one.name, one.lstat().st_mode) for one in tmp_path.iterdir())
    for refuses in (insist_on_place, insist_on_file, *(() if kind == "stdout" else (_written,))):
        with pytest.raises(UsageError, match="is a device, a pipe or a socket") as caught:
            refuses(place)
        assert caught.value.hint == "name another file; a verb without one prints"
    assert sorted((one.name, one.lstat().st_mode) for one in tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", ["pipe", "link", "socket"])
@pytest.mark.parametrize("writes", [lambda p: append_bytes(p, b"x"), lambda p: cut(p, 0)])
def test_what_is_added_to_a_pipe_is_refused_at_once(tmp_path, kind, writes):
    """Nobody may ever read from it."""
    place = tmp_path / "vllm_records.jsonl"
    os.mkfifo(tmp_path / "real")
    if kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(place))
    else:
        (tmp_path / "real").rename(place) if kind == "pipe" else place.symlink_to("real")
    with pytest.raises(UsageError, match="is a device, a pipe or a socket") as caught:
        writes(place)
    assert caught.value.file == str(place)
    assert "move it away" in caught.value.hint


@pytest.mark.parametrize("name", ["harness.jsonl", "vllm_records.jsonl", "metadata.json"])
def test_a_run_folder_with_a_pipe_in_the_place_of_a_file_is_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match="is a device, a pipe or a socket") as caught:
        RunFolder(tmp_path)
    assert (caught.value.file, "move it away" in caught.value.hint) == (str(tmp_path / name), True)


@pytest.mark.parametrize(
    "meets",
    [
        lambda path: append_bytes(path, b"x"),
        lambda path: write_whole(path / "below", "x"),
        lambda path: list(read_lines(path)),
        read_json,
    ],
)
def test_links_that_lead_in_a_circle_are_told_with_the_next_step(tmp_path, meets):
    place = tmp_path / "place"
    place.symlink_to("place")
    with pytest.raises(HarnessError) as caught:
        meets(place)
    assert str(place) in str(caught.value)
    assert "links lead in a circle: remove the one in the way" in str(caught.value)


def _written(place):
    write_whole(place, "told")


def test_a_link_to_a_file_is_written_to(tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", "told")
    assert (tmp_path / "link").read_text() == "told"


def test_reports_of_images_are_refused_where_a_file_is(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="2"):
        main(["images", "compare", "a", "b", "-o", str(tmp_path / "file")])
    assert "file: is no folder, and report is to be written below it" in capsys.readouterr().err
