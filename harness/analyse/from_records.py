"""A summary of a run: made of its records, or read from where it was written."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from harness.analyse.aside import changed_before
from harness.analyse.beside import (
    clusters,
    cross_mode,
    flip_kinds,
    latency,
    list_flips,
    noise_floor,
    retries,
)
from harness.analyse.carried import carried_of
from harness.analyse.claims import claim_ledger
from harness.analyse.effects import (
    effects_of,
    paired_effects,
    slice_by_prompt,
    unseen_of,
    witnessed_of,
)
from harness.analyse.ledger import UNCHECKED
from harness.analyse.rates import Pairs
from harness.analyse.stack import stack_of, tokens_a_step
from harness.analyse.summary import LabelsByProfile, ProfileFlips, Summary
from harness.analyse.tables import (
    breakdowns,
    mode_table,
    outcomes,
    paired_table,
    score_pairs,
    totals,
)
from harness.analyse.threats import list_threats
from harness.analyse.validate import Validation, expectations_of, validate
from harness.errors import HarnessError, UsageError
from harness.files import read_json
from harness.hostile import shaped
from harness.records import (
    Pairing,
    Records,
    RunFiles,
    iter_values,
    pair_records,
    read_records,
    read_run_files,
    refuse_duplicates,
    task_folder,
)
from harness.words import MODES, Effect

if TYPE_CHECKING:
    from harness.score import Profile
    from harness.tasks import Population

MOST_RESCORED = 20_000
"""Records of a run that are scored under both profiles where nobody asked for it."""
_BATCH = f"{Effect.BATCH}_flip"


def summarise_run(path: Path | str) -> Summary:
    """Read a run folder or a records file and summarise it.

    Raises:
        UsageError: it cannot be read, a line is no record, or a candidate is recorded twice.
    """
    return read_numbers(path).summary


class Numbers(NamedTuple):
    """What one look at a run's records gives."""

    summary: Summary
    validation: Validation
    records: Records


def read_numbers(path: Path | str) -> Numbers:
    """The summary of a run and its validation by its own spec, of records that are read once.

    Raises:
        UsageError: as `summarise_run`.
    """
    files = read_run_files(path)
    records = read_records(files.records_path, check=True)
    found = validate(records, files, expectations_of(files))
    summary = summarise(
        records, startup_errors=files.startup_errors, context=files, validation=found
    )
    return Numbers(summary, found, records)


def summarise(
    records: Records,
    *,
    startup_errors: int = 0,
    context: RunFiles | None = None,
    validation: Validation | None = None,
) -> Summary:
    """The summary of records.

    Args:
        records: what `read_records` gave.
        startup_errors: servers that did not start.
        context: what is known of the run; without it nothing is claimed about modes or devices.
        validation: of the same by the run's own spec, where it is there already.

    Raises:
        UsageError: a candidate has two records in one mode.
    """
    pairing = pair_records(records)
    refuse_duplicates(records, pairing)
    rows = {mode: pairing.rows(mode) for mode in pairing.modes()}
    found = outcomes(records, pairing)
    counts = totals(found)
    by_mode = {mode: mode_table(counts, mode) for mode in rows}
    complete = counts["pairs", "complete"]
    summary = Summary(
        run_id=records.runs[0] if len(records.runs) == 1 else None,
        n_records=sum(table.records for table in by_mode.values()),
        n_ok=sum(table.ok for table in by_mode.values()),
        startup_error_count=startup_errors,
        superseded_records=pairing.superseded,
        pairs=Pairs(len(found), complete, len(found) - complete),
        by_mode=by_mode,
        paired=paired_table(counts),
        breakdowns=breakdowns(records, pairing, found, partial(slice_by_prompt, records, pairing)),
        score_pairs={mode: score_pairs(records, pairing.rows(mode)) for mode in MODES},
        flip_kinds={mode: flip_kinds(records, counted) for mode, counted in rows.items()},
        noise_floor={mode: noise_floor(records, counted) for mode, counted in rows.items()},
        askings={mode: effects_of(records, counted) for mode, counted in rows.items()},
        paired_askings=paired_effects(records, pairing),
        witnessed={mode: witnessed_of(records, counted) for mode, counted in rows.items()},
        unseen={mode: unseen_of(records, counted, mode) for mode, counted in rows.items()},
        schedules=tuple(sorted(set(records.candidates["dispatch_mode"]))),
        labels_by_profile=labels_by_profile(records, pairing, context) if context else None,
        cross_mode=cross_mode(records, pairing),
        clusters=clusters(records, pairing),
        retries={mode: retries(records, counted) for mode, counted in rows.items()},
        latency={mode: latency(records, counted) for mode, counted in rows.items()},
        stack=stack_of(context, records),
        carried=carried_of(records, pairing, tokens_a_step(context) if context else 1),
        flips=list_flips(records, pairing),
    )
    failed = {}
    if context is not None:
        validation = validation or validate(records, context, expectations_of(context))
        failed = {one.check: f"{one.check}: {one.message}" for one in validation.failures}
        if not failed and (lacks := validation.unbound):
            failed[UNCHECKED] = f"{lacks[0].check} is not checked: {lacks[0].message}"
        if not failed and (why := changed_before(records, pairing, context)):
            failed[UNCHECKED] = why
    return replace(
        summary,
        claims=claim_ledger(summary, records, pairing, failed),
        threats=list_threats(summary, records),
    )


