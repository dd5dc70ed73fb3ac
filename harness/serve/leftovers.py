"""Servers whose harness is gone: found by mark, owner file or label, ended only if surely ours.

A native server's environment holds ``HARNESS_SERVER=<random mark>``, its run and the process of its
harness; every process that it starts inherits them. An owner file in the run folder holds the same
mark, and how long the server may take. A process id that has been given to someone else since has
another start time and no mark. Containers carry labels.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.errors import EnvironmentError_
from harness.files import sweep_temporary, write_json
from harness.machine import (
    Owner,
    ProcessId,
    end_processes,
    marked_processes,
    processes_with,
    wait_gone,
)
from harness.numbers import count_of
from harness.refused import REMOVED, refusal

SERVER_MARK = "HARNESS_SERVER"
RUN_MARK = "HARNESS_RUN_ID"
OWNER_MARK = "HARNESS_OWNER"
OWNER_SUFFIX = ".pid.json"


def marks_of(run_id: str, mark: str) -> dict[str, str]:
    """Variables by which what this harness starts for a run is found when the harness is gone.

    Args:
        run_id: of the run.
        mark: one for all processes that are ended together.
    """
    titles = {"SPT_NOENV": "1"}  # keep process titles from wiping the marks out of /proc
    return {SERVER_MARK: mark, RUN_MARK: run_id, OWNER_MARK: Owner.this().mark, **titles}


_ROUNDS = 3
_STAYS = "it does not end, even by SIGKILL: a driver holds it"
_GRACE_S, _LONGEST_GRACE_S = 30.0, 600.0
"""How long a server may take to end whose owner file does not say it."""


class OwnerFile(msgspec.Struct, frozen=True, kw_only=True):
    """Who started a native server: ``<its log's stem>.pid.json``, beside the log.

    Attributes:
        mark: the value of ``HARNESS_SERVER`` in the server's environment.
        supervisor: the process that ends it when the harness is gone.
        grace_s: how long the server may take to end politely.
        host, space: where all these processes are, as of an `Owner`; a file of an earlier release
            may not say the host: here.
    """

    schema_version: int = 1
    mark: str
    run_id: str
    harness: ProcessId | None
    supervisor: ProcessId | None
    server_pid: int
    grace_s: float
    host: str = msgspec.field(default_factory=socket.gethostname)
    space: str = ""

    def write(self, path: Path) -> None:
        """Write the file for a server that was just started."""
        write_json(path, msgspec.to_builtins(self))

    @classmethod
    def read(cls, path: Path) -> OwnerFile:
        """The file as written.

        Raises:
            OSError: it cannot be read.
            ValueError: it is damaged.
        """
        return msgspec.json.decode(path.read_bytes(), type=cls)

    @property
    def harness_gone(self) -> bool:
        """Whether the harness that started it has certainly ended."""
        return (self.harness is None and not self.owner.elsewhere) or self.owner.is_gone()

    @property
    def owner(self) -> Owner:
        """The harness, or where it was."""
        process = self.harness or ProcessId(0, 0)
        return Owner(self.host, process.pid, process.start_time, self.space)

    def sweep(self, path: Path) -> bool:
        """End whatever is left of this server and remove its file; whether anything was left.

        A supervisor that still works is given its time first: it ends the server politely. The file
        stays where a process does not end.
        """
        grace_s = min(max(self.grace_s, 0.0), _LONGEST_GRACE_S)
        supervisor = (self.supervisor,) if self.supervisor and self.supervisor.alive else ()
        left = bool(supervisor) or bool(marked_processes(SERVER_MARK, self.mark))
        if supervisor:
            wait_gone(supervisor, grace_s + 10.0)
        if _ended(self.mark, grace_s):
            path.unlink(missing_ok=True)
        return left


def _ended(mark: str, grace_s: float) -> bool:
    """End every process of a server; false where one is left, which a driver may not let go."""
    for _ in range(_ROUNDS):
        if not (rest := marked_processes(SERVER_MARK, mark)):
            return True
        end_processes(rest, grace_s=grace_s)
    return not marked_processes(SERVER_MARK, mark)


@dataclass(slots=True)
class Swept:
    """What a sweep did, as lines for a person.

    Attributes:
        lines: what was ended or removed, or would be.
        kept: what belongs to a harness that may be alive.
        failed: what could not be removed, as on a disk that is read-only.
        notes: what could not be looked at or judged, such as an engine that does not answer.
    """

    lines: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Swept) -> None:
        """Take another sweep's lines in."""
        self.lines += other.lines
        self.kept += other.kept
        self.failed += other.failed
        self.notes += other.notes


@dataclass(frozen=True, slots=True)
class Living:
    """The processes of one native server, or of a run's own Ray cluster, as their marks tell."""

    mark: str
    run_id: str
    owner: Owner | None
    processes: tuple[ProcessId, ...]

    @property
    def is_owned(self) -> bool:
        """Whether the harness that started it may be alive."""
        return self.owner is not None and not self.owner.is_gone()

    @property
    def pid(self) -> int:
        """Its first process."""
        return min(process.pid for process in self.processes)

    def sweep(self, *, dry_run: bool) -> Swept:
        """End them where their harness is certainly gone."""
        about = f"what run {self.run_id} started and no owner file names (pid {self.pid})"
        if self.owner is None:
            return Swept(kept=[f"{about} (which harness started it is not known)"])
        if self.is_owned:
            return Swept(kept=[f"{about} (its harness is alive)"])
        if dry_run:
            return Swept([f"would end {about}"])
        if not _ended(self.mark, _GRACE_S):
            return Swept(kept=[f"{about} ({_STAYS})"])
        return Swept([f"ended {about}: its harness was killed"])


