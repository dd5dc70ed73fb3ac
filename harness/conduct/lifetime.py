"""One server lifetime: start, ready, warm, proven, asked, stopped, and all of it written down.

The mode is judged twice: before the first record, so that nothing is asked of a server whose
kernel path is not proven, and again from the whole log after the server has stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog

from harness.conduct.liveness import Liveness
from harness.conduct.metadata import Metadata
from harness.conduct.progress import RunProgress
from harness.conduct.signals import signals_deferred
from harness.conduct.site import Site
from harness.errors import HarnessError, ModeNotProven
from harness.plan import Lifetime
from harness.prove import ActivationEvidence, ServerFacts, metrics_delta, read_facts, read_metrics
from harness.records import RunFolder
from harness.replay import CompletionsClient, Dispatcher, RequestFailed, warm_up
from harness.serve import (
    LaunchOptions,
    Server,
    read_log,
    safe_name,
    server_evidence,
    wait_until_ready,
)
from harness.settings import RunSpec
from harness.words import BackendName, Mode, Verdict

__all__ = ["Bench", "Work", "run_lifetime", "startup_file"]

log = structlog.get_logger()

Work = Callable[[Lifetime, Dispatcher], Awaitable[None]]
PROVEN = {Mode.STANDARD: Verdict.CLEAN, Mode.BATCH_INVARIANT: Verdict.ACTIVE}


@dataclass(frozen=True, slots=True)
class Bench:
    """What every lifetime of a run shares."""

    spec: RunSpec
    folder: RunFolder
    site: Site
    progress: RunProgress
    metadata: Metadata


@dataclass
class _Attempt:
    """One start of a server, as ``startup_<mode>_<model>.json`` lists it."""

    started_at: str
    server: Mapping[str, Any]
    log: str
    log_sha256: str | None = None
    ready_after_s: float | None = None
    records: int = 0
    ended_at: str | None = None
    verdict: str = str(Verdict.INCONCLUSIVE)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None

    def judged(self, evidence: ActivationEvidence, facts: ServerFacts) -> None:
        self.verdict = str(evidence.verdict)
        self.evidence = evidence.to_json()
        self.facts = asdict(facts)


def startup_file(model: str, mode: Mode) -> str:
    """The name of the file that describes the starts of a (model, mode)."""
    return f"startup_{mode}_{safe_name(model)}.json"


def run_lifetime(bench: Bench, lifetime: Lifetime, options: LaunchOptions, work: Work) -> None:
    """Run one server from start to stop, with ``work`` in between.

    Raises:
        StartupFailed: it did not become ready.
        ModeNotProven: its log does not show the kernel path that was asked for.
        ServerDied: it stopped in the middle.
        KeyboardInterrupt: passed on, after the server was stopped.
    """
    bench.progress.server_starting(lifetime.model.name, lifetime.mode)
    written = bench.folder.appended
    server = bench.site.backend.start(options, bench.folder.path)
    attempt = _Attempt(_now(), server.describe(), server.log_path.name)
    record = _StartupRecord(bench.folder, lifetime)
    record.save(attempt)
    try:
        ready = wait_until_ready(
            server,
            timeout_s=options.startup_timeout_s,
            served_model=options.served_model_name,
        )
        attempt.ready_after_s = round(ready.seconds, 2)
        log.info("server_ready", seconds=attempt.ready_after_s, log=attempt.log)
        asyncio.run(_serve(bench, lifetime, server, attempt, record, work))
    except HarnessError as error:
        attempt.error = {"type": type(error).__name__, "message": str(error)}
        raise
    except KeyboardInterrupt:
        attempt.error = {"type": "Interrupted", "message": "stopped by a signal"}
        raise
    finally:
        with signals_deferred():
            attempt.records = bench.folder.appended - written
            _close(server, attempt, record)
    _insist(attempt, lifetime, server.log_path)


async def _serve(
    bench: Bench,
    lifetime: Lifetime,
    server: Server,
    attempt: _Attempt,
    record: _StartupRecord,
    work: Work,
) -> None:
    spec, probe = bench.spec, Liveness(server)
    async with CompletionsClient(
        server.base_url, server.options.served_model_name, spec.request
    ) as client:
        dispatcher = Dispatcher(client, max_attempts=spec.request.max_attempts, probe=probe)
        try:
            await warm_up(dispatcher, spec.controls.warmup_requests)
        except RequestFailed as error:
            raise ModeNotProven(
                f"the server refused a warm-up request: {error}", file=server.log_path
            ) from error
        evidence = _judge(attempt, server)
        record.save(attempt)
        bench.metadata.learn_from_server(server.options, evidence)
        _insist(attempt, lifetime, server.log_path)
        bench.progress.server_ready(attempt.ready_after_s or 0.0, attempt.verdict)
        before = read_metrics(await client.metrics())
        try:
            await work(lifetime, dispatcher)
        finally:
            after = read_metrics(await client.metrics())
            attempt.metrics = asdict(metrics_delta(before, after))


def _close(server: Server, attempt: _Attempt, record: _StartupRecord) -> None:
    server.stop()
    _judge(attempt, server)
    if server.options.backend is not BackendName.EXTERNAL:  # another's log may go on growing
        attempt.log_sha256 = sha256(server.log_path.read_bytes()).hexdigest()
    attempt.ended_at = _now()
    attempt.server = server.describe()
    record.save(attempt)


def _judge(attempt: _Attempt, server: Server) -> ActivationEvidence:
    evidence = server_evidence(server)
    attempt.judged(evidence, read_facts(read_log(server.log_path)))
    return evidence


def _insist(attempt: _Attempt, lifetime: Lifetime, log_path: Path) -> None:
    wanted = PROVEN[lifetime.mode]
    if attempt.verdict == str(wanted):
        return
    missing = attempt.evidence.get("missing") or ()
    raise ModeNotProven(
        f"{lifetime.model.name} / {lifetime.mode}: the log says {attempt.verdict}, "
        f"not {wanted}; nothing is claimed from this server",
        file=log_path,
        hint="see the evidence in " + startup_file(lifetime.model.name, lifetime.mode),
        detail=tuple(f"missing: {item}" for item in missing),
    )


class _StartupRecord:
    """The starts of one (model, mode): earlier ones are kept, the last one is updated."""

    def __init__(self, folder: RunFolder, lifetime: Lifetime) -> None:
        self._folder = folder
        self._name = startup_file(lifetime.model.name, lifetime.mode)
        self._lifetime = lifetime
        self._earlier = list((folder.read(self._name) or {}).get("attempts", []))

    def save(self, attempt: _Attempt) -> None:
        self._folder.write(
            self._name,
            {
                "schema_version": 1,
                "model": self._lifetime.model.name,
                "mode": str(self._lifetime.mode),
                "attempts": [*self._earlier, vars(attempt)],
                "verdict": attempt.verdict,
            },
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
