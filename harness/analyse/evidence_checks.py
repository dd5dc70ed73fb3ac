"""Checks that set the records, the run's own settings and its start-up files against each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from math import inf

import numpy as np

from harness.analyse.asking_tables import CONTROLS
from harness.analyse.carried import cache_differs, carry_little
from harness.analyse.checked import (
    Checked,
    Look,
    Outcome,
    at,
    check,
    failed,
    not_checked,
    ok,
    warning,
)
from harness.analyse.stack import sampled_by, tokens_a_step
from harness.numbers import count_of
from harness.prove import gap_in_quotes, judge_server
from harness.records import Records, Start, numbered
from harness.words import MODES, PROVEN, Asking, CachePolicy, DispatchMode, Effect, Mode

OF_EVIDENCE: dict[str, Look] = {}
_SAMPLING = ("max_tokens", "temperature", "seed")


@check(OF_EVIDENCE)
def _batch_as_planned(run: Checked) -> Outcome:
    """A record's batch holds its prompt at its place, and its companions are the others."""
    finds = run.records.checks.batches
    if not finds.known:
        return not_checked("no record holds its batch in full")
    if finds.misplaced:
        places = [f"line {line}: {reason}" for line, reason in finds.misplaced]
        return failed("asked in another batch than the one named; ask these rows again: ", places)
    return ok(f"{finds.known} records were asked in the batch that they name")


@check(OF_EVIDENCE)
def _one_dispatch_a_batch(run: Checked) -> Outcome:
    """Rows of one batch share its dispatch, so they tell one answer of each of its prompts.

    A lifetime that follows an interruption sends the batch again, so only those are compared whose
    server was started once.
    """
    finds = run.records.checks.batches
    if not finds.known:
        return not_checked("no record holds its batch in full")
    started_again = {(s.model, s.mode) for s in run.files.startups if s.answered() > 1}
    bad = [
        f"lines {one.other} and {one.line}: {one.prompt}"
        for one in finds.dispatches.contradicted
        if (one.model, str(one.mode)) not in started_again
    ]
    if bad:
        return failed("records of one batch tell two answers of a prompt: ", bad)
    return ok("records of one batch tell one answer of each of its prompts")


@check(OF_EVIDENCE)
def _gated_in_one_step(run: Checked) -> Outcome:
    """A gated batch is one that the engine admitted in a single step."""
    finds = run.records.checks.batches
    if DispatchMode.GATED not in set(run.records.candidates["dispatch_mode"]):
        return ok("no batch was to be gated")
    if not finds.gated:
        return not_checked("no gated batch of which the engine's log was read")
    if finds.ungated:
        places = [f"line {line}: {first} in the first step" for line, first in finds.ungated]
        return failed("gated batches that were not admitted in one step: ", places)
    return ok(f"{finds.gated} gated batches were admitted in one step each")


@check(OF_EVIDENCE)
def _every_asking_asked(run: Checked) -> Outcome:
    """Each good record holds the askings that the settings name."""
    wanted = (run.files.spec.get("controls") or {}).get("askings")
    found = run.records.checks.batches.asked
    if not wanted or not found:
        return not_checked("the askings of a row are not recorded (controls.askings)")
    needed = {Asking(one) for one in wanted}
    bad = [
        f"line {line}: {', '.join(sorted(needed.difference(asked)))}"
        for asked, lines in found.items()
        if needed.difference(asked)
        for line in lines
    ]
    if bad:
        return failed("askings are missing; ask these rows again: ", bad)
    return ok(f"every record holds {', '.join(wanted)}")


@check(OF_EVIDENCE)
def _companions_warmed(run: Checked) -> Outcome:
    """Where the prefix cache lasts, a batch found all its prompts in it, in both modes."""
    policy = (run.files.spec.get("controls") or {}).get("prefix_caching")
    finds = run.records.checks.batches
    if policy not in set(CachePolicy) or not finds.warmed:
        return not_checked("whether companions were asked alone before is not recorded")
    if CachePolicy(policy).forbids_earlier:
        return ok(f"{policy}: a batch has nothing to find")
    bad = [f"line {line}: {n} of {of}" for line, n, of in finds.cold]
    if bad:
        return failed("companions that were not asked alone before their batch: ", bad)
    return ok(f"the companions of {finds.warmed} records were asked alone before")


