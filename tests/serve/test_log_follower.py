"""What an engine shows of a log is joined to what is written of it, or the gap is named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from harness.prove import GAP
from harness.serve.docker.log_follower import LogFollower

LINES = [f"line {n:02}\n".encode() for n in range(10)]
FIRST = b"".join(LINES[:5])


class Engine:
    """A stand-in whose first stream breaks after five lines; then it shows what it is told to."""

    def __init__(self, *shows: bytes) -> None:
        self.attrs = {"State": {"Status": "exited"}}
        self._shows = chain(shows, repeat(shows[-1]))
        self._first = True

    def logs(self, *, follow: bool, **_: object) -> Iterator[bytes]:
        if self._first:
            self._first = False
            yield FIRST[:-3]
            yield FIRST[-3:]
            raise ConnectionResetError("engine went away")
        shown = next(self._shows)
        yield from (shown[at : at + 7] for at in range(0, len(shown), 7))

    def reload(self) -> None:
        """Ended."""


def followed(path: Path, *shows: bytes) -> bytes:
    follower = LogFollower(Engine(*shows), path)
    follower.start()
    deadline = time.monotonic() + 10
    while LINES[9] not in path.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.02)
    follower.finish()
    return path.read_bytes()


def rest(first: int) -> bytes:
    return b"".join(LINES[first:])


@pytest.mark.parametrize(
    "shows",
    [
        (rest(0),),
        (rest(4),),
        (rest(1),),
        (b"", rest(0)),
        (FIRST[:20], rest(0)),
        (rest(2), rest(6)),
        (rest(4), b"", rest(0)),
    ],
    ids=["all", "joined at the last line", "most", "nothing at first", "less at first",
         "rotated twice", "in turns"],
)  # fmt: skip
def test_what_joins_the_written_end_is_neither_lost_nor_doubled(tmp_path, shows):
    assert followed(tmp_path / "log", *shows) == rest(0)


def test_what_does_not_join_it_comes_after_a_gap(tmp_path):
    text = followed(tmp_path / "log", rest(7))
    assert text.startswith(FIRST + GAP.encode())
    assert text.endswith(b"lost\n" + rest(7))


def test_a_line_that_was_cut_by_the_break_is_ended_before_the_gap(tmp_path):
    class Cut(Engine):
        def logs(self, *, follow: bool, **asked: object) -> Iterator[bytes]:
            if self._first:
                self._first = False
                yield FIRST[:-4]
                raise ConnectionResetError("engine went away")
            yield from super().logs(follow=follow, **asked)

    follower = LogFollower(Cut(rest(8)), tmp_path / "log")
    follower.start()
    follower.finish()
    lines = (tmp_path / "log").read_bytes().split(b"\n")
    assert sum(line.startswith(GAP.encode()) for line in lines) == 1
    assert lines[-3:] == [b"line 08", b"line 09", b""]


def test_a_second_gap_is_named_too(tmp_path):
    text = followed(tmp_path / "log", rest(7)[:8], b"line 11\nline 12\n" + LINES[9])
    assert text.count(GAP.encode()) == 2
    assert text.count(b"line 07") == 1
