"""A run as one side of a comparison, the candidates of two sides, and were both asked the same?

Runs are refused where prompts, batches, sampling or scorers differ. What a file from elsewhere does
not record cannot be compared; it is named, not passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analyse import key_name
from harness.errors import IncompleteRun, UsageError
from harness.records import (
    Pairing,
    Records,
    RunFiles,
    ScoreState,
    pair_records,
    read_run_files,
    records_at,
    refuse_duplicates,
    scan_records,
)
from harness.words import Condition, Mode

if TYPE_CHECKING:
    from pandas import DataFrame, Series

KEY = ["model", "task_name", "sample_id", "batch_size", "dispatch_mode"]
"""The columns that make a candidate."""
_NONE_SHARED = "these are runs of other candidates"
SUBSET_HINT = "--allow-subset compares only what both have"
CONDITIONS = (Condition.SOLO, Condition.BATCHED)
_SHOWN = 180
_ASKED = (
    ("prompt", "prompts (prompt_sha256)", "compare runs of the same task files"),
    (
        "batch",
        "batches (group, target_index)",
        "compare runs whose batches were cut from the same population",
    ),
    ("sampling", "sampling", "compare runs with the same request settings"),
    ("score_profile", "score profile", "`harness score --profile` gives both the same one"),
)
_PLAIN = ("line", "ok", "label_flip", "text_change")


@dataclass(frozen=True, slots=True)
class Side:
    """A run as one side of a comparison.

    Attributes:
        files: the run folder or the file from elsewhere.
        records: every record, without texts.
        pairing: the counted record of each candidate in each mode.
    """

    files: RunFiles
    records: Records
    pairing: Pairing

    @property
    def name(self) -> str:
        """The run's id, or its file's name where no id is recorded."""
        runs = self.records.runs if self.files.run_id is None else (self.files.run_id,)
        return runs[0] if len(runs) == 1 else self.files.records_path.name

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that have records."""
        return self.pairing.modes()

    def counted(self, mode: Mode) -> DataFrame:
        """The counted records of a mode, one a row, in the order of the run's candidates.

        Columns: `KEY`; ``row`` and ``line`` of the record; ``ok``, ``label_flip``,
        ``text_change``; ``prompt``, ``batch``, ``sampling``, ``score_profile`` as far as they are
        recorded; and of each condition ``solo_state``, ``solo_hash``, ``batched_state`` ...
        """
        from pandas import DataFrame

        records, rows = self.records, self.pairing.rows(mode)
        found = records.frame.take(rows)
        keys = found["key"].to_numpy()
        settings = records.words("settings", rows)
        told = {  # a run has one or two
            text: {
                name: None if value is None else json.dumps(value, ensure_ascii=False)
                for name, value in json.loads(text or "{}").items()
            }
            for text in set(settings)
        }
        recorded = {
            **{name: records.candidates[name].take(keys).to_list() for name in KEY},
            "sampling": [told[text].get("sampling") for text in settings],
            "score_profile": [told[text].get("score_profile") for text in settings],
            "prompt": records.words("prompt", rows),
            "batch": [group or None for group in found["group"]],
            "solo_state": records.score_states("solo", rows),
            "batched_state": records.score_states("batch", rows),
            "solo_hash": found["solo_hash"].to_numpy(),
            "batched_hash": found["batch_hash"].to_numpy(),
        }
        plain = {name: found[name].to_numpy() for name in _PLAIN}
        # dtype=object keeps what is not recorded as None
        return DataFrame(recorded, dtype=object).assign(row=rows, **plain)


def read_side(path: Path | str) -> Side:
    """Read a run folder or a records file once, comparing hashes with texts on the way.

    Raises:
        UsageError: there is no run, a line is no record, or a candidate is recorded twice.
        IncompleteRun: the last line was cut while it was written.
    """
    files = read_run_files(path)
    records = scan_records(files.records_path)
    if records.problems:
        first = records.problems[0]
        error = IncompleteRun if first.truncated else UsageError
        hint = "`harness validate` lists every such line"
        hint = "resume the run to complete it" if first.truncated else hint
        raise error(first.message, file=records.path, line=first.line, hint=hint)
    if not len(records):
        raise UsageError("the records file is empty", file=records.path)
    pairing = pair_records(records)
    refuse_duplicates(records, pairing)
    return Side(files, records, pairing)


@dataclass(frozen=True, slots=True)
class Alignment:
    """One mode of A against one mode of B, candidate by candidate.

    Attributes:
        pairs: the candidates that both sides recorded, one a row, in A's order: `KEY`, the columns
            of `Side.counted` with ``_a`` and ``_b``, and for each condition whether its text and
            its label differ (``solo_text_changes``, ``solo_label_changes`` ...).
        only_a, only_b: candidates without a partner.
    """

    mode_a: Mode
    mode_b: Mode
    pairs: DataFrame
    only_a: int
    only_b: int

    @property
    def models(self) -> list[str]:
        """The models of the pairs, sorted."""
        return sorted(self.pairs["model"].unique())


