"""Everything that killed runs left: native servers by their owner files, containers by label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentError_
from harness.serve.orphans import OwnerFile, sweep_folder

__all__ = ["Swept", "sweep_everything"]


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
    native = _sweep_native(_folders(results, run_id), dry_run=dry_run)
    containers = _sweep_containers(run_id, dry_run=dry_run)
    return Swept(native.lines + containers.lines, native.kept + containers.kept, containers.notes)


def _folders(results: Path, run_id: str | None) -> tuple[Path, ...]:
    wanted = [results / run_id] if run_id else sorted(results.glob("*"))
    return tuple(path for path in wanted if path.is_dir())


def _sweep_native(folders: tuple[Path, ...], *, dry_run: bool) -> Swept:
    lines: list[str] = []
    kept: list[str] = []
    for folder in folders:
        for owner in filter(None, map(OwnerFile.read, sorted(folder.glob("*.pid.json")))):
            about = f"server pid {owner.server_pid} of run {owner.run_id}"
            if owner.harness_alive:
                kept.append(f"{about} (its harness is alive)")
            elif dry_run:
                lines.append(f"would end {about}")
        if not dry_run:
            lines.extend(sweep_folder(folder))
    return Swept(tuple(lines), tuple(kept))


def _sweep_containers(run_id: str | None, *, dry_run: bool) -> Swept:
    from harness.serve.docker import connect, find_leftovers, remove_leftovers

    try:
        client = connect()
    except EnvironmentError_ as error:
        return Swept((), (), (f"containers were not looked at: {error.message}",))
    try:
        found = find_leftovers(client, run_id)
        kept = tuple(str(left) for left in found if not left.owner_gone)
        if dry_run:
            return Swept(tuple(f"would remove {left}" for left in found if left.owner_gone), kept)
        removed = remove_leftovers(client, found)
        return Swept(tuple(f"removed {left}" for left in removed), kept)
    finally:
        client.close()
