"""Checks of what lies beside the records: what was expected, the servers, their logs, the plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import inf
from typing import Any

from harness.analyse.checked import Checked, Look, Outcome, check, failed, key_name, not_checked, ok
from harness.analyse.starts import (
    LONGEST_VALUE,
    asked_in_both,
    at_once,
    never_lived,
    of_another_time,
    of_no_session,
    set_otherwise,
    told_in_part,
    worked_otherwise,
    workers_ready,
)
from harness.files import sha256_unpacked
from harness.numbers import count_of, shortened
from harness.prove import ServerFacts, by_the_mode, gap_in_proof
from harness.records import PROMPT_HASHES, object_in, startup_file
from harness.words import PROVEN, BackendName, CachePolicy, DispatchMode, Mode, without_nonce

OF_RUNS: dict[str, Look] = {}


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
    found = {mode: len(run.pairing.rows(mode)) for mode in modes}  # each candidate once
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
        return failed(f"{count_of(len(bad), 'server')} failed: ", bad)
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
            file = startup_file(model, mode)
            bad.append(f"{file}: {model} in mode {mode} has records and no start-up file")
        elif not by_name[model, mode].answered():
            file = by_name[model, mode].file
            bad.append(f"{file}: no start that could have answered its records")
    bad += [
        f"{startup.file}: start {number} is {verdict}"
        for startup in run.files.startups
        for number, verdict in startup.unproven()
    ]
    if bad:
        word = "unproven, no log was given: " if run.files.lacks_logs else "not proven: "
        return failed(word, bad)
    starts = sum(startup.answered() for startup in run.files.startups)
    return ok(f"{starts} server lifetimes: active or clean, as asked for")


@check(OF_RUNS)
def _own_server(run: Checked) -> Outcome:
    """Nobody but the server of a lifetime can have answered in it, and no two modes share one."""
    starts = [(s, n, start) for s in run.files.startups for n, start in s.answering()]
    looked = [found for found in starts if found[2].strangers is not None]
    ours = run.files.spec.get("backend") != BackendName.EXTERNAL
    insisted = ours and run.files.made_by_the_harness and not run.records.of_schema_1
    if not looked and not (starts and insisted):
        return not_checked("no start-up file says who listened on the port")
    bad = [f"{s.file}: start {n}: {who}" for s, n, start in looked for who in start.strangers or ()]
    named = [start for _, _, start in starts if start.process is not None]
    for startup, number, start in starts if ours else ():
        name = f"{startup.file}: start {number}"
        if start.strangers is None:
            bad.append(f"{name}: nobody looked who listened on its port")
        elif start.process is None and start.ended_at and (named or run.tells_process(start)):
            bad.append(f"{name}: which process answered is not told")
        elif (why := of_another_time(run, start)) and start.process:
            bad.append(f"{name}: the process that answered {why}")
        bad += [f"{name} {why}" for why in never_lived(run, start)]
    bad += [f"{s.file}: start {n} {why}" for s, n, one in starts for why in of_no_session(run, one)]
    bad += at_once(run, starts)
    last: dict[float, tuple[str, float, float, object]] = {}
    for startup, _, start in sorted(looked, key=lambda found: found[2].started_at or ""):
        if (seen := start.process) is not None:
            port = start.server.get("port")
            mode, until, ended, other = last.get(seen.started, (startup.mode, 0.0, inf, port))
            # servers that one command starts at once, each on a port that was looked at, may have
            # begun in the same hundredth of a second; where no times are told, as of a killed one,
            # their ports or their work tell
            elsewhere = ours and None not in (port, other) and port != other
            killed = elsewhere or seen.cpu_s_before < until
            apart = start.lived[0] < ended if ours and ended < inf else killed
            if mode != startup.mode and not (apart and start.lived[0] < ended):
                modes = f"{mode} and {startup.mode}"
                bad.append(f"{modes} were answered by one process, started at {seen.started}")
            if why := worked_otherwise(seen, start):
                bad.append(f"{startup.file}: {why}")
            worked = seen.cpu_s_before if seen.cpu_s_after is None else seen.cpu_s_after
            last[seen.started] = startup.mode, worked, start.lived[1] or inf, port
    told = (str(start.server.get("served_model_name")) for _, _, start in looked)
    names = Counter(name for name in told if without_nonce(name) != name)
    bad += [f"{name} is the name of {n} server lifetimes" for name, n in names.items() if n > 1]
    if bad:
        return failed("another may have answered: ", bad)
    return ok(f"{len(looked)} server lifetimes: nobody else could answer")


@check(OF_RUNS)
def _workers_agree(run: Checked) -> Outcome:
    """Where workers were asked which kernels they run, each of them runs what was asked for."""
    spec = run.files.spec
    starts = [(s, n, start.worker_proof) for s in run.files.startups for n, start in s.answering()]
    proofs = [proof for _, _, proof in starts if proof]
    wanted = (spec.get("controls") or {}).get("worker_proof")
    wanted_of = {str(mode): str(verdict) for mode, verdict in PROVEN.items()}
    if not proofs and wanted is False:
        if bad := list(workers_ready(run)):
            return failed("workers could be asked, and what they said is not told: ", bad)
        return ok("not asked for (worker_proof off): the logs alone prove the modes")
    if not proofs and not (wanted and starts and spec.get("backend") != "external"):
        return not_checked("no worker was asked for its kernels (worker_proof)")
    bad = [
        f"{startup.file}: start {number}: the workers say {proof.verdict if proof else 'nothing'}"
        for startup, number, proof in starts
        if proof is None or proof.verdict != wanted_of.get(startup.mode)
    ]
    bad += [
        f"{startup.file}: start {number}: {why}"
        for startup in run.files.startups
        for number, start in startup.answering()
        if (proof := start.worker_proof) and proof.verdict == wanted_of.get(startup.mode)
        if (why := gap_in_proof(proof, Mode(startup.mode), start.evidence))
    ]
    if bad:
        return failed("not the path asked for: ", bad)
    ranks = sum(proof.ranks for proof in proofs)
    told = f"{count_of(ranks, 'worker')} of {count_of(len(proofs), 'server lifetime')}"
    return ok(f"{told}, asked for their kernels")


@check(OF_RUNS)
def _cache_policy_kept(run: Checked) -> Outcome:
    """No asking took from the prefix cache what its policy keeps from it."""
    policy = (run.files.spec.get("controls") or {}).get("prefix_caching")
    finds = run.records.checks.cache
    if policy not in set(CachePolicy):
        return not_checked("the policy of the prefix cache is not recorded (prefix_caching)")
    told = f"{finds.known} askings" + (f", of {finds.unknown} unknown" if finds.unknown else "")
    if not CachePolicy(policy).forbids_earlier:
        return ok(f"{policy}: {finds.earlier} of {told} took tokens of an earlier asking")
    if bad := [*_earlier(run), *_against_the_policy(run, CachePolicy(policy))]:
        return failed(f"the policy {policy} was not kept: ", bad)
    if finds.unknown or not finds.known:
        if policy == CachePolicy.OFF and _looked_nothing_up(run):
            return ok("off: no server looked anything up in its prefix cache")
        lack = f"{finds.unknown or 'all'} askings do not tell the tokens that came from the cache"
        return not_checked(f"{lack}: whether the policy {policy} was kept is not known")
    inside = f"; {finds.inside} took {finds.inside_tokens} tokens that their own batch had left"
    return ok(f"{policy}: no token of an earlier asking in {told}{inside if finds.inside else ''}")


def _looked_nothing_up(run: Checked) -> bool:
    """Whether each server's counters say so; of one that was cut, its log that it had no cache.

    The counters are read when all is asked, which a server that was cut never came to.
    """
    starts = [start for startup in run.files.startups for _, start in startup.answering()]
    return bool(starts) and all(
        start.metrics.get("prefix_cache_queries") == 0
        or (start.was_cut and (run.facts_of(start) or ServerFacts()).prefix_caching is False)
        for start in starts
    )


def _earlier(run: Checked) -> list[str]:
    """Each asking that an earlier one served: record, asking and tokens; the first by name."""
    finds = run.records.checks.cache
    keys = dict(zip(run.records.column("line").tolist(), run.records.column("key"), strict=True))
    named = [
        f"line {line}, {key_name(run.records.keys[keys[line]])}, {asking}: {tokens} tokens"
        for line, asking, tokens in finds.places
    ]
    return named + ["(not named)"] * (finds.earlier - len(named))


def _against_the_policy(run: Checked, policy: CachePolicy) -> list[str]:
    """What the servers themselves say against it, whatever the answers do."""
    bad = []
    lists = (run.records.candidates["dispatch_mode"] == DispatchMode.PROMPT_LIST).any()
    shared = run.files.spec.get("backend") == BackendName.EXTERNAL  # others may be asking too
    for startup in run.files.startups:
        looked_up, taken = map(startup.counter, ("prefix_cache_queries", "prefix_cache_hits"))
        if policy is CachePolicy.OFF and looked_up:
            bad.append(
                f"{startup.file}: {looked_up:.0f} prompt tokens were looked up in a cache that was "
                "to be off; was the server started with --no-enable-prefix-caching?"
            )
        elif policy is CachePolicy.SALTED and taken and not (lists or shared):
            bad.append(f"{startup.file}: {taken:.0f} prompt tokens came from the cache")
    return bad


@check(OF_RUNS)
def _logs_unchanged(run: Checked) -> Outcome:
    """The logs that prove the modes are those that the servers wrote; they may be packed (.gz)."""
    kept = [
        (f"{startup.file}: {start.log}", run.files.folder / str(start.log), start.log_sha256)
        for startup in run.files.startups
        for start in startup.starts
        if start.log_sha256 and not start.superseded
    ]
    bad = [name for name, path, digest in kept if sha256_unpacked(path) != digest]
    if bad:
        return failed("missing or changed since: ", bad)
    insisted = kept or (run.files.made_by_the_harness and not run.records.of_schema_1)
    if insisted and (bad := _logs_without_hash(run)):
        return failed("the hash of its log is not told by ", bad)
    if gone := _logs_elsewhere(run):
        return not_checked(f"logs that are not here: {shortened(gone, len(gone))}")
    if not kept and run.files.startups and run.files.spec.get("backend") == BackendName.EXTERNAL:
        return ok("somebody else's servers, of which no log was given")
    if not kept:
        return not_checked("no start-up file holds the hash of its server's log")
    return ok(f"{len(kept)} server logs are as they were written")


def _logs_without_hash(run: Checked) -> list[str]:
    """Starts of our own servers that ended, whose logs are there and may be of anybody."""
    return [
        f"{startup.file}: start {number}"
        for startup in run.files.startups
        for number, start in enumerate(startup.starts, start=1)
        if (start.ended_at or start.records) and not start.log_sha256 and not start.superseded
        if start.server.get("backend") != BackendName.EXTERNAL and start.log
        if sha256_unpacked(run.files.folder / start.log)
    ]


def _logs_elsewhere(run: Checked) -> list[str]:
    """Starts of servers of ours that may have answered, whose logs nobody can read again."""
    return [
        f"{startup.file}: start {number}"
        for startup in run.files.startups
        for number, start in startup.answering()
        if start.server.get("backend") != BackendName.EXTERNAL and run.log_of(start) is None
    ]


@check(OF_RUNS)
def _one_server_build(run: Checked) -> Outcome:
    builds = sorted({build for startup in run.files.startups for build in startup.builds()})
    if not builds:
        return not_checked("no image or vLLM version is recorded")
    if len(builds) > 1:
        return failed(f"the servers were of {len(builds)} builds: ", builds)
    told = {start.evidence.torch_version for s in run.files.startups for _, start in s.answering()}
    if len(torches := sorted(filter(None, told))) > 1:
        return failed("several versions of torch: ", torches)
    return ok(f"every server: {builds[0]}")


@check(OF_RUNS)
def _mode_parity(run: Checked) -> Outcome:
    """The two modes' servers may differ in what the mode itself changes, and in nothing else."""
    parity = object_in(run.files.metadata, "mode_parity")
    shown, compared = set_otherwise(run)
    if not parity and not compared:
        return not_checked("metadata.json does not hold the modes' differences")
    untold = told_in_part(run)
    differences = [one for one in run.files.parity if one[0] not in untold]
    bad = [
        f"{model}: {found.get('name')} is {_value(found, 'standard')} and "
        f"{_value(found, 'invariant')}"
        for model, found in differences
        if found.get("allowed") is not True and not by_the_mode(str(found.get("name")))
    ]
    if bad := bad or shown:
        return failed("the modes' servers differ in more than the mode: ", bad)
    if unknown := sorted(asked_in_both(run).difference(parity, compared, untold)):
        return failed("what the modes' servers differ in is not recorded of ", unknown)
    if untold:
        return not_checked(f"what is told of the servers of {', '.join(sorted(untold))} is cut")
    allowed = sorted({str(difference.get("name")) for _, difference in differences})
    but = f" but for {', '.join(allowed)}, which the mode changes" if allowed else ""
    return ok(f"{count_of(len(parity), 'model')}: both modes' servers were set alike{but}")


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
def _settings_recorded(run: Checked) -> Outcome:
    """Start-up files and selected candidates are a run's, whose settings nobody knows any more."""
    whole = run.files.startups or run.files.candidates is not None
    if run.files.spec or (run.files.metadata and not (whole or run.files.made_by_the_harness)):
        return ok("metadata.json is there")
    if run.files.metadata:
        return failed("metadata.json holds no resolved_spec: what was asked for is not known")
    if whole:
        return failed(
            "metadata.json is missing or empty: what these records were asked with is not known"
        )
    return not_checked("no metadata.json beside the records")