def sweep_folder(
    run_folder: Path, *, dry_run: bool = False, living: Sequence[Living] | None = None
) -> Swept:
    """End the native servers of this run folder whose harness is gone, whatever its files say.

    What a writer that is gone left half-written there is removed.

    Args:
        run_folder: named as the run.
        dry_run: change nothing.
        living: the native servers of this machine, where they were looked for already.
    """
    swept, marks, damaged = Swept(), set[str](), dict[Path, str]()
    found = _living() if living is None else living
    ours = [one for one in found if one.run_id == run_folder.name]
    for path in sorted(run_folder.glob(f"*{OWNER_SUFFIX}")):
        try:
            told = OwnerFile.read(path)
        except (OSError, ValueError) as error:
            damaged[path] = str(error)
            continue
        marks.add(told.mark)
        swept.add(_sweep_told(path, told, ours, dry_run=dry_run))
    for one in ours:
        if one.mark not in marks:
            swept.add(one.sweep(dry_run=dry_run))
    for path, why in damaged.items():
        swept.add(_sweep_damaged(path, why, ours, dry_run=dry_run))
    places = (run_folder, *(path for path in run_folder.rglob("*") if path.is_dir()))
    if half := sum(sweep_temporary(place, dry_run=dry_run) for place in places):
        did = "would remove" if dry_run else "removed"
        swept.lines.append(f"{did} {count_of(half, 'half-written file')} in {run_folder}")
    if stay := 0 if dry_run else sum(sweep_temporary(place, dry_run=True) for place in places):
        what = count_of(stay, "half-written file")
        swept.failed.append(f"{what} in {run_folder} cannot be removed (make its disk writable)")
    return swept


def _sweep_told(path: Path, told: OwnerFile, ours: Sequence[Living], *, dry_run: bool) -> Swept:
    """End the server that an owner file names, where its harness is certainly gone."""
    name, pid = path.name.removesuffix(OWNER_SUFFIX), told.server_pid
    about = f"the server {name} (pid {pid}) of run {told.run_id}"
    if elsewhere := told.owner.elsewhere:
        return Swept(kept=[f"{about} ({elsewhere})"])
    if not told.harness_gone or any(one.is_owned for one in ours if one.mark == told.mark):
        return Swept(kept=[f"{about} (its harness is alive)"])
    if dry_run:
        return Swept([f"would end {about}"])
    try:
        if not told.sweep(path):
            return Swept()
    except OSError as error:  # its processes have ended by then
        return Swept(failed=[str(refusal(error, path, REMOVED))])
    if path.exists():
        return Swept(kept=[f"{about} ({_STAYS})"])
    return Swept([f"ended {about}: its harness was killed"])


def _sweep_damaged(path: Path, why: str, ours: Sequence[Living], *, dry_run: bool) -> Swept:
    """Remove an owner file that cannot be read, where no server of its run lives here."""
    run_id, said = path.parent.name, f"{path} cannot be read ({why})"
    if left := [one for one in ours if marked_processes(SERVER_MARK, one.mark)]:
        return Swept(
            kept=[f"{said}: it may name process {left[0].pid} of run {run_id}, which lives"]
        )
    about = f"{said}, and no process of run {run_id} lives on this machine"
    if dry_run:
        return Swept([f"would remove it: {about}"])
    try:
        path.unlink()
    except OSError as error:
        return Swept(failed=[str(refusal(error, path, REMOVED))])
    return Swept([f"removed it: {about}"])


def _living() -> Iterator[Living]:
    """Every native server whose processes live on this machine."""
    found: dict[str, list[tuple[ProcessId, dict[str, str]]]] = {}
    for process, held in processes_with(SERVER_MARK):
        found.setdefault(held[SERVER_MARK], []).append((process, held))
    for mark, members in found.items():
        held = {OWNER_MARK: "", RUN_MARK: ""} | members[0][1]
        owner = Owner.marked(held[OWNER_MARK])
        yield Living(mark, held[RUN_MARK], owner, tuple(process for process, _ in members))


def sweep_everything(results: Path, *, run_id: str | None, dry_run: bool) -> Swept:
    """Find what is left of us on this machine, and end it where its harness is certainly gone.

    Args:
        results: the folder of run folders.
        run_id: only this run.
        dry_run: change nothing.
    """
    swept, living = Swept(), list(_living())
    folders = [results / run_id] if run_id else sorted(results.glob("*"))
    for folder in folders:
        swept.add(sweep_folder(folder, dry_run=dry_run, living=living))
    if run_id is None:  # those of another results folder, or of one that is gone
        for one in living:
            elsewhere = one.run_id not in {folder.name for folder in folders}
            if elsewhere and not one.is_owned:
                swept.add(one.sweep(dry_run=dry_run))
    swept.add(_sweep_containers(run_id, dry_run=dry_run))
    return swept


def _sweep_containers(run_id: str | None, *, dry_run: bool) -> Swept:
    from harness.serve.docker import connect, find_leftovers, remove_leftovers

    try:
        client = connect()
    except EnvironmentError_ as error:
        return Swept(notes=[f"containers were not looked at: {error.message}"])
    with contextlib.closing(client):
        found = find_leftovers(client, run_id)
        kept = [str(left) for left in found if not left.owner_gone]
        if dry_run:
            return Swept([f"would remove {left}" for left in found if left.owner_gone], kept)
        removed = remove_leftovers(client, found)
        return Swept([f"removed {left}" for left in removed], kept)
