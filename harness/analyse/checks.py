"""Checks that a records file must pass in itself, whatever run it came from.

Each is called by the name of its finding. Their order is that of a reader's questions.
"""

import numpy as np

from harness.analyse.carried import scarce_rows
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
from harness.analyse.computing import servers_compute
from harness.analyse.stack import tokens_a_step
from harness.numbers import count_of
from harness.words import MODES, DispatchMode, Effect

OF_RECORDS: dict[str, Look] = {}
_MEET = (
    " (where asking again ends so too, as where the stagger is longer than the answers: a shorter "
    "--stagger-ms or longer answers, in a new run)"
)


@check(OF_RECORDS)
def _records_readable(run: Checked) -> Outcome:
    bad = [p for p in run.records.problems if not p.truncated]
    if bad:
        places = [f"line {p.line}: {p.message}" for p in bad]
        return failed(f"{count_of(len(bad), 'line')} without a record: ", places)
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
        return failed(f"{count_of(len(twice), 'duplicate')}: ", places)
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
    return failed(f"{count_of(len(bad), 'record')} failed: ", places)


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
        return failed(f"{count_of(len(missing), 'candidate')} without a partner: ", missing)
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
    one, other = (run.records.column("prompt_tokens")[slot[both]] for slot in (standard, invariant))
    where = both[(one != other) & (one > 0) & (other > 0)].tolist()
    differing += [f"tokens of the prompt of {key_name(run.records.keys[i])}" for i in where]
    if differing:
        return failed("the two modes differ in ", differing)
    if not np.any(run.records.column("group")[standard[both]] != 0):
        return not_checked("the records do not hold prompt hashes and batches")
    return ok(f"{len(both)} pairs asked the same")


@check(OF_RECORDS)
def _flags_agree_with_scores_and_hashes(run: Checked) -> Outcome:
    column, frame = run.records.column, run.records.frame
    told, found = frame["stated_pattern"].astype(object), frame["pattern"].astype(object)
    known = told.notna().to_numpy()
    if not (known | (column("stated_flip") >= 0) | (column("stated_change") >= 0)).any():
        return not_checked("label_flip and text_change are not recorded")
    lines = []
    for flag, name in (("label_flip", "stated_flip"), ("text_change", "stated_change")):
        wrong = column("ok") & (column(name) >= 0) & (column(name) != column(flag))
        lines += [f"line {line}: {flag}" for line in run.lines(wrong)]
    other = known & (told != found).to_numpy()
    lines += [f"line {line}: pattern" for line in run.lines(other)]
    if lines:
        return failed("recorded flags contradict the record: ", lines)
    return ok("label_flip and text_change are what scores and hashes say")


@check(OF_RECORDS)
def _no_flip_without_text_change(run: Checked) -> Outcome:
    column = run.records.column
    flips = column("label_flip") & ~column("text_change")
    sure = column("ok") & ~np.isin(column("line"), run.records.checks.contradicted)
    for effect in Effect:
        flips |= sure & (column(f"{effect}_flip") == 1) & (column(f"{effect}_text") == 0)
    if odd := run.lines(flips):
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
        told = [f"line {line} ({', '.join(e.words for e in moved)})" for line, moved in bad]
        return warning(f"{count_of(len(bad), 'record')} with one text in other token ids: ", told)
    column = run.records.column
    unknown = column("compared_tokens") < 0
    for effect in Effect:
        unknown |= (column(f"{effect}_text") >= 0) & (column(f"{effect}_tokens") < 0)
    if (unknown & column("ok")).any():
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
    ok_, witnessed = run.records.column("ok"), run.records.column("witnessed")
    if bad := run.lines(vacuous := ok_ & run.records.column("vacuous")):
        ways = run.records.candidates["dispatch_mode"].to_numpy()[
            run.records.column("key")[vacuous]
        ]
        step = "" if set(ways) <= {DispatchMode.GATED} else _MEET
        return failed(
            f"{count_of(len(bad), 'record')} vacuous: the batch's requests never shared an engine "
            f"step, or a solo one did{step}: ",
            at(bad),
        )
    if bad := run.lines(scarce_rows(run.records, tokens_a_step(run.files))):
        return warning(
            f"{count_of(len(bad), 'record')} hardly were in a batch: fewer engine steps were "
            "shared than half of the prompt's answer takes: ",
            at(bad),
        )
    seen, of = int((ok_ & witnessed).sum()), int(ok_.sum())
    if not seen:
        return not_checked("no record holds a witness of the engine's steps")
    if seen < of:
        lines = run.lines(ok_ & ~witnessed)
        return warning(
            f"{len(lines)} of {count_of(of, 'record')} without a whole witness: ", at(lines)
        )
    return ok(f"{seen} records: batches shared engine steps, solo askings did not")


check(OF_RECORDS)(servers_compute)


@check(OF_RECORDS)
def _batches_sent_once(run: Checked) -> Outcome:
    solo = int((run.records.column("solo_attempts") > 1).sum())
    if again := run.lines(run.records.column("batch_attempts") > 1):
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
    repeats = int(run.records.column("solo_repeats").sum())
    if not repeats:
        return not_checked("nothing was asked again with nothing changed (controls.askings)")
    if lines := run.lines(run.records.column("solo_repeat_changes") > 0):
        return warning(
            f"{count_of(len(lines), 'record')} changed when the same was asked again: ", at(lines)
        )
    return ok(f"{repeats} repeats, none with another text")
