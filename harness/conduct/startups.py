"""``startup_<mode>_<model>.json``: every start of a server of one (model, mode), as it went.

A start's verdict is that of its log, with which its workers have to agree where they are asked, and
``contaminated`` where somebody else may have answered in its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import msgspec

from harness.conduct.run_facts import now, read_own
from harness.errors import RunError, ServerDied, UsageError, shown
from harness.files import opened, sha256_of
from harness.hostile import shaped
from harness.numbers import count_of
from harness.plan import Lifetime
from harness.prove import (
    WORKER_EXTENSION,
    ActivationEvidence,
    Difference,
    ServerFacts,
    ServerProcess,
    WorkerProof,
    agreed,
    find_tell,
    mode_parity,
    read_facts,
    read_worker_proof,
    worker_question,
)
from harness.records import (
    ASKED_ANEW,
    INTERRUPTED,
    SIDE_SCHEMA,
    RunFolder,
    is_misnamed,
    object_in,
    startup_file,
    startup_paths,
)
from harness.serve import (
    Server,
    ask_server_info,
    ask_workers,
    new_log,
    read_log,
    server_evidence,
)
from harness.words import MODES, BackendName, Verdict


class Start(msgspec.Struct):
    """One start of a server; the file's own words and order."""

    started_at: str
    server: Mapping[str, Any]
    log: str
    log_sha256: str | None = None
    ready_after_s: float | None = None
    records: int = 0
    ended_at: str | None = None
    verdict: str = str(Verdict.INCONCLUSIVE)
    evidence: Mapping[str, Any] = {}
    facts: Mapping[str, Any] = {}
    metrics: Mapping[str, Any] = {}
    strangers: list[str] = []
    process: Mapping[str, float | None] | None = None
    worker_proof: Mapping[str, Any] | None = None
    server_info: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None


_LOG_SETTLES_S = 5.0


class _Starts(msgspec.Struct):
    schema_version: int
    model: str
    mode: str
    attempts: list[dict[str, Any]]  # earlier ones stay as they were written
    verdict: str


def _read(folder: RunFolder, file: str) -> _Starts | None:
    known = read_own(folder, file, _Starts, ASKED_ANEW)
    if known is not None and is_misnamed(file, known.model, known.mode):
        what = (
            f"damaged: it tells of {shown(known.model)}, {shown(known.mode)}, and its name does not"
        )
        raise UsageError(what, file=folder.path / file, hint=ASKED_ANEW)
    return known


