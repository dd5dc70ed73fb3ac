"""A run folder on disk, owned by one process at a time.

Records are appended, flushed and synced one line at a time. A crash can only tear the last line;
on resume that tail is set aside in ``vllm_records.torn`` so that the next record starts a line of
its own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec

from harness.errors import EnvironmentError_, GateFailed, HarnessError, UsageError
from harness.files import append_text, sweep_temporary, write_json, write_rows
from harness.hostile import shaped
from harness.locks import LOCK, Lock, holder_of
from harness.records.lines import is_sealed
from harness.records.reader import iter_records
from harness.records.record import Record
from harness.records.run_files import METADATA, NEVER_ANEW, RECORDS, SUPERSEDED, TORN
from harness.records.sealed_file import (
    TornTail,
    mend_tail,
    read_side_file,
    set_aside,
    unshare,
    write_side_file,
)
from harness.refused import insist_on_place, insist_on_regular, refusal
from harness.words import Mode

_OF_FILES = frozenset((".json", ".jsonl", ".torn", ".md", ".html"))
LOGBOOK = "harness.jsonl"
"""The harness's own events."""
_LAST = "report.html"  # of all that a concluded run gets
_GROW = (RECORDS, SUPERSEDED, TORN, LOGBOOK)
"""Files that are added to, or cut, as they are; every other is replaced."""


class RunFolder:
    """``results/<run_id>/``: the only writer of a run's files.

    Attributes:
        path: the folder.
        appended: records written through this object, by model and mode.

    Raises:
        EnvironmentError_: another living harness owns the folder, or it cannot be made.
        UsageError: a folder, a pipe or the like is in it where a file of the run is, or will be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._made = [place for place in (path, *path.parents) if not place.exists()]
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            refused = refusal(error, path, "cannot make the run folder")
            refused.hint = "choose a folder that can be written: --results"
            raise refused from error
        for found in path.iterdir():
            if found.suffix in _OF_FILES and found.exists() and not found.is_file():
                insist_on_regular(found)
                insist_on_place(found)
        lock = Lock.take(path / LOCK, str(os.getpid()))
        if lock is None:
            raise EnvironmentError_(
                f"the run folder {path} is in use by process "
                f"{holder_of(path / '.lock') or 'unknown'}",
                hint="wait for it, or write to another folder: --results",
            )
        self._lock = lock
        self.appended = Counter[tuple[str, Mode]]()
        sweep_temporary(path)
        for name in _GROW:
            unshare(path / name)

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def records_path(self) -> Path:
        """``vllm_records.jsonl``."""
        return self.path / RECORDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the folder up; one that was made for nothing, as by a refusal, is gone."""
        if self._made:
            with suppress(OSError):
                held = {path for path in self.path.iterdir() if path.name not in (LOCK, LOGBOOK)}
                book = self.path / LOGBOOK
                if not held and not (book.exists() and book.stat().st_size):
                    book.unlink(missing_ok=True)
                    (self.path / LOCK).unlink()
                    for place in self._made:
                        place.rmdir()
        self._lock.release()

    def mend_tail(self) -> TornTail | None:
        """Set aside a half-written last line, if there is one; one that is whole gets its end."""
        return mend_tail(self.records_path, self.path / TORN, is_sealed)

    def append_record(self, record: Record) -> None:
        """Append one record as one line, and return only when it is on disk.

        Raises:
            EnvironmentError_: it cannot be written; of the line nothing is left.
        """
        append_text(self.records_path, record.line())
        self.appended[record.model, record.mode] += 1

    def records(self) -> Iterator[Record]:
        """Every record so far, in the order in which they were written."""
        if self.records_path.exists():
            for _, record in iter_records(self.records_path):
                yield record

    def set_aside(self, lines: Container[int]) -> int:
        """Move these lines (from 1) to ``superseded_records.jsonl``; how many there were."""
        return set_aside(self.records_path, lines, self.path / SUPERSEDED)

    def write(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write ``name`` in this folder, whole; returns its path."""
        write_json(self.path / name, value)
        return self.path / name

    def write_sealed(self, name: str, value: Mapping[str, Any]) -> None:
        """Write what tells of the run, such as ``metadata.json``, whole and with its checksum."""
        write_side_file(self.path / name, value)

    def write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write a JSONL file in this folder, whole."""
        write_rows(self.path / name, rows)

    def keep_damaged(self, name: str) -> Path:
        """Move a file aside, a link as it is, to ``….damaged`` or ``….damaged-2``; where it is."""
        aside, n = self.path / f"{name}.damaged", 1
        while os.path.lexists(aside):
            n += 1
            aside = self.path / f"{name}.damaged-{n}"
        return (self.path / name).rename(aside)

    def read(self, name: str) -> dict[str, Any] | None:
        """What `write_sealed` wrote as ``name``, or ``None`` when there is none yet.

        Raises:
            UsageError: it is damaged, and the run is not to be gone on with.
        """
        path = self.path / name
        try:
            return read_side_file(path) if os.path.lexists(path) else None
        except UsageError as error:
            error.hint = error.hint or NEVER_ANEW
            raise


def new_run_id(results: Path, name: str) -> str:
    """``YYYYMMDD_HHMMSS-<name>``, not yet taken in ``results``."""
    stem = f"{datetime.now(UTC):%Y%m%d_%H%M%S}-{name}"
    run_id, n = stem, 1
    while (results / run_id).exists():
        n += 1
        run_id = f"{stem}-{n}"
    return run_id


class _Session(msgspec.Struct):
    exit: int | None = None


class _Known(msgspec.Struct):
    """What tells whether a run is to be taken up again."""

    run_id: str | None = None
    kind: str | None = None
    fingerprint: str | None = None
    complete: bool = False
    does_not_count: str | None = None
    sessions: tuple[_Session, ...] = ()

    def done(self, folder: Path) -> bool:
        """Whether its conclusion was written: a run killed before that is taken up again."""
        concluded = not self.sessions or self.sessions[-1].exit in (0, GateFailed.exit_code)
        written = self.complete and concluded and (folder / _LAST).exists()
        return self.does_not_count is not None or written


def is_concluded(folder: Path, fingerprint: str) -> bool:
    """Whether the run in ``folder`` asks what this fingerprint stands for, and was concluded."""
    known = _known(folder / METADATA)
    return known is not None and known.fingerprint == fingerprint and known.done(folder)


def find_unfinished(results: Path, fingerprint: str, kind: str) -> str | None:
    """The newest run in ``results`` with this fingerprint that was not concluded, or ``None``.

    One of another kind is another verb's, and a folder that was renamed or is a copy is no run of
    its own name. A folder that cannot be read stands in nobody's way.
    """
    found = []
    for path in sorted(results.glob(f"*/{METADATA}")):
        known, name = _known(path), path.parent.name
        mine = known and (known.fingerprint, known.run_id, known.kind) == (fingerprint, name, kind)
        if known and mine and not known.done(path.parent):
            found.append((path.stat().st_mtime, name))
    return max(found)[1] if found else None


def _known(path: Path) -> _Known | None:
    try:
        return shaped(read_side_file(path), _Known)
    except (HarnessError, msgspec.ValidationError, OSError):
        return None
