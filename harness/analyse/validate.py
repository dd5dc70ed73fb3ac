"""The checks that make a run countable.

A run passes when no check failed. A check that lacks what it needs (a records file from elsewhere
has no start-up files) says ``not_checked`` and why; it never passes in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, ValidationError, convert

from harness.analyse.checks import check_records, key_name
from harness.errors import UsageError
from harness.files import read_json, sha256_of
from harness.findings import Finding, Status
from harness.numbers import shortened
from harness.records import Pairing, Records, RunFiles, pair_records, read_run_files, scan_records
from harness.words import Mode

_LONGEST_VALUE = 80


class Expectations(Struct, frozen=True):
    """What a run must show; ``None`` and an empty tuple ask nothing.

    Attributes:
        modes: modes that must be there.
        rows_per_mode: records that each of these modes (or each mode there is) must have.
    """

    modes: tuple[Mode, ...] = ()
    rows_per_mode: int | None = None


class ModeCounts(Struct, frozen=True):
    """The records of one mode."""

    records: int
    ok: int
    errors: int


class Validation(Struct, frozen=True, kw_only=True):
    """Every finding, and the counts that the study's validator printed: ``validation.json``.

    Attributes:
        ok: whether no check failed.
    """

    schema_version: int = 1
    ok: bool
    n_records: int
    n_ok: int
    startup_error_count: int
    by_mode: dict[Mode, ModeCounts]
    expected: Expectations
    findings: tuple[Finding, ...]

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The checks that failed."""
        return tuple(f for f in self.findings if f.status is Status.FAILED)

    @property
    def reasons(self) -> tuple[str, ...]:
        """``check: message`` of each that failed, for the detail of an error."""
        return tuple(f"{finding.check}: {finding.message}" for finding in self.failures)


def read_validation(path: Path) -> Validation:
    """What a ``validation.json`` holds.

    Raises:
        UsageError: it cannot be read, or is no validation.
    """
    try:
        return convert(read_json(path), Validation)
    except ValidationError as error:
        raise UsageError(
            f"not a validation: {error}", file=path, hint="write it anew with `harness validate`"
        ) from error


def validate_run(
    path: Path | str,
    *,
    require_modes: Sequence[Mode] | None = None,
    expected_rows_per_mode: int | None = None,
) -> Validation:
    """Read a run folder or a records file and check everything.

    Args:
        path: the run folder or records file.
        require_modes: modes that must be there; ``None`` takes the run's own spec.
        expected_rows_per_mode: records that each mode must have; ``None`` takes the spec's.

    Raises:
        UsageError: there is no run at ``path``, or a file beside the records is damaged.
    """
    files = read_run_files(path)
    known = expectations_of(files)
    expected = Expectations(
        modes=known.modes if require_modes is None else tuple(require_modes),
        rows_per_mode=(
            known.rows_per_mode if expected_rows_per_mode is None else expected_rows_per_mode
        ),
    )
    return validate(scan_records(files.records_path), files, expected)


def expectations_of(files: RunFiles) -> Expectations:
    """What the run's own spec asks: its modes, and ``expect.rows_per_mode`` or every candidate."""
    modes = files.spec.get("modes") or ()
    expect = files.spec.get("expect") or {}
    rows = expect.get("rows_per_mode")
    if rows is None and files.candidates is not None:
        rows = len(files.candidates)
    elif rows is None:
        rows = (files.metadata.get("candidates") or {}).get("rows")
    return Expectations(tuple(Mode(mode) for mode in modes), rows)


