"""What the rows of an experiment rest on: a start of a server that its start-up file shows proven.

A start that gave no row, as of a server that was killed while failed rows were asked again, need
not be proven.
"""

from __future__ import annotations

from collections.abc import Collection
from os.path import lexists
from pathlib import Path

from harness.analyse import log_of, unfounded
from harness.errors import UsageError, shown
from harness.records import METADATA, RunFiles, Start, read_run_files
from harness.words import PROVEN, BackendName, Mode


def starts_of(files: RunFiles, mode: Mode) -> list[Start]:
    """The starts of the one server of an experiment's folder, oldest first; none if none is told.

    A row's ``start`` is a place in it, from 1.
    """
    found = [one.starts for one in files.startups if one.mode == mode]
    return list(found[0]) if len(found) == 1 else []


def insist_on_proof(
    folder: Path, fingerprint: str, mode: Mode, rest_on: Collection[int | None], hint: str
) -> None:
    """Refuse rows beside which nothing says what gave them, or that it ran in this mode.

    Args:
        fingerprint: that of what is asked now.
        rest_on: the starts that the rows name; ``None`` of older rows, which any may have given.
        hint: how they are asked anew.

    Raises:
        UsageError: what tells of them is gone or damaged, or of another folder or other settings,
            as in one that was renamed or copied; or a start is not proven.
    """
    if not lexists(folder / METADATA):
        raise UsageError(
            "it is gone, and told what gave the rows", file=folder / METADATA, hint=hint
        )
    try:
        files = read_run_files(folder)
    except UsageError as error:
        error.hint = hint
        raise
    for name, wanted in {"run_id": folder.name, "fingerprint": fingerprint}.items():
        if (told := files.metadata.get(name)) not in (None, wanted):
            what = f"its {name} is {shown(told)}, and {shown(wanted)} is due here: the folder was "
            what += "renamed or copied, or its metadata changed"
            raise UsageError(what, file=folder / METADATA, hint=hint)
    if files.lacks_logs:
        return
    starts = starts_of(files, mode)
    proven = {n for n, one in enumerate(starts, 1) if _is_proven(files, one, mode)}
    missing = {one for one in rest_on if one is not None} - proven
    if missing or not proven:
        of = f"start {min(missing)} of " if missing else ""
        what = f"no start-up file here shows {of}a server in {mode.words} mode that answered"
        what += ", with its log as it was written"
        raise UsageError(what, file=folder, hint=hint)


def _is_proven(files: RunFiles, start: Start, mode: Mode) -> bool:
    """Whether it ended well, and its log, read again, gives the verdict that is told."""
    ended = start.verdict == PROVEN[mode] and start.ended_at is not None and start.failure is None
    log = log_of(files, start)
    ours = start.server.get("backend") != BackendName.EXTERNAL
    lost = log is None and ours and start.log_sha256 is not None
    return ended and not lost and not unfounded(log, mode, start)
