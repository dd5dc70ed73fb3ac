"""Checks that read a server's log again for what records and start-up files tell of it.

Who edits the records and works out every hash anew still has to make the log agree: how many steps
each asking took, what was sent how often, by which name, from which weights, at what time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from harness.analyse.checked import Checked, Look, Outcome, at, check, failed, not_checked, ok
from harness.analyse.cut_logs import empties_its_cache, least_told, steps_of
from harness.analyse.left_out import left_out
from harness.analyse.logged_steps import LoggedSteps
from harness.numbers import count_of
from harness.prove import ServerFacts
from harness.records import NEAR_S, Start, Startup, object_in
from harness.vllm_arguments import read_arguments
from harness.words import MODES, BackendName, DispatchMode, Mode, without_nonce

OF_LOGS: dict[str, Look] = {}
_EQUAL_OF_NEAR = 20
_FEW = 3
_ZONES_S = 900.0
"""Local times differ from UTC by a multiple of this; a log's stamps name neither year nor zone."""
_FIRST_WORDS_S = 120.0
_STAMP = re.compile(r"^(?:\(\w+ pid=\d+\) )?[A-Z]+ (\d\d-\d\d \d\d:\d\d:\d\d) \[", re.MULTILINE)
_OURS = ("command", "pid", "container", "docker", "port")
"""What is known of a server that the harness started, and of no other."""
_Logs = dict[tuple[str, str, int], LoggedSteps]


@check(OF_LOGS)
def _logs_whole(run: Checked) -> Outcome:
    """The log of a server whose harness was killed shows all that rests on it.

    What one that is cut short does not show is not held against its records by other checks.
    """
    if run.cut_logs:
        return failed("logs that end before what was written of them: ", [*run.cut_logs.values()])
    if not _logs(run):
        return not_checked("no log of a server of ours lies beside its start-up file")
    return ok("no log of a server whose harness was killed ends before its records")


@check(OF_LOGS)
def _asked_as_logged(run: Checked) -> Outcome:
    """The steps of each asking, and as many requests as records tell, stand in the log."""
    logs, seen = _logs(run), 0
    odd = {one.line for one in run.records.checks.odd}
    bad = []
    for mark, (line, asking) in run.records.checks.footprints.first.items():
        among = _of(logs, run, mark.model, mark.mode, mark.start)
        if line in odd or not among:
            continue
        seen += 1
        if not any(next(log.places(mark), None) for log in among):
            bad.append(f"line {line}: {asking}")
    if bad:
        return failed("no steps in its server's log are those of ", bad)
    for (model, mode, number), log in logs.items():
        told = least_told(run, model, mode, number).prompts
        if log.count and told > log.prefills:
            bad.append(f"{model} {mode}, start {number}: {told} told, {log.prefills} in the log")
    if bad:
        return failed("records tell of more requests than the log of their server: ", bad)
    if bad := list(left_out(run)):
        return failed("what was asked is not all there; rows were left out: ", bad)
    if not seen:
        return not_checked("no log at hand shows the engine's steps of an asking")
    return ok(f"the steps of every asking stand in the logs ({seen} kinds of askings)")


@check(OF_LOGS)
def _schedules_as_logged(run: Checked) -> Outcome:
    """What was sent, and how, is what the log shows: requests, pauses, and time between them."""
    logs = {where: log for where, log in _logs(run).items() if log.asked}
    if not logs:
        return not_checked("no log at hand shows the requests that were answered")
    ways = set(run.records.candidates["dispatch_mode"])
    ways |= {key[4] for key in run.files.candidates or ()}
    empties = empties_its_cache(run)
    bad = []
    for (model, mode, number), log in logs.items():
        _, sent, gated, turns = least_told(run, model, mode, number)
        name = f"{model} {mode}, start {number}"
        if sent > log.asked:
            bad.append(f"{name}: {sent} requests told, {log.asked} in the log")
        if gated > log.paused:
            bad.append(f"{name}: {gated} gated batches, and {log.paused} pauses in the log")
        if empties and turns > log.resets:
            bad.append(f"{name}: {turns} askings, and its cache was emptied {log.resets} times")
        if log.paused and DispatchMode.GATED not in ways:
            bad.append(f"{name}: {log.paused} pauses in the log, and no gated batch")
    if bad := bad or _not_wide(run) or _not_staggered(run):
        return failed("sent otherwise than the records tell: ", bad)
    return ok(f"{len(logs)} logs show what was sent, and how")