class Startup:
    """The start of a server that goes on now, written beside the earlier ones of its (model, mode).

    Attributes:
        start: what is written of it by `save`; there from `begin` on.
        begun: when that was, on the monotonic clock.
    """

    start: Start
    begun: float

    def __init__(self, folder: RunFolder, lifetime: Lifetime) -> None:
        self.file = startup_file(lifetime.model.name, lifetime.mode)
        self._folder = folder
        self._dismissed = False
        self._starts = _read(folder, self.file) or _Starts(
            SIDE_SCHEMA, lifetime.model.name, str(lifetime.mode), [], str(Verdict.INCONCLUSIVE)
        )

    def begin(self, server: Server) -> None:
        """Write down that it was started."""
        self._server, self.begun = server, time.monotonic()
        self.start = Start(now(), server.describe(), server.log_path.name)
        self._starts.attempts.append(cast("dict[str, Any]", self.start))  # as it goes on
        self.save()

    @property
    def number(self) -> int:
        """Which start of its (model, mode) this is, from 1."""
        return len(self._starts.attempts)

    def sync_log(self) -> None:
        """See the log of a server of ours on disk, before what is read from it."""
        if self._server.options.backend is not BackendName.EXTERNAL:
            _sync(self._server.log_path)

    def save(self) -> None:
        """Write the file, which quotes the log."""
        self.sync_log()
        self._starts.verdict = self.start.verdict
        self._folder.write_sealed(self.file, msgspec.to_builtins(self._starts, enc_hook=str))

    def identify(self) -> None:
        """Look who answers on the port, and ask the workers which kernels they run."""
        self.look_for_strangers()
        options = self._server.options
        if options.backend is not BackendName.EXTERNAL and options.has_development_endpoints:
            self.start.server_info = ask_server_info(self._server.base_url)
        if options.python_path:
            proof = self._ask_workers()
            digest = sha256_of(WORKER_EXTENSION)
            self.start.worker_proof = {**proof.to_json(), "extension_sha256": digest}
        self.judge()
        self.save()

    def judge(self) -> ActivationEvidence:
        """Read from the log so far which kernel path runs, and whether all evidence agrees."""
        evidence = server_evidence(self._server)
        start, before = self.start, self.start.evidence.get("starts")
        if before is not None and evidence.starts != before:
            self._note_stranger(
                f"the log shows {count_of(evidence.starts - before, 'more server start')} "
                "since readiness"
            )
        verdict = evidence.verdict
        if start.worker_proof is not None:
            verdict = agreed(verdict, Verdict(start.worker_proof["verdict"]))
        start.verdict = str(Verdict.CONTAMINATED if start.strangers else verdict)
        start.evidence = evidence.to_json()
        start.facts = asdict(read_facts(read_log(self._server.log_path)))
        return evidence

    def see_process(self, process: ServerProcess | None) -> None:
        """Note the process that ``/metrics`` names; another one than before is a stranger."""
        if process is None:
            return
        seen = self.start.process
        if seen is None:
            told = {"started": process.started, "cpu_s_before": process.cpu_s, "cpu_s_after": None}
            self.start.process = told
            return
        if seen["started"] != process.started:
            self._note_stranger(
                "another process answers than at readiness: it started at "
                f"{process.started:.2f}, not at {seen['started']:.2f}"
            )
        self.start.process = {**seen, "cpu_s_after": process.cpu_s}

    def fail(self, error: Exception) -> None:
        """Note what the server ended with before its time."""
        self.start.error = {"type": type(error).__name__, "message": str(error)}

    def interrupted_by(self, error: BaseException | None) -> None:
        """Note what ended it before its time and was no fault of its own, if anything did."""
        if error is not None and self.start.error is None:
            by_signal = isinstance(error, KeyboardInterrupt)
            why = "stopped by a signal" if by_signal else "stopped with the run's other server"
            self.start.error = {"type": INTERRUPTED, "message": why}

    def died_when_done(self, death: ServerDied) -> None:
        """Note that it died when it had given all its answers, which stay."""
        message = f"died after its last answer: {death}"
        self.start.error = {"type": INTERRUPTED, "message": message}

    def dismiss(self) -> None:
        """Look a last time who answers, and ask the server to end, so that several end at once."""
        if not self._dismissed:
            self._dismissed = True
            if self.start.ready_after_s is not None and self._server.state().running:
                stranger = self._server.strange_listener()
                if stranger and self._server.state().running:  # one that just ended has none
                    self._note_stranger(stranger)
            self._server.dismiss()

    def close(self, *, records: int) -> None:
        """Stop the server, judge its whole log, and write down how it ended."""
        try:
            self.dismiss()
        finally:
            self._server.stop()
        self.judge()
        if self._server.options.backend is not BackendName.EXTERNAL:  # another's log may grow on
            self.start.log_sha256 = sha256_of(self._server.log_path)
        self.start.records = records
        self.start.ended_at = now()
        self.start.server = self._server.describe()
        self.save()

    def look_for_strangers(self) -> None:
        """See who else may answer on the port."""
        if stranger := self._server.strange_listener():
            self._note_stranger(stranger)

    def _note_stranger(self, reason: str) -> None:
        if reason not in self.start.strangers:
            self.start.strangers.append(reason)

    def _ask_workers(self) -> WorkerProof:
        """One answer a rank; the log says on what device and release, and how many ranks."""
        deadline = time.monotonic() + _LOG_SETTLES_S
        evidence = server_evidence(self._server)
        while evidence.vllm_version is None and time.monotonic() < deadline:
            time.sleep(0.1)  # a container's log follows a little later
            evidence = server_evidence(self._server)
        tell = find_tell(evidence.device, evidence.vllm_version)
        answers, problem = None, ""
        if tell is not None:
            answers, problem = ask_workers(self._server.base_url, worker_question(tell))
        return read_worker_proof(
            answers,
            mode=self._server.options.mode,
            tell=tell,
            expected_ranks=evidence.workers,
            problem=problem,
        )


