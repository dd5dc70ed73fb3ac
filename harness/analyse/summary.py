"""The summary of a run: every table of the study and what a demanding reader asks beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.analyse.agreement import (
    clusters,
    cross_mode,
    flip_kinds,
    latency,
    noise_floor,
    retries,
)
from harness.analyse.claims import claim_ledger
from harness.analyse.flips import list_flips
from harness.analyse.stack import stack_of
from harness.analyse.tables import breakdowns, mode_table, paired_table, score_pairs
from harness.analyse.threats import list_threats
from harness.records import (
    MODES,
    Pairing,
    Records,
    RunFiles,
    pair_records,
    read_records,
    read_run_files,
    refuse_duplicates,
)

__all__ = ["summarise", "summarise_run"]

Json = dict[str, Any]


def summarise_run(path: Path | str) -> Json:
    """Read a run folder or a records file and summarise it.

    Raises:
        UsageError: it cannot be read, a line is no record, or a candidate is recorded twice.
    """
    files = read_run_files(path)
    records = read_records(files.records_path)
    return summarise(records, startup_errors=files.startup_errors, context=files)


def summarise(
    records: Records, *, startup_errors: int = 0, context: RunFiles | None = None
) -> Json:
    """Summary of records in the form of ``summary.json`` (schema version 1).

    Rates are over the ok records of a mode. Everything paired is over the candidates that are
    ok in both modes; ``pairs`` says how many were left out.

    Args:
        records: what `read_records` gave.
        startup_errors: servers that did not start.
        context: what is known of the run; without it nothing is claimed about modes or devices.

    Raises:
        UsageError: a candidate has two records in one mode.
    """
    pairing = pair_records(records)
    refuse_duplicates(records, pairing)
    stack = stack_of(context)
    summary = _counts(records, pairing, startup_errors)
    summary["breakdowns"] = breakdowns(records, pairing)
    summary["score_pairs"] = {str(mode): score_pairs(records, pairing.rows(mode)) for mode in MODES}
    summary |= _beside(records, pairing)
    summary["stack"] = stack.as_json()
    summary["claims"] = claim_ledger(summary, stack, records, pairing)
    summary["threats"] = list_threats(summary, stack, records)
    summary["flips"] = list_flips(records, pairing)
    return summary


def _counts(records: Records, pairing: Pairing, startup_errors: int) -> Json:
    tables = {str(mode): mode_table(records, pairing.rows(mode)) for mode in pairing.modes()}
    complete = pairing.complete(records)
    return {
        "schema_version": 1,
        "run_id": records.runs.values[0] if len(records.runs) == 1 else None,
        "n_records": sum(table["records"] for table in tables.values()),
        "n_ok": sum(table["ok"] for table in tables.values()),
        "startup_error_count": startup_errors,
        "superseded_records": pairing.superseded,
        "pairs": {
            "candidates": len(records.keys),
            "complete": int(complete.sum()),
            "left_out": int((~complete).sum()),
        },
        "by_mode": tables,
        "paired": paired_table(records, pairing, complete),
    }


def _beside(records: Records, pairing: Pairing) -> Json:
    modes = pairing.modes()
    return {
        "flip_kinds": {str(m): flip_kinds(records, pairing.rows(m)) for m in modes},
        "noise_floor": {str(m): noise_floor(records, pairing.rows(m)) for m in modes},
        "cross_mode": cross_mode(records, pairing),
        "clusters": clusters(records, pairing),
        "retries": {str(m): retries(records, pairing.rows(m)) for m in modes},
        "latency": {str(m): latency(records, pairing.rows(m)) for m in modes},
    }