@check(OF_LOGS)
def _asked_apart(run: Checked) -> Outcome:
    """Two askings do not take the same time to the microsecond, but by chance."""
    if not run.files.made_by_the_harness:
        return not_checked("when these records were made, and how exactly, is not known")
    finds, records = run.records.checks.footprints, run.records
    lines, near = list(finds.equal.values()), len(finds.near)
    both = run.pairing.complete(records)
    one, other = (run.pairing.slots[mode][both] for mode in MODES)
    keys = records.column("key")[one]
    lists = (records.candidates["dispatch_mode"] == DispatchMode.PROMPT_LIST).to_numpy()[keys]
    sent = np.where(lists, records.dispatches[keys], -1)
    shared = {
        "solo_latency": records.prompts[keys],  # rows of a prompt share what is asked alone,
        "batch_latency": np.where(sent < 0, -1 - np.arange(len(keys)), sent),  # those of a list B
    }
    for name, whose in shared.items():
        times = [records.column(name)[slots] for slots in (one, other)]
        _, once = np.unique(np.column_stack([whose, *times]), axis=0, return_index=True)
        apart = np.abs(times[0] - times[1])[once]
        same = (apart == 0) & (times[0][once] > 0)
        lines += records.column("line")[other[once][same]].tolist()
        near += int(((apart > 0) & (apart < NEAR_S)).sum())
    if len(lines) >= _FEW and len(lines) * _EQUAL_OF_NEAR > near:
        told = at(sorted(set(lines)))
        return failed("took as long, to the microsecond, as another asking: copied at ", told)
    if not lines:
        return ok("no asking took as long as another, to the microsecond")
    took = f"{count_of(len(lines), 'asking')} took as long as another, to the microsecond"
    return ok(f"{took}, and {near} nearly as long: no more than chance gives")


@check(OF_LOGS)
def _servers_as_logged(run: Checked) -> Outcome:
    """A log is of the server that its start-up file tells: name, command, weights, time."""
    bad, read = [], 0
    for startup in run.files.startups:
        for number, start in startup.answering():
            log, name = run.log_of(start), f"{startup.file}: start {number}"
            bad += [f"{name}: {why}" for why in _as_of_others(run, start)]
            if log is not None:
                read += 1
                bad += [f"{name}: {why}" for why in _of_another(run, startup, start, log)]
    if bad:
        return failed("start-up files that tell of other servers than their logs: ", bad)
    if not read:
        return not_checked("no log lies beside a start-up file")
    return ok(f"{read} logs are of the servers that the start-up files tell of")


def _logs(run: Checked) -> _Logs:
    """The logs at hand of servers of ours, by model, mode and number of the start."""
    return {
        (startup.model, startup.mode, number): steps_of(log)
        for startup in run.files.startups
        for number, start in startup.answering()
        if startup.mode in set(MODES) and (log := run.log_of(start)) is not None
    }


def _of(logs: _Logs, run: Checked, model: str, mode: Mode, start: int) -> list[LoggedSteps]:
    """The log of a record; where it does not name its start, all of its server, or none."""
    if start:
        return [logs[model, mode, start]] if (model, mode, start) in logs else []
    found = [log for (of, way, _), log in logs.items() if (of, way) == (model, mode)]
    starts = sum(s.answered() for s in run.files.startups if (s.model, s.mode) == (model, mode))
    return found if len(found) == starts else []


def _not_wide(run: Checked) -> list[str]:
    """Starts whose wide batches all found a slot at once, by the slots that their logs tell."""
    wide = run.records.candidates.query(f"dispatch_mode == '{DispatchMode.WIDE}'")
    least = wide.groupby("model", observed=True)["batch_size"].min().to_dict()
    return [
        f"{startup.file}: start {number}: batches of {least[startup.model]} told as wide, and "
        f"{slots} slots in its log"
        for startup in run.files.startups
        for number, start in startup.answering()
        if startup.model in least and (facts := run.facts_of(start)) is not None
        if isinstance(slots := facts.arguments.get("max_num_seqs"), int)
        if slots >= least[startup.model]
    ]


