"""The checks that make a run countable.

A run passes when no check failed. A check that lacks what it needs (a records file from elsewhere
has no start-up files) says ``not_checked`` and why; it never passes in silence.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from msgspec import Struct, ValidationError

from harness.analyse.checked import Checked, Expectations, ModeCounts, Outcome
from harness.analyse.checks import OF_RECORDS
from harness.analyse.cut_logs import cut_logs
from harness.analyse.evidence_checks import OF_EVIDENCE
from harness.analyse.file_checks import OF_FILES
from harness.analyse.log_checks import OF_LOGS
from harness.analyse.run_checks import OF_RUNS
from harness.errors import UsageError
from harness.files import packaged, read_json
from harness.findings import Finding, Status
from harness.hostile import shaped
from harness.records import (
    CANDIDATES,
    PROMPT_HASHES,
    Records,
    RunFiles,
    pair_records,
    read_run_files,
    scan_records,
)
from harness.words import Mode


class Mend(StrEnum):
    """What mends a run that a check refuses; ``mends.yaml`` says it of every check."""

    GO_ON = "go_on"
    ASK_AGAIN = "ask_again"
    START_ANEW = "start_anew"
    FAILS_NEVER = "fails_never"

    @property
    def remedy(self) -> str:
        """The command, for a person."""
        return _REMEDIES[self]


_REMEDIES = {
    Mend.GO_ON: "the same `harness run` goes on with it",
    Mend.ASK_AGAIN: "the same `harness run` with --retry-errors asks again",
    Mend.START_ANEW: "no command mends it: a new run (--fresh, another --run-id; this moved away)",
    Mend.FAILS_NEVER: "",
}
MENDS = packaged("harness.analyse", "mends.yaml", dict[str, Mend])
NOT_NEEDED = {
    *("lines_sealed", "ids_are_of_their_candidates"),  # records of an older form have none
    *("rows_per_mode", "workers_agree", "batches_repeat"),  # asked for by settings
    *("companions_keep_their_answers", "same_cache_for_s1_and_b"),
    *("batches_shared_steps", "witnesses_possible", "gated_in_one_step"),  # no witness, no absence
    *("every_asking_asked", "noise_floor", "changes_could_be_seen"),  # the ledger looks itself
    *("facts_as_logged", "own_server"),  # of somebody else's servers; ours are insisted on
    *("asked_as_logged", "schedules_as_logged"),  # a log need not show steps; `logs_unchanged`
    *("servers_as_logged", "asked_apart"),  # insists on the log itself
    "logs_whole",  # as above
}
"""Checks that need not be made for a claim: what they lack is looked at by the claim itself, or is
nobody's to give. Any other that could not be made leaves records that nothing binds."""
UNPROVEN = "modes_proven"
"""The check that fails where nothing shows which kernels ran."""
_NEEDS_LOG = "its log proves it: a new run with --external-log MODE=FILE"
_LINES = re.compile(r"(?:^| on )lines? (\d+)(?: and (\d+))?")
_STARTUP = re.compile(r"startup_\S+\.json(?=:)")


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is to mend in a run.

    Attributes:
        lines: of records that have to be asked again.
        startups: files of servers whose records have to be asked again, all of them.
        failed: files of servers whose last start failed.
        hopeless: checks that no command can mend.
    """

    lines: frozenset[int]
    startups: frozenset[str]
    failed: frozenset[str]
    hopeless: tuple[Finding, ...]


class JudgedFile(Struct, frozen=True):
    """A file as it was judged: its size and its SHA-256, in hexadecimal."""

    bytes: int
    sha256: str


class Validation(Struct, frozen=True, kw_only=True):
    """Every finding, and the counts that the study's validator printed: ``validation.json``.

    Attributes:
        ok: whether no check failed.
        judged: the files that were judged, by name; empty in one that was never written.
    """

    schema_version: int = 1
    ok: bool
    n_records: int
    n_ok: int
    startup_error_count: int
    by_mode: dict[Mode, ModeCounts]
    expected: Expectations
    findings: tuple[Finding, ...]
    judged: dict[str, JudgedFile] = {}

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The checks that failed."""
        return tuple(f for f in self.findings if f.status is Status.FAILED)

    @property
    def only_unproven(self) -> bool:
        """Whether nothing else is refused than that nothing shows which kernels ran."""
        return [one.check for one in self.failures] == [UNPROVEN]

    @property
    def unbound(self) -> tuple[Finding, ...]:
        """Checks that could not be made, and without which nothing is established."""
        open_ = (f for f in self.findings if f.status is Status.NOT_CHECKED)
        return tuple(finding for finding in open_ if finding.check not in NOT_NEEDED)

    @property
    def reasons(self) -> tuple[str, ...]:
        """``check: message`` of each that failed and what mends it, for the detail of an error.

        What no command mends comes first; commands for the others are refused then, and not named.
        """
        hopeless = [one for one in self.failures if one.remedy == Mend.START_ANEW.remedy]
        others = [one for one in self.failures if one not in hopeless]
        refused = (Mend.GO_ON.remedy, Mend.ASK_AGAIN.remedy) if hopeless else ()
        return tuple(
            f"{one.check}: {one.message}"
            + (f" ({one.remedy})" if one.remedy and one.remedy not in refused else "")
            for one in (*hopeless, *others)
        )


