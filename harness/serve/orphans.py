"""Servers whose harness is gone: found by an owner file and a mark, ended only if surely ours.

A server's environment holds ``HARNESS_SERVER=<random mark>``, which every process that it starts
inherits, and an owner file in the run folder holds the same mark. A process id that has been given
to someone else since has another start time and no mark.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.serve.processes import ProcessId, end_processes, marked_processes, wait_gone

__all__ = ["RUN_MARK", "SERVER_MARK", "OwnerFile", "sweep_folder"]

SERVER_MARK = "HARNESS_SERVER"
RUN_MARK = "HARNESS_RUN_ID"
_PATTERN = "*.pid.json"


@dataclass(frozen=True, slots=True)
class OwnerFile:
    """Who started a native server, beside the log of that server.

    Attributes:
        path: the file, ``native_<mode>_<model>.pid.json``.
        mark: the value of ``HARNESS_SERVER`` in the server's environment.
        run_id: the run.
        harness: the process that started it.
        supervisor: the process that ends it when the harness is gone.
        server_pid: the server's process id.
        grace_s: how long the server may take to end politely.
    """

    path: Path
    mark: str
    run_id: str
    harness: ProcessId | None
    supervisor: ProcessId | None
    server_pid: int
    grace_s: float

    @classmethod
    def write(
        cls,
        path: Path,
        *,
        mark: str,
        run_id: str,
        supervisor_pid: int,
        server_pid: int,
        grace_s: float,
    ) -> OwnerFile:
        """Write the file for a server that this process has just started."""
        harness, supervisor = ProcessId.of(os.getpid()), ProcessId.of(supervisor_pid)
        path.write_text(
            json.dumps(
                {
                    "schema_version": 1,
                    "mark": mark,
                    "run_id": run_id,
                    "harness": _as_json(harness),
                    "supervisor": _as_json(supervisor),
                    "server_pid": server_pid,
                    "grace_s": grace_s,
                },
                indent=2,
            )
            + "\n"
        )
        return cls(path, mark, run_id, harness, supervisor, server_pid, grace_s)

    @classmethod
    def read(cls, path: Path) -> OwnerFile | None:
        """The file as written; ``None`` if it is gone or was cut off while being written."""
        try:
            data = json.loads(path.read_text())
            return cls(
                path,
                str(data["mark"]),
                str(data["run_id"]),
                _from_json(data["harness"]),
                _from_json(data["supervisor"]),
                int(data["server_pid"]),
                float(data["grace_s"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def harness_alive(self) -> bool:
        """Whether the harness that started it still runs."""
        return self.harness is not None and self.harness.alive

    def sweep(self) -> bool:
        """End whatever is left of this server and remove the file; whether anything was left.

        A supervisor that still works is given its time first: it ends the server politely.
        """
        supervisor = (self.supervisor,) if self.supervisor and self.supervisor.alive else ()
        left = bool(supervisor) or bool(marked_processes(SERVER_MARK, self.mark))
        if supervisor:
            wait_gone(supervisor, self.grace_s + 10.0)
        while rest := marked_processes(SERVER_MARK, self.mark):
            end_processes(rest, grace_s=self.grace_s)
        self.path.unlink(missing_ok=True)
        return left


def sweep_folder(run_folder: Path) -> tuple[str, ...]:
    """End the native servers of this run folder whose harness is gone.

    Returns:
        One line for a person on each server that was ended.
    """
    ended = []
    for path in sorted(run_folder.glob(_PATTERN)):
        owner = OwnerFile.read(path)
        if owner is None:
            with contextlib.suppress(OSError):
                path.unlink()
            continue
        if owner.harness_alive:
            continue
        if owner.sweep():
            name = path.name.removesuffix(".pid.json")
            ended.append(f"ended the server {name} (pid {owner.server_pid}) of a killed run")
    return tuple(ended)


def _as_json(process: ProcessId | None) -> dict[str, int] | None:
    return {"pid": process.pid, "start_time": process.start_time} if process else None


def _from_json(value: Any) -> ProcessId | None:
    return ProcessId(int(value["pid"]), int(value["start_time"])) if value else None
