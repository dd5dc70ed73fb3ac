"""Answers that differ, side by side, within a stated budget: in a run, or from A to B."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from sys import intern
from typing import Any, TypeVar

from harness.compare import (
    CandidateChange,
    Comparison,
    FlipChange,
    SampleChange,
    SampleComparison,
)
from harness.files import rows_at
from harness.numbers import NONE, count_of, score_text
from harness.records import (
    Answer,
    Record,
    RecordKey,
    first_difference,
    part,
    records_at,
)
from harness.report.answer_windows import (
    Piece,
    answer_limit,
    answer_view,
    beyond,
    changed_words,
    narrowed,
    text_view,
)
from harness.report.causes import change_sentence
from harness.report.document import Change, Example, Group
from harness.report.wording import wording
from harness.words import Asking, Effect, Mode

MAX_FLIPS = 10_000
MAX_TEXT_CHANGES = 2_000
MAX_PROMPT = 4_000
MAX_CO_BATCHED = 64
MAX_SHOWN = 1_000
"""Changes of one kind from A to B that are shown with their answers."""
MAX_EXAMPLES = 3
MAX_ASKED, MAX_EXCERPT = 300, 240
"""Characters of a question, and of each answer, at the top of a page."""
_TURN = re.compile(r"<\|im_start\|>user\n(.*?)<\|im_end\|>", re.S)
_MARKS = re.compile(r"(==\w+==|__\w+__)")
_KEPT_SCORE = "changed and kept the score"

Row = Mapping[str, Any]
C = TypeVar("C", CandidateChange, SampleChange)
R = TypeVar("R", Record, Row)

Outcomes = dict[Mode, dict[RecordKey, str]]
"""Mode, then candidate, then what happened; few distinct texts, so they are interned."""

_KINDS: dict[str, Callable[[CandidateChange], bool]] = {
    "new-flips": lambda change: change.flip is FlipChange.APPEARED,
    "solo-changes": lambda change: change.solo.text_changed,
    "gone-flips": lambda change: change.flip is FlipChange.VANISHED,
    "stayed-flips": lambda change: change.flip is FlipChange.STAYED,
    "batched-changes": lambda change: change.batched.text_changed,
}


_NO_PROMPT = "the task file that was used is not here, or is another"


def changed_pairs(records: Iterable[Record], prompts: Mapping[str, str]) -> tuple[Group, Group]:
    """Walk the records once and keep those whose answers differ.

    Args:
        records: of a run, in file order.
        prompts: prompt texts by their SHA-256, for those whose task files were found.

    Returns:
        Label flips, and text changes without one, numbered through.
    """
    most = {"flip": MAX_FLIPS, "text": MAX_TEXT_CHANGES}
    kept: dict[str, list[Record]] = {"flip": [], "text": []}
    total: Counter[str] = Counter()
    outcomes: Outcomes = {}
    for record in records:
        said = f"no answer ({record.error or 'error'})"
        if record.ok:
            said = f"{_scores(record)}, text {'changed' if record.text_change else 'identical'}"
        outcomes.setdefault(record.mode, {})[record.key] = intern(f"{record.mode}: {said}")
        kind = "flip" if record.label_flip else "text" if record.text_change else None
        if kind:
            total[kind] += 1
            if total[kind] <= most[kind]:
                kept[kind].append(record)
    limit = answer_limit(sum(map(len, kept.values())))
    firsts = {"flip": 1, "text": 1 + len(kept["flip"])}
    flips, texts = (
        tuple(
            _pair(record, number, limit, prompts, outcomes)
            for number, record in enumerate(kept[kind], start=first)
        )
        for kind, first in firsts.items()
    )
    further, more = total["flip"] - len(flips), total["text"] - len(texts)
    return (
        Group(
            *("flips", "Every flip", "Every flip"),
            _marked(
                f"{count_of(len(flips), 'label flip')}, alone and in the batch side by side. "
                "==Marked==: words that only one of the two answers has. __Underlined__: what the "
                f"scorer matched. Up to {limit:,} characters of an answer are shown, round the "
                f"first difference; the hash is of the whole.{_unknown(flips)}"
            ),
            *(flips, further),
            plain="⟪…⟫ marks what differs. Text is shown as it was answered, cut where it is long."
            + _unknown(flips),
            warning=f"Counted above and not shown here: {count_of(further, 'further flip')}, in "
            "the records file."
            if further
            else "",
            most=200,
            rest="further flips are in the records file and, up to a limit, in report.html.",
            brief=count_of(total["flip"], "label flip"),
            elsewhere=", in report.html",
            opens=True,
            searched=True,
        ),
        Group(
            *("text-changes", "Text changes without a flip", "Text changes"),
            _marked(
                f"{count_of(len(texts), 'answer')} {_KEPT_SCORE}.{beyond(more)}{_unknown(texts)}"
            ),
            *(texts, more),
            most=200,
            listed=f"{count_of(total['text'], 'answer')} {_KEPT_SCORE}",
        ),
    )


def examples(groups: Iterable[Group]) -> tuple[Example, ...]:
    """The changes to see first: flips before others, the standard path's before another's.

    Of each kind the first of which both texts are known, of flips those whose labels both have a
    score, and each prompt once.
    """
    by_group = ((group.anchor == "flips", change) for group in groups for change in group.changes)
    known = [
        (is_flip, change)
        for is_flip, change in by_group
        if all(answer.pieces is not None for answer in change.answers[0])
    ]
    known.sort(
        key=lambda one: (
            *(not one[0], one[1].mode != Mode.STANDARD),
            one[0] and any(answer.scored.startswith(NONE) for answer in one[1].answers[0]),
        )
    )
    first: dict[str, Change] = {}
    for _, change in known:
        first.setdefault(change.heading, change)
    return tuple(map(_example, list(first.values())[:MAX_EXAMPLES]))


def _example(change: Change) -> Example:
    turn = _TURN.search(change.prompt or "")
    asked = (turn[1] if turn else change.prompt or "").strip()
    return Example(
        said=change.said,
        asked=f"{asked[:MAX_ASKED]}…" if len(asked) > MAX_ASKED else asked,
        change=change.anchor,
        number=change.number,
        heading=change.heading,
        where=" · ".join((change.where[0], *change.context)),
        answers=narrowed(change.answers[0], MAX_EXCERPT),
    )


def _marked(text: str) -> tuple[Piece, ...]:
    """``==marked==`` and ``__underlined__`` words as the marks on answers are drawn."""
    return tuple(
        Piece(part.strip("=_"), part.startswith("=="), part.startswith("__"))
        for part in _MARKS.split(text)
    )


def _scores(record: Record) -> str:
    solo = score_text(record.solo_score, record.solo_label)
    return f"{solo} → {score_text(record.batch_score, record.batch_label)}"


def _pair(
    record: Record, number: int, limit: int, prompts: Mapping[str, str], outcomes: Outcomes
) -> Change:
    one, other = (answer.text if answer else None for answer in (record.solo, record.batched))
    parted, at = record.first_difference, None
    if one is None or other is None:
        where = "this file holds no answers, only their hashes"
    elif parted is None or parted.char is None:
        where = "the answers are identical"
    else:
        at, token = parted.char, "" if parted.token is None else f", token {parted.token + 1}"
        where = f"first difference at character {at + 1}{token}"
    others = (seen.get(record.key) for mode, seen in outcomes.items() if mode is not record.mode)
    tags = (record.domain, record.phase, record.original_direction)
    prompt = prompts.get(record.prompt_sha256 or "")
    marks = changed_words(one, other, at)
    return Change(
        anchor=f"change-{number}",
        number=number,
        heading=f"{record.task_name}/{record.sample_id}",
        change=_scores(record),
        said=change_sentence(record),
        context=(record.mode.words, f"batch {record.batch_size}", record.dispatch_mode),
        answers=(
            (
                answer_view(record, "solo", at, limit, marks[0]),
                answer_view(record, "batched", at, limit, marks[1]),
            ),
        ),
        model=record.model,
        mode=record.mode,
        where=(where, *(str(tag) for tag in tags if tag)),
        notes=tuple(_notes(record)),
        other_modes=tuple(text for text in others if text),
        prompt=prompt[:MAX_PROMPT] if prompt is not None else None,
        co_batched=tuple(map(str, (record.group or ())[:MAX_CO_BATCHED])),
    )


def _unknown(changes: Sequence[Change]) -> str:
    """What is said of prompts whose texts were not found."""
    count = sum(change.prompt is None for change in changes)
    return f" {count_of(count, 'row')} without the prompt: {_NO_PROMPT}." if count else ""


def _notes(record: Record) -> Iterator[str]:
    """What the other askings of the row show."""
    if record.s1_after_batch:
        again = (("alone", Asking.S0, Asking.S1), ("in its batch", Asking.B, Asking.B2))
        for condition, *askings in again:
            if differing := record.differs(*askings):
                yield f"{condition} asked again: {differing.text:d} of 1 gave another text"
        return
    if record.pattern:
        yield f"pattern: {record.pattern}"
    for effect in Effect:
        if differing := record.effect(effect):
            one, other = effect.askings
            what = "another text than" if differing.text else "the text of"
            yield f"{effect.words}: {other} has {what} {one}"


def change_groups(comparison: Comparison) -> tuple[Group, ...]:
    """Every change once, under the first kind that it is of; only groups that have changes."""
    found: dict[str, list[CandidateChange]] = {kind: [] for kind in _KINDS}
    for change in (change for mode in comparison.modes for change in mode.changes):
        kind = next((kind for kind, test in _KINDS.items() if test(change)), None)
        if kind is not None:
            found[kind].append(change)
    return _groups(found, (comparison.a.path, comparison.b.path), records_at, _candidate)


def sample_groups(comparison: SampleComparison) -> tuple[Group, ...]:
    """Documents that became wrong, that became right, and other changed answers."""
    found: dict[str, list[SampleChange]]
    found = {"newly-wrong": [], "newly-right": [], "answer-changes": []}
    for change in (change for entry in comparison.filters for change in entry.changes):
        down = any(moved.b < moved.a for moved in change.metrics.values())
        better = "newly-right" if change.metrics else "answer-changes"
        found["newly-wrong" if down else better].append(change)
    return _groups(found, (comparison.a.path, comparison.b.path), rows_at, _sample)


def _groups(
    kinds: Mapping[str, Sequence[C]],
    paths: tuple[str, str],
    rows: Callable[[Path, Set[int]], Mapping[int, R]],
    view: Callable[[C, str, R, R, int], Change],
) -> tuple[Group, ...]:
    """Groups of the kinds that have changes; only the rows shown are read."""
    shown = [change for changes in kinds.values() for change in changes[:MAX_SHOWN]]
    limit = answer_limit(len(shown))
    rows_a = rows(Path(paths[0]), {change.line_a for change in shown})
    rows_b = rows(Path(paths[1]), {change.line_b for change in shown})
    groups: list[Group] = []
    for anchor, changes in ((kind, found) for kind, found in kinds.items() if found):
        told, left_out = wording(f"changes/{anchor}"), max(0, len(changes) - MAX_SHOWN)
        heading = f"{told.title}: {len(changes):,}"
        group = Group(
            *(anchor, heading, told.title),
            _marked(
                f"{told.prose} ==Marked==: words that only one of the two has."
                f"{beyond(left_out)} Up to {limit:,} characters of an answer are shown."
            ),
            tuple(
                view(c, f"{anchor}-{n}", rows_a[c.line_a], rows_b[c.line_b], limit)
                for n, c in enumerate(changes[:MAX_SHOWN], start=1)
            ),
            left_out,
            plain=f"{told.prose} ⟪…⟫ marks what differs.",
            rest="more are in comparison.json and, up to a limit, in comparison.html.",
            brief=heading,
            opens=not groups,
        )
        groups.append(group)
    return tuple(groups)


def _candidate(
    change: CandidateChange, anchor: str, one: Record, other: Record, limit: int
) -> Change:
    model, task, sample, batch_size, dispatch = change.key
    modes = " against ".join(dict.fromkeys((change.mode_a, change.mode_b)))
    words, answers = [], []
    for name, condition, answer in (
        ("alone", "solo", change.solo),
        ("batched", "batched", change.batched),
    ):
        before, after = (score_text(side.score, side.label) for side in (answer.a, answer.b))
        if answer.label_changed:
            words.append(f"{name} {before} → {after}")
        elif answer.text_changed:
            words.append(f"{name} another text, {before} kept")
        parted = part(one.answer(condition), other.answer(condition))
        at = parted.char if parted else None
        given = (one.answer(condition) or Answer(), other.answer(condition) or Answer())
        marks = changed_words(given[0].text, given[1].text, at)
        a, b = (
            answer_view(record, condition, at, limit, mark)
            for record, mark in zip((one, other), marks, strict=True)
        )
        answers.append((replace(a, name=f"A {a.name}"), replace(b, name=f"B {b.name}")))
    return Change(
        anchor=anchor,
        heading=f"{task}/{sample}",
        change="; ".join(words) or "the same answers in A and B",
        context=(f"{model} · {modes} · batch {batch_size} · {dispatch}",),
        answers=tuple(answers),
    )


def _sample(change: SampleChange, anchor: str, one: Row, other: Row, limit: int) -> Change:
    moved = [f"{name} {m.a:g} → {m.b:g}" for name, m in change.metrics.items()]
    texts = _said(one), _said(other)
    at = first_difference(*texts)
    views, marks = [], changed_words(*texts, at)
    for name, text, row, mark in zip("AB", texts, (one, other), marks, strict=True):
        filtered = row.get("filtered_resps")
        kept = filtered[0] if isinstance(filtered, list) and len(filtered) == 1 else None
        shown = kept[:200] if isinstance(kept, str) and kept != text else ""
        views.append(text_view(name, text, at, limit, scored=shown, marks=mark))
    return Change(
        anchor=anchor,
        heading=f"doc_id {change.doc_id}",
        change="; ".join(moved) or "another answer",
        context=(f"filter {change.filter}",),
        notes=(f"target: {str(other.get('target'))[:400]}",) if "target" in other else (),
        answers=((views[0], views[1]),),
    )


def _said(row: Row) -> str:
    """The raw responses where they are text, else the filtered ones as they stand."""
    for name in ("resps", "filtered_resps"):
        value = row.get(name)
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str):
            return value
    answers = row.get("filtered_resps")
    if isinstance(answers, list):
        return "\n".join(str(answer) for answer in answers)
    return str(answers)
