"""Checks that a records file must pass in itself, whatever run it came from.

Each is called by the name of its finding. Their order is that of a reader's questions.
"""

from collections import Counter
from typing import Any

import numpy as np

from harness.analyse.checked import (
    Checked,
    Look,
    Outcome,
    at,
    check,
    failed,
    key_name,
    not_checked,
    ok,
    warning,
)
from harness.words import MODES, Mode

OF_RECORDS: dict[str, Look] = {}
_PROMPT = ["task_name", "sample_id"]
_DEGENERATE, _ALIKE = 0.5, 0.9
"""Shares of a server's prompts with a degenerate, and with one and the same answer."""
_FEWEST, _FEWEST_LONG, _LONG = 8, 3, 8
"""Prompts of which the second says anything, and where the answers have more tokens than that."""


@check(OF_RECORDS)
def _records_readable(run: Checked) -> Outcome:
    bad = [p for p in run.records.problems if not p.truncated]
    if bad:
        places = [f"line {p.line}: {p.message}" for p in bad]
        return failed(f"{len(bad)} line(s) are no records: ", places)
    if not len(run.records) and not run.records.problems:
        return failed("the records file is empty")
    return ok(f"{len(run.records)} records read")


@check(OF_RECORDS)
def _last_line_whole(run: Checked) -> Outcome:
    cut = next((p for p in run.records.problems if p.truncated), None)
    if cut is not None:
        return failed(f"line {cut.line}: {cut.message}")
    return ok("the file ends with a whole line")


@check(OF_RECORDS)
def _lines_sealed(run: Checked) -> Outcome:
    """A line that lost its checksum, or has another one, is none (`records_readable`)."""
    sealed, there = run.records.checks.sealed, len(run.records)
    if not sealed:
        return not_checked("no line carries a checksum: damage to these records would not be seen")
    if sealed < there:
        return warning(f"{there - sealed} of {there} records carry no checksum")
    return ok(f"{sealed} records have the checksum of their line")


@check(OF_RECORDS)
def _ids_are_of_their_candidates(run: Checked) -> Outcome:
    if not run.records.checks.sealed:
        return not_checked("the records' ids are not the harness's own")
    if bad := run.records.checks.misnamed:
        return failed("a record id is not that of its candidate and mode: ", at(bad))
    return ok("every record id is that of its candidate and mode")


@check(OF_RECORDS)
def _one_run(run: Checked) -> Outcome:
    runs = run.records.runs
    if len(runs) > 1:
        return failed(f"records of {len(runs)} runs are mixed: ", runs)
    if runs and run.files.run_id not in (None, runs[0]):
        return failed(f"the records are of run {runs[0]}, and metadata.json of {run.files.run_id}")
    return ok(f"run {runs[0]}" if runs else "no run id is recorded")


@check(OF_RECORDS)
def _no_duplicates(run: Checked) -> Outcome:
    twice = run.pairing.duplicates
    if twice:
        places = [f"{key_name(d.key)} {d.mode} on lines {d.first_line} and {d.line}" for d in twice]
        return failed(f"{len(twice)} duplicate(s): ", places)
    again = (
        f", {run.pairing.superseded} failed ones replaced later" if run.pairing.superseded else ""
    )
    return ok(f"one record a candidate and mode{again}")


@check(OF_RECORDS)
def _no_record_errors(run: Checked) -> Outcome:
    rows = np.concatenate([run.pairing.rows(mode) for mode in MODES])
    bad = rows[~run.records.column("ok")[rows]].tolist()
    lines = run.records.column("line")
    if not bad:
        return ok(f"{len(rows)} records are ok")
    places = [f"line {lines[row]}: {run.records.errors[row]}" for row in bad]
    return failed(f"{len(bad)} record(s) failed: ", places)


@check(OF_RECORDS)
def _every_candidate_in_both_modes(run: Checked) -> Outcome:
    modes = run.pairing.modes()
    if len(modes) < 2:
        only = str(modes[0]) if modes else "none"
        return not_checked(f"the records have one mode ({only}): nothing to pair")
    missing = [
        f"{key_name(run.records.keys[index])} has no record in mode {mode}"
        for mode in modes
        for index in np.flatnonzero(run.pairing.slots[mode] < 0).tolist()
    ]
    if missing:
        return failed(f"{len(missing)} candidate(s) without a partner: ", missing)
    return ok(f"{len(run.records.candidates)} candidates, each once a mode")


