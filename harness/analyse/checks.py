"""Checks that a records file must pass in itself, whatever run it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.findings import Finding
from harness.numbers import shortened
from harness.records import Pairing, RecordKey, Records
from harness.words import MODES


def key_name(key: RecordKey) -> str:
    """A candidate in words."""
    return f"{key[0]} {key[1]}/{key[2]} batch {key[3]} {key[4]}"


def check_records(records: Records, pairing: Pairing) -> list[Finding]:
    """Every check of the records in themselves, in the order of a reader's questions."""
    checks: Sequence[Callable[[Records, Pairing], Finding]] = (
        _readable,
        _whole,
        _one_run,
        _no_duplicates,
        _no_errors,
        _paired,
        _same_question,
        _flags_agree,
        _flips_change_text,
        _hashes_agree,
        _scores_agree,
        _answers_finished,
        _batches_sent_once,
        _noise_floor,
    )
    return [look(records, pairing) for look in checks]


def _readable(records: Records, _: Pairing) -> Finding:
    check = "records_readable"
    bad = [p for p in records.problems if not p.truncated]
    if bad:
        places = shortened((f"line {p.line}: {p.message}" for p in bad), len(bad))
        return Finding.failed(check, f"{len(bad)} line(s) are no records: {places}")
    if not len(records) and not records.problems:
        return Finding.failed(check, "the records file is empty")
    return Finding.ok(check, f"{len(records)} records read")


def _whole(records: Records, _: Pairing) -> Finding:
    check = "last_line_whole"
    cut = next((p for p in records.problems if p.truncated), None)
    if cut is not None:
        return Finding.failed(check, f"line {cut.line}: {cut.message}")
    return Finding.ok(check, "the file ends with a whole line")


def _one_run(records: Records, _: Pairing) -> Finding:
    check = "one_run"
    runs = records.runs
    if len(runs) > 1:
        return Finding.failed(
            check, f"records of {len(runs)} runs are mixed: {shortened(runs, len(runs))}"
        )
    return Finding.ok(check, f"run {runs[0]}" if runs else "no run id is recorded")


def _no_duplicates(records: Records, pairing: Pairing) -> Finding:
    check = "no_duplicates"
    twice = pairing.duplicates
    if twice:
        places = (f"{key_name(d.key)} {d.mode} on lines {d.first_line} and {d.line}" for d in twice)
        return Finding.failed(check, f"{len(twice)} duplicate(s): {shortened(places, len(twice))}")
    again = f", {pairing.superseded} failed ones replaced later" if pairing.superseded else ""
    return Finding.ok(check, f"one record a candidate and mode{again}")


def _no_errors(records: Records, pairing: Pairing) -> Finding:
    check = "no_record_errors"
    rows = np.concatenate([pairing.rows(mode) for mode in MODES])
    bad = rows[~records.column("ok")[rows]].tolist()
    lines = records.column("line")
    if not bad:
        return Finding.ok(check, f"{len(rows)} records are ok")
    places = (f"line {lines[row]}: {records.errors[row]}" for row in bad)
    return Finding.failed(check, f"{len(bad)} record(s) failed: {shortened(places, len(bad))}")


def _paired(records: Records, pairing: Pairing) -> Finding:
    check = "every_candidate_in_both_modes"
    modes = pairing.modes()
    if len(modes) < 2:
        only = str(modes[0]) if modes else "none"
        return Finding.not_checked(check, f"the records have one mode ({only}): nothing to pair")
    missing = [
        f"{key_name(records.keys[index])} has no record in mode {mode}"
        for mode in modes
        for index in np.flatnonzero(pairing.slots[mode] < 0).tolist()
    ]
    if missing:
        places = shortened(missing, len(missing))
        return Finding.failed(check, f"{len(missing)} candidate(s) without a partner: {places}")
    return Finding.ok(check, f"{len(records.candidates)} candidates, each once a mode")


def _same_question(records: Records, pairing: Pairing) -> Finding:
    check = "same_prompt_batch_and_sampling"
    standard, invariant = (pairing.slots[mode] for mode in MODES)
    both = np.flatnonzero((standard >= 0) & (invariant >= 0))
    if not len(both):
        return Finding.not_checked(check, "there are no pairs")
    differing: list[str] = []
    for word, name in (
        ("prompt", "prompt"),
        ("batch", "group"),
        ("sampling", "settings"),
        ("domain", "domain"),
    ):
        column = records.column(name)
        where = both[column[standard[both]] != column[invariant[both]]].tolist()
        differing += [f"{word} of {key_name(records.keys[index])}" for index in where]
    if differing:
        places = shortened(differing, len(differing))
        return Finding.failed(check, f"the two modes differ in {places}")
    if not np.any(records.column("group")[standard[both]] != 0):
        return Finding.not_checked(check, "the records do not hold prompt hashes and batches")
    return Finding.ok(check, f"{len(both)} pairs asked the same")


