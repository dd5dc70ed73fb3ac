"""A lifetime as it is sent to a worker, and as the worker makes it again from what it was sent.

The worker builds its plan from the task files by the rules of every run, and what it would ask has
to be what the driver planned, prompt by prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.candidates import Candidate
from harness.conduct.prepare import Prepared, lifetime_again
from harness.conduct.stream import Request
from harness.errors import RunError
from harness.files import write_whole
from harness.plan import Lifetime
from harness.records import fingerprint
from harness.settings import RunSpec
from harness.words import Mode


def request_of(
    prepared: Prepared,
    lifetime: Lifetime,
    tasks: Mapping[str, bytes],
    *,
    run_id: str,
    image: str | None,
    place: int,
    slot: int,
    moved: int,
) -> Request:
    """What a worker has to know to play one lifetime; the last three as in `Request`.

    Args:
        tasks: the bytes of the population's task files, by name.
    """
    return Request(
        run_id=run_id,
        spec=prepared.spec.model_dump(mode="json"),
        model=lifetime.model.name,
        mode=str(lifetime.mode),
        tasks=tasks,
        candidates=tuple(one.candidate.model_dump(mode="json") for one in lifetime.records),
        mark=_mark(lifetime),
        schedules=tuple(sorted(prepared.schedules)),
        image=image,
        place=place,
        slot=slot,
        moved=moved,
    )


def lifetime_of(request: Request, folder: Path) -> tuple[RunSpec, Lifetime]:
    """The spec, and what is to be asked of one server.

    Args:
        folder: where the task files are put.

    Raises:
        RunError: it is not what the driver planned.
    """
    for name, data in request.tasks.items():
        write_whole(folder / Path(name).name, data, parents=True)
    given: dict[str, Any] = {**request.spec, "tasks": str(folder)}
    spec = RunSpec.model_validate(given)
    candidates = [Candidate.model_validate(one) for one in request.candidates]
    lifetime = lifetime_again(spec, Mode(request.mode), candidates)
    if _mark(lifetime) != request.mark:
        raise RunError(
            "a worker would ask something else than was planned",
            hint="the same release of the harness has to be installed wherever workers run",
        )
    return spec, lifetime


def _mark(lifetime: Lifetime) -> str:
    """Of the records of a lifetime and of every prompt of theirs, in order."""
    rows = lifetime.records
    asked = ((one.record_id, (p.sha256 for p in one.group.prompts)) for one in rows)
    return fingerprint({}, {}, asked)
