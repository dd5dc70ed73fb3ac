"""Were both sides asked the same? Prompts, batches, sampling, scorers: refused where they differ.

What a file from elsewhere does not record cannot be compared; it is named, not passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.analyse import key_name, score_states
from harness.compare.alignment import Alignment
from harness.compare.run_side import Side
from harness.errors import UsageError
from harness.files import rows_at
from harness.records import BoolArray, IntArray

_SHOWN = 60
Value = Callable[[Side, int], str]


def require_comparable(a: Side, b: Side, alignment: Alignment) -> tuple[str, ...]:
    """Check that both sides asked the same in the same way and scored by the same rules.

    Returns:
        What could not be checked, in words.

    Raises:
        UsageError: something differs, at the first record of B that does.
    """
    notes = (
        _prompts(a, b, alignment),
        _batches(a, b, alignment),
        *_settings(a, b, alignment),
    )
    _same_scorer(a, b, alignment)
    return tuple(note for note in notes if note)


def _known_and_differing(one: Sequence[Any], other: Sequence[Any]) -> tuple[BoolArray, BoolArray]:
    """Where both sides record a value, and where these differ; ``None`` is not recorded."""
    pairs = list(zip(one, other, strict=True))
    known = np.array([x is not None and y is not None for x, y in pairs], dtype=bool)
    return known, known & np.array([x != y for x, y in pairs], dtype=bool)


def _prompts(a: Side, b: Side, pairs: Alignment) -> str | None:
    def words(side: Side, rows: IntArray) -> list[str | None]:
        column, word = side.records.columns.prompt, side.records.prompts.word
        return [word(code) for code in column[rows].tolist()]

    known, differs = _known_and_differing(words(a, pairs.rows_a), words(b, pairs.rows_b))
    _refuse(a, b, pairs, differs, "prompt", _prompt_of)
    return _unknown("prompts (prompt_sha256)", known)


def _prompt_of(side: Side, row: int) -> str:
    return f"SHA-256 {side.records.prompts.word(int(side.records.columns.prompt[row]))}"


def _batches(a: Side, b: Side, pairs: Alignment) -> str | None:
    one, other = a.records.columns.group[pairs.rows_a], b.records.columns.group[pairs.rows_b]
    known = (one != 0) & (other != 0)
    differs = known & (one != other)
    if differs.any():
        differs = _other_groups(a, b, pairs, differs)
    _refuse(a, b, pairs, differs, "batch", _group_of)
    return _unknown("batches (group, target_index)", known)


def _other_groups(a: Side, b: Side, pairs: Alignment, suspects: BoolArray) -> BoolArray:
    """Of records whose batches are written differently, those that are different."""
    where = np.flatnonzero(suspects)
    groups = []
    for side, rows in ((a, pairs.rows_a), (b, pairs.rows_b)):
        lines = [side.line(row) for row in rows[where].tolist()]
        found = rows_at(Path(side.records.path), frozenset(lines))
        groups.append([(found[n].get("group"), found[n].get("target_index")) for n in lines])
    differs = np.zeros_like(suspects)
    differs[where] = [one != other for one, other in zip(*groups, strict=True)]
    return differs


def _group_of(side: Side, row: int) -> str:
    (record,) = rows_at(Path(side.records.path), {side.line(row)}).values()
    group, index = record.get("group"), record.get("target_index")
    members = ", ".join(map(str, group)) if isinstance(group, list) else str(group)
    return f"[{members}] with the target at {index}"


def _settings(a: Side, b: Side, pairs: Alignment) -> Iterator[str | None]:
    for key, words in (("sampling", "sampling"), ("score_profile", "score profile")):
        one, other = _setting(a, pairs.rows_a, key), _setting(b, pairs.rows_b, key)
        known, differs = _known_and_differing(one, other)
        _refuse(a, b, pairs, differs, words, _setting_of(key))
        yield _unknown(words, known)


def _setting(side: Side, rows: IntArray, key: str) -> list[Any]:
    by_code = [json.loads(word).get(key) for word in side.records.settings.values]
    codes = side.records.columns.settings[rows].tolist()
    return [None if code < 0 else by_code[code] for code in codes]


def _setting_of(key: str) -> Value:
    def value(side: Side, row: int) -> str:
        (found,) = _setting(side, np.array([row], dtype=np.int32), key)
        return json.dumps(found, ensure_ascii=False)

    return value


def _same_scorer(a: Side, b: Side, pairs: Alignment) -> None:
    """The same text with another label was scored by other rules, whatever the profile's name."""
    differs = np.zeros(len(pairs.keys), dtype=bool)
    for side, hashes_a, hashes_b in (
        ("solo", a.records.solo_hash, b.records.solo_hash),
        ("batch", a.records.batch_hash, b.records.batch_hash),
    ):
        states = zip(
            score_states(a.records, side, pairs.rows_a),
            score_states(b.records, side, pairs.rows_b),
            strict=True,
        )
        rows = zip(pairs.rows_a.tolist(), pairs.rows_b.tolist(), strict=True)
        differs |= np.array(
            [
                one != other and hashes_a[i] is not None and hashes_a[i] == hashes_b[j]
                for (one, other), (i, j) in zip(states, rows, strict=True)
            ]
        )
    differs &= a.records.columns.ok[pairs.rows_a] & b.records.columns.ok[pairs.rows_b]
    _refuse(a, b, pairs, differs, "score for the same text", _scores_of)


def _scores_of(side: Side, row: int) -> str:
    rows = np.array([row], dtype=np.int32)
    solo, batched = (score_states(side.records, name, rows)[0] for name in ("solo", "batch"))
    return f"solo {_state(solo)}, batched {_state(batched)}"


def _state(state: tuple[float | None, str | None]) -> str:
    return f"{state[0]:g}" if state[0] is not None else str(state[1] or "no score")


_REMEDIES = {
    "prompt": "compare runs of the same task files",
    "batch": "compare runs whose batches were cut from the same population",
    "sampling": "compare runs with the same request settings",
    "score profile": "`harness score --profile` gives both the same one",
    "score for the same text": "`harness score` scores both runs by the same rules",
}


def _refuse(
    a: Side, b: Side, pairs: Alignment, differs: BoolArray, what: str, value: Value
) -> None:
    where: Sequence[int] = np.flatnonzero(differs).tolist()
    if not where:
        return
    first = min(where, key=lambda index: int(pairs.rows_b[index]))
    row_a, row_b = int(pairs.rows_a[first]), int(pairs.rows_b[first])
    raise UsageError(
        f"not comparable, another {what}: {key_name(pairs.keys[first])} has "
        f"{_short(value(b, row_b))} here and {_short(value(a, row_a))} in {a.place(row_a)}; "
        f"{len(where)} of {len(pairs.keys)} candidates differ",
        file=b.records.path,
        line=b.line(row_b),
        hint=_REMEDIES[what],
    )


def _short(text: str) -> str:
    limit = 3 * _SHOWN
    return text if len(text) <= limit else f"{text[:limit]}…"


def _unknown(what: str, known: BoolArray) -> str | None:
    missing = int((~known).sum())
    if not missing:
        return None
    rows = "" if missing == len(known) else f" for {missing} of {len(known)} candidates"
    return f"{what}: not recorded on both sides{rows}"