def choose_modes(
    a: Side, b: Side, mode_a: Mode | None, mode_b: Mode | None, *, allow_subset: bool
) -> list[tuple[Mode, Mode]]:
    """Which mode of A is set against which mode of B.

    Without a choice, every mode against itself; with one choice, that mode on both sides.

    Raises:
        UsageError: a side lacks a mode that is needed.
    """
    if (first := mode_a or mode_b) and (second := mode_b or mode_a):
        for side, mode in ((a, first), (b, second)):
            if mode not in side.modes:
                raise UsageError(
                    f"no record in mode {mode}",
                    file=side.records.path,
                    hint=f"it has: {', '.join(side.modes) or 'none'}",
                )
        return [(first, second)]
    common = [mode for mode in a.modes if mode in b.modes]
    if not common:
        raise UsageError(
            f"the runs have no mode in common: {', '.join(a.modes)} and {', '.join(b.modes)}",
            hint="--mode-a M --mode-b M sets one mode against another",
        )
    lacking = [(b, mode) for mode in a.modes if mode not in b.modes]
    lacking += [(a, mode) for mode in b.modes if mode not in a.modes]
    if lacking and not allow_subset:
        side, mode = lacking[0]
        raise UsageError(
            f"no record in mode {mode}, which the other run has",
            file=side.records.path,
            hint=f"{SUBSET_HINT}; --mode-a M chooses one",
        )
    return [(mode, mode) for mode in common]


def align(a: Side, b: Side, mode_a: Mode, mode_b: Mode, *, allow_subset: bool) -> Alignment:
    """Find the partner of every record.

    Raises:
        UsageError: the sides have other candidates and no subset is allowed, or none in common.
    """
    one, other = a.counted(mode_a), b.counted(mode_b)
    pairs = one.merge(other, on=KEY, suffixes=("_a", "_b"))
    lone_a = one[~one["line"].isin(pairs["line_a"])]
    lone_b = other[~other["line"].isin(pairs["line_b"])]
    if pairs.empty or ((len(lone_a) or len(lone_b)) and not allow_subset):
        side, else_, lone = (a, b, lone_a) if len(lone_a) else (b, a, lone_b)
        first = lone.sort_values("line").iloc[0]
        raise UsageError(
            f"other candidates: {len(lone_a)} are only in A and {len(lone_b)} only in B; the "
            f"first, {key_name(tuple(first[KEY]))}, is not in {else_.records.path}",
            file=side.records.path,
            line=int(first["line"]),
            hint=f"{SUBSET_HINT}, here {len(pairs)}" if len(pairs) else _NONE_SHARED,
        )
    for condition, (changed, column) in product(CONDITIONS, (("text", "hash"), ("label", "state"))):
        before, after = (pairs[f"{condition}_{column}_{side}"] for side in "ab")
        differs = before.ne(after) & ~(before.isna() & after.isna())
        pairs[f"{condition}_{changed}_changes"] = differs
    return Alignment(mode_a, mode_b, pairs, len(lone_a), len(lone_b))


def require_comparable(a: Side, b: Side, found: Alignment) -> Iterator[str]:
    """Check that both sides asked the same in the same way and scored by the same rules.

    Yields:
        What could not be checked, in words.

    Raises:
        UsageError: something differs, at the first record of B that does.
    """
    pairs = found.pairs
    for column, words, hint in _ASKED:
        one, other = pairs[f"{column}_a"], pairs[f"{column}_b"]
        known = one.notna() & other.notna()
        differs = known & one.ne(other)
        if column == "batch" and differs.any():  # they may only be written otherwise
            one = _batches(a, pairs["line_a"][differs])
            other = _batches(b, pairs["line_b"][differs])
            differs &= one.ne(other).reindex(pairs.index, fill_value=False)
        what = f"another {column.replace('_', ' ')}"
        _refuse(a, b, pairs[differs], len(pairs), what, hint, one, other)
        missing = int((~known).sum())
        if missing:
            rows = "" if missing == len(pairs) else f" for {missing} of {len(pairs)} candidates"
            yield f"{words}: not recorded on both sides{rows}"
    # the same text with another label was scored by other rules, whatever the profile's name
    differs = pairs["ok_a"] & False
    for condition in CONDITIONS:
        same_text = pairs[f"{condition}_hash_a"].notna() & ~pairs[f"{condition}_text_changes"]
        differs |= same_text & pairs[f"{condition}_label_changes"]
    pairs = pairs[differs & pairs["ok_a"] & pairs["ok_b"]]
    what = "another score for the same text"
    hint = "`harness score` scores both runs by the same rules"
    _refuse(a, b, pairs, len(found.pairs), what, hint, _scores(pairs, "a"), _scores(pairs, "b"))


def _batches(side: Side, lines: Series[int]) -> Series[Any]:
    records = records_at(side.records.path, frozenset(lines))
    return lines.map({line: (r.group, r.target_index) for line, r in records.items()}.__getitem__)


def _scores(pairs: DataFrame, side: str) -> Series[Any]:
    def words(state: ScoreState) -> str:
        score, label = state
        return f"{score:g}" if score is not None else label or "no score"

    solo, batched = (pairs[f"{condition}_state_{side}"].map(words) for condition in CONDITIONS)
    return "solo " + solo + ", batched " + batched


def _refuse(
    a: Side,
    b: Side,
    differing: DataFrame,
    compared: int,
    what: str,
    hint: str,
    one: Series[Any],
    other: Series[Any],
) -> None:
    if differing.empty:
        return
    differing = differing.sort_values("line_b")
    pair, index = differing.iloc[0], differing.index[:1]
    values = (series[index].iloc[0] for series in (other, one))
    if what == "another batch":
        values = (f"[{', '.join(map(str, g))}] with the target at {at}" for g, at in values)
    before = "SHA-256 " if what == "another prompt" else ""
    here, there = (before + (v if len(v) <= _SHOWN else f"{v[:_SHOWN]}…") for v in values)
    raise UsageError(
        f"not comparable, {what}: {key_name(tuple(pair[KEY]))} has "
        f"{here} here and {there} in {a.records.path}:{pair['line_a']}; "
        f"{len(differing)} of {compared} candidates differ",
        file=b.records.path,
        line=int(pair["line_b"]),
        hint=hint,
    )