def validate(records: Records, files: RunFiles, expected: Expectations) -> Validation:
    """Check records and what lies beside them against what is expected."""
    pairing = pair_records(records)
    counts = {mode: _counts(records, pairing, mode) for mode in pairing.modes()}
    findings = (
        *check_records(records, pairing),
        _modes_present(pairing, expected),
        _rows_per_mode(counts, expected),
        _startup_errors(files),
        _modes_proven(pairing, records, files),
        _logs_unchanged(files),
        _one_build(files),
        _mode_parity(files),
        _candidates_present(records, pairing, files, expected),
        _run_finished(files),
    )
    return Validation(
        ok=all(finding.status is not Status.FAILED for finding in findings),
        n_records=sum(count.records for count in counts.values()),
        n_ok=sum(count.ok for count in counts.values()),
        startup_error_count=files.startup_errors,
        by_mode=counts,
        expected=expected,
        findings=findings,
    )


def _counts(records: Records, pairing: Pairing, mode: Mode) -> ModeCounts:
    rows = pairing.rows(mode)
    extra = sum(duplicate.mode == mode for duplicate in pairing.duplicates)
    ok = int(records.column("ok")[rows].sum())
    return ModeCounts(len(rows) + extra, ok, len(rows) - ok)


def _modes_present(pairing: Pairing, expected: Expectations) -> Finding:
    check, found = "modes_present", pairing.modes()
    if not expected.modes:
        return Finding.not_checked(check, "no modes are required (--require-modes)")
    missing = [mode for mode in expected.modes if mode not in found]
    if missing:
        return Finding.failed(check, f"no record in mode {', '.join(missing)}")
    return Finding.ok(check, f"{', '.join(found)}")


def _rows_per_mode(counts: Mapping[Mode, ModeCounts], expected: Expectations) -> Finding:
    check, rows = "rows_per_mode", expected.rows_per_mode
    if rows is None:
        return Finding.not_checked(check, "no number is expected (--expected-rows-per-mode)")
    modes = expected.modes or tuple(counts)
    found = {mode: counts[mode].records if mode in counts else 0 for mode in modes}
    wrong = [f"{mode} has {n} records, not {rows}" for mode, n in found.items() if n != rows]
    if wrong or not found:
        return Finding.failed(check, "; ".join(wrong) or "there are no records")
    return Finding.ok(check, f"{rows} records in each of {', '.join(found)}")


def _startup_errors(files: RunFiles) -> Finding:
    check = "no_startup_errors"
    if not files.startups:
        return Finding.not_checked(check, "no startup_*.json beside the records")
    bad = [f"{s.file}: {s.last_error}" for s in files.startups if s.last_error is not None]
    if bad:
        return Finding.failed(check, f"{len(bad)} server(s) failed: {shortened(bad, len(bad))}")
    return Finding.ok(check, f"{len(files.startups)} (model, mode) servers started")


def _modes_proven(pairing: Pairing, records: Records, files: RunFiles) -> Finding:
    check = "modes_proven"
    if not files.startups and not files.made_by_the_harness:
        return Finding.not_checked(
            check, "no startup_*.json beside the records: which kernels ran is stated, not proven"
        )
    bad = list(_proof_gaps(pairing, records, files))
    if bad:
        return Finding.failed(check, f"not proven: {shortened(bad, len(bad))}")
    starts = sum(startup.answered() for startup in files.startups)
    return Finding.ok(check, f"{starts} server lifetimes: active or clean, as asked for")


def _logs_unchanged(files: RunFiles) -> Finding:
    """The logs that prove the modes are those that the servers wrote."""
    check = "logs_unchanged"
    kept = [
        (files.folder / str(start.log), start.log_sha256)
        for startup in files.startups
        for start in startup.starts
        if start.log_sha256
    ]
    if not kept:
        return Finding.not_checked(check, "no start-up file holds the hash of its server's log")
    bad = [p.name for p, digest in kept if not p.is_file() or sha256_of(p) != digest]
    if bad:
        return Finding.failed(check, f"missing or changed since: {shortened(bad, len(bad))}")
    return Finding.ok(check, f"{len(kept)} server logs are as they were written")


