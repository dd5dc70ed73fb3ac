"""One server lifetime: start, ready, known, warm, proven, asked, stopped, and all written down.

The mode is judged twice: before the first record, so that nothing is asked of a server whose
kernel path is not proven, and again from the whole log after the server has stopped.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from types import FrameType
from typing import Any

import structlog
from msgspec.structs import replace

from harness.conduct.progress import RunProgress
from harness.conduct.run_facts import Metadata
from harness.conduct.site import Site
from harness.conduct.startups import Startup
from harness.errors import ModeNotProven
from harness.plan import Lifetime
from harness.prove import metrics_delta, read_metrics, read_process
from harness.records import Record, RunFolder
from harness.replay import (
    CompletionsClient,
    Dispatcher,
    Gate,
    PrefixCache,
    RequestFailed,
    StepWatch,
    warm_up,
)
from harness.serve import LaunchOptions, Liveness, Server, describe_death, let_go, wait_until_ready
from harness.settings import RunSpec
from harness.words import PROVEN, BackendName, Verdict

log = structlog.get_logger()

Handler = Callable[[int, FrameType | None], object]
Answered = Callable[[Record], Record]
Work = Callable[[Lifetime, Dispatcher, Answered], Awaitable[None]]
_CANCEL_AGAIN_S = 3.0
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every lifetime of a run shares."""

    spec: RunSpec
    folder: RunFolder
    site: Site
    progress: RunProgress
    metadata: Metadata


def run_lifetime(bench: Bench, lifetime: Lifetime, options: LaunchOptions, work: Work) -> None:
    """Run one server from start to stop, with ``work`` in between.

    Raises:
        StartupFailed: it did not become ready.
        ModeNotProven: its log does not show the kernel path that was asked for.
        ServerDied: it stopped in the middle.
        KeyboardInterrupt: passed on, after the server was stopped.
    """
    bench.progress.server_starting(lifetime.model.name, lifetime.mode)
    with _started(bench, lifetime, options) as (server, startup):
        ready = wait_until_ready(
            server,
            timeout_s=options.startup_timeout_s,
            served_model=server.options.served_model_name,
        )
        startup.start.ready_after_s = round(ready.seconds, 2)
        log.info("server_ready", seconds=startup.start.ready_after_s, log=startup.start.log)
        startup.identify()
        _insist_on_identity(startup, lifetime, server)
        asyncio.run(ended_by_a_signal(_serve(bench, lifetime, server, startup, work)))
    _insist(startup, lifetime, server, alone=len(bench.spec.modes) == 1)


@contextmanager
def _started(
    bench: Bench, lifetime: Lifetime, options: LaunchOptions
) -> Iterator[tuple[Server, Startup]]:
    """A server that is there with all its parts or not at all, and is ended and written down."""
    startup, written = Startup(bench.folder, lifetime), bench.folder.appended
    with ExitStack() as ends:
        with signals_deferred():
            server = bench.site.backend.start(options, bench.folder.path)

            def end(_: object, error: BaseException | None, __: object) -> None:
                startup.fail(error)
                with signals_deferred():
                    if options.backend is BackendName.EXTERNAL and lifetime.is_gated:
                        let_go(server.base_url, headers=options.headers)  # ours ends anyway
                    startup.close(records=bench.folder.appended - written)

            ends.push(end)
            startup.begin(server)
        yield server, startup


