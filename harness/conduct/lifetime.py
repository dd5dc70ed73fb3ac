"""One server lifetime: start, ready, known, warm, proven, asked, stopped, and all written down.

The mode is judged twice: before the first record, so that nothing is asked of a server whose
kernel path is not proven, and again from the whole log after the server has stopped.
"""

import asyncio
import platform
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from types import FrameType
from typing import Any

import structlog
from msgspec.structs import replace

from harness.conduct.progress import RunProgress
from harness.conduct.run_facts import Learns, told_by
from harness.conduct.site import Site
from harness.conduct.startups import Startup
from harness.errors import ModeNotProven, RunError, ServerDied
from harness.plan import Lifetime
from harness.prove import metrics_delta, read_metrics, read_process, tells_one_process
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
from harness.score import load_phrases
from harness.secrets import without_url_password
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
    metadata: Learns


def run_lifetimes(
    bench: Bench, group: Iterable[tuple[Lifetime, LaunchOptions]], work: Work
) -> None:
    """Run servers side by side from start to stop, with ``work`` on each in between.

    Where one fails, the others are ended; theirs is noted as an interruption.

    Raises:
        StartupFailed: one did not become ready.
        ModeNotProven: a log does not show the kernel path that was asked for.
        ServerDied: one stopped in the middle.
        KeyboardInterrupt: passed on, after the servers were stopped.
    """
    with ExitStack() as ends:
        up = [_started(bench, lifetime, options, ends) for lifetime, options in group]
        _load_meanwhile()
        for one in up:
            with one.blamed():
                _wait(one)
        asyncio.run(_side_by_side([_serve(bench, one, work) for one in up]))
        for one in up:
            one.startup.dismiss()
    for one in up:
        _insist(one, alone=len(bench.spec.modes) == 1)


@cache
def _load_meanwhile() -> None:
    """Load what the conclusion needs: a second that nobody waits for while servers start."""
    import_module("pandas")
    load_phrases()


@dataclass(frozen=True, slots=True)
class _Up:
    """A server that was started, and what is written of its start."""

    lifetime: Lifetime
    server: Server
    startup: Startup

    def __str__(self) -> str:
        return f"{self.lifetime.model.name} / {self.lifetime.mode}"

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Note what fails in the block as this server's."""
        try:
            yield
        except Exception as error:
            self.startup.fail(error)
            raise


def _wait(one: _Up) -> None:
    """Wait until it answers, and see who it is."""
    server, startup = one.server, one.startup
    ready = wait_until_ready(
        server,
        timeout_s=server.options.startup_timeout_s,
        served_model=server.options.served_model_name,
        since=startup.begun,
    )
    startup.start.ready_after_s = round(ready.seconds, 2)
    log.info("server_ready", seconds=startup.start.ready_after_s, log=startup.start.log)
    startup.identify()
    _insist_on_identity(one)


def _started(bench: Bench, lifetime: Lifetime, options: LaunchOptions, ends: ExitStack) -> _Up:
    """A server that is there with all its parts or not at all, and is ended and written down."""
    there = options.backend is BackendName.EXTERNAL
    theirs = without_url_password(options.base_url) if there else ""
    bench.progress.server_starting(lifetime.model.name, lifetime.mode, theirs)
    startup, key = Startup(bench.folder, lifetime), (lifetime.model.name, lifetime.mode)
    before = bench.folder.appended[key]
    with signals_deferred():
        server = bench.site.backend.start(options, bench.folder.path)

        def end(_: object, error: BaseException | None, __: object) -> None:
            startup.interrupted_by(error)
            bench.progress.server_ended(*key)
            with signals_deferred():
                if options.backend is BackendName.EXTERNAL and lifetime.is_gated:
                    let_go(server.base_url, headers=options.headers)  # ours ends anyway
                startup.close(records=bench.folder.appended[key] - before)

        ends.push(end)
        startup.begin(server)
    return _Up(lifetime, server, startup)


