"""A summary of a run: made of its records, or read from where it was written."""

from pathlib import Path

import msgspec
from msgspec.structs import replace

from harness.analyse.beside import (
    clusters,
    cross_mode,
    flip_kinds,
    latency,
    list_flips,
    noise_floor,
    retries,
)
from harness.analyse.claims import claim_ledger
from harness.analyse.effects import effects_of, paired_effects, witnessed_of
from harness.analyse.rates import Pairs
from harness.analyse.stack import stack_of
from harness.analyse.summary import Summary
from harness.analyse.tables import (
    breakdowns,
    mode_table,
    outcomes,
    paired_table,
    score_pairs,
    totals,
)
from harness.analyse.threats import list_threats
from harness.analyse.validate import expectations_of, validate
from harness.errors import UsageError
from harness.files import read_json
from harness.records import (
    Records,
    RunFiles,
    pair_records,
    read_records,
    read_run_files,
    refuse_duplicates,
)
from harness.words import MODES


def summarise_run(path: Path | str) -> Summary:
    """Read a run folder or a records file and summarise it.

    Raises:
        UsageError: it cannot be read, a line is no record, or a candidate is recorded twice.
    """
    files = read_run_files(path)
    records = read_records(files.records_path, check=True)
    return summarise(records, startup_errors=files.startup_errors, context=files)


def summarise(
    records: Records, *, startup_errors: int = 0, context: RunFiles | None = None
) -> Summary:
    """The summary of records.

    Args:
        records: what `read_records` gave.
        startup_errors: servers that did not start.
        context: what is known of the run; without it nothing is claimed about modes or devices.

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
        breakdowns=breakdowns(records, pairing, found),
        score_pairs={mode: score_pairs(records, pairing.rows(mode)) for mode in MODES},
        flip_kinds={mode: flip_kinds(records, counted) for mode, counted in rows.items()},
        noise_floor={mode: noise_floor(records, counted) for mode, counted in rows.items()},
        askings={mode: effects_of(records, counted) for mode, counted in rows.items()},
        paired_askings=paired_effects(records, pairing),
        witnessed={mode: witnessed_of(records, counted) for mode, counted in rows.items()},
        schedules=tuple(sorted(set(records.candidates["dispatch_mode"]))),
        cross_mode=cross_mode(records, pairing),
        clusters=clusters(records, pairing),
        retries={mode: retries(records, counted) for mode, counted in rows.items()},
        latency={mode: latency(records, counted) for mode, counted in rows.items()},
        stack=stack_of(context),
        flips=list_flips(records, pairing),
    )
    failed = {}
    if context is not None:
        refused = validate(records, context, expectations_of(context)).failures
        failed = {finding.check: f"{finding.check}: {finding.message}" for finding in refused}
    return replace(
        summary,
        claims=claim_ledger(summary, records, pairing, failed),
        threats=list_threats(summary, records),
    )


def read_summary(path: Path) -> Summary:
    """The summary in a ``summary.json``; sections that an older file lacks are empty.

    Raises:
        UsageError: it cannot be read, or is not a summary.
    """
    try:
        return msgspec.convert(read_json(path), Summary)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"not a summary: {error}", file=path, hint="write it anew with `harness summarize`"
        ) from error
