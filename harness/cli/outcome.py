"""What a finished run prints, and the exit code that it leaves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import typer

from harness.analyse import CheckStatus, summary_lines
from harness.conduct import Conclusion
from harness.errors import GateFailed
from harness.records import read_run_files
from harness.report import measured_on, nature

__all__ = ["finish"]

INCONCLUSIVE = (
    "inconclusive on this CPU: the standard path changed no answer here, so there was nothing for "
    "the batch-invariant path to remove"
)


def finish(conclusion: Conclusion, *, as_json: bool) -> None:
    """Print the result, then where the report is and what the numbers can show.

    Raises:
        GateFailed: the run is complete but a check of its validation failed.
    """
    if as_json:
        typer.echo(json.dumps(conclusion.summary, ensure_ascii=False))
    else:
        for line in _lines(conclusion):
            typer.echo(line)
    _insist(conclusion)


def _lines(conclusion: Conclusion) -> Iterator[str]:
    metadata = read_run_files(conclusion.folder).metadata
    yield from summary_lines(conclusion.summary)
    yield ""
    yield f"measured on  {measured_on(conclusion.summary, metadata, ())}"
    yield f"validation   {_state(conclusion)}"
    for path in conclusion.reports:
        yield f"report       {path}"
    yield ""
    if _is_inconclusive(conclusion):
        yield INCONCLUSIVE
    words = nature(conclusion.summary, metadata)
    if words:
        yield words


def _state(conclusion: Conclusion) -> str:
    findings = conclusion.validation.findings
    found = Counter(finding.status for finding in findings)
    if found[CheckStatus.FAILED]:
        return f"{found[CheckStatus.FAILED]} of {len(findings)} checks failed"
    words = {CheckStatus.WARNING: "with a warning", CheckStatus.NOT_CHECKED: "not checked"}
    reserved = [f"{found[status]} {text}" for status, text in words.items() if found[status]]
    return f"no check failed, {', '.join(reserved)}" if reserved else "every check passed"


def _is_inconclusive(conclusion: Conclusion) -> bool:
    summary = conclusion.summary
    standard = summary["by_mode"].get("standard")
    on_cpu = summary["stack"]["device"] == "cpu"
    return bool(on_cpu and standard and not standard["text_changes"]["count"])


def _insist(conclusion: Conclusion) -> None:
    failures = conclusion.validation.failures
    if failures:
        raise GateFailed(
            f"{len(failures)} checks of the validation failed: the run is not countable",
            file=conclusion.folder / "validation.json",
            detail=tuple(f"{finding.check}: {finding.message}" for finding in failures),
        )
