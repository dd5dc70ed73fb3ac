"""The files of a run, read for its report, and the report's files written beside them.

What `summary.json` and `validation.json` say is what the report says; only the comparison of the
two scorer profiles is computed here, where the tasks are there and the run is not too large.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from harness.analyse import MOST_RESCORED, Summary, Validation, kept_validation, read_summary
from harness.errors import HarnessError, UsageError
from harness.files import read_json
from harness.hostile import shaped
from harness.records import (
    Record,
    Records,
    RunFiles,
    iter_records,
    iter_values,
    read_run_files,
    records_at,
    task_folder,
)
from harness.report.changed_answers import (
    MAX_FLIPS,
    MAX_TEXT_CHANGES,
    changed_pairs,
    examples,
)
from harness.report.document import Change, Document, Example
from harness.report.documents import run_document
from harness.report.write import write_document

if TYPE_CHECKING:
    from harness.score import Profiles
    from harness.tasks import Population

T = TypeVar("T")


def load_report(
    run: Path | str, summary: Summary | None = None, validation: Validation | None = None
) -> Document:
    """The report of a run folder or a records file.

    Args:
        run: ``results/<run_id>`` or a records file.
        summary: the summary, where the caller has it; else ``summary.json`` beside the records.
        validation: likewise; a run without one is reported as not validated.

    Raises:
        UsageError: a file is missing or unreadable.
    """
    files = read_run_files(run)
    if summary is None:
        path = files.folder / "summary.json"
        if not path.is_file():
            hint = f"run: harness summarize {run}"
            raise UsageError("no summary of this run", file=files.folder, hint=hint)
        summary = read_summary(path)
    if validation is None:
        validation = kept_validation(files)
    from harness.people import Outcome

    judged, population = files.folder / "adjudication.json", _population(files)
    scored = population if summary.n_records <= MOST_RESCORED else None
    return run_document(
        summary,
        (record for _, record in iter_records(files.records_path)),
        files,
        validation,
        prompts=_prompts(population),
        profiles=_profiles(files, scored),
        adjudication=_read(judged, Outcome, "outcome of an adjudication"),
    )


def write_reports(
    run: Path | str,
    formats: Sequence[str] = ("md", "html"),
    *,
    folder: Path | None = None,
    summary: Summary | None = None,
    validation: Validation | None = None,
) -> list[Path]:
    """Write a run's reports, each whole or not at all.

    Args:
        folder: where to write; beside the records when ``None``.
        formats, summary, validation: as for `write_document` and `load_report`, which tell what is
            returned and raised.
    """
    document = load_report(run, summary, validation)
    return write_document(document, formats, folder or read_run_files(run).folder)


def changes_of(run: Path | str) -> tuple[Change, ...]:
    """All changes as a report numbers them: label flips, then other changes of a text."""
    files = read_run_files(run)
    records = (record for _, record in iter_records(files.records_path))
    flips, texts = changed_pairs(records, prompts_of(files))
    return (*flips.changes, *texts.changes)


def first_changes(run: Path | str, read: Records | None = None) -> tuple[Example, ...]:
    """The changes to see first, as at the top of a report; none where texts are not recorded.

    Args:
        read: the run's records, where they were read with a look at their answers: only those
            lines of the file are read again that a change is shown of.
    """
    files = read_run_files(run)
    records: Iterable[Record] = (record for _, record in iter_records(files.records_path))
    if read is not None:
        lines = _lines_of_changes(read) if read.checks.answers else set[int]()
        records = records_at(files.records_path, lines).values() if lines else ()
    return examples(changed_pairs(records, prompts_of(files)))


def _lines_of_changes(read: Records) -> set[int]:
    """The lines of all that a walk over the whole file would keep, and of the same candidates."""
    flips = read.column("label_flip")
    kept = np.concatenate(
        [
            np.flatnonzero(flips)[:MAX_FLIPS],
            np.flatnonzero(read.column("text_change") & ~flips)[:MAX_TEXT_CHANGES],
        ]
    )
    key = read.column("key")
    lines: list[int] = read.column("line")[np.isin(key, key[kept])].tolist()
    return set(lines)


def prompts_of(files: RunFiles, folder: Path | None = None) -> Mapping[str, str]:
    """Prompt texts by SHA-256, from ``folder`` or the run's own tasks; empty if not here."""
    return _prompts(_population(files, folder))


def _population(files: RunFiles, folder: Path | None = None) -> Population | None:
    """The population of a run, where its task files are there."""
    from harness.tasks import load_tasks

    try:
        return load_tasks(folder or task_folder(files))
    except HarnessError:
        return None


def _prompts(population: Population | None) -> Mapping[str, str]:
    return {prompt.sha256: prompt.text for prompt in population.prompts} if population else {}


def _profiles(files: RunFiles, population: Population | None) -> Profiles | None:
    """Both profiles over a run; where an answer or its task is missing, what was left of it.

    `harness score` leaves a comparison here, or in a re-scored folder below.
    """
    from harness.score import PROFILES, ProfileComparison, Profiles, rescore

    if population is not None:
        comparison = ProfileComparison()
        with suppress(UsageError):
            for _, record in iter_values(files.records_path):
                if record.get("status") == "ok":
                    comparison.add(*(rescore(record, population, name) for name in PROFILES))
            return comparison.profiles()
    name = "score_profiles.json"
    found = (files.folder / name, *sorted(files.folder.glob(f"rescored/*/{name}")))
    left = (_read(path, Profiles, "comparison of two profiles") for path in found)
    return next(filter(None, left), None)


def _read(path: Path, kind: type[T], what: str) -> T | None:
    try:
        return shaped(read_json(path), kind) if path.is_file() else None
    except msgspec.ValidationError as error:
        raise UsageError(f"not the {what}: {error}", file=path) from error