@check(OF_EVIDENCE)
def _asked_as_specified(run: Checked) -> Outcome:
    """The records' sampling, scorers and weights are one, and those of the run's settings."""
    request = run.files.spec.get("request") or {}
    weights = {model["name"]: model.get("hf_id") for model in run.files.spec.get("models") or ()}
    first = _ways_of_asking(run.records)
    kinds = Counter(model for _, model, _ in first)
    bad = [f"{n} ways of asking {model}" for model, n in kinds.items() if n > 1]
    if not (request or weights):  # then at least they are asked alike
        if bad:
            return failed("no settings are known, and the records do not agree: ", bad)
        return not_checked("what the settings asked is not known")
    if not first:
        return not_checked("how the records were asked is not known")
    bad = []
    for line, model, told in first:
        settings = json.loads(told)
        sampling = settings["sampling"] or {}
        if run.files.made_by_the_harness:
            untold = [name for name in _SAMPLING if name not in sampling]
            bad += [f"line {line}: {name} is not told" for name in untold]
        pairs = {
            name: (sampling[name], request.get(name)) for name in _SAMPLING if name in sampling
        }
        if settings["score_profile"] is not None:
            pairs["score_profile"] = settings["score_profile"], run.files.spec.get("score_profile")
        if settings["hf_id"] is not None:
            pairs["hf_id"] = settings["hf_id"], weights.get(model)
        bad += [
            f"line {line}: {name} {asked}, not {wanted}"
            for name, (asked, wanted) in pairs.items()
            if wanted is not None and asked != wanted
        ]
    if bad:
        return failed("asked otherwise than the settings say; first seen at ", bad)
    return ok("sampling and weights are those of the settings")


def _ways_of_asking(records: Records) -> list[tuple[int, str, str]]:
    """The settings of each model's records: the first line of each, the model and the settings."""
    told, keys = records.column("settings"), records.column("key")
    known = np.flatnonzero(told >= 0)
    codes = records.candidates["model"].cat.codes.to_numpy()[keys]
    rows = known[numbered(codes[known], told[known])[1]].astype(np.int32)
    models = records.candidates["model"].take(keys[rows]).tolist()
    named, lines = records.words("settings", rows), records.column("line")[rows].tolist()
    return [(line, model, str(n)) for line, model, n in zip(lines, models, named, strict=True)]


@check(OF_EVIDENCE)
def _same_cache_for_s1_and_b(run: Checked) -> Outcome:
    """A batch effect is read between two askings that found the same in the cache."""
    column = run.records.column
    compared, moved = column("ok") & (column(f"{Effect.BATCH}_text") >= 0), column("cache_moved")
    if bad := run.lines(compared & (moved == 1)):
        return warning(
            f"{count_of(len(bad), 'record')} with other cached tokens in B than S1: ", at(bad)
        )
    known = int((compared & (moved == 0)).sum())
    if not known:
        return not_checked("what S1 and B found in the cache is not recorded")
    return ok(f"{known} of {int(compared.sum())} records: S1 and B found as much in the cache")


@check(OF_EVIDENCE)
def _same_cache_in_both_modes(run: Checked) -> Outcome:
    """The modes are compared on askings that found the same in the cache."""
    policy = (run.files.spec.get("controls") or {}).get("prefix_caching")
    if policy in set(CachePolicy) and CachePolicy(policy).forbids_earlier:
        return ok(f"{policy}: no asking finds what an earlier one left")
    if not (run.records.column("cached") >= 0).any():
        return not_checked("what the askings found in the cache is not recorded")
    pairs, moved = cache_differs(run.records, run.pairing), run.records.column("cache_moved") == 1
    # where B found other tokens than S1, `same_cache_for_s1_and_b` names it
    rows = pairs[1][~(moved[pairs[0]] | moved[pairs[1]])]
    if len(rows):
        lines = at(run.records.column("line")[rows].tolist())
        return warning(f"{count_of(len(rows), 'record')} with other tokens than standard: ", lines)
    return ok("each asking found the same in the cache in both modes")


@check(OF_EVIDENCE)
def _answers_carry_claims(run: Checked) -> Outcome:
    """What is empty, a loop, cut short or another prompt's answer too shows nothing of its own."""
    if not run.records.checks.answers:
        return not_checked("the records hold no answers")
    found = carry_little(run.records, run.pairing)
    if any(bad.any() for bad in found.values()):
        told = [f"{why} ({bad.sum()})" for why, bad in found.items() if bad.any()]
        rows = int(np.any([*found.values()], axis=0).sum())
        return warning(f"{count_of(rows, 'candidate')} without a claim of their own: ", told)
    return ok("every answer counts")


