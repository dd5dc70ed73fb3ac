"""A run's saved answers scored again: a run folder of its own, and what the profiles see.

Apart from `harness.jobs.run_numbers`, whose verbs need no scorer and no tasks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.analyse import plan_again
from harness.errors import HarnessError, UsageError, nearest
from harness.families import PYTHON
from harness.files import sha256_of, write_json, write_rows, write_whole
from harness.jobs import Done
from harness.records import (
    CANDIDATES,
    METADATA,
    PROMPT_HASHES,
    RECORDS,
    RunFiles,
    first_record,
    iter_values,
    keep_tasks,
    plan_seal,
    read_run_files,
    sealed,
    startup_paths,
    task_folder,
    write_side_file,
)
from harness.score import PROFILES, Profile, ProfileComparison, rescore, scorer_versions
from harness.tasks import Population, load_tasks

_COMPARISON = "score_profiles.json"


@dataclass(slots=True)
class _Rescoring:
    """The records of a run under both profiles, counted as they pass by."""

    records: Path
    population: Population
    profile: Profile
    own: bool
    profiles: ProfileComparison = field(default_factory=ProfileComparison)
    before: set[str] = field(default_factory=set)
    count: int = 0
    changed: int = 0

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each record with the profile's scores."""
        for line, old in iter_values(self.records):
            try:
                both = {
                    name: rescore(old, self.population, name, own=self.own) for name in PROFILES
                }
            except HarnessError as error:
                if error.file is not None:
                    raise
                message, hint = error.message, error.hint
                raise UsageError(message, hint=hint, file=self.records, line=line) from error
            new = both[self.profile]
            self.profiles.add(both["paper"], both["strict"])
            self.before.add(str(old.get("score_profile") or "not named"))
            self.changed += sum(old.get(k) != new.get(k) for k in ("solo_score", "batch_score"))
            self.count += 1
            yield sealed(new)

    def lines(self, folder: Path, show: int) -> Iterator[str]:
        """What changed, and at most ``show`` disagreements one by one."""
        found = self.profiles.as_json()
        yield f"{folder}: {self.count} records scored by profile {self.profile}"
        answers = sum(tally["answers"] for tally in found["by_mode"].values())
        if not answers:
            yield "no answers to compare: every record is in error"
            return
        stored = ", ".join(sorted(self.before))
        yield f"{self.changed} of {answers} answers had another score before (profile {stored})"
        yield "label flips under both profiles:"
        for mode, tally in found["by_mode"].items():
            flips, n = tally["label_flips"], tally["records"]
            yield (
                f"  {mode:16} paper {flips['paper']}/{n}, strict {flips['strict']}/{n}; "
                f"both {flips['both']}, only paper {flips['paper_only']}, "
                f"only strict {flips['strict_only']}; scores differ on {tally['scores_differ']} of "
                f"{tally['answers']} answers"
            )
        rows = found["disagreements"]
        total = len(rows) + found["disagreements_left_out"]
        yield f"flips that only one profile sees: {total}"
        for row in rows[:show]:
            sides = (
                f"{name} {side['solo_label']} {'→' if side['flip'] else '='} {side['batch_label']} "
                f"[{side['solo_rule']}, {side['batch_rule']}]"
                for name, side in ((name, row[name]) for name in PROFILES)
            )
            yield (
                f"  {row['mode']} {row['model']} {row['task_name']}/{row['sample_id']} "
                f"x{row['batch_size']} {row['dispatch_mode']}: {'; '.join(sides)}"
            )
        if total > show:
            yield f"  and {total - show} more in {folder / _COMPARISON}"


def rescore_run(run: Path, profile: str, tasks: Path | None, out: Path | None, show: int) -> Done:
    """Score every saved answer under both profiles, and write those of one as a run folder.

    The run is only read; the new folder is ``rescored/<profile>`` in or beside it by default.

    Raises:
        UsageError: an unknown profile, no tasks, or a record that cannot be scored again, with
            its line; nothing is left behind then.
        EnvironmentError_: the new folder cannot be written.
    """
    chosen = next((known for known in PROFILES if known == profile), None)
    if chosen is None:
        hint = nearest(profile, PROFILES, "known")
        raise UsageError(f"--profile: unknown profile '{profile}'", hint=hint)
    files = read_run_files(run)
    first_record(files.records_path)  # what is no records file names no tasks either
    population = load_tasks(tasks or task_folder(files))
    work = _Rescoring(files.records_path, population, chosen, own=tasks is not None)
    beside = "rescored" if files.is_run_folder else f"{run.stem}.rescored"
    folder = out or files.folder / beside / chosen
    if (folder / RECORDS).resolve() == files.records_path.resolve():
        raise UsageError("--out is the run itself, whose records must stay", file=folder)
    try:
        # the records get their name last: a folder that has them has all that tells of them
        rest = partial(_write_rest, folder, files, population, work)
        write_rows(folder / RECORDS, work.rows(), parents=True, check=lambda _: rest())
    finally:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    named = sorted({task.scorer for task in population.tasks if task.scorer.startswith(PYTHON)})
    kept = f"code of the run's author is not run, its scores stay: {', '.join(named)}"
    remarks = [] if work.own or not named else [f"{kept} (--tasks FOLDER runs that of yours)"]
    return Done(work.lines(folder, show), work.profiles.as_json(), remarks=remarks)


def _write_rest(folder: Path, files: RunFiles, population: Population, work: _Rescoring) -> None:
    """All but the records of a run that was scored again, once every record was."""
    origin = {
        "records": str(files.records_path),
        "sha256": sha256_of(files.records_path),
        "stored_profiles": sorted(work.before),
        "profile": work.profile,
        "scorers": scorer_versions(),
    }
    write_json(folder / _COMPARISON, {**work.profiles.as_json(), "rescored_from": origin})
    if not files.metadata:
        return
    plan = (files.folder / name for name in (CANDIDATES, PROMPT_HASHES))
    for carried in (*startup_paths(files.folder), *plan):  # with these it is a run
        if carried.exists():
            write_whole(folder / carried.name, carried.read_bytes())
    keep_tasks(folder, (task.file for task in population.tasks))
    spec = {**files.spec, "score_profile": work.profile}
    told = {"task_files": population.files, "rescored_from": origin}
    metadata = {**files.metadata, "resolved_spec": spec, **told}
    if planned := plan_again(replace(files, metadata=metadata)):
        metadata["fingerprint"] = planned[0]
    if "plan_sha256" in metadata:
        metadata["plan_sha256"] = plan_seal(metadata)
    write_side_file(folder / METADATA, metadata)