async def _side_by_side(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it at once; the first failure ends the others."""
    tasks = [_begun(ended_by_a_signal(work)) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        while left := [task for task in tasks if not task.done()]:
            for task in left:
                task.cancel()
            await asyncio.wait(left)
    for task in tasks:
        if not task.cancelled():
            task.result()


def _begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task whose error asyncio tells nobody: it is raised here, or comes after another that is.

    Two servers may fail at once, and a second Ctrl-C comes out of a task in the middle of a step.
    """
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def ended_by_a_signal(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work that is cancelled until it ends: what it is in the middle of may lose one."""
    task = _begun(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)
        await asyncio.gather(task, return_exceptions=True)
        raise
    task.result()


async def _serve(bench: Bench, one: _Up, work: Work) -> None:
    lifetime = one.lifetime
    structlog.contextvars.bind_contextvars(mode=str(lifetime.mode), model=lifetime.model.name)
    with one.blamed():
        await _answered_by(bench, one, work)


async def _answered_by(bench: Bench, one: _Up, work: Work) -> None:
    spec, lifetime, server, startup = bench.spec, one.lifetime, one.server, one.startup
    start, options = startup.start, server.options
    async with CompletionsClient(
        server.base_url,
        options.served_model_name,
        spec.request,
        tells_cached=options.tells_cached_tokens,
        headers=options.headers,
    ) as client:
        watch = StepWatch(Path(options.external_log or server.log_path), client.metrics)
        alive = Liveness(server, patience_s=spec.request.timeout_s)
        dispatcher = Dispatcher(
            client,
            max_attempts=spec.request.max_attempts,
            probe=alive,
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
        bench.metadata.learn_from_server(told_by(server.options, evidence))
        _insist(one, alone=len(spec.modes) == 1)
        verdict = start.verdict if start.verdict == PROVEN[lifetime.mode] else "unproven"
        bench.progress.server_ready(
            lifetime.model.name, lifetime.mode, start.ready_after_s or 0.0, verdict
        )
        before = await client.metrics()
        startup.see_process(read_process(before))
        _insist_on_process(one)
        _insist_on_identity(one)
        startup.save()  # a killed run leaves behind who was asked

        def answered(record: Record) -> Record:
            """The record with its start, once it is certain that this start gave it.

            What it rests on is on disk before it is: its steps are read from the server's log.
            """
            _insist_on_life(server)
            startup.look_for_strangers()
            _insist_on_identity(one)
            startup.sync_log()
            return replace(record, start=startup.number)

        try:
            await work(lifetime, dispatcher, answered)
        except RequestFailed as error:  # of what is no record's own
            hint = "the same command asks again"
            raise RunError(f"a request failed: {error}", file=server.log_path, hint=hint) from error
        finally:
            after = await client.metrics()
            startup.see_process(read_process(after))
            start.metrics = asdict(metrics_delta(read_metrics(before), read_metrics(after)))
        if start.process is not None and start.process["cpu_s_after"] is None:
            try:
                await alive()
                startup.see_process(read_process(await client.metrics()))
            except ServerDied as death:
                startup.died_when_done(death)


def _insist(one: _Up, *, alone: bool) -> None:
    """Claim nothing of a server whose log does not prove its mode.

    A server that somebody else runs and that gave no log is asked where its mode is the run's only
    one: its answers are recorded, validation refuses them as unproven, and no claim counts them.
    """
    _insist_on_identity(one)
    server, found, asked = one.server, one.startup.start, one.server.options
    wanted = PROVEN[one.lifetime.mode]
    theirs = asked.backend is BackendName.EXTERNAL and not asked.external_log
    if alone and theirs and found.verdict == str(Verdict.INCONCLUSIVE):
        return
    if found.verdict != str(wanted):
        raise ModeNotProven(
            f"{one}: the log says {found.evidence['verdict']}, "
            f"not {wanted}; nothing is claimed from this server",
            file=server.log_path,
            hint=f"see the evidence in {one.startup.file}",
            detail=tuple(f"missing: {item}" for item in found.evidence["missing"]),
        )


def _insist_on_life(server: Server) -> None:
    state = server.state()
    if not state.running:
        raise describe_death(server, state)


def _insist_on_process(one: _Up) -> None:
    """Ask nothing of a server of ours of which nobody could tell later that it answered."""
    options, told = one.server.options, one.startup.start.facts
    if options.backend is BackendName.EXTERNAL or one.startup.start.process is not None:
        return
    _insist_on_life(one.server)
    if tells_one_process(told["arguments"], options.environment, platform=platform.platform()):
        raise ModeNotProven(
            f"{one}: its /metrics do not tell which process answers (process_start_time_seconds "
            "and process_cpu_seconds_total)",
            file=one.server.log_path,
            hint="nothing was asked: without them no record of it would count",
        )


def _insist_on_identity(one: _Up) -> None:
    """Ask nothing where another server may answer, or a worker denies its mode."""
    found, proof, mode = one.startup.start, one.startup.start.worker_proof, one.lifetime.mode
    if found.strangers:
        raise ModeNotProven(
            f"{one}: {found.strangers[0]}; nothing is claimed from this server",
            file=one.server.log_path,
            hint="end the other server, or choose another --port; then start a new run",
            detail=tuple(found.strangers[1:]),
        )
    if proof is not None and proof["verdict"] != PROVEN[mode]:
        hint = f"see worker_proof in {one.startup.file}"
        if proof["verdict"] == Verdict.INCONCLUSIVE:
            hint += "; --worker-proof off rests on the log alone"
        raise ModeNotProven(
            f"{one}: the workers say {proof['verdict']}, not {PROVEN[mode]}; "
            "nothing is claimed from this server",
            file=one.server.log_path,
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