def read_validation(path: Path) -> Validation:
    """What a ``validation.json`` holds.

    Raises:
        UsageError: it cannot be read, or is no validation.
    """
    try:
        return shaped(read_json(path), Validation)
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
    counts = {}
    for mode in pairing.modes():
        rows = pairing.rows(mode)
        extra = sum(duplicate.mode == mode for duplicate in pairing.duplicates)
        fine = int(records.column("ok")[rows].sum())
        counts[mode] = ModeCounts(len(rows) + extra, fine, len(rows) - fine)
    run = _to_check(Checked(records, pairing, files, expected, counts))
    findings = tuple(_found(run, name, outcome) for name, outcome in _outcomes(run).items())
    return Validation(
        ok=all(finding.status is not Status.FAILED for finding in findings),
        n_records=sum(count.records for count in counts.values()),
        n_ok=sum(count.ok for count in counts.values()),
        startup_error_count=files.startup_errors,
        by_mode=counts,
        expected=expected,
        findings=findings,
    )


def _to_check(run: Checked) -> Checked:
    """The run without the logs that are known to be cut short."""
    return replace(run, cut_logs=cut_logs(run))


def _outcomes(run: Checked) -> Mapping[str, Outcome]:
    looks = OF_RECORDS | OF_RUNS | OF_EVIDENCE | OF_FILES | OF_LOGS
    return {name: look(run) for name, look in looks.items()}


def _found(run: Checked, name: str, outcome: Outcome) -> Finding:
    """A finding; of a run of ours that fails, with what mends it."""
    fails = outcome.status is Status.FAILED and run.files.made_by_the_harness
    remedy = _mend(name, outcome).remedy if fails else ""
    if fails and name == UNPROVEN and run.files.lacks_logs:
        remedy = _NEEDS_LOG
    return Finding(name, outcome.status, outcome.message, remedy)


def _mend(name: str, outcome: Outcome) -> Mend:
    """What mends a failure; one that names neither line nor server leaves nothing to ask again.

    What a run writes anew before it asks needs no new run.
    """
    if any(place.startswith((PROMPT_HASHES, CANDIDATES)) for place in outcome.places):
        return Mend.GO_ON
    again = MENDS[name] is Mend.ASK_AGAIN
    return Mend.START_ANEW if again and not any(_named(outcome)) else MENDS[name]


def _named(outcome: Outcome) -> tuple[set[int], set[str]]:
    """The lines and the start-up files that a failure names."""
    pairs = [found for place in outcome.places for found in _LINES.findall(place)]
    files = {found[0] for place in outcome.places if (found := _STARTUP.match(place))}
    return {int(number) for pair in pairs for number in pair if number}, files


def gave_records(path: Path) -> bool:
    """Whether a server of the run folder says of itself that it gave records.

    Raises:
        UsageError: the folder's own files cannot be read.
    """
    startups = read_run_files(path).startups
    return any(start.records for startup in startups for _, start in startup.answering())


def standing(path: Path) -> Standing:
    """What has to be mended in a run folder, as far as it has come.

    Raises:
        UsageError: as `validate_run`.
    """
    files = read_run_files(path)
    records = scan_records(files.records_path)
    run = _to_check(Checked(records, pair_records(records), files, expectations_of(files), {}))
    lines, startups, hopeless = set[int](), set[str](), list[Finding]()
    failed = frozenset[str]()
    for name, outcome in _outcomes(run).items():
        if outcome.status is not Status.FAILED or _mend(name, outcome) is Mend.GO_ON:
            continue
        numbers, named = _named(outcome)
        if name == "no_startup_errors":  # a later start mends it, if there is any left to ask
            failed = frozenset(named)
        elif _mend(name, outcome) is Mend.ASK_AGAIN:
            lines |= numbers
            startups |= named
        else:
            hopeless.append(_found(run, name, outcome))
    return Standing(frozenset(lines), frozenset(startups), failed, tuple(hopeless))
