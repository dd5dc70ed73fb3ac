"""What people said of a run's flips: killed, cut, flipped, taken in twice at once.

No judgement is lost, doubled or changed and taken for what was said.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

from .bench import ENVIRONMENT, FINE, INTERRUPTED, USAGE, Bench, Broken, Said, insist
from .campaign import Play, row
from .interruptions import RUN
from .verbs import filled

LABELS = "sheets/adjudications.jsonl"
_ASIDE = "--set-aside"
_RATERS = ("ann", "bob")
_FIELDS = ("label_a", "label_b", "behavioural_change")
_KILLS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
Judged = Counter[tuple[str, ...]]
"""How often a rater said something of an item."""


def _export(seed: int) -> tuple[str, ...]:
    how = ("--controls", "0.5", "--seed", str(seed))
    return ("adjudicate", "export", RUN, "-o", "sheets", *how)


def _import(*raters: str) -> tuple[str, ...]:
    sheets = (f"{rater}.csv" for rater in raters)
    return ("adjudicate", "import", *sheets, "--key", "sheets/key.json")


@row("adjudication", share=4, fast=2)
def adjudication(play: Play) -> None:
    """Sheets go out and come back while something is killed, cut, flipped or done twice."""
    bench, _ = play.saved(models=play.models())
    kind = play.rng.choice(list(KINDS))
    play.note(kind)
    KINDS[kind](play, bench)
    bench.insist_whole()


def _sent_out(play: Play, bench: Bench) -> Judged:
    """A sheet that two raters have filled in; all that they said."""
    bench.run(*_export(play.rng.randrange(9))).insist_on(FINE)
    return _filled(play, bench)


def _filled(play: Play, bench: Bench) -> Judged:
    sheet = bench.folder / "sheets/for_raters/sheet.csv"
    said = {
        rater: filled(sheet, bench.folder / f"{rater}.csv", random.Random(play.rng.random()))
        for rater in _RATERS
    }
    return Counter((rater, item, *told) for rater in said for item, told in said[rater].items())


def _of(judged: Judged, *raters: str) -> Judged:
    return Counter({told: count for told, count in judged.items() if told[0] in raters})


def _taken_in(bench: Bench) -> Judged:
    """What stands in the file, of which every line has to be whole."""
    path = bench.folder / LABELS
    found: Judged = Counter()
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            one = json.loads(line or b"null")
            if one:
                told = (one[name] for name in ("rater", "item_id", *_FIELDS))
                found[tuple(told)] += 1
        except (ValueError, KeyError, TypeError) as error:
            raise Broken(f"{line!r} stands among the judgements: {error!r}") from error
    return found


def _insist_taken_in(bench: Bench, wanted: Judged, said: Said) -> None:
    found = _taken_in(bench)
    lost, more = wanted - found, found - wanted
    insist(not lost and not more, f"lost {dict(lost)}, doubled or changed {dict(more)}: {said}")


def _summed_up(bench: Bench, judged: Judged) -> None:
    """After the last import all is there once, and the outcome is of all."""
    said = bench.run(*_import(*_RATERS)).insist_on(FINE)
    _insist_taken_in(bench, judged, said)
    outcome = (bench.folder / "sheets/adjudication.json").read_bytes()
    (bench.folder / LABELS).unlink()
    bench.run(*_import(*_RATERS)).insist_on(FINE)
    again = (bench.folder / "sheets/adjudication.json").read_bytes()
    insist(outcome == again, "the outcome is not that of the same sheets, taken in undisturbed")


def _killed(play: Play, bench: Bench) -> None:
    """An import is killed: a judgement is there or not; the same command takes in the rest."""
    rng, judged = play.rng, _sent_out(play, bench)
    for _ in range(rng.choice((1, 2))):
        running = bench.start(*_import(*_RATERS))
        time.sleep(rng.uniform(0, 0.25))
        number = rng.choice(_KILLS)
        running.send(number)
        said = running.said().insist_on(FINE, INTERRUPTED, -number)
        play.note(f"{signal.Signals(number).name}: exit {said.code}")
        path = bench.folder / LABELS
        whole = path.read_bytes().endswith(b"\n") if path.exists() else True
        more = _taken_in(bench) - judged if whole else None
        insist(not more, f"judgements that nobody gave: {more}")
    _summed_up(bench, judged)


def _damaged(play: Play, bench: Bench, change: Callable[[bytes], bytes]) -> None:
    """The file of judgements is damaged after one rater's sheet; then the other's comes.

    What is taken in stands beside what was there; else the file is named and stays as it is, and
    the command that is named takes in from both sheets what is no longer there.
    """
    judged = _sent_out(play, bench)
    bench.run(*_import("ann")).insist_on(FINE)
    path = bench.folder / LABELS
    data = change(path.read_bytes())
    path.write_bytes(data)
    for command in (_import(), _import("bob"), _import("ann"), _import(*_RATERS)):
        said = bench.run(*command).insist_on(FINE, USAGE, ENVIRONMENT)
        if said.code == FINE:
            _insist_sound(bench, judged, data, said)
            data = path.read_bytes() if path.exists() else data
        else:
            insist(path.read_bytes() == data, f"refused, and the judgements are changed: {said}")
            insist("adjudications.jsonl" in said.err, f"the file is not named: {said}")
    if said.code == FINE:
        _insist_taken_in(bench, judged, said)
    else:
        play.counted.append("set aside")
        insist(_ASIDE in said.err, f"no next step is named: {said}")
        said = bench.run(*_import(*_RATERS), _ASIDE).insist_on(FINE)
        _insist_taken_in(bench, judged, said)
        _summed_up(bench, judged)


def _insist_sound(bench: Bench, judged: Judged, before: bytes, said: Said) -> None:
    """What was taken for judgements is what the raters gave, each once."""
    found = _taken_in(bench)
    more = found - judged
    insist(not more, f"doubled or changed, and taken for what was said: {dict(more)}; {said}")
    kept = [line for line in before.split(b"\n") if line]
    insist(sum(found.values()) >= len(kept) - 1, f"judgements are gone: {said}")


def _cut(play: Play, bench: Bench) -> None:
    def change(data: bytes) -> bytes:
        size = play.rng.randrange(1, len(data))
        play.note(f"cut at byte {size} of {len(data)}")
        return data[:size]

    _damaged(play, bench, change)


def _without_end(play: Play, bench: Bench) -> None:
    _damaged(play, bench, lambda data: data[:-1])


def _flipped(play: Play, bench: Bench) -> None:
    def change(data: bytes) -> bytes:
        at, bit = play.rng.randrange(len(data)), 1 << play.rng.randrange(8)
        play.note(f"byte {at}, {data[max(0, at - 20) : at + 9]!r}: bit {bit}")
        return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]

    _damaged(play, bench, change)


def _lines(play: Play, bench: Bench) -> None:
    def change(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        one, other = (play.rng.randrange(len(lines)) for _ in "ab")
        kind = play.rng.choice(("doubled", "replaced"))
        play.note(f"line {one} {kind} ({other})")
        if kind == "doubled":
            lines.insert(other, lines[one])
        else:
            lines[one] = lines[other]
        return b"".join(lines)

    _damaged(play, bench, change)


def _two_imports(play: Play, bench: Bench) -> None:
    """Two sheets, or one twice, are taken in at once."""
    rng, judged = play.rng, _sent_out(play, bench)
    pair = rng.choice((_RATERS, ("ann", "ann")))
    play.note(*pair)
    both = []
    for rater in pair:
        both.append(bench.start(*_import(rater)))
        time.sleep(rng.choice((0.0, 0.0, rng.uniform(0, 0.1))))
    ends = [one.said().insist_on(FINE, USAGE, ENVIRONMENT) for one in both]
    play.note("exits", *(said.code for said in ends))
    done = {rater for rater, said in zip(pair, ends, strict=True) if said.code == FINE}
    insist(done, f"neither was taken in: {ends[0]}")
    _insist_taken_in(bench, _of(judged, *done), ends[0])
    _summed_up(bench, judged)


def _two_exports(play: Play, bench: Bench) -> None:
    """Two sheets go out to one folder at once, or after a kill: sheet and key are of one."""
    rng = play.rng
    seeds = rng.choice(((1, 2), (1, 1)))
    first = bench.start(*_export(seeds[0]))
    time.sleep(rng.uniform(0, 0.3))
    if killed := rng.random() < 0.5:
        first.send(signal.SIGKILL)
    second = bench.run(*_export(seeds[1])).insist_on(FINE, USAGE)
    code = first.said().insist_on(FINE, USAGE, -signal.SIGKILL).code
    play.note("seeds", *seeds, "killed" * killed, "exits", code, second.code)
    if FINE not in (code, second.code):
        insist("another folder" in second.err, f"no next step is named: {second}")
        return
    _summed_up(bench, _filled(play, bench))


KINDS: dict[str, Callable[[Play, Bench], None]] = {
    "an import is killed": _killed,
    "cut": _cut,
    "the last line has no end": _without_end,
    "a bit is flipped": _flipped,
    "lines are doubled or replaced": _lines,
    "two imports at once": _two_imports,
    "two exports at once": _two_exports,
}
