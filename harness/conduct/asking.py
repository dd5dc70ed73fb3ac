"""What is left of a plan, asked: how its servers are launched, and as many at once as fit here."""

from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

from harness.conduct.lifetime import Answered, Bench, run_lifetimes
from harness.conduct.prepare import Prepared
from harness.conduct.site import Site
from harness.machine import free_memory
from harness.numbers import gigabytes_text
from harness.plan import Lifetime, Plan
from harness.records import Record
from harness.replay import Dispatcher, ReplaySession
from harness.serve import LaunchOptions, launch_options

_ON_A_CPU = 7 << 29
"""Bytes of a server of the CPU engine with a small model: 3.4 GiB were measured in the demo."""


def launches_of(
    prepared: Prepared, plan: Plan, folder: Path, site: Site, *, place: int
) -> list[tuple[Lifetime, LaunchOptions]]:
    """Each lifetime of a plan with how its server is started, on a port of its own.

    Args:
        place: which of the runs that are done at once, from 0.
    """
    spec = prepared.spec
    about: Any = {
        "run_id": folder.name,
        "host": site.host,
        "image": site.image_reference,
        "schedules": prepared.schedules,
        "release": site.vllm_release(spec),
    }
    found = []
    for number, lifetime in enumerate(plan.lifetimes):
        own = spec.at_place(place, number % spec.server.overlap)
        names = lifetime.model, lifetime.mode
        found.append((lifetime, launch_options(own, *names, nonce=token_hex(4), **about)))
    return found


def ask_all(prepared: Prepared, plan: Plan, bench: Bench, *, place: int) -> None:
    """Run every lifetime of a plan, so many at once, and write each record as it comes.

    Raises:
        HarnessError: as `run_lifetimes`.
    """
    launches = launches_of(prepared, plan, bench.folder.path, bench.site, place=place)
    at_once = _with_room(bench)
    _begin(prepared, plan, bench, launches, at_once)

    def write(record: Record) -> None:
        bench.folder.append_record(record)  # on disk before the next prompt is sent
        bench.progress.record_done(record)

    async def work(lifetime: Lifetime, dispatcher: Dispatcher, answered: Answered) -> None:
        session = ReplaySession(
            dispatcher,
            bench.spec,
            run_id=bench.folder.run_id,
            write=lambda record: write(answered(record)),
        )
        await session.replay(lifetime)

    for first in range(0, len(launches), at_once):
        run_lifetimes(bench, launches[first : first + at_once], work)


def _begin(
    prepared: Prepared,
    plan: Plan,
    bench: Bench,
    launches: Sequence[tuple[Lifetime, LaunchOptions]],
    at_once: int,
) -> None:
    """Check those that start first, and tell a person what is to be done."""
    for _, launch in launches[:at_once]:
        bench.site.backend.check(launch)
    for note in dict.fromkeys(note for _, launch in launches for note in launch.notes):
        bench.progress.remark(note)
    total = len(prepared.plan.records)
    bench.progress.begin(records=total, done=total - len(plan.records), lifetimes=len(launches))


def _with_room(bench: Bench) -> int:
    """How many servers may run at once: on a CPU no more than its free memory holds."""
    wanted, free = bench.spec.server.overlap, free_memory()
    if wanted < 2 or free is None or not bench.spec.server.on_cpu:
        return wanted
    room = max(1, free // _ON_A_CPU)
    if room < wanted:
        has, takes = gigabytes_text(free), gigabytes_text(_ON_A_CPU)
        told = f"{has} of memory are free and a server takes {takes}"
        bench.progress.note(f"servers at once: {room} of {wanted}, {told}")
    return min(wanted, room)
