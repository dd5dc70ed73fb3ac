"""What a start of a server of ours cannot be without, and what two of them cannot both be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from math import inf

from harness.analyse.checked import Checked
from harness.hostile import shaped
from harness.prove import WORKER_EXTENSION, ServerFacts, mode_parity
from harness.records import Process, Start, Startup, object_in
from harness.words import MODES, BackendName, Mode, without_nonce

LONGEST_VALUE = 80
"""Characters of a setting that a finding quotes."""
_WITHIN_S = 120.0
"""How far a process may be from what is written of its start: a container takes its time; and how
much sooner than it was ready a start may seem to have ended. Where the harness saw that the clock
was set, by so much more."""
_TOLD_TO_S = 1.0
"""A start's times are told in whole seconds."""
_WORKED = 10
"""Records that no process gives without a hundredth of a second of processor time."""
_OWN_FLAGS = ("--port", "--served-model-name", "--model")
_OWN_VARIABLES = {
    *("VLLM_BATCH_INVARIANT", "VLLM_CACHE_ROOT", "VLLM_PORT", "PYTHONPATH"),
    *("CUDA_VISIBLE_DEVICES", "VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS"),  # servers at once
}
"""What each server is given for itself, or the mode is; the path of ours differs by the folder."""


def never_lived(run: Checked, start: Start) -> Iterator[str]:
    """Why a start of ours cannot have given its records; of runs of an older form nothing."""
    if not (run.records.checks.sealed and run.files.made_by_the_harness and start.records):
        return
    ended = start.ended_at or not start.log_sha256  # they are written together
    if start.ready_after_s is None or not ended or not start.started_at:
        yield "gave records, and when it started, was ready and ended is not all told"
    elif start.ended_at and start.seconds < start.ready_after_s - _room_s(run):
        yield "ended before it was ready"
    in_container = start.server.get("backend") == BackendName.DOCKER
    if in_container and not object_in(start.server, "docker").get("image_id"):
        yield "does not tell of which image it was"
    name = str(start.server.get("served_model_name"))
    if start.server.get("backend") != BackendName.EXTERNAL and without_nonce(name) == name:
        yield "served under a name that is not its own (it has no nonce)"


def _room_s(run: Checked) -> float:
    """How far two times of a run may be apart that are one."""
    return _WITHIN_S + run.files.clock_moved_s


def of_another_time(run: Checked, start: Start) -> str:
    """Why a process is not the one that a start began; empty if it is, or no clock tells."""
    try:
        began = datetime.fromisoformat(start.started_at or "").timestamp()
    except ValueError:
        return ""
    age = (start.process.started if start.process else began) - began
    if age < -_room_s(run):
        return f"is {-age:.0f} s older than the start"
    if age > (start.ready_after_s or 0.0) + _room_s(run):
        return f"began {age:.0f} s after the start, which was ready by then"
    return ""


def worked_otherwise(process: Process, start: Start) -> str:
    """Why a process is not the one that answered, by its processor time; empty if it may be it."""
    before, after = process.cpu_s_before, process.cpu_s_after
    if after is None:
        return "" if start.was_cut else "what its process did until its end is not told"
    if after < before:
        return "another process answers at its end (less time)"
    if after == before and (start.records or 0) >= _WORKED:
        return "its process did nothing while it answered"
    return ""


def of_no_session(run: Checked, start: Start) -> Iterator[str]:
    """Whether a start lies outside of all sessions of its run; where times are told."""
    times, room = [], _room_s(run)
    for session in run.files.metadata.get("sessions") or ():
        try:
            began = datetime.fromisoformat(session.get("started_at") or "").timestamp()
            ended = session.get("ended_at")
            times.append((began, datetime.fromisoformat(ended).timestamp() if ended else inf))
        except ValueError:
            return
    began, _ = start.lived
    if times and began and not any(a - room < began < b + room for a, b in times):
        yield f"began at {start.started_at}, when no session of the run was at work"


def at_once(run: Checked, starts: Iterable[tuple[Startup, int, Start]]) -> list[str]:
    """Starts that were up on one port at the same time, by their own times.

    Where the clock was set, none are of which one may have ended before the other began.
    """
    moved = run.files.clock_moved_s
    room = moved and moved + _TOLD_TO_S
    told = sorted(
        (str(start.server["port"]), *start.lived, f"{startup.file}: start {number}")
        for startup, number, start in starts
        if start.server.get("port") and start.seconds > 0
    )
    return [
        f"{name} and {other} were up at once on port {port}"
        for (port, first, ended, name), (again, began, last, other) in pairwise(told)
        if port == again and min(ended - began, last - first) > room
    ]


