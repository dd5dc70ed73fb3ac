"""What is left of a plan, asked: how its servers are launched, and as many at once as fit here."""

from collections.abc import Collection, Sequence
from pathlib import Path
from secrets import token_hex

from harness.conduct.lifetime import Answered, Bench, run_lifetimes
from harness.conduct.prepare import Prepared
from harness.conduct.site import Site
from harness.machine import free_memory
from harness.numbers import gigabytes_text
from harness.plan import Lifetime, Plan
from harness.records import Record
from harness.replay import Dispatcher, ReplaySession
from harness.serve import LaunchOptions, launch_options
from harness.settings import RunSpec
from harness.words import DispatchMode

ON_A_CPU = 7 << 29
"""Bytes of a server of the CPU engine with a small model: 3.4 GiB were measured in the demo."""


def launches_of(
    prepared: Prepared, plan: Plan, folder: Path, site: Site, *, place: int
) -> list[tuple[Lifetime, LaunchOptions]]:
    """Each lifetime of a plan with how its server is started, on a port of its own.

    Args:
        place: which of the runs that are done at once, from 0.
    """
    spec, found = prepared.spec, []
    for number, lifetime in enumerate(plan.lifetimes):
        own = spec.at_place(place, number % spec.server.overlap)
        launch = launch_of(own, lifetime, folder.name, site, prepared.schedules)
        found.append((lifetime, launch))
    return found


def launch_of(
    spec: RunSpec,
    lifetime: Lifetime,
    run_id: str,
    site: Site,
    schedules: Collection[DispatchMode],
) -> LaunchOptions:
    """How the server of a lifetime is started, under a name that nobody else has.

    Args:
        spec: with the server's own port and GPUs.
        schedules: how the batches of the whole run are sent.
    """
    return launch_options(
        spec,
        lifetime.model,
        lifetime.mode,
        nonce=token_hex(4),
        run_id=run_id,
        host=site.host,
        image=site.image_reference,
        schedules=schedules,
        release=site.vllm_release(spec),
    )


def ask_all(prepared: Prepared, plan: Plan, bench: Bench, place: int) -> None:
    """Run every lifetime of a plan, so many at once, and write each record as it comes.

    Raises:
        HarnessError: as `run_lifetimes`.
    """
    launches = launches_of(prepared, plan, bench.folder.path, bench.site, place=place)
    at_once = with_room(bench)
    begin(prepared, plan, bench, launches, at_once)
    for first in range(0, len(launches), at_once):
        play(bench, launches[first : first + at_once])


def play(bench: Bench, launches: Sequence[tuple[Lifetime, LaunchOptions]]) -> None:
    """Run these lifetimes side by side, and write each record as it comes.

    Raises:
        HarnessError: as `run_lifetimes`.
    """

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

    run_lifetimes(bench, launches, work)


def begin(
    prepared: Prepared,
    plan: Plan,
    bench: Bench,
    launches: Sequence[tuple[Lifetime, LaunchOptions]],
    at_once: int,
) -> None:
    """Check those that start first, and tell a person what is to be done."""
    for _, launch in launches[:at_once]:
        bench.site.backend.check(launch)
    notes = (note for _, launch in launches for note in launch.notes)
    for note in dict.fromkeys(notes):
        bench.progress.remark(note)
    total, left = len(prepared.plan.records), len(plan.records)
    bench.progress.begin(records=total, done=total - left, lifetimes=len(plan.lifetimes))


def with_room(bench: Bench) -> int:
    """How many servers may run at once: on a CPU no more than its free memory holds."""
    wanted, free = bench.spec.server.overlap, free_memory()
    if wanted < 2 or free is None or not bench.spec.server.on_cpu:
        return wanted
    room = max(1, free // ON_A_CPU)
    if room < wanted:
        has, takes = gigabytes_text(free), gigabytes_text(ON_A_CPU)
        told = f"{has} of memory are free and a server takes {takes}"
        bench.progress.note(f"servers at once: {room} of {wanted}, {told}")
    return min(wanted, room)
