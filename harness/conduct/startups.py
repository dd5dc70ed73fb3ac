"""``startup_<mode>_<model>.json``: every start of a server of one (model, mode), as it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from harness.conduct.metadata import now, read_own
from harness.plan import Lifetime
from harness.prove import ActivationEvidence, Difference, mode_parity, read_facts
from harness.records import RunFolder
from harness.serve import Server, read_log, safe_name, server_evidence
from harness.words import MODES, BackendName, Mode, Verdict


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
    error: Mapping[str, Any] | None = None


class _Starts(msgspec.Struct):
    schema_version: int
    model: str
    mode: str
    attempts: list[Any]  # earlier ones stay as they were written
    verdict: str


class Startup:
    """The start of a server that goes on now, written beside the earlier ones of its (model, mode).

    Attributes:
        start: what is written of it by `save`; there from `begin` on.
    """

    start: Start

    def __init__(self, folder: RunFolder, lifetime: Lifetime) -> None:
        self.file = startup_file(lifetime.model.name, lifetime.mode)
        self._folder = folder
        self._starts = read_own(folder, self.file, _Starts) or _Starts(
            1, lifetime.model.name, str(lifetime.mode), [], str(Verdict.INCONCLUSIVE)
        )

    def begin(self, server: Server) -> None:
        """Write down that it was started."""
        self._server = server
        self.start = Start(now(), server.describe(), server.log_path.name)
        self._starts.attempts.append(self.start)
        self.save()

    def save(self) -> None:
        """Write the file."""
        self._starts.verdict = self.start.verdict
        self._folder.write(self.file, msgspec.to_builtins(self._starts, enc_hook=str))

    def judge(self) -> ActivationEvidence:
        """Read from the log so far which kernel path runs."""
        evidence = server_evidence(self._server)
        self.start.verdict = str(evidence.verdict)
        self.start.evidence = evidence.to_json()
        self.start.facts = asdict(read_facts(read_log(self._server.log_path)))
        return evidence

    def close(self, *, records: int) -> None:
        """Stop the server, judge its whole log, and write down how it ended."""
        self._server.stop()
        self.judge()
        if self._server.options.backend is not BackendName.EXTERNAL:  # another's log may grow on
            self.start.log_sha256 = sha256(self._server.log_path.read_bytes()).hexdigest()
        self.start.records = records
        self.start.ended_at = now()
        self.start.server = self._server.describe()
        self.save()


def startup_file(model: str, mode: Mode) -> str:
    """The name of the file that describes the starts of a (model, mode)."""
    return f"startup_{mode}_{safe_name(model)}.json"


def parity_of_modes(folder: RunFolder, models: Iterable[str]) -> dict[str, tuple[Difference, ...]]:
    """Each model that was served in both modes, with every setting that its logs show to differ.

    The last server of each mode is read. Nothing for a model says that nothing differs.
    """
    found = {}
    for model in models:
        logs = [_last_log(folder, startup_file(model, mode)) for mode in MODES]
        if all(path is not None for path in logs):
            facts = [read_facts(read_log(path)) for path in logs if path is not None]
            found[model] = mode_parity(*facts)
    return found


def _last_log(folder: RunFolder, file: str) -> Path | None:
    known = read_own(folder, file, _Starts)
    log = folder.path / str(known.attempts[-1]["log"]) if known else None
    return log if log is not None and log.exists() else None