def _not_staggered(run: Checked) -> list[str]:
    """Servers on no CPU whose staggered batches, most of them, came sooner than they were sent."""
    stagger = float(object_in(run.files.spec, "controls").get("stagger_ms") or 0)
    known = stagger and run.device_kinds != {"cpu"}
    alone, tokens = (run.records.column(name) for name in ("solo_latency", "compared_tokens"))
    if not known or not (of := (alone > 0) & (tokens > 0)).any():
        return []
    token_ms = 1000 * float(np.median(alone[of] / tokens[of]))
    logs, many, soon = _logs(run), Counter[str](), dict[str, list[str]]()
    for mark, (line, _) in run.records.checks.footprints.first.items():
        if mark.schedule != DispatchMode.STAGGERED or mark.seen.split_prefills:
            continue
        among = _of(logs, run, mark.model, mark.mode, mark.start)
        places = [(log, *place) for log in among for place in log.places(mark)]
        name = f"{mark.model} {mark.mode}"
        many[name] += bool(places)
        if places and all(log.sooner(begin, end, stagger, token_ms) for log, begin, end in places):
            soon.setdefault(name, []).append(f"line {line}")
    return [
        f"{lines[0]}: staggered by {stagger:g} ms, and there sooner ({len(lines)} batches)"
        for name, lines in soon.items()
        if 2 * len(lines) > many[name]
    ]


def _as_of_others(run: Checked, start: Start) -> Iterator[str]:
    """Signs that a server which is told as somebody else's was the harness's own."""
    if start.server.get("backend") != BackendName.EXTERNAL:
        return
    known = [name for name in _OURS if start.server.get(name)]
    name = str(start.server.get("served_model_name"))
    if known or without_nonce(name) != name or start.worker_proof is not None:
        yield f"told as somebody else's, and it was started here ({', '.join(known) or name})"
    own = (BackendName.NATIVE, BackendName.DOCKER)
    logs = sorted(path.name for way in own for path in run.files.folder.glob(f"{way}_*.log*"))
    if logs:
        yield f"told as somebody else's, and {logs[0]} is the log of one that was started here"


def _of_another(run: Checked, startup: Startup, start: Start, log: str) -> Iterator[str]:
    """What a log tells otherwise than the start-up file of the server that wrote it."""
    facts, served = run.facts_of(start) or ServerFacts(), start.server
    name = str(served.get("served_model_name"))
    if without_nonce(name) not in (name, startup.model):
        yield f"{name} is the name of another model than {startup.model}"
    if facts.arguments and without_nonce(name) != name and name not in log:
        yield f"its log does not name {name}"
    command = served.get("command")
    given = read_arguments([*map(str, command)]) if isinstance(command, Sequence) else {}
    for name, value in given.items():
        told = facts.arguments.get(name)
        if isinstance(value, str) and not _alike(value, told):
            flag = f"--{name.replace('_', '-')}"
            yield f"{flag} {value} in its command, {str(told)[:80]} in its log"
    folder = startup.model in object_in(run.files.metadata, "model_files")
    weights, named = given.get("model"), served.get("hf_id")
    hub = weights and not folder and not weights.startswith("/")
    if hub and weights != named and named in _settled(run):
        yield f"weights {named}, and {weights} in its command"
    yield from _of_another_hour(start, log, facts, run.files.clock_moved_s)


def _settled(run: Checked) -> set[object]:
    """The weights that the settings name; others are the concern of `settings_as_served`."""
    return {model.get("hf_id") for model in run.files.spec.get("models") or ()}


def _alike(given: str, told: Any) -> bool:
    """Whether a log's argument can be what was given; what cannot be compared can be."""
    told = told[0] if isinstance(told, list) and len(told) == 1 else told
    if isinstance(told, str):
        return without_nonce(given).casefold() == told.rpartition("Enum.")[2].casefold()
    try:
        return isinstance(told, bool) or told is None or float(given) == float(told)
    except (TypeError, ValueError):
        return True


def _of_another_hour(start: Start, log: str, facts: ServerFacts, moved_s: float) -> Iterator[str]:
    """Whether the process of ``/metrics`` began when its log does, whatever the time zone."""
    first, process, ready = _STAMP.search(log), start.process, start.ready_after_s
    if first is None or process is None or ready is None or not facts.arguments:
        return
    try:
        year = datetime.fromisoformat(start.started_at or "").year
        said = datetime.strptime(f"{year}-{first[1]}+0000", "%Y-%m-%d %H:%M:%S%z").timestamp()
    except ValueError:  # not told
        return
    if (said - process.started + 5) % _ZONES_S > ready + _FIRST_WORDS_S + moved_s:
        yield f"its process began at {process.started:.0f}, and its log at {first[1]}"