@check(OF_RECORDS)
def _same_prompt_batch_and_sampling(run: Checked) -> Outcome:
    standard, invariant = (run.pairing.slots[mode] for mode in MODES)
    both = np.flatnonzero((standard >= 0) & (invariant >= 0))
    if not len(both):
        return not_checked("there are no pairs")
    differing: list[str] = []
    for word, name in (
        ("prompt", "prompt"),
        ("batch", "group"),
        ("sampling", "settings"),
        ("domain", "domain"),
    ):
        column = run.records.column(name)
        where = both[column[standard[both]] != column[invariant[both]]].tolist()
        differing += [f"{word} of {key_name(run.records.keys[index])}" for index in where]
    if differing:
        return failed("the two modes differ in ", differing)
    if not np.any(run.records.column("group")[standard[both]] != 0):
        return not_checked("the records do not hold prompt hashes and batches")
    return ok(f"{len(both)} pairs asked the same")


@check(OF_RECORDS)
def _flags_agree_with_scores_and_hashes(run: Checked) -> Outcome:
    frame = run.records.frame
    told, found = frame["stated_pattern"].astype(object), frame["pattern"].astype(object)
    flags = (frame["stated_flip"] >= 0) | (frame["stated_change"] >= 0)
    if not (flags | told.notna()).any():
        return not_checked("label_flip and text_change are not recorded")
    lines = [
        f"line {line}: {flag}"
        for flag, stated in (("label_flip", "stated_flip"), ("text_change", "stated_change"))
        for line in frame.loc[
            frame["ok"] & (frame[stated] >= 0) & (frame[stated] != frame[flag]), "line"
        ]
    ]
    wrong = told.notna() & (told != found)
    lines += [f"line {line}: pattern" for line in frame.loc[wrong, "line"]]
    if lines:
        return failed("recorded flags contradict the record: ", lines)
    return ok("label_flip and text_change are what scores and hashes say")


@check(OF_RECORDS)
def _no_flip_without_text_change(run: Checked) -> Outcome:
    frame = run.records.frame
    odd = frame.loc[frame["label_flip"] & ~frame["text_change"], "line"].tolist()
    if odd:
        return failed("the same text has two labels: ", at(odd))
    return ok("every label flip is a text change")


@check(OF_RECORDS)
def _hashes_agree_with_texts(run: Checked) -> Outcome:
    bad = run.records.checks.hash_mismatches
    if bad:
        return failed("a text does not have its recorded SHA-256: ", at(bad))
    if not run.records.checks.texts_hashed:
        return not_checked("the records hold no texts")
    return ok(f"{run.records.checks.texts_hashed} texts have their recorded SHA-256")


@check(OF_RECORDS)
def _equal_texts_equal_tokens(run: Checked) -> Outcome:
    """A batch may move tokens without the text: no change of text, and a change all the same."""
    if bad := run.records.checks.retokenized:
        return warning("askings of one text have other token ids: ", at(bad))
    if not run.records.checks.answers:
        return not_checked("token ids are not recorded")
    return ok("askings of one text have one sequence of tokens")


@check(OF_RECORDS)
def _scores_agree_with_answers(run: Checked) -> Outcome:
    bad = run.records.checks.contradicted
    if bad:
        return failed("a score or label is not that of its answer: ", at(bad))
    if not run.records.checks.answers:
        return not_checked("the records hold no answers")
    return ok("scores and labels are those of the answers")


@check(OF_RECORDS)
def _answers_finished(run: Checked) -> Outcome:
    bad = run.records.checks.unfinished
    if bad:
        return failed("an answer ended in neither stop nor length: ", at(bad))
    if run.files.made_by_the_harness and (bad := run.records.checks.unended):
        return failed("it is not told how an answer ended: ", at(bad))
    if not run.records.checks.answers:
        return not_checked("finish reasons are not recorded")
    return ok("no answer was aborted")


@check(OF_RECORDS)
def _batches_shared_steps(run: Checked) -> Outcome:
    """A batch whose requests never met in an engine step is evidence of nothing."""
    frame = run.records.frame[run.records.column("ok")]
    bad = frame.loc[frame["vacuous"], "line"].tolist()
    if bad:
        return failed(
            f"{len(bad)} record(s) are vacuous: the batch's requests never shared an engine step, "
            "or a solo one did: ",
            at(bad),
        )
    seen = int(frame["witnessed"].sum())
    if not seen:
        return not_checked("no record holds a witness of the engine's steps")
    if seen < len(frame):
        lines = frame.loc[~frame["witnessed"], "line"].tolist()
        return warning(f"{len(lines)} of {len(frame)} record(s) have no whole witness: ", at(lines))
    return ok(f"{seen} records: batches shared engine steps, solo askings did not")