@check(OF_EVIDENCE)
def _changes_could_be_seen(run: Checked) -> Outcome:
    """Where standard mode changes hardly anything, no change of the other path was to be seen."""
    if len(run.pairing.modes()) < len(MODES):
        return not_checked("only one mode was asked")
    rows = run.pairing.rows(Mode.STANDARD)
    if (run.records.column(f"{Effect.BATCH}_text")[rows] < 0).any():
        return not_checked("S1 was not asked of every row: no change is known to be the batch's")
    changed = rows[run.records.column(f"{Effect.BATCH}_text")[rows] == 1]
    ways = run.records.candidates["dispatch_mode"].to_numpy()
    prompts, keys = run.records.prompts, run.records.column("key")
    seen = {
        way: {*prompts[keys[changed]][ways[keys[changed]] == way].tolist()}
        for way in dict.fromkeys(ways)
    }
    few = [f"{way} ({len(of)} prompts)" for way, of in sorted(seen.items()) if len(of) < CONTROLS]
    if few:
        return warning("standard mode changes too little to show what would be seen under: ", few)
    return ok(f"standard mode changes {CONTROLS} prompts or more under each of {', '.join(seen)}")


@check(OF_EVIDENCE)
def _sampled_greedily(run: Checked) -> Outcome:
    """An answer that is drawn by lot says nothing about kernels."""
    if sampled := sampled_by(run.records, run.files.spec.get("request") or {}):
        return warning(f"the answers are not the likeliest tokens: {', '.join(sampled)}")
    if run.records.checks.answers or run.files.spec:
        return ok("every answer was asked for greedily")
    return not_checked("how the answers were sampled is not recorded")


@check(OF_EVIDENCE)
def _batches_repeat(run: Checked) -> Outcome:
    """The same batch sent again (B2) is answered as B was."""
    again = run.records.column("batch_repeats") > 0
    if not again.any() and "B2" not in (
        (run.files.spec.get("controls") or {}).get("askings") or ()
    ):
        known = run.records.checks.batches.asked and run.files.spec
        none = "no batch was sent twice (controls.askings without B2)"
        return ok(none) if known else not_checked(none)
    if bad := run.lines(again & (run.records.column("batch_repeat_changes") > 0)):
        return warning(f"{count_of(len(bad), 'record')} changed in the batch sent again: ", at(bad))
    return ok(f"{int(again.sum())} records are the same when the same batch was sent again")


@check(OF_EVIDENCE)
def _companions_keep_their_answers(run: Checked) -> Outcome:
    """What a companion was answered in a batch is what it is alone, or in another."""
    finds = run.records.checks.batches.companions
    if finds.untold and run.files.made_by_the_harness:
        return failed("the answers of the companions are not recorded: ", at(finds.untold))
    bad, of, known = [], 0, 0
    for model, mode in finds.batched:
        moved, compared = finds.moved((model, mode))
        of, known = of + len(finds.batched[model, mode]), known + compared
        bad += [f"{prompt} ({model}, {mode})" for prompt in moved if mode is not Mode.STANDARD]
    if not known:
        return not_checked("no companion was asked alone again, nor in a second batch")
    if bad:
        return warning(f"{count_of(len(bad), 'companion')} with another answer in a batch: ", bad)
    return ok(f"{known} of {of} companions could be compared; in batch-invariant mode none moved")


@check(OF_EVIDENCE)
def _answers_possible(run: Checked) -> Outcome:
    """No answer is longer than asked for, shorter than its ending says, or a text of no token."""
    if not run.records.checks.answers:
        return not_checked("the records hold no answers")
    limits = {
        startup.model: limit
        for startup in run.files.startups
        for _, start in startup.answering()
        if (limit := start.context_length) is not None
    }
    bad = [
        f"line {one.line}: {one.reason}"
        for one in run.records.checks.odd
        if one.of == "answer"
        and (one.context is None or one.context < limits.get(one.model, one.context + 1))
    ]
    if bad:
        return failed("no server can have answered so: ", bad)
    return ok("every answer is as long as its ending says")