def _proof_gaps(pairing: Pairing, records: Records, files: RunFiles) -> Iterator[str]:
    by_name = {(startup.model, startup.mode): startup for startup in files.startups}
    asked = {
        (model, str(mode))
        for mode in pairing.modes()
        for model in records.candidates.loc[pairing.slots[mode] >= 0, "model"].unique()
    }
    for model, mode in sorted(asked):
        startup = by_name.get((model, mode))
        if startup is None:
            yield f"{model} in mode {mode} has records and no start-up file"
        elif not startup.answered():
            yield f"{startup.file}: no start that could have answered its records"
    for startup in files.startups:
        for number, verdict in startup.unproven():
            yield f"{startup.file}: start {number} is {verdict}"


def _one_build(files: RunFiles) -> Finding:
    check = "one_server_build"
    builds = sorted({build for startup in files.startups for build in startup.builds()})
    if not builds:
        return Finding.not_checked(check, "no image or vLLM version is recorded")
    if len(builds) > 1:
        return Finding.failed(
            check, f"the servers were of {len(builds)} builds: {shortened(builds, len(builds))}"
        )
    return Finding.ok(check, f"every server: {builds[0]}")


def _mode_parity(files: RunFiles) -> Finding:
    """The two modes' servers may differ in what the mode itself changes, and in nothing else."""
    check = "mode_parity"
    parity = files.metadata.get("mode_parity")
    if not isinstance(parity, Mapping) or not parity:
        return Finding.not_checked(check, "metadata.json does not hold the modes' differences")
    differences = [
        (model, difference)
        for model, found in parity.items()
        for difference in (found if isinstance(found, Sequence) else ())
        if isinstance(difference, Mapping)
    ]
    bad = [_difference(model, d) for model, d in differences if d.get("allowed") is not True]
    if bad:
        message = f"the modes' servers differ in more than the mode: {shortened(bad, len(bad))}"
        return Finding.failed(check, message)
    allowed = sorted({str(difference.get("name")) for _, difference in differences})
    but = f" but for {', '.join(allowed)}, which the mode changes" if allowed else ""
    return Finding.ok(check, f"{len(parity)} model(s): both modes' servers were set alike{but}")


def _difference(model: str, difference: Mapping[str, Any]) -> str:
    one, other = (
        str(difference.get(side, "(absent)"))[:_LONGEST_VALUE] for side in ("standard", "invariant")
    )
    return f"{model}: {difference.get('name')} is {one} and {other}"


def _candidates_present(
    records: Records, pairing: Pairing, files: RunFiles, expected: Expectations
) -> Finding:
    check = "every_selected_candidate"
    if files.candidates is None:
        return Finding.not_checked(check, "no selected_candidates.jsonl beside the records")
    index = {key: number for number, key in enumerate(records.keys)}
    modes = expected.modes or pairing.modes()
    missing = [
        f"{key_name(key)} has no record in mode {mode}"
        for key in files.candidates
        for mode in modes
        if key not in index or pairing.slots[mode][index[key]] < 0
    ]
    selected = set(files.candidates)
    strangers = [key_name(key) for key in records.keys if key not in selected]
    problems = missing + [f"{stranger} was not selected" for stranger in strangers]
    if problems:
        return Finding.failed(check, shortened(problems, len(problems)))
    return Finding.ok(check, f"all {len(files.candidates)} selected candidates are there")


def _run_finished(files: RunFiles) -> Finding:
    check = "run_finished"
    sessions = files.metadata.get("sessions") or ()
    if not sessions:
        return Finding.not_checked(check, "no metadata.json with sessions beside the records")
    last = sessions[-1]
    if files.metadata.get("complete") or last.get("exit") == 0:
        return Finding.ok(check, f"{len(sessions)} session(s), the last one complete")
    if last.get("exit") is None:
        # also so while the run itself validates; a killed run shows in its missing records
        return Finding.ok(check, f"{len(sessions)} session(s), the last one still open")
    reason = f": {last['error']}" if last.get("error") else ""
    return Finding.failed(check, f"the last session ended with exit code {last['exit']}{reason}")
