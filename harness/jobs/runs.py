"""A run planned, and a run done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.conduct import (
    Conclusion,
    ConsoleProgress,
    Prepared,
    RunOptions,
    RunProgress,
    prepare,
)
from harness.conduct import run as conduct
from harness.findings import Status
from harness.numbers import duration_text
from harness.plan import estimate
from harness.records import read_run_files
from harness.report import measured_on, nature, summary_lines
from harness.settings import LoadedSpec
from harness.words import Mode

_INCONCLUSIVE = (
    "inconclusive on this CPU: the standard path changed no answer here, so there was nothing for "
    "the batch-invariant path to remove"
)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """What a run would ask, of which servers and in which batches."""

    prepared: Prepared

    def rows(self) -> Iterator[dict[str, Any]]:
        """One JSON object a candidate and mode (DESIGN 4.8)."""
        for record in self.prepared.plan.records:
            candidate = record.candidate
            yield {
                "record_id": record.record_id,
                "model": candidate.model,
                "task_name": candidate.task_name,
                "sample_id": candidate.sample_id,
                "batch_size": candidate.batch_size,
                "dispatch_mode": str(candidate.dispatch_mode),
                "mode": str(record.mode),
                "group": list(record.group.ids),
                "target_index": record.group.target_index,
                "prompt_sha256": record.group.target.sha256,
            }

    def lines(self) -> Iterator[str]:
        """A table of server lifetimes, and very roughly what they take."""
        spec, plan = self.prepared.spec, self.prepared.plan
        total = estimate(spec, plan)
        rows = [("", "model", "mode", "records", "batch sizes", "dispatch modes")]
        for number, lifetime in enumerate(plan.lifetimes, start=1):
            candidates = [record.candidate for record in lifetime.records]
            sizes = ", ".join(map(str, sorted({item.batch_size for item in candidates})))
            dispatch = ", ".join(sorted({str(item.dispatch_mode) for item in candidates}))
            name, mode, count = lifetime.model.name, str(lifetime.mode), str(len(candidates))
            rows.append((str(number), name, mode, count, sizes, dispatch))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        source = self.prepared.loaded.file
        yield f"{source}: {total.records} records in {total.lifetimes} server lifetimes"
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield f"  {'  '.join(cells)}".rstrip()
        yield (
            f"{total.requests} requests for {total.answers} answers, batches cut from "
            f"{len(self.prepared.population.prompts)} prompts, warm-up and retries not counted"
        )
        device = "two CPU cores" if total.on_cpu else "one GPU of the H200 class, small models"
        yield f"roughly {duration_text(total.seconds)} on {device}"


def plan(loaded: LoadedSpec) -> PlannedRun:
    """Prepare a run and start nothing; what `run` would refuse is refused here.

    Raises:
        UsageError: an input is wrong.
    """
    return PlannedRun(prepare(loaded))


def run(
    loaded: LoadedSpec,
    results: Path,
    run_id: str | None,
    *,
    fresh: bool,
    retry_errors: bool,
    quiet: bool,
) -> Conclusion:
    """Prepare a run and do what of it is not done yet.

    Args:
        results, run_id, fresh, retry_errors: as of `harness.conduct.RunOptions`.
        quiet: show no progress.

    Raises:
        HarnessError: as `harness.conduct.prepare` and `harness.conduct.run`.
    """
    options = RunOptions(results, run_id, fresh=fresh, retry_errors=retry_errors)
    return conduct(prepare(loaded), options, RunProgress() if quiet else ConsoleProgress())


def outcome_lines(done: Conclusion) -> Iterator[str]:
    """The result, where the report is, and what the numbers can show."""
    metadata = read_run_files(done.folder).metadata
    yield from summary_lines(done.summary)
    yield ""
    yield f"measured on  {measured_on(done.summary, metadata, ())}"
    yield f"validation   {_validation_words(done)}"
    for path in done.reports:
        yield f"report       {path}"
    yield ""
    standard = done.summary.mode(Mode.STANDARD)
    on_cpu = done.summary.stack.device == "cpu"
    if on_cpu and standard.records and not standard.text_changes.count:
        yield _INCONCLUSIVE
    words = nature(done.summary, metadata)
    if words:
        yield words


def _validation_words(done: Conclusion) -> str:
    findings = done.validation.findings
    found = Counter(finding.status for finding in findings)
    if found[Status.FAILED]:
        return f"{found[Status.FAILED]} of {len(findings)} checks failed"
    words = {Status.WARNING: "with a warning", Status.NOT_CHECKED: "not checked"}
    reserved = [f"{found[status]} {text}" for status, text in words.items() if found[status]]
    return f"no check failed, {', '.join(reserved)}" if reserved else "every check passed"
