"""Checks of what lies beside the records: what was expected, the servers, their logs, the plan."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.analyse.checks import Checked, Look, Outcome, check, failed, key_name, not_checked, ok
from harness.files import sha256_of

OF_RUNS: dict[str, Look] = {}
_LONGEST_VALUE = 80


@check(OF_RUNS)
def _modes_present(run: Checked) -> Outcome:
    found = run.pairing.modes()
    if not run.expected.modes:
        return not_checked("no modes are required (--require-modes)")
    missing = [mode for mode in run.expected.modes if mode not in found]
    if missing:
        return failed(f"no record in mode {', '.join(missing)}")
    return ok(f"{', '.join(found)}")


@check(OF_RUNS)
def _rows_per_mode(run: Checked) -> Outcome:
    rows = run.expected.rows_per_mode
    if rows is None:
        return not_checked("no number is expected (--expected-rows-per-mode)")
    modes = run.expected.modes or tuple(run.counts)
    found = {mode: run.counts[mode].records if mode in run.counts else 0 for mode in modes}
    wrong = [f"{mode} has {n} records, not {rows}" for mode, n in found.items() if n != rows]
    if wrong or not found:
        return failed("; ".join(wrong) or "there are no records")
    return ok(f"{rows} records in each of {', '.join(found)}")


@check(OF_RUNS)
def _no_startup_errors(run: Checked) -> Outcome:
    if not run.files.startups:
        return not_checked("no startup_*.json beside the records")
    bad = [f"{s.file}: {s.last_error}" for s in run.files.startups if s.last_error is not None]
    if bad:
        return failed(f"{len(bad)} server(s) failed: ", bad)
    return ok(f"{len(run.files.startups)} (model, mode) servers started")


@check(OF_RUNS)
def _modes_proven(run: Checked) -> Outcome:
    if not run.files.startups and not run.files.made_by_the_harness:
        return not_checked(
            "no startup_*.json beside the records: which kernels ran is stated, not proven"
        )
    by_name = {(startup.model, startup.mode): startup for startup in run.files.startups}
    candidates = run.records.candidates
    asked = {
        (model, str(mode))
        for mode in run.pairing.modes()
        for model in candidates.loc[run.pairing.slots[mode] >= 0, "model"].unique()
    }
    bad = []
    for model, mode in sorted(asked):
        if (model, mode) not in by_name:
            bad.append(f"{model} in mode {mode} has records and no start-up file")
        elif not by_name[model, mode].answered():
            file = by_name[model, mode].file
            bad.append(f"{file}: no start that could have answered its records")
    bad += [
        f"{startup.file}: start {number} is {verdict}"
        for startup in run.files.startups
        for number, verdict in startup.unproven()
    ]
    if bad:
        return failed("not proven: ", bad)
    starts = sum(startup.answered() for startup in run.files.startups)
    return ok(f"{starts} server lifetimes: active or clean, as asked for")


@check(OF_RUNS)
def _logs_unchanged(run: Checked) -> Outcome:
    """The logs that prove the modes are those that the servers wrote."""
    kept = [
        (run.files.folder / str(start.log), start.log_sha256)
        for startup in run.files.startups
        for start in startup.starts
        if start.log_sha256
    ]
    if not kept:
        return not_checked("no start-up file holds the hash of its server's log")
    bad = [p.name for p, digest in kept if not p.is_file() or sha256_of(p) != digest]
    if bad:
        return failed("missing or changed since: ", bad)
    return ok(f"{len(kept)} server logs are as they were written")


@check(OF_RUNS)
def _one_server_build(run: Checked) -> Outcome:
    builds = sorted({build for startup in run.files.startups for build in startup.builds()})
    if not builds:
        return not_checked("no image or vLLM version is recorded")
    if len(builds) > 1:
        return failed(f"the servers were of {len(builds)} builds: ", builds)
    return ok(f"every server: {builds[0]}")


@check(OF_RUNS)
def _mode_parity(run: Checked) -> Outcome:
    """The two modes' servers may differ in what the mode itself changes, and in nothing else."""
    parity = run.files.metadata.get("mode_parity")
    if not isinstance(parity, Mapping) or not parity:
        return not_checked("metadata.json does not hold the modes' differences")
    differences = [
        (model, difference)
        for model, found in parity.items()
        for difference in (found if isinstance(found, Sequence) else ())
        if isinstance(difference, Mapping)
    ]
    bad = [
        f"{model}: {found.get('name')} is {_value(found, 'standard')} and "
        f"{_value(found, 'invariant')}"
        for model, found in differences
        if found.get("allowed") is not True
    ]
    if bad:
        return failed("the modes' servers differ in more than the mode: ", bad)
    allowed = sorted({str(difference.get("name")) for _, difference in differences})
    but = f" but for {', '.join(allowed)}, which the mode changes" if allowed else ""
    return ok(f"{len(parity)} model(s): both modes' servers were set alike{but}")


@check(OF_RUNS)
def _every_selected_candidate(run: Checked) -> Outcome:
    if run.files.candidates is None:
        return not_checked("no selected_candidates.jsonl beside the records")
    index = {key: number for number, key in enumerate(run.records.keys)}
    modes = run.expected.modes or run.pairing.modes()
    missing = [
        f"{key_name(key)} has no record in mode {mode}"
        for key in run.files.candidates
        for mode in modes
        if key not in index or run.pairing.slots[mode][index[key]] < 0
    ]
    selected = set(run.files.candidates)
    strangers = [key_name(key) for key in run.records.keys if key not in selected]
    problems = missing + [f"{stranger} was not selected" for stranger in strangers]
    if problems:
        return failed("", problems)
    return ok(f"all {len(run.files.candidates)} selected candidates are there")


@check(OF_RUNS)
def _run_finished(run: Checked) -> Outcome:
    sessions = run.files.metadata.get("sessions") or ()
    if not sessions:
        return not_checked("no metadata.json with sessions beside the records")
    last = sessions[-1]
    if run.files.metadata.get("complete") or last.get("exit") == 0:
        return ok(f"{len(sessions)} session(s), the last one complete")
    if last.get("exit") is None:
        # also so while the run itself validates; a killed run shows in its missing records
        return ok(f"{len(sessions)} session(s), the last one still open")
    reason = f": {last['error']}" if last.get("error") else ""
    return failed(f"the last session ended with exit code {last['exit']}{reason}")


def _value(difference: Mapping[str, Any], mode: str) -> str:
    return str(difference.get(mode, "(absent)"))[:_LONGEST_VALUE]