async def ended_by_a_signal(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work that is cancelled until it ends: what it is in the middle of may lose one."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)
        await asyncio.gather(task, return_exceptions=True)
        raise
    task.result()


async def _serve(
    bench: Bench, lifetime: Lifetime, server: Server, startup: Startup, work: Work
) -> None:
    spec, start = bench.spec, startup.start
    options = server.options
    async with CompletionsClient(
        server.base_url,
        options.served_model_name,
        spec.request,
        tells_cached=options.tells_cached_tokens,
        headers=options.headers,
    ) as client:
        watch = StepWatch(Path(options.external_log or server.log_path), client.metrics)
        dispatcher = Dispatcher(
            client,
            max_attempts=spec.request.max_attempts,
            probe=Liveness(server, patience_s=spec.request.timeout_s),
            cache=PrefixCache(
                client,
                spec.controls.prefix_caching,
                salted_with=token_hex(16),  # a server may outlive many runs of one name
            ),
            gate=Gate(client, watch),
            watch=watch,
            stagger_s=spec.controls.stagger_ms / 1000,
        )
        try:
            await warm_up(dispatcher, spec.controls.warmup_requests)
        except RequestFailed as error:
            raise ModeNotProven(
                f"the server refused a warm-up request: {error}", file=server.log_path
            ) from error
        evidence = startup.judge()
        startup.save()
        bench.metadata.learn_from_server(server.options, evidence)
        _insist(startup, lifetime, server, alone=len(spec.modes) == 1)
        bench.progress.server_ready(start.ready_after_s or 0.0, start.verdict)
        before = await client.metrics()
        startup.see_process(read_process(before))
        _insist_on_identity(startup, lifetime, server)
        startup.save()  # a killed run leaves behind who was asked

        def answered(record: Record) -> Record:
            """The record with its start, once it is certain that this start gave it."""
            state = server.state()
            if not state.running:
                raise describe_death(server, state)
            startup.look_for_strangers()
            _insist_on_identity(startup, lifetime, server)
            return replace(record, start=startup.number)

        try:
            await work(lifetime, dispatcher, answered)
        finally:
            after = await client.metrics()
            startup.see_process(read_process(after))
            start.metrics = asdict(metrics_delta(read_metrics(before), read_metrics(after)))


def _insist(startup: Startup, lifetime: Lifetime, server: Server, *, alone: bool) -> None:
    """Claim nothing of a server whose log does not prove its mode.

    A server that somebody else runs and that gave no log is asked where its mode is the run's only
    one: its answers are recorded, validation refuses them as unproven, and no claim counts them.
    """
    _insist_on_identity(startup, lifetime, server)
    wanted, found, asked = PROVEN[lifetime.mode], startup.start, server.options
    theirs = asked.backend is BackendName.EXTERNAL and not asked.external_log
    if alone and theirs and found.verdict == str(Verdict.INCONCLUSIVE):
        return
    if found.verdict != str(wanted):
        raise ModeNotProven(
            f"{lifetime.model.name} / {lifetime.mode}: the log says {found.evidence['verdict']}, "
            f"not {wanted}; nothing is claimed from this server",
            file=server.log_path,
            hint=f"see the evidence in {startup.file}",
            detail=tuple(f"missing: {item}" for item in found.evidence["missing"]),
        )


def _insist_on_identity(startup: Startup, lifetime: Lifetime, server: Server) -> None:
    """Ask nothing where another server may answer, or a worker denies its mode."""
    found, proof = startup.start, startup.start.worker_proof
    who = f"{lifetime.model.name} / {lifetime.mode}"
    if found.strangers:
        raise ModeNotProven(
            f"{who}: {found.strangers[0]}; nothing is claimed from this server",
            file=server.log_path,
            hint="end the other server, or choose another --port; then start a new run",
            detail=tuple(found.strangers[1:]),
        )
    if proof is not None and proof["verdict"] != PROVEN[lifetime.mode]:
        hint = f"see worker_proof in {startup.file}"
        if proof["verdict"] == Verdict.INCONCLUSIVE:
            hint += "; --worker-proof off rests on the log alone"
        raise ModeNotProven(
            f"{who}: the workers say {proof['verdict']}, not {PROVEN[lifetime.mode]}; "
            "nothing is claimed from this server",
            file=server.log_path,
            hint=hint,
            detail=tuple(f"missing: {item}" for item in proof["missing"]),
        )


@contextmanager
def _handled(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _is_ignored_hangup(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


def sigterm_is_interrupt() -> AbstractContextManager[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt for the duration.

    SIGINT gets Python's own handler: a shell starts its background jobs with SIGINT ignored, and
    what is ignored would swallow the others too. A SIGHUP that nohup had ignored stays so.
    """
    heard = [number for number in _ENDS[1:] if not _is_ignored_hangup(number)]
    others = dict.fromkeys(heard, lambda *_: signal.raise_signal(signal.SIGINT))
    return _handled({signal.SIGINT: signal.default_int_handler, **others})


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Hold SIGINT, SIGTERM and SIGHUP back until the block has ended, then deliver the first."""
    caught: list[int] = []
    try:
        held = [number for number in _ENDS if not _is_ignored_hangup(number)]
        with _handled(dict.fromkeys(held, lambda number, _: caught.append(number))):
            yield
    finally:
        if caught:
            signal.raise_signal(caught[0])