class RelayedStart:
    """The start of a server that a worker plays, written as the worker describes it.

    Until the worker has told of its end it looks as one whose harness was killed: not ended, no
    records counted, no hash of its log.

    Attributes:
        log: this folder's copy of the server's log; there from the first `tell` on.
        number: which start of its (model, mode) it is, from 1; likewise.
    """

    log: Path
    number: int = 0

    def __init__(self, folder: RunFolder, lifetime: Lifetime) -> None:
        self.file = startup_file(lifetime.model.name, lifetime.mode)
        self._folder = folder
        self._model, self._mode = lifetime.model.name, str(lifetime.mode)

    def tell(self, start: Mapping[str, Any]) -> None:
        """Write it down as it is now.

        Raises:
            RunError: it has ended, and its log is not whole here.
        """
        if not self.number:
            self.log = new_log(self._folder.path, Path(start["log"]).stem)
        if start["log_sha256"] not in (None, sha256_of(self.log)):
            raise RunError("the log did not come over whole", file=self.log)
        starts = _read(self._folder, self.file) or _Starts(
            SIDE_SCHEMA, self._model, self._mode, [], ""
        )
        if not self.number:
            starts.attempts.append({})
            self.number = len(starts.attempts)
        starts.attempts[self.number - 1] = {**start, "log": self.log.name}
        starts.verdict = start["verdict"]
        self._folder.write_sealed(self.file, msgspec.to_builtins(starts))

    def lost(self, why: str) -> None:
        """Write down that nobody will tell more of it."""
        starts = _read(self._folder, self.file)
        if starts is not None and self.number:
            starts.attempts[self.number - 1]["error"] = {"type": INTERRUPTED, "message": why}
            self._folder.write_sealed(self.file, msgspec.to_builtins(starts))


def supersede(folder: RunFolder, file: str) -> None:
    """Write down that no record rests on the starts so far: theirs were set aside.

    A file that is damaged is kept as ``….damaged``, and the next start begins another.
    """
    try:
        known = _read(folder, file)
    except UsageError:
        folder.keep_damaged(file)
        return
    if known is not None:
        known.attempts = [{**attempt, "superseded": True} for attempt in known.attempts]
        folder.write_sealed(file, msgspec.to_builtins(known))


def seal_logs(folder: RunFolder) -> None:
    """Write down the hashes of logs whose harness was killed before it could: they grow no more.

    Called once every server of the run has ended; a log that is gone, or somebody else's, has none.
    """
    for path in startup_paths(folder.path):
        known = None
        with suppress(UsageError):  # told where its starts are gone on with
            known = _read(folder, path.name)
        open_ = [
            start
            for start in (known.attempts if known else ())
            if not (start.get("ended_at") or start.get("log_sha256"))
            if object_in(start, "server").get("backend") != BackendName.EXTERNAL
            and (folder.path / str(start.get("log"))).is_file()
        ]
        for start in open_:
            _sync(folder.path / str(start["log"]))
            start["log_sha256"] = sha256_of(folder.path / str(start["log"]))
        if open_:
            folder.write_sealed(path.name, msgspec.to_builtins(known))


def _sync(log: Path) -> None:
    """See on disk what another process wrote into a log, if it is still there."""
    with suppress(FileNotFoundError), opened(log) as stream:
        os.fsync(stream.fileno())


def parity_of_modes(folder: RunFolder, models: Iterable[str]) -> dict[str, tuple[Difference, ...]]:
    """Each model that was served in both modes, with every setting that its logs show to differ.

    The last server of each mode is read; of a log that was changed or is gone, what its start-up
    file tells. Nothing for a model says that nothing differs.
    """
    found = {}
    for model in models:
        last = [_last_start(folder, startup_file(model, mode)) for mode in MODES]
        starts = [start for start in last if start is not None]
        if len(starts) == len(MODES):
            facts = [told for _, told in starts]
            one, other = (
                start.get("server_info") or start["server"].get("server_info")
                for start, _ in starts
            )
            infos = (one, other) if one and other else None
            found[model] = mode_parity(facts[0], facts[1], infos)
    return found


def _last_start(folder: RunFolder, file: str) -> tuple[Mapping[str, Any], ServerFacts] | None:
    """The last start with what is told of its server, if anything is."""
    known = _read(folder, file)
    if not known or not known.attempts:
        return None
    start = known.attempts[-1]
    log = folder.path / str(start.get("log"))
    if log.is_file() and start.get("log_sha256") in (None, sha256_of(log)):
        return start, read_facts(read_log(log))
    facts = object_in(start, "facts")
    return (start, shaped(facts, ServerFacts)) if facts else None