def _by_start(run: Checked) -> Any:
    """The good records and their start; where they do not name it, by how many each start gave."""
    frame = run.records.frame.join(
        run.records.candidates[["model", "dispatch_mode", *_PROMPT]], on="key"
    )
    for startup in run.files.startups:
        own = (frame["model"] == startup.model) & (frame["start"] == 0)
        own &= frame["mode"] == MODES.index(Mode(startup.mode)) if startup.mode in MODES else False
        given = [(number, start.records or 0) for number, start in startup.answering()]
        if own.sum() == sum(records for _, records in given):
            numbers = [number for number, n in given for _ in range(n)]
            frame.loc[own, "start"] = np.array(numbers, np.int32)
    return frame[frame["ok"]]


def _idle(name: str, empty: int, same: int, of: int, fewest: int) -> list[str]:
    if empty > of * _DEGENERATE:
        return [f"{name}: {empty} of {of} answers are empty or a few tokens over and over"]
    if same > of * _ALIKE and of >= fewest:
        return [f"{name}: {same} of {of} different prompts have the same answer"]
    return []


@check(OF_RECORDS)
def _servers_compute(run: Checked) -> Outcome:
    """A server that says the same, or nothing, to everything has not been asked anything.

    By model and mode, and by each start of a server and each way of sending, over the answers to
    different prompts, alone and in the batch, and over those to companions; see docs/verdict.md.
    """
    frame = _by_start(run)
    bad: list[str] = []
    servers = frame.drop_duplicates(["model", "mode", *_PROMPT]).groupby(["model", "mode"])
    sent = ["model", "mode", "start", "dispatch_mode"]
    lifetimes = frame.drop_duplicates([*sent, *_PROMPT]).groupby(sent, observed=True)
    told: set[tuple[str, int]] = set()
    for (model, mode, *start), asked in (*servers, *lifetimes):
        of, length = len(asked), int(asked["compared_tokens"].min())
        if start and (of < _FEWEST_LONG or (model, mode) in told):
            continue
        name = f"{model} in {MODES[mode]} mode" + "".join(
            f", {what}{part}" for what, part in zip(("start ", ""), start, strict=False) if part
        )
        # the most frequent answer, alone or in the batch
        same = max(int(asked[side].value_counts().max()) for side in ("solo_hash", "batch_hash"))
        fewest = _FEWEST_LONG if length > _LONG else _FEWEST
        if idle := _idle(name, int(asked["degenerate"].sum()), same, of, fewest):
            told.add((model, mode))
            bad += idle
    for (
        (model, of_mode),
        start_of,
        way,
    ), said in run.records.checks.batches.companions.said.items():
        texts = Counter(text for text, _ in said.values())
        blank = sum(degenerate for _, degenerate in said.values())
        name = f"companions of {model} in {of_mode} mode, {way}"
        name += f", start {start_of}" if start_of else ""
        if len(said) >= _FEWEST_LONG:
            bad += _idle(name, blank, texts.most_common(1)[0][1], len(said), 2 * _FEWEST)
    if bad:
        return failed("the server does not show that it computes: ", bad)
    return ok(f"{len(servers)} server(s) answer different prompts differently")


@check(OF_RECORDS)
def _batches_sent_once(run: Checked) -> Outcome:
    frame = run.records.frame
    again = frame.loc[frame["batch_attempts"] > 1, "line"].tolist()
    solo = int((frame["solo_attempts"] > 1).sum())
    if again:
        return warning(
            f"{len(again)} batch(es) were sent again whole, so their timing was another: ",
            at(again),
        )
    if not run.records.checks.answers:
        return not_checked("attempts are not recorded")
    return ok("no batch was sent again" + (f"; {solo} solo prompts were" if solo else ""))


@check(OF_RECORDS)
def _noise_floor(run: Checked) -> Outcome:
    """The same prompt alone again is answered as before; `batches_repeat` looks at batches."""
    frame = run.records.frame
    repeats = int(frame["solo_repeats"].sum())
    if not repeats:
        return not_checked("nothing was asked again with nothing changed (controls.askings)")
    lines = frame.loc[frame["solo_repeat_changes"] > 0, "line"].tolist()
    if lines:
        return warning(f"{len(lines)} record(s) changed when the same was asked again: ", at(lines))
    return ok(f"{repeats} repeats, none with another text")
