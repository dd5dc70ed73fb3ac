"""A run folder on disk, owned by one process at a time.

Records are appended, flushed and synced one line at a time. A crash can only tear the last line;
on resume that tail is set aside in ``vllm_records.torn`` so that the next record starts a line of
its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from harness.errors import EnvironmentError_, HarnessError
from harness.files import Lock, holder_of, read_json, write_json, write_rows, write_whole
from harness.records.reader import iter_records
from harness.records.record import Record
from harness.records.run_files import METADATA, RECORDS


@dataclass(frozen=True, slots=True)
class TornTail:
    """A half-written last line that was set aside: its size in bytes and where it is now."""

    size: int
    kept_in: Path


class RunFolder:
    """``results/<run_id>/``: the only writer of a run's files.

    Attributes:
        path: the folder.
        appended: records written through this object.

    Raises:
        EnvironmentError_: another living harness owns the folder, or it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentError_(
                f"cannot make the run folder: {error.strerror}",
                file=path,
                hint="choose a folder that can be written: --results",
            ) from error
        lock = Lock.take(path / ".lock", str(os.getpid()))
        if lock is None:
            raise EnvironmentError_(
                f"the run folder {path} is in use by process "
                f"{holder_of(path / '.lock') or 'unknown'}",
                hint="wait for it or choose another --run-id",
            )
        self._lock = lock
        self._records: IO[str] | None = None
        self.appended = 0

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def records_path(self) -> Path:
        """``vllm_records.jsonl``."""
        return self.path / RECORDS

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the records file and give the folder up."""
        if self._records is not None:
            self._records.close()
            self._records = None
        self._lock.release()

    def mend_tail(self) -> TornTail | None:
        """Set aside a half-written last line, if there is one."""
        if not self.records_path.exists():
            return None
        data = self.records_path.read_bytes()
        if not data or data.endswith(b"\n"):
            return None
        start = data.rfind(b"\n") + 1
        kept = self.path / "vllm_records.torn"
        with kept.open("ab") as stream:
            stream.write(data[start:] + b"\n")
        os.truncate(self.records_path, start)
        return TornTail(len(data) - start, kept)

    def append_record(self, record: Record) -> None:
        """Append one record as one line, and return only when it is on disk."""
        if self._records is None:
            self._records = self.records_path.open("a", encoding="ascii")
        self._records.write(record.line())
        self._records.flush()
        os.fsync(self._records.fileno())
        self.appended += 1

    def records(self) -> Iterator[Record]:
        """Every record so far, in the order in which they were written."""
        if self.records_path.exists():
            for _, record in iter_records(self.records_path):
                yield record

    def set_aside_errors(self) -> int:
        """Move records with ``status: error`` to ``superseded_records.jsonl``; how many."""
        if not self.records_path.exists():
            return 0
        failed = {number for number, record in iter_records(self.records_path) if not record.ok}
        if failed:
            lines = self.records_path.read_bytes().splitlines(keepends=True)
            with (self.path / "superseded_records.jsonl").open("ab") as stream:
                stream.writelines(line for n, line in enumerate(lines, start=1) if n in failed)
            good = (line for n, line in enumerate(lines, start=1) if n not in failed)
            write_whole(self.records_path, b"".join(good))
        return len(failed)

    def write(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write ``name`` in this folder, whole; returns its path."""
        write_json(self.path / name, value)
        return self.path / name

    def write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write a JSONL file in this folder, whole."""
        write_rows(self.path / name, rows)

    def read(self, name: str) -> dict[str, Any] | None:
        """The JSON object called ``name``, or ``None`` when there is none yet."""
        path = self.path / name
        return read_json(path) if path.exists() else None


def new_run_id(results: Path, name: str) -> str:
    """``YYYYMMDD_HHMMSS-<name>``, not yet taken in ``results``."""
    stem = f"{datetime.now(UTC):%Y%m%d_%H%M%S}-{name}"
    run_id, n = stem, 1
    while (results / run_id).exists():
        n += 1
        run_id = f"{stem}-{n}"
    return run_id


def find_unfinished(results: Path, fingerprint: str) -> str | None:
    """The newest run in ``results`` with this fingerprint that was not completed, or ``None``."""
    found = []
    for path in sorted(results.glob(f"*/{METADATA}")):
        try:
            metadata = read_json(path)
        except HarnessError:
            continue
        if metadata.get("fingerprint") == fingerprint and not metadata.get("complete"):
            found.append((path.stat().st_mtime, path.parent.name))
    return max(found)[1] if found else None
