"""A blinded sheet for people, and what they judged: added to what is there, and summed up."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec import to_builtins

from harness import people, report
from harness.errors import UsageError, raise_all
from harness.files import read_lines, read_text, write_json, write_new
from harness.jobs import Done, Remark
from harness.locks import one_writer
from harness.numbers import count_of
from harness.records import (
    METADATA,
    LineFault,
    append_sealed,
    first_record,
    is_sealed,
    iter_records,
    mend_tail,
    read_run_files,
    set_aside,
    value_in,
)

_FILE = "adjudications.jsonl"
_SUPERSEDED = f"superseded_{_FILE}"
_TORN = "adjudications.torn"
_MEND = "--set-aside moves such lines away; then import their sheets again"


def send_out(
    run: Path, out: Path, *, by: people.By, controls: float, seed: int, tasks: Path | None
) -> Done:
    """Write a blinded sheet of a run's flips or patterns with its rubric, and the key beside them.

    Raises:
        UsageError: the run cannot be read, or ``out`` has an export already.
    """
    files = read_run_files(run)
    first_record(files.records_path)
    prompts = report.prompts_of(files, tasks)
    rows = (record for _, record in iter_records(files.records_path))
    name = files.run_id or files.records_path.name
    drawn = people.build_export(
        rows, run_id=name, prompts=prompts, controls=controls, seed=seed, by=by
    )
    raters, pretty = out / "for_raters", partial(json.dumps, ensure_ascii=False, indent=2)
    texts = {
        raters / "sheet.csv": "\ufeff" + people.sheet_csv(drawn.items),
        raters / "label_studio_tasks.json": pretty(people.studio_tasks(drawn.items)) + "\n",
        raters / "label_studio_config.xml": people.studio_config(),
        raters / "rubric.md": people.rubric_text(item.rubric for item in drawn.items),
        out / "key.json": pretty(drawn.key.as_json()) + "\n",
    }
    write_new(texts, hint="choose another folder with -o")
    blind = Remark("the run's tasks are not here: the sheet has no prompts (--tasks)")
    return Done(list(texts) if prompts else [blind, *texts])


def take_in(sheets: Sequence[Path], key: Path, run: Path | None, *, aside: bool = False) -> Done:
    """Check filled sheets against the key, add them to those that are there, and sum up.

    Args:
        aside: lines that are no judgements, or not those that were taken in, are moved away first.

    Raises:
        UsageError: a file cannot be read or has a bad line; nothing is added then.
        EnvironmentError_: the judgements cannot be written, or somebody else writes them.
    """
    answers, folder = people.read_key(read_text(key), str(key)), run or key.parent
    own = read_run_files(folder).run_id if (folder / METADATA).is_file() else None
    if own not in (None, answers.run_id):
        what = f"this key is of run {answers.run_id}, and the folder is run {own}"
        raise UsageError(what, file=key, hint="give that run with --run, or the key of its sheet")
    target, remarks = folder / _FILE, list[Remark]()
    with one_writer(folder):
        faults = _kept(target, answers).faults
        if faults and not aside:
            raise_all(faults)
        if torn := mend_tail(target, folder / _TORN, _is_whole):
            told = f"a half-written judgement ({torn.size} bytes) is now in {torn.kept_in}"
            remarks.append(Remark(f"{told}: import its sheet again"))
        if faults:
            there = folder / _SUPERSEDED
            moved = set_aside(target, {fault.line or 0 for fault in faults}, there)
            told = f"{count_of(moved, 'line')} set aside in {there}: import their sheets again"
            remarks.append(Remark(told))
        kept = _kept(target, answers)
        if kept.unsealed:
            count = count_of(len(kept.unsealed), "judgement")
            told = f"{count} in {target} without a checksum, of an older version"
            remarks.append(Remark(f"{told}: a change in them is not seen"))
        new: list[people.Judgement] = []
        for sheet in sheets:
            judged = people.read_judgements(read_text(sheet), str(sheet), answers)
            new += people.not_yet_there(judged, [*kept.judgements, *new], str(sheet))
        if new:
            # older lines get a checksum first: none stays bare beside one that has it
            append_sealed(target, (item.as_json() for item in (*kept.unsealed.values(), *new)))
            set_aside(target, kept.unsealed, folder / _SUPERSEDED)
        mine = [item for item in (*kept.judgements, *new) if item.item_id in answers.items]
        outcome = people.adjudicate(mine, answers)
        write_json(folder / "adjudication.json", to_builtins(outcome))
    remarks.append(Remark(f"{len(new)} new judgements in {target}"))
    return Done([*remarks, *report.outcome_lines(outcome)], outcome)


@dataclass(frozen=True, slots=True)
class _Kept:
    """The judgements that were taken in before.

    Attributes:
        faults: lines that are none, or not as they were taken in; a last one without its end is
            the next writer's.
        unsealed: what an older version wrote, without a checksum, by line; where any line of the
            file has one, a line without is a fault.
    """

    judgements: list[people.Judgement]
    faults: list[UsageError]
    unsealed: dict[int, people.Judgement]


def _kept(path: Path, key: people.AnswerKey) -> _Kept:
    judged: dict[tuple[str, str], people.Judgement] = {}
    faults, unsealed = list[UsageError](), dict[int, people.Judgement]()
    ends = path.read_bytes().count(b"\n") if path.is_file() else 0
    sealed = any(_has_sum(line) for _, line in read_lines(path)) if ends else False
    for number, line in read_lines(path) if ends else ():
        if number > ends:
            break
        try:
            has_sum = is_sealed(line)
            if sealed and not has_sum:
                raise LineFault("it has no checksum, and another line has one")
            one = value_in(line, people.Judgement)
            if fault := people.stored_fault(one, key):
                raise LineFault(fault)
            if (one.item_id, people.rater_of(one.rater)) in judged:
                raise LineFault(f"{one.rater} has judged {one.item_id} on a line before it")
        except LineFault as fault:
            what = f"no judgement as it was taken in: {fault}"
            faults.append(UsageError(what, file=path, line=number, hint=_MEND))
            continue
        judged[one.item_id, people.rater_of(one.rater)] = one
        if not has_sum:
            unsealed[number] = one
    return _Kept(list(judged.values()), faults, unsealed)


def _has_sum(line: bytes) -> bool:
    """Whether a line ends in a checksum, be it its own or another."""
    try:
        return is_sealed(line)
    except LineFault:
        return True


def _is_whole(line: bytes) -> bool:
    """Whether a last line without its end is a whole one, be it of an older version."""
    return is_sealed(line) or bool(value_in(line, people.Judgement))
