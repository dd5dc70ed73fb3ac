"""The records of a run whose two answers differ, side by side, within a stated budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from sys import intern

from harness.numbers import score_text
from harness.records import Record, RecordKey
from harness.report.answer_windows import Piece, answer_limit, answer_view, beyond
from harness.report.document import Change, Group
from harness.words import Asking, Effect, Mode

MAX_FLIPS = 10_000
MAX_TEXT_CHANGES = 2_000
MAX_PROMPT = 4_000
MAX_CO_BATCHED = 64
_KEPT_SCORE = "answers changed and kept their score"
_FLIPS = Group(
    anchor="flips",
    title="Every flip",
    short="Every flip",
    prose=(),
    changes=(),
    plain="⟪…⟫ marks the first difference. Text is shown as it was answered, cut where it is long.",
    most=200,
    rest="further flips are in the records file and, up to a limit, in report.html.",
    elsewhere=", in report.html",
    opens=True,
    searched=True,
)
_TEXT_CHANGES = Group(
    anchor="text-changes",
    title="Text changes without a flip",
    short="Text changes",
    prose=(),
    changes=(),
    most=200,
)

Outcomes = dict[Mode, dict[RecordKey, str]]
"""Mode, then candidate, then what happened; few distinct texts, so they are interned."""


def changed_pairs(records: Iterable[Record], prompts: Mapping[str, str]) -> tuple[Group, Group]:
    """Walk the records once and keep those whose answers differ.

    Args:
        records: of a run, in file order.
        prompts: prompt texts by their SHA-256, for those whose task files were found.

    Returns:
        Label flips, and text changes without one.
    """
    most = {"flip": MAX_FLIPS, "text": MAX_TEXT_CHANGES}
    kept: dict[str, list[Record]] = {"flip": [], "text": []}
    total: Counter[str] = Counter()
    outcomes: Outcomes = {}
    for record in records:
        text = "text changed" if record.text_change else "text identical"
        said = (
            f"{_scores(record)}, {text}" if record.ok else f"no answer ({record.error or 'error'})"
        )
        outcomes.setdefault(record.mode, {})[record.key] = intern(f"{record.mode}: {said}")
        kind = "flip" if record.label_flip else "text" if record.text_change else None
        if kind:
            total[kind] += 1
            if total[kind] <= most[kind]:
                kept[kind].append(record)
    limit = answer_limit(sum(map(len, kept.values())))
    flips, texts = (
        tuple(
            _pair(record, f"{kind}-{number}", limit, prompts, outcomes)
            for number, record in enumerate(found, start=1)
        )
        for kind, found in kept.items()
    )
    further, more = total["flip"] - len(flips), total["text"] - len(texts)
    return (
        replace(
            _FLIPS,
            prose=(
                Piece(f"{len(flips):,} label flips, solo and batched side by side. "),
                Piece("Marked", differs=True),
                Piece(": where the two answers first differ. "),
                Piece("Underlined", evidence=True),
                Piece(
                    f": what the scorer matched. Up to {limit:,} characters of an answer are "
                    "shown, round the first difference; the hash is of the whole."
                ),
            ),
            changes=flips,
            left_out=further,
            warning=f"{further:,} further flips are counted above and not shown here; they are in "
            "the records file."
            if further
            else "",
            brief=f"{total['flip']:,} label flips",
        ),
        replace(
            _TEXT_CHANGES,
            prose=(Piece(f"{len(texts):,} {_KEPT_SCORE}."), Piece(beyond(more))),
            changes=texts,
            left_out=more,
            listed=f"{total['text']:,} {_KEPT_SCORE}",
        ),
    )


def _scores(record: Record) -> str:
    solo = score_text(record.solo_score, record.solo_label)
    return f"{solo} → {score_text(record.batch_score, record.batch_label)}"


def _pair(
    record: Record, anchor: str, limit: int, prompts: Mapping[str, str], outcomes: Outcomes
) -> Change:
    texts = [answer.text for answer in (record.solo, record.batched) if answer is not None]
    parted, at = record.first_difference, None
    if len(texts) < 2 or None in texts:
        where = "this file holds no answers, only their hashes"
    elif parted is None or parted.char is None:
        where = "the answers are identical"
    else:
        at, token = parted.char, "" if parted.token is None else f", token {parted.token + 1}"
        where = f"first difference at character {at + 1}{token}"
    others = (seen.get(record.key) for mode, seen in outcomes.items() if mode is not record.mode)
    tags = (record.domain, record.phase, record.original_direction)
    prompt = prompts.get(record.prompt_sha256 or "")
    return Change(
        anchor=anchor,
        heading=f"{record.task_name}/{record.sample_id}",
        change=_scores(record),
        context=(record.mode.words, f"batch {record.batch_size}", record.dispatch_mode),
        answers=(
            (answer_view(record, "solo", at, limit), answer_view(record, "batched", at, limit)),
        ),
        model=record.model,
        mode=record.mode,
        where=(where, *(str(tag) for tag in tags if tag)),
        notes=tuple(_notes(record)),
        other_modes=tuple(text for text in others if text),
        prompt=prompt[:MAX_PROMPT] if prompt is not None else None,
        co_batched=tuple(map(str, (record.group or ())[:MAX_CO_BATCHED])),
    )


def _notes(record: Record) -> Iterator[str]:
    """What the other askings of the row show."""
    if record.s1_after_batch:
        again = (("solo", Asking.S0, Asking.S1), ("batched", Asking.B, Asking.B2))
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