def labels_by_profile(records: Records, pairing: Pairing, files: RunFiles) -> LabelsByProfile:
    """Label flips under both scorer profiles, scored anew from the texts of the records.

    A row is left out where a text is missing or its prompt is not that of the run's tasks.

    Args:
        records, pairing: of the run.
        files: where its tasks are named.
    """
    rows = int(records.column("ok").sum())
    if len(records) > MOST_RESCORED:
        why = f"more than {MOST_RESCORED:,} records: `harness score` scores them"
        return LabelsByProfile(rows, missing=why)
    from harness.score import PROFILES
    from harness.tasks import load_tasks

    try:
        found = _rescored(records, load_tasks(task_folder(files)), PROFILES)
    except HarnessError as error:
        return LabelsByProfile(rows, missing=f"{error.message}; `harness score --tasks` takes them")
    again, missing = found
    scored = rows if missing is None else int(again[PROFILES[0]].column("ok").sum())
    strict_first = sorted(again.items(), reverse=True) if scored else ()
    profiles = {name: _under_profile(one, pairing) for name, one in strict_first}
    left = f"{rows - scored} of {rows} rows: {missing}" if missing else None
    return LabelsByProfile(rows, scored, left, profiles)


def _rescored(
    records: Records, population: Population, profiles: Sequence[Profile]
) -> tuple[dict[str, Records], str | None]:
    """The records with each profile's flips, and why some are left out; these are not ok there."""
    from harness.score import flips_under

    ok, missing = records.column("ok").copy(), None
    at = {line: row for row, line in enumerate(records.column("line").tolist()) if ok[row]}
    flips = {name: np.zeros((len(records), 2), np.int8) for name in profiles}
    for line, record in iter_values(Path(records.path)):
        if (row := at.get(line)) is None:
            continue
        try:
            for name in profiles:
                flips[name][row] = flips_under(record, population, name)
        except UsageError as error:
            missing, ok[row] = missing or error.message, False
    columns = {
        name: {"ok": ok, "label_flip": ok & (of[:, 0] == 1), _BATCH: np.where(ok, of[:, 1], -1)}
        for name, of in flips.items()
    }
    return {
        name: dataclasses.replace(records, frame=records.frame.assign(**of))
        for name, of in columns.items()
    }, missing


def _under_profile(records: Records, pairing: Pairing) -> ProfileFlips:
    modes = {mode: effects_of(records, pairing.rows(mode)).effects for mode in pairing.modes()}
    paired = paired_effects(records, pairing)
    return ProfileFlips(
        {mode: of.study.label_flips for mode, of in modes.items()},
        {mode: of.batch_effect.label_flips for mode, of in modes.items()},
        paired.study.label_flips,
        paired.batch_effect.label_flips,
    )


def read_summary(path: Path) -> Summary:
    """The summary in a ``summary.json``; sections that an older file lacks are empty.

    Raises:
        UsageError: it cannot be read, or is not a summary.
    """
    try:
        return shaped(read_json(path), Summary)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"not a summary: {error}", file=path, hint="write it anew with `harness summarize`"
        ) from error