def workers_ready(run: Checked) -> Iterator[str]:
    """Starts whose workers were given our extension, by which they are asked."""
    for startup in run.files.startups:
        for number, start in startup.answering():
            facts = run.facts_of(start)
            logged = facts.arguments.values() if facts else ()
            given = [*(start.server.get("command") or ()), *logged]
            if any(WORKER_EXTENSION.stem in str(one) for one in given):
                yield f"{startup.file}: start {number}"


def set_otherwise(run: Checked) -> tuple[list[str], set[str]]:
    """What the servers of a model differ in by their own account, and the models compared.

    Every start is set against the first one of standard mode. The log tells where it is at hand,
    else the start-up file; a release is the concern of `one_server_build`.
    """
    starts: dict[str, list[tuple[str, Start, ServerFacts]]] = {}
    told_of: dict[str, set[str]] = {}
    for startup in sorted(run.files.startups, key=lambda s: s.mode != Mode.STANDARD):
        for number, start in startup.answering():
            if facts := run.facts_of(start) or start.facts:
                known = facts if isinstance(facts, ServerFacts) else shaped(facts, ServerFacts)
                name = f"{startup.file}: start {number}"
                starts.setdefault(startup.model, []).append((name, start, known))
                told_of.setdefault(startup.model, set()).add(startup.mode)
    bad = []
    for (_, first, one), *others in starts.values():
        for name, start, other in others:
            infos = (first.server_info, start.server_info)
            if bool(infos[0]) != bool(infos[1]):
                bad.append(f"{name}: one of the two servers did not tell its /server_info")
            bad += [f"{name}: {why}" for why in _given_otherwise(first, start)]
            found = mode_parity(one, other, infos if all(infos) else None)  # type: ignore[arg-type]
            bad += [
                f"{name}: {told.name} is {told.invariant[:LONGEST_VALUE]}, not "
                f"{told.standard[:LONGEST_VALUE]}"
                for told in found
                if not told.allowed and told.name != "vllm_version"
            ]
    return bad, {model for model in starts if told_of[model] == set(MODES)}


def asked_in_both(run: Checked) -> set[str]:
    """Models with records in both modes: of another one, a mode's server is still to come."""
    models = run.records.candidates["model"].to_numpy()
    found = [set(models[run.pairing.slots[mode] >= 0]) for mode in run.pairing.modes()]
    return set.intersection(*found) if len(found) > 1 else set()


def told_in_part(run: Checked) -> set[str]:
    """Models of whose servers a start-up file is gone or a log cut short.

    Other checks refuse that, and have them asked again; then the modes are compared anew.
    """
    of = {(startup.model, startup.mode) for startup in run.files.startups}
    gone = {model for model in asked_in_both(run) if any((model, str(m)) not in of for m in MODES)}
    return gone | {
        startup.model
        for startup in run.files.startups
        for _, start in startup.answering()
        if start.log in run.cut_logs
    }


def _given_otherwise(one: Start, other: Start) -> list[str]:
    """Flags and variables that two servers of a model were given otherwise, but for their own."""
    bad = []
    words = [Counter(_shared(start.server.get("command") or ())) for start in (one, other)]
    if all(words) and (moved := (words[0] - words[1]) + (words[1] - words[0])):
        bad.append(f"its command differs in {' '.join(moved)[:80]}")
    told = [object_in(start.server, "environment") for start in (one, other)]
    names = sorted({*told[0], *told[1]} - _OWN_VARIABLES)
    if all(told) and (moved_too := [n for n in names if told[0].get(n) != told[1].get(n)]):
        bad.append(f"its environment differs in {', '.join(moved_too)[:80]}")
    return bad


def _shared(command: Sequence[object]) -> list[str]:
    """A command without the flags that each server has of its own."""
    words = [*map(str, command)]
    own = {at for at, word in enumerate(words) if word in _OWN_FLAGS}
    return [word for at, word in enumerate(words) if at not in own and at - 1 not in own]
