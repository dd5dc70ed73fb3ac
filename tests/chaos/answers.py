"""Hostile answers, from the stand-in server: wrong shapes and statuses, text that attacks a reader.

The run ends with a result or with failed records; no report breaks; once the server answers as it
should, a named command completes the run.
"""

from __future__ import annotations

import json

from .bench import FINE, GATE, INCOMPLETE, RUN_ID, USAGE, insist
from .campaign import Play, row
from .files import read_all
from .stand_in_kinds import KINDS

KEPT = ("control", "line_ends", "long", "surrogate", "ids_none", "empty", "infinity", "ids_float")
"""Kinds of which a harness may keep the answer as one that was given."""


@row("hostile-answers", share=2, fast=1)
def hostile_answers(play: Play) -> None:
    """The server answers some or all prompts in one of 40 hostile ways."""
    rng = play.rng
    _, undisturbed = play.undisturbed()
    bench = play.bench()
    spec = bench.spec()
    spec["request"]["timeout_s"] = 6  # an answer that never ends
    bench.write_spec(spec)
    kind, every = rng.choice(KINDS), rng.choice((1, 2, 4))
    play.note(f"{kind}, about every {every}. prompt")
    behaviour = bench.folder / "behaviour.json"
    behaviour.write_text(json.dumps({"answer": kind, "every": every}))
    said = bench.run(*bench.command()).insist_on(FINE, GATE, INCOMPLETE)
    bench.insist_whole()
    behaviour.unlink()
    if (bench.path() / "vllm_records.jsonl").exists():
        bench.run("validate", f"results/{RUN_ID}").insist_on(FINE, GATE, USAGE)
        read_all(play, bench)
    play.note(f"exit {said.code}")
    if said.code == INCOMPLETE:
        last = bench.complete((*bench.command(), "--retry-errors"))[-1]
        insist(last.code == FINE, str(last))
        if kind not in KEPT:
            bench.insist_concluded(undisturbed)
    elif said.code == GATE:
        insist(kind in KEPT, f"kept as an answer, and no run that counts: {said}")
    elif every == 1 and kind not in KEPT:
        insist(False, f"taken for a good answer: {said}")
    bench.clean()