@check(OF_EVIDENCE)
def _witnesses_possible(run: Checked) -> Outcome:
    """No witness tells of more than was sent, or of fewer steps than its tokens take."""
    if not run.records.frame["witnessed"].any():
        return not_checked("no record holds a witness of the engine's steps")
    most = tokens_a_step(run.files)
    bad = [
        f"line {one.line}: {one.reason}"
        for one in run.records.checks.odd
        if one.of != "answer" and (one.tokens_a_step > most or one.tokens_a_step == inf)
    ]
    if bad:
        return failed("no engine can have worked so: ", bad)
    if most > 1:
        return ok(f"the steps fit what was asked, with up to {most:g} tokens a step (speculation)")
    return ok("the engine's steps fit what was asked")


@check(OF_EVIDENCE)
def _every_record_has_a_lifetime(run: Checked) -> Outcome:
    """The starts of a server account for all records of its model and mode.

    A start that was killed does not say how many it gave, so beside one nothing can be missed.
    """
    models = run.records.candidates["model"].to_numpy()[run.records.column("key")]
    bad, counted = [], 0
    for startup in run.files.startups:
        if startup.mode not in set(MODES) or any(
            start.records is None or not (start.ended_at or start.records)
            for _, start in startup.answering()
        ):
            continue
        rows = run.pairing.rows(Mode(startup.mode))
        mine = rows[models[rows] == startup.model]
        given = sum(start.records or 0 for start in startup.starts)
        counted += len(mine)
        if len(mine) > given:
            bad.append(f"{startup.file}: {len(mine)} records, its starts gave {given}")
        told, times = np.unique(run.records.column("start")[mine], return_counts=True)
        gave = {n: start.records or 0 for n, start in startup.answering()}
        bad += [
            f"{startup.file}: {n} records of start {number}, which gave {gave.get(number, 0)}"
            for number, n in zip(told.tolist(), times.tolist(), strict=True)
            if number and n > gave.get(number, 0) and len(mine) <= given
        ]
    if bad:
        return failed("records of a server that no start-up file tells of: ", bad)
    told_of = [start for s in run.files.startups for _, start in s.answering()]
    if not (counted or bad) and told_of and all(start.records is not None for start in told_of):
        return ok("a start that was killed does not tell how many records it gave")
    if not counted:
        return not_checked("no start-up file says how many records its server gave")
    return ok(f"{counted} records, each from a start that is told of")


@check(OF_EVIDENCE)
def _verdicts_follow_from_evidence(run: Checked) -> Outcome:
    """A mode is not proven by a verdict that its log's evidence does not give.

    The log is read again where it is in the folder as it was written; else its quoted lines are.
    """
    starts = [
        (startup, number, start)
        for startup in run.files.startups
        for number, start in startup.answering()
        if startup.mode in set(MODES)
        and start.verdict == PROVEN.get(Mode(startup.mode))
        and (start.evidence.verdict is not None or run.files.made_by_the_harness)
    ]
    if not starts:
        return not_checked("no start-up file holds the verdict of its log alone")
    bad = [
        f"{startup.file}: start {number} is told as {start.verdict}, {why}"
        for startup, number, start in starts
        if (why := unfounded(run.log_of(start), Mode(startup.mode), start))
    ]
    if bad:
        return failed("verdicts that the logs do not give: ", bad)
    return ok(f"{len(starts)} verdicts are those of the logs")


def unfounded(log: str | None, mode: Mode, start: Start) -> str:
    """Why a start's log does not give its verdict; empty if it does.

    Args:
        log: its text as it was written; ``None``: not at hand, and its quoted lines are read.
    """
    told = start.evidence
    if told.verdict != start.verdict:
        return f"its log shows {told.verdict or 'nothing, for nothing of it is quoted'}"
    if log is None:
        return gap_in_quotes(told, mode)
    environment = start.server.get("environment")
    known = environment if isinstance(environment, Mapping) else None
    again = judge_server(log, mode=mode, environment=known)
    if again.verdict != told.verdict:
        lack = f": {again.missing[0]}" if again.missing else ""
        return f"its log, read again, gives {again.verdict}{lack}"
    quoted = {(one.line, one.text) for one in told.lines}
    if quoted != {(one.number, one.text) for one in again.lines}:
        return "which quotes other lines than its log holds"
    if (told.vllm_version, told.workers or again.workers) != (again.vllm_version, again.workers):
        return f"its log is of vLLM {again.vllm_version} with {count_of(again.workers, 'worker')}"
    return ""
