"""Containers that a killed harness left behind: found by label, removed if their owner is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import docker

from harness.serve.docker.container import LABEL_HOST, LABEL_PID, LABEL_PID_STARTED, LABEL_RUN
from harness.serve.docker.engine import guarded, remove_container
from harness.serve.leftovers import Owner


@dataclass(frozen=True, slots=True)
class LeftoverContainer:
    """A container of ours; it may be removed only if the harness that started it surely ended."""

    id: str
    name: str
    run_id: str
    status: str
    owner: Owner
    owner_gone: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> LeftoverContainer:
        """From a row of the engine's list."""
        labels: Mapping[str, str] = row.get("Labels") or {}
        pid, started = (
            int(text) if (text := labels.get(name, "")).isdigit() else 0
            for name in (LABEL_PID, LABEL_PID_STARTED)
        )
        owner = Owner(labels.get(LABEL_HOST, ""), pid, started)
        return cls(
            id=str(row["Id"]),
            name=str((row.get("Names") or ["?"])[0]).lstrip("/"),
            run_id=labels.get(LABEL_RUN, ""),
            status=str(row.get("State", "unknown")),
            owner=owner,
            owner_gone=owner.is_gone(),
        )

    def __str__(self) -> str:
        owner = f"{self.owner.host} pid {self.owner.pid}"
        fate = "owner gone" if self.owner_gone else "owner may be alive"
        return f"container {self.name} (run {self.run_id}, {self.status}; {owner}: {fate})"


def find_leftovers(
    client: docker.DockerClient, run_id: str | None = None
) -> tuple[LeftoverContainer, ...]:
    """All containers that carry our run label, running or not, oldest name first.

    Args:
        client: a client of the engine.
        run_id: only those of this run.

    Raises:
        EnvironmentError_: the engine does not answer.
    """
    label = LABEL_RUN if run_id is None else f"{LABEL_RUN}={run_id}"
    listed = guarded(
        "list containers",
        lambda: client.api.containers(all=True, filters={"label": [label]}),
    )
    return tuple(sorted(map(LeftoverContainer.of, listed), key=lambda found: found.name))


def remove_leftovers(
    client: docker.DockerClient, leftovers: tuple[LeftoverContainer, ...]
) -> tuple[LeftoverContainer, ...]:
    """Remove those whose owner is gone, also while they run; the others stay.

    Returns:
        What was removed.
    """
    removed = tuple(leftover for leftover in leftovers if leftover.owner_gone)
    for leftover in removed:
        guarded(f"remove {leftover.name}", partial(remove_container, client, leftover.id))
    return removed
