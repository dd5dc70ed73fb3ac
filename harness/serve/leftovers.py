"""Servers whose harness is gone: found by an owner file or a label, ended only if surely ours.

A native server's environment holds ``HARNESS_SERVER=<random mark>``, which every process that it
starts inherits, and an owner file in the run folder holds the same mark. A process id that has
been given to someone else since has another start time and no mark. Containers carry labels.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.errors import EnvironmentError_
from harness.files import write_json
from harness.machine import ProcessId, end_processes, marked_processes, wait_gone

SERVER_MARK = "HARNESS_SERVER"
RUN_MARK = "HARNESS_RUN_ID"
OWNER_SUFFIX = ".pid.json"


class OwnerFile(msgspec.Struct, frozen=True, kw_only=True):
    """Who started a native server: ``native_<mode>_<model>.pid.json``, beside the server's log.

    Attributes:
        mark: the value of ``HARNESS_SERVER`` in the server's environment.
        supervisor: the process that ends it when the harness is gone.
        grace_s: how long the server may take to end politely.
    """

    schema_version: int = 1
    mark: str
    run_id: str
    harness: ProcessId | None
    supervisor: ProcessId | None
    server_pid: int
    grace_s: float

    def write(self, path: Path) -> None:
        """Write the file for a server that was just started."""
        write_json(path, msgspec.to_builtins(self))

    @classmethod
    def read(cls, path: Path) -> OwnerFile | None:
        """The file as written; ``None`` if it is gone or was cut off while being written."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return None

    @property
    def harness_alive(self) -> bool:
        """Whether the harness that started it still runs."""
        return self.harness is not None and self.harness.alive

    def sweep(self, path: Path) -> bool:
        """End whatever is left of this server and remove its file; whether anything was left.

        A supervisor that still works is given its time first: it ends the server politely.
        """
        supervisor = (self.supervisor,) if self.supervisor and self.supervisor.alive else ()
        left = bool(supervisor) or bool(marked_processes(SERVER_MARK, self.mark))
        if supervisor:
            wait_gone(supervisor, self.grace_s + 10.0)
        while rest := marked_processes(SERVER_MARK, self.mark):
            end_processes(rest, grace_s=self.grace_s)
        path.unlink(missing_ok=True)
        return left


def sweep_folder(run_folder: Path) -> tuple[str, ...]:
    """End the native servers of this run folder whose harness is gone.

    Returns:
        One line for a person on each server that was ended.
    """
    ended = []
    for path in sorted(run_folder.glob(f"*{OWNER_SUFFIX}")):
        owner = OwnerFile.read(path)
        if owner is None:
            with contextlib.suppress(OSError):
                path.unlink()
        elif not owner.harness_alive and owner.sweep(path):
            name = path.name.removesuffix(OWNER_SUFFIX)
            ended.append(f"ended the server {name} (pid {owner.server_pid}) of a killed run")
    return tuple(ended)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did, as lines for a person.

    Attributes:
        lines: what was ended or removed, or would be.
        kept: what belongs to a harness that may be alive.
        notes: what could not be looked at, such as an engine that does not answer.
    """

    lines: tuple[str, ...]
    kept: tuple[str, ...]
    notes: tuple[str, ...] = ()


def sweep_everything(results: Path, *, run_id: str | None, dry_run: bool) -> Swept:
    """Find what is left of us on this machine, and end it where its harness is certainly gone.

    Args:
        results: the folder of run folders.
        run_id: only this run.
        dry_run: change nothing.
    """
    lines: list[str] = []
    kept: list[str] = []
    for folder in [results / run_id] if run_id else sorted(results.glob("*")):
        for path in sorted(folder.glob(f"*{OWNER_SUFFIX}")):
            if owner := OwnerFile.read(path):
                about = f"server pid {owner.server_pid} of run {owner.run_id}"
                if owner.harness_alive:
                    kept.append(f"{about} (its harness is alive)")
                elif dry_run:
                    lines.append(f"would end {about}")
        if not dry_run:
            lines.extend(sweep_folder(folder))
    containers = _sweep_containers(run_id, dry_run=dry_run)
    return Swept((*lines, *containers.lines), (*kept, *containers.kept), containers.notes)


def _sweep_containers(run_id: str | None, *, dry_run: bool) -> Swept:
    from harness.serve.docker import connect, find_leftovers, remove_leftovers

    try:
        client = connect()
    except EnvironmentError_ as error:
        return Swept((), (), (f"containers were not looked at: {error.message}",))
    with contextlib.closing(client):
        found = find_leftovers(client, run_id)
        kept = tuple(str(left) for left in found if not left.owner_gone)
        if dry_run:
            return Swept(tuple(f"would remove {left}" for left in found if left.owner_gone), kept)
        removed = remove_leftovers(client, found)
        return Swept(tuple(f"removed {left}" for left in removed), kept)