@check(OF_RUNS)
def _still_counts(run: Checked) -> Outcome:
    """What a session found that no later one can make good again."""
    if not run.files.metadata:
        return not_checked("no metadata.json beside the records")
    if why := run.files.metadata.get("does_not_count"):
        return failed(str(why))
    return ok("no session found that the records do not count")


@check(OF_RUNS)
def _run_finished(run: Checked) -> Outcome:
    sessions = run.files.metadata.get("sessions") or ()
    if not sessions:
        return not_checked("no metadata.json with sessions beside the records")
    if gone := _plan_gone(run):
        told = " and ".join(gone)
        named = f"the run is named by --run-id {run.files.run_id}"
        return failed(f"missing, and every run writes it before it asks: {told}; {named}")
    last = sessions[-1]
    if run.files.metadata.get("complete") or last.get("exit") == 0:
        return ok(f"{count_of(len(sessions), 'session')}, the last one complete")
    if last.get("exit") is None:
        # also so while the run itself validates; a killed run shows in its missing records
        return ok(f"{count_of(len(sessions), 'session')}, the last one still open")
    reason = f": {last['error']}" if last.get("error") else ""
    return failed(f"the last session ended with exit code {last['exit']}{reason}")


def _plan_gone(run: Checked) -> list[str]:
    """What tells the plan and is missing; runs of an older form had no hashes of their prompts."""
    hashed = run.records.checks.sealed or "plan_sha256" in run.files.metadata
    return [name for name in run.files.plan_gone if hashed or name != PROMPT_HASHES]


def _value(difference: Mapping[str, Any], mode: str) -> str:
    return str(difference.get(mode, "(absent)"))[:LONGEST_VALUE]