def _flags_agree(records: Records, _: Pairing) -> Finding:
    check = "flags_agree_with_scores_and_hashes"
    frame = records.frame
    if not (frame["stated_flip"] >= 0).any() and not (frame["stated_change"] >= 0).any():
        return Finding.not_checked(check, "label_flip and text_change are not recorded")
    lines = [
        f"line {line}: {flag}"
        for flag, stated in (("label_flip", "stated_flip"), ("text_change", "stated_change"))
        for line in frame.loc[
            frame["ok"] & (frame[stated] >= 0) & (frame[stated] != frame[flag]), "line"
        ]
    ]
    if lines:
        return Finding.failed(
            check, f"recorded flags contradict the record: {shortened(lines, len(lines))}"
        )
    return Finding.ok(check, "label_flip and text_change are what scores and hashes say")


def _flips_change_text(records: Records, _: Pairing) -> Finding:
    check = "no_flip_without_text_change"
    frame = records.frame
    odd = frame.loc[frame["label_flip"] & ~frame["text_change"], "line"].tolist()
    if odd:
        places = shortened((f"line {line}" for line in odd), len(odd))
        return Finding.failed(check, f"the same text has two labels: {places}")
    return Finding.ok(check, "every label flip is a text change")


def _hashes_agree(records: Records, _: Pairing) -> Finding:
    check = "hashes_agree_with_texts"
    bad = records.checks.hash_mismatches
    if bad:
        places = shortened((f"line {line}" for line in bad), len(bad))
        return Finding.failed(check, f"a text does not have its recorded SHA-256: {places}")
    if not records.checks.texts_hashed:
        return Finding.not_checked(check, "the records hold no texts")
    return Finding.ok(check, f"{records.checks.texts_hashed} texts have their recorded SHA-256")


def _scores_agree(records: Records, _: Pairing) -> Finding:
    check, bad = "scores_agree_with_answers", records.checks.contradicted
    if bad:
        places = shortened((f"line {line}" for line in bad), len(bad))
        return Finding.failed(check, f"a score or label is not that of its answer: {places}")
    if not records.checks.answers:
        return Finding.not_checked(check, "the records hold no answers")
    return Finding.ok(check, "scores and labels are those of the answers")


def _answers_finished(records: Records, _: Pairing) -> Finding:
    check = "answers_finished"
    bad = records.checks.unfinished
    if bad:
        places = shortened((f"line {line}" for line in bad), len(bad))
        return Finding.failed(check, f"the server gave an answer up (abort or error): {places}")
    if not records.checks.answers:
        return Finding.not_checked(check, "finish reasons are not recorded")
    return Finding.ok(check, "no answer was aborted")


def _batches_sent_once(records: Records, _: Pairing) -> Finding:
    check = "batches_sent_once"
    frame = records.frame
    again = frame.loc[frame["batch_attempts"] > 1, "line"].tolist()
    solo = int((frame["solo_attempts"] > 1).sum())
    if again:
        places = shortened((f"line {line}" for line in again), len(again))
        return Finding.warning(
            check,
            f"{len(again)} batch(es) were sent again whole, so their timing was another: {places}",
        )
    if not records.checks.answers:
        return Finding.not_checked(check, "attempts are not recorded")
    return Finding.ok(
        check, "no batch was sent again" + (f"; {solo} solo prompts were" if solo else "")
    )


def _noise_floor(records: Records, _: Pairing) -> Finding:
    check = "noise_floor"
    frame = records.frame
    repeats = int((frame["solo_repeats"] + frame["batch_repeats"]).sum())
    if not repeats:
        return Finding.not_checked(check, "nothing was asked twice (controls.solo_repeats)")
    moved = frame["solo_repeat_changes"] + frame["batch_repeat_changes"]
    lines = frame.loc[moved > 0, "line"].tolist()
    if lines:
        places = shortened((f"line {line}" for line in lines), len(lines))
        return Finding.warning(
            check, f"{len(lines)} record(s) changed when the same was asked again: {places}"
        )
    return Finding.ok(check, f"{repeats} repeats, none with another text")
