"""A run scored again, into a run folder of its own, one record at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError, nearest
from harness.files import read_rows, write_json, write_rows
from harness.records import METADATA, RECORDS, RunFiles, read_run_files
from harness.score import PROFILES, Profile, ProfileComparison, rescore, scorer_versions
from harness.tasks import Population, load_tasks

CANDIDATES = "selected_candidates.jsonl"
COMPARISON = "score_profiles.json"


@dataclass(frozen=True, slots=True)
class Rescored:
    """A re-scored run.

    Attributes:
        folder: the new run folder.
        profile: whose scores its records have.
        records: how many records it has.
        changed: answers whose stored score, under the stored profile, differs from the new one.
        stored_profiles: the profiles under which the records had been scored before.
        comparison: `ProfileComparison.as_json` of ``paper`` and ``strict``.
    """

    folder: Path
    profile: Profile
    records: int
    changed: int
    stored_profiles: tuple[str, ...]
    comparison: Mapping[str, Any]

    def lines(self, show: int) -> Iterator[str]:
        """The result for a person; at most ``show`` disagreements one by one."""
        yield f"{self.folder}: {self.records} records scored by profile {self.profile}"
        answers = sum(tally["answers"] for tally in self.comparison["by_mode"].values())
        if not answers:
            yield "no answers to compare: every record is in error"
            return
        stored = ", ".join(self.stored_profiles)
        yield f"{self.changed} of {answers} answers had another score before (profile {stored})"
        yield "label flips under both profiles:"
        for mode, tally in self.comparison["by_mode"].items():
            flips, n = tally["label_flips"], tally["records"]
            yield (
                f"  {mode:16} paper {flips['paper']}/{n}, strict {flips['strict']}/{n}; "
                f"both {flips['both']}, only paper {flips['paper_only']}, "
                f"only strict {flips['strict_only']}; scores differ on {tally['scores_differ']} of "
                f"{tally['answers']} answers"
            )
        rows = self.comparison["disagreements"]
        total = len(rows) + self.comparison["disagreements_left_out"]
        yield f"flips that only one profile sees: {total}"
        for row in rows[:show]:
            yield (
                f"  {row['mode']} {row['model']} {row['task_name']}/{row['sample_id']} "
                f"x{row['batch_size']} {row['dispatch_mode']}: "
                f"paper {_change(row['paper'])}; strict {_change(row['strict'])}"
            )
        if total > show:
            yield f"  and {total - show} more in {self.folder / COMPARISON}"


def rescore_run(run: Path, *, profile: str, tasks: Path | None, out: Path | None) -> Rescored:
    """Score every saved answer under both profiles and write those of ``profile``.

    Args:
        run: run folder or records file; it is only read.
        profile: ``paper`` or ``strict``.
        tasks: folder of task files; ``None`` for the run's own.
        out: the new run folder; ``None`` for ``rescored/<profile>`` in or beside the run.

    Raises:
        UsageError: an unknown profile, no tasks, or a record that cannot be scored again, with
            its line; nothing is left behind then.
        EnvironmentError_: the new folder cannot be written.
    """
    chosen = next((known for known in PROFILES if known == profile), None)
    if chosen is None:
        hint = nearest(profile, PROFILES) or f"known: {', '.join(PROFILES)}"
        raise UsageError(f"--profile: unknown profile '{profile}'", hint=hint)
    files = read_run_files(run)
    population = load_tasks(tasks or _own_tasks(files))
    of_a_run = files.records_path.name == RECORDS
    beside = files.folder / ("rescored" if of_a_run else f"{run.stem}.rescored")
    folder = out or beside / chosen
    if (folder / RECORDS).resolve() == files.records_path.resolve():
        raise UsageError("--out is the run itself, whose records must stay", file=folder)
    try:
        done = _write_records(files.records_path, population, chosen, folder)
    finally:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    _write_companions(files, done)
    return done


def _own_tasks(files: RunFiles) -> Path:
    named = files.spec.get("tasks")
    if not named:
        raise UsageError(
            "the run does not say which tasks it used", file=files.records_path, hint="give --tasks"
        )
    if not Path(named).is_dir():
        raise UsageError(
            f"the run's tasks are not here: no folder {named}",
            file=files.folder / METADATA,
            hint="go to the folder where the run was started, or give --tasks",
        )
    return Path(named)


def _write_records(
    records: Path, population: Population, profile: Profile, folder: Path
) -> Rescored:
    comparison = ProfileComparison()
    count = changed = 0
    stored: set[str] = set()

    def rescored() -> Iterator[dict[str, Any]]:
        nonlocal count, changed
        for line, old in read_rows(records):
            try:
                both = {name: rescore(old, population, name) for name in PROFILES}
            except HarnessError as error:
                if error.file is not None:
                    raise
                raise UsageError(error.message, hint=error.hint, file=records, line=line) from error
            new = both[profile]
            comparison.add(both["paper"], both["strict"])
            stored.add(str(old.get("score_profile") or "not named"))
            changed += sum(old.get(side) != new.get(side) for side in ("solo_score", "batch_score"))
            count += 1
            yield new
        if not count:
            raise UsageError("the records file is empty", file=records)

    write_rows(folder / RECORDS, rescored(), parents=True)
    return Rescored(folder, profile, count, changed, tuple(sorted(stored)), comparison.as_json())


def _write_companions(files: RunFiles, done: Rescored) -> None:
    """What makes the folder a run: metadata with its origin, start-ups, candidates, comparison."""
    with files.records_path.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    origin = {
        "records": str(files.records_path),
        "sha256": digest,
        "stored_profiles": list(done.stored_profiles),
        "profile": done.profile,
        "scorers": scorer_versions(),
    }
    write_json(done.folder / COMPARISON, {**done.comparison, "rescored_from": origin})
    if not files.metadata:
        return
    for carried in (*files.folder.glob("startup_*.json"), files.folder / CANDIDATES):
        if carried.is_file():
            shutil.copyfile(carried, done.folder / carried.name)
    spec = {**files.spec, "score_profile": done.profile}
    metadata = {**files.metadata, "resolved_spec": spec, "rescored_from": origin}
    write_json(done.folder / METADATA, metadata)


def _change(side: Mapping[str, Any]) -> str:
    sign = "→" if side["flip"] else "="
    rules = f"{side['solo_rule']}, {side['batch_rule']}"
    return f"{side['solo_label']} {sign} {side['batch_label']} [{rules}]"
