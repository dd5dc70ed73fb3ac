"""The files of a run, read for a report, and the report's files written beside them.

The only reader and writer of this room. Nothing is computed anew here: what `summary.json` and
`validation.json` say is what the report says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentError_, HarnessError, UsageError
from harness.records import RunFiles, read_run_files
from harness.report.build import build_report
from harness.report.github import render_github
from harness.report.html import render_html
from harness.report.junit import render_junit
from harness.report.markdown import render_markdown
from harness.report.model import Report
from harness.score import ProfileComparison, rescore
from harness.tasks import Population, load_tasks

__all__ = ["FORMATS", "RecordLines", "load_report", "prompts_of", "write_reports"]

Json = Mapping[str, Any]
SUMMARY = "summary.json"
VALIDATION = "validation.json"
ADJUDICATION = "adjudication.json"
FORMATS = {
    "md": ("report.md", render_markdown),
    "html": ("report.html", render_html),
    "junit": ("junit.xml", render_junit),
    "github": ("github.md", render_github),
}
MOST_RESCORED = 20_000
"""Records of a run that the report scores under both profiles itself."""


@dataclass(slots=True)
class RecordLines:
    """The records of a file, read again at each walk and never all in memory."""

    path: Path

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self.path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield self._record(line, number)

    def _record(self, line: str, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UsageError(f"not JSON: {error}", file=self.path, line=number) from error
        if not isinstance(record, dict):
            raise UsageError("not a JSON object", file=self.path, line=number)
        return record


@dataclass(frozen=True, slots=True)
class _Tasks:
    """The population of a run, where its task folder is still there; else nothing."""

    population: Population | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)


def _tasks(files: RunFiles, folder: Path | None = None) -> _Tasks:
    named = folder or files.spec.get("tasks")
    if named is None or not Path(named).is_dir():
        return _Tasks()
    try:
        population = load_tasks(named)
    except HarnessError:
        return _Tasks()
    return _Tasks(population, {prompt.sha256: prompt.text for prompt in population.prompts})


def prompts_of(files: RunFiles, folder: Path | None = None) -> Mapping[str, str]:
    """Prompt texts by SHA-256, from ``folder`` or the run's own tasks; empty if not here."""
    return _tasks(files, folder).prompts


def _profiles(records: RecordLines, population: Population | None, count: int) -> Json | None:
    """Both profiles over a run of moderate size; ``None`` where answers or tasks are missing."""
    if population is None or count > MOST_RESCORED:
        return None
    comparison = ProfileComparison()
    try:
        for record in records:
            if record.get("status") == "ok":
                pair = (rescore(record, population, "paper"), rescore(record, population, "strict"))
                comparison.add(*pair)
    except UsageError:
        return None
    return comparison.as_json()


def _comparison(files: RunFiles) -> Json | None:
    """What `harness score` left: in this folder, or in a re-scored one below it."""
    name = "score_profiles.json"
    found = (files.folder / name, *sorted(files.folder.glob(f"rescored/*/{name}")))
    return next((value for value in map(_object, found) if value is not None), None)


def _object(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"not JSON: {error}", file=path) from error
    if not isinstance(value, dict):
        raise UsageError("expected a JSON object", file=path)
    return value


def load_report(
    run: Path | str, summary: Json | None = None, validation: Json | None = None
) -> Report:
    """The report of a run folder or a records file.

    Args:
        run: ``results/<run_id>`` or a records file.
        summary: the summary, where the caller has it; else ``summary.json`` beside the records.
        validation: likewise; a run without one is reported as not validated.

    Raises:
        UsageError: a file is missing or unreadable.
    """
    files = read_run_files(run)
    summary = summary or _object(files.folder / SUMMARY)
    if summary is None:
        raise UsageError(
            "no summary of this run", file=files.folder, hint=f"run: harness summarize {run}"
        )
    records, tasks = RecordLines(files.records_path), _tasks(files)
    return build_report(
        summary,
        records,
        [{"model": s.model, "mode": s.mode, "attempts": s.attempts} for s in files.startups],
        files.metadata,
        validation or _object(files.folder / VALIDATION),
        prompts=tasks.prompts,
        profiles=_profiles(records, tasks.population, int(summary.get("n_records") or 0))
        or _comparison(files),
        adjudication=_object(files.folder / ADJUDICATION),
    )


def write_reports(
    run: Path | str,
    formats: Sequence[str] = ("md", "html"),
    *,
    folder: Path | None = None,
    summary: Json | None = None,
    validation: Json | None = None,
) -> list[Path]:
    """Write a run's reports, each whole or not at all.

    Args:
        run: ``results/<run_id>`` or a records file.
        formats: keys of `FORMATS`.
        folder: where to write; beside the records when ``None``.
        summary, validation: as for `load_report`.

    Returns:
        The files written, in the order of ``formats``.

    Raises:
        UsageError: a file of the run is missing or unreadable.
        EnvironmentError_: the reports cannot be written.
    """
    report = load_report(run, summary, validation)
    target = folder or read_run_files(run).folder
    texts = {target / FORMATS[name][0]: FORMATS[name][1](report) for name in formats}
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
    except OSError as error:
        raise EnvironmentError_(f"cannot be written: {error.strerror}", file=target) from error
    return list(texts)
