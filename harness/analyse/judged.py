"""What a validation judged, by the digest of each file: whether it holds for what is there now.

Times of files are not asked: a copy, a clone and a fetch have others, and an altered file may have
any.
"""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from harness.analyse.from_records import read_summary
from harness.analyse.summary import Summary
from harness.analyse.validate import JudgedFile, Validation, read_validation
from harness.errors import UsageError
from harness.files import sha256_of
from harness.records import RunFiles

SUMMARY, VALIDATION = "summary.json", "validation.json"
MOST_HASHED = 32 << 20
"""Bytes of a file that are hashed where many runs are looked at; of a larger one the size tells."""


class RunState(StrEnum):
    """What a run is to whoever reads its numbers; `state_of` says which, for every face."""

    COUNTS = "counts"
    DOES_NOT_COUNT = "does not count"
    UNPROVEN = "unproven"
    UNFINISHED = "unfinished"
    NOT_VALIDATED = "not validated"


class Kept(NamedTuple):
    """The numbers of a run's own files that are of what is there now; ``None`` for the others."""

    summary: Summary | None
    validation: Validation | None


def with_judged(found: Validation, files: RunFiles, *, summary: bool = False) -> Validation:
    """The validation with the digests of what it judged, to be written.

    Args:
        summary: whether ``summary.json``, as it is there now, was made of the same; else it is
            named only where the validation before this one named it and both still hold.
    """
    judged, of_the_same = _judged(files), summary
    with suppress(UsageError):  # an unreadable one is what is written anew
        of_the_same = of_the_same or kept_numbers(files).summary is not None
    if of_the_same and (path := files.folder / SUMMARY).is_file():
        judged[SUMMARY] = _file(path)
    return replace(found, judged=judged)


def kept_validation(files: RunFiles, most: int | None = None) -> Validation | None:
    """The validation beside the records, where it judged what is there now.

    Args:
        most: bytes of a file up to which it is hashed; of a larger one the size alone is compared.

    Raises:
        UsageError: there is one and it cannot be read.
    """
    path = files.folder / VALIDATION
    if not path.is_file():
        return None
    found = read_validation(path)
    there = {one.name: one for one in files.judged_files()}
    of_records = {name: one for name, one in found.judged.items() if name != SUMMARY}
    if not of_records or set(of_records) != set(there):
        return None
    holds = all(_holds(one, there[name], most) for name, one in of_records.items())
    return found if holds else None


def state_of(files: RunFiles, validation: Validation | None) -> RunState:
    """A run's one state: unfinished, validated or not, until all that was planned is there.

    Args:
        validation: what holds for what is there now, as `kept_validation` gives it.
    """
    planned = files.planned_records
    if planned is not None and files.lines_there < planned:
        return RunState.UNFINISHED
    if validation is not None:
        if validation.ok:
            return RunState.COUNTS
        return RunState.UNPROVEN if validation.only_unproven else RunState.DOES_NOT_COUNT
    sessions = files.metadata.get("sessions")
    ended = not sessions or sessions[-1].get("ended_at")
    return RunState.NOT_VALIDATED if ended else RunState.UNFINISHED


def kept_numbers(files: RunFiles) -> Kept:
    """Both numbers of a run's files, each only where it is of what is there now.

    Raises:
        UsageError: one of them cannot be read.
    """
    found, path = kept_validation(files), files.folder / SUMMARY
    said = found.judged.get(SUMMARY) if found else None
    if found is None or said is None or not path.is_file() or not _holds(said, path, None):
        return Kept(None, found)
    summary = read_summary(path)
    counts = {mode: (told.records, told.ok) for mode, told in found.by_mode.items()}
    same = counts == {mode: (told.records, told.ok) for mode, told in summary.by_mode.items()}
    return Kept(summary if same else None, found if same else None)


def _judged(files: RunFiles) -> dict[str, JudgedFile]:
    return {path.name: _file(path) for path in files.judged_files()}


def _file(path: Path) -> JudgedFile:
    return JudgedFile(path.stat().st_size, sha256_of(path))


def _holds(said: JudgedFile, path: Path, most: int | None) -> bool:
    size = path.stat().st_size
    if size != said.bytes:
        return False
    return (most is not None and size > most) or sha256_of(path) == said.sha256
