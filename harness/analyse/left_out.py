"""Whether servers answered more than their records tell: rows that were left out afterwards.

A server's counters and its log know of every request. What no record tells has to lie behind a
line that was set aside, a start that was cut short, or the warm-up.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from harness.analyse.checked import Checked
from harness.analyse.cut_logs import least_told, steps_of
from harness.records import FINISHED, BoolArray, Start, Startup, object_in
from harness.words import MODES, BackendName, Mode

_TRIES = 2
"""How often a warm-up request may have been sent: its retries are told nowhere."""
_ALONE, _BATCHED = 3, 2
"""So often a row is asked alone, and in its batch."""
_NAMED = re.compile(rb'"(model|mode)":\s?"((?:[^"\\]|\\.)*)"')


def left_out(run: Checked) -> Iterator[str]:
    """What servers did that no record tells, and nothing that was set aside or cut short explains.

    A line that was set aside is asked for again by a later start, so where no row is of one, or
    missing, none lies behind it.
    """
    servers, spec = run.records.checks.footprints.sent, run.files.spec
    if not servers:
        yield from _all_gone(run)
    known = servers and spec and not (run.records.of_schema_1 or run.pairing.duplicates)
    for startup in run.files.startups if known else ():
        if startup.mode not in set(MODES):
            continue
        yield from _untold_ends(startup)
        yield from _rows_gone(run, startup)
        yield from _answers_gone(run, startup)


def _untold_ends(startup: Startup) -> Iterator[str]:
    """Starts of ours that ended well, and whose counters do not tell what they answered."""
    for number, start in startup.answering():
        ours = start.server.get("backend") in (BackendName.NATIVE, BackendName.DOCKER)
        if ours and start.ended_at and not start.error and not _ended(start):
            yield f"{startup.file}: start {number} does not tell how many answers it finished"


def _rows_gone(run: Checked, startup: Startup) -> Iterator[str]:
    """Starts that gave more records than are there, and lie behind lines that were set aside."""
    mine = _mine(run, startup)
    aside = _aside(run, startup) + _missing(run, startup, int(mine.sum()))
    from_start = Counter(run.records.column("start")[mine].tolist())
    if any(start.records and from_start[n] > start.records for n, start in startup.answering()):
        return  # records of a start that did not give them are the concern of another check
    for number, start in startup.answering():
        there = from_start[number] + from_start[0] + aside
        if start.records and start.records > there:
            yield f"{startup.file}: start {number} gave {start.records} records, {there} are there"


def _answers_gone(run: Checked, startup: Startup) -> Iterator[str]:
    """Answers that counters and logs know of, beyond those of records and what leaves none."""
    starts = [start for _, start in startup.answering()]
    logs = [steps_of(log) for start in starts if (log := run.log_of(start)) is not None]
    if len(logs) < len(starts):
        return
    told = run.records.checks.footprints.sent[startup.model, startup.mode].total()
    room = _unfinished(run, startup)
    warmed = object_in(run.files.spec, "controls").get("warmup_requests") or 0
    warm = _TRIES * warmed * len(starts)
    finished = sum(map(_finished, starts)) - told.prompts - room
    logged = sum(log.asked for log in logs) - told.requests - room - warm
    again = sum(map(_given_up, starts)) - told.again - room
    untold = (
        (finished, "answers more are counted by it"),
        (logged, "answers more it logged"),
        (again, "answers more it gave up"),
    )
    yield from (f"{startup.file}: {n} {what} than records tell" for n, what in untold if n > 0)
    for (number, start), steps in zip(startup.answering(), logs, strict=True):
        name = f"{startup.file}: start {number}"
        least = least_told(run, startup.model, startup.mode, number).prompts
        if not start.error and _ended(start) and (counted := _finished(start)) < least:
            yield f"{name} finished {counted} answers, {least} are told"
        if steps.prefills and warmed > (alike := steps.alike_at_first):
            yield f"{name}: {warmed} requests to warm it up are told, {alike} begin its log"


def _all_gone(run: Checked) -> Iterator[str]:
    """Servers that gave records, where no record is left of any."""
    gave = {
        startup.file: sum(start.records or 0 for _, start in startup.answering())
        for startup in run.files.startups
    }
    if sum(gave.values()) > _not_counted(run):
        for file, number in gave.items():
            if number:
                yield f"{file}: {number} records it gave, and none is there"


def _not_counted(run: Checked) -> int:
    """Lines that were set aside, and damaged ones that are still to be: each was asked for."""
    return len(run.records.problems) + sum(1 for _ in run.files.lines_set_aside())


def _mine(run: Checked, startup: Startup) -> BoolArray:
    """Which records are of a server."""
    models = run.records.candidates["model"].to_numpy()[run.records.column("key")]
    mode = list(MODES).index(Mode(startup.mode))
    mine: BoolArray = (models == startup.model) & (run.records.column("mode") == mode)
    return mine


def _aside(run: Checked, startup: Startup) -> int:
    """Lines that do not count and may have been of a server, as far as they can be read."""
    server = {b"model": startup.model.encode(), b"mode": startup.mode.encode()}
    named = (dict(_NAMED.findall(line)) for line in run.files.lines_set_aside())
    of = (all(name.get(key, value) == value for key, value in server.items()) for name in named)
    return len(run.records.problems) + sum(of)


def _asked_again(run: Checked, startup: Startup) -> int:
    """Rows of a server that a start after its first gave, and those that are still to be asked."""
    mine, starts = _mine(run, startup), [number for number, _ in startup.answering()]
    given = run.records.column("start")[mine]
    later = (given > min(starts, default=0)) | (given == 0)
    return int(later.sum()) + _missing(run, startup, len(given))


def _missing(run: Checked, startup: Startup, given: int) -> int:
    """Rows of a server that are still to be asked."""
    planned = sum(key[0] == startup.model for key in run.files.candidates or ())
    return max(planned - given, 0)


def _finished(start: Start) -> int:
    """Answers that a server finished after the warm-up, by its counters; 0 if not told."""
    return sum(n for name, n in _ended(start).items() if name in FINISHED)


def _given_up(start: Start) -> int:
    """Answers that a server gave up; requests that a client left are among them."""
    return sum(_ended(start)[name] for name in ("abort", "error"))


def _ended(start: Start) -> Counter[str]:
    told = object_in(start.metrics, "finished")
    return Counter({name: int(n) for name, n in told.items() if isinstance(n, int | float)})


def _unfinished(run: Checked, startup: Startup) -> int:
    """Requests that may lie behind records that count for nothing, and starts that were ended."""
    failed = int((_mine(run, startup) & ~run.records.column("ok")).sum())
    lines = min(_aside(run, startup), _asked_again(run, startup))
    ended = sum(bool(start.error) or not start.ended_at for _, start in startup.answering())
    tries = object_in(run.files.spec, "request").get("max_attempts") or 1
    ways = run.records.candidates["dispatch_mode"].nunique()
    largest = int(run.records.candidates["batch_size"].max())
    in_flight = largest * (_ALONE + _BATCHED * ways)
    return in_flight * (ended + tries * failed) + largest * (_ALONE + _BATCHED) * tries * lines
