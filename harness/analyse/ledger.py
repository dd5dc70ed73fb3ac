"""What the claims on one endpoint are judged by, and what holds one back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.analyse.asking_tables import CarriedEndpoint, Counted, EffectPairs
from harness.analyse.statistics import ALPHA
from harness.analyse.summary import ClaimStatus, Summary
from harness.flips import unresolved
from harness.numbers import count_of, p_equals
from harness.words import MODES, CachePolicy, Effect, Endpoint, Mode

_INVARIANT = MODES[1]
UNCHECKED = "not_checked"
"""Stands for every check that could not be made."""
_BESIDE = (
    *("modes_present", "rows_per_mode", "logs_unchanged", "run_finished"),
    UNCHECKED,
)
"""Checks that refuse an incomplete folder: its records may still refute."""


@dataclass(slots=True)
class Ledger:
    """What the claims on one endpoint are judged by.

    Attributes:
        failed: what validation refuses in the run, in words, by check.
        made: the verdicts so far, by claim.
    """

    summary: Summary
    endpoint: Endpoint
    failed: Mapping[str, str]
    made: dict[str, ClaimStatus] = field(default_factory=dict)

    @property
    def gap(self) -> str | None:
        """Why nothing can be claimed from these records at all, if so."""
        summary, planned = self.summary, self.summary.stack.planned_records
        records, ok = summary.n_records, summary.n_ok
        if records != ok:
            return f"{records - ok} of {records} records are errors"
        if summary.startup_error_count:
            return f"{count_of(summary.startup_error_count, 'server')} did not start"
        if summary.unfinished:
            return f"only {records} of {planned} planned records are there"
        if not summary.pairs.complete:
            return "no candidate has a record in both modes"
        if summary.pairs.left_out:
            return f"{summary.pairs.left_out} candidates lack a record in one of the modes"
        if sampled := summary.stack.sampled:
            return (
                f"{', '.join(sampled)}: answers that are not the likeliest tokens say nothing "
                "about kernels"
            )
        return next((why for check, why in self.failed.items() if check not in _BESIDE), None)

    @property
    def carried(self) -> CarriedEndpoint:
        """What the rows show that carry a claim."""
        assert self.summary.carried is not None
        return self.summary.carried.endpoints.of(self.endpoint)

    def unlike(self) -> str | None:
        """Why the two modes' batches are not alike, if so."""
        carried = self.summary.carried
        if carried is None:
            return None
        for mode, rows in carried.scarce.items():
            if rows:
                return (
                    f"{rows} rows hardly were in a batch in {mode.words} mode: fewer engine steps "
                    "were shared than half of their answer takes"
                )
        policy = self.summary.stack.prefix_caching
        lasting = policy not in set(CachePolicy) or not CachePolicy(policy).forbids_earlier
        if carried.cache_differs and lasting:
            return (
                f"in {carried.cache_differs} rows an asking found other tokens in the cache in one "
                "mode than in the other"
            )
        return None

    def weak(self) -> str | None:
        """Why the rows that carry a claim do not tell the modes apart, if so."""
        cells = self.carried.answers
        if cells.p_two_sided < ALPHA:
            return None
        return (
            f"by different answers that count, {cells.first_only} change in standard mode only and "
            f"{cells.second_only} in batch-invariant only, {p_equals(cells.p_two_sided)}: too few"
        )

    def resting(self) -> str:
        """What a claim rests on, where it is not every row; else empty."""
        told = self.summary.carried.told if self.summary.carried else ""
        return f"; {told}" if told else ""

    def resting_none(self) -> str:
        """The same of a claim of no change, with what none in these rows leaves room for."""
        room = self.summary.carried.room if self.summary.carried else ""
        return self.resting() + (f"; none of these leaves room for up to {room}" if room else "")

    def counted(self, mode: Mode, effect: Effect | None) -> Counted:
        """How often a comparison differs in a mode."""
        return self.summary.askings[mode].effects.of(effect).of(self.endpoint)

    def basis(self) -> Effect | None:
        """The batch effect where every counted row has it in both modes, else the study's."""
        for mode in MODES:
            if self.counted(mode, Effect.BATCH).rows.n != self.summary.mode(mode).ok:
                return None
        return Effect.BATCH

    def pairs(self) -> EffectPairs:
        """Standard against invariant on the basis."""
        assert self.summary.paired_askings is not None
        return self.summary.paired_askings.of(self.basis()).of(self.endpoint)

    def noise(self) -> str | None:
        """Why the noise of a mode forbids a claim, if so: it has to be 0, in the texts too."""
        for mode in MODES:
            effects = self.summary.askings[mode].effects.noise
            noise = effects.text_changes
            if noise.rows.n < self.summary.mode(mode).ok:
                return f"noise in {mode.words} mode is unknown: S2 was not asked of every row"
            if noise.rows.count:
                return (
                    f"the text of {noise.told} changes in {mode.words} mode when nothing changes "
                    "but time"
                )
            if retold := self.summary.unseen[mode].tokens_unsteady:
                return (
                    f"the token ids of {retold} rows change in {mode.words} mode when nothing "
                    "changes but time, in the same text"
                )
            if unsteady := self.summary.unseen[mode].unsteady:
                return (
                    f"{unsteady} prompts have several texts alone (S1, S2) over their rows in "
                    f"{mode.words} mode"
                )
        return None

    def unseen(self) -> str | None:
        """What changes in batch-invariant mode beside the rows' own texts, if anything does."""
        reason = self.summary.unseen[_INVARIANT].beside_the_rows
        return f"{reason}, in batch-invariant mode" if reason else None

    def cached(self, mode: Mode) -> str | None:
        """Why a change with the batch in a mode may be one by the cache, if so."""
        reason = self.summary.unseen[mode].of_the_cache(self.summary.stack.prefix_caching)
        return f"{reason}, in {mode.words} mode" if reason else None

    def beyond_noise(self, mode: Mode) -> bool:
        """Whether more prompts change with the batch than with time alone; true without S2."""
        noise = self.counted(mode, Effect.NOISE).prompts
        cells = self.summary.askings[mode].beyond_noise.of(self.endpoint)
        clear = cells.p_two_sided < ALPHA and cells.batch_only > cells.repeat_only
        return not noise.count or clear

    def unproven(self) -> str | None:
        """Why it is not proven which kernels ran, if so."""
        stack = self.summary.stack
        if stack.modes_proven is None:
            return "no start-up files came with these records: the kernels are stated, not proven"
        if not stack.modes_proven:
            return "; ".join(stack.unproven) or "a server's kernel path is not proven"
        return None

    def unwitnessed(self) -> str | None:
        """Why it is not shown that the batches were batches, if so."""
        for mode, seen in self.summary.witnessed.items():
            if seen.witnessed < seen.rows:
                return (
                    f"{seen.rows - seen.witnessed} of {seen.rows} {mode.words} rows have no "
                    "witness that their batch shared engine steps"
                )
        return None

    def of_the_cache(self) -> str | None:
        """Why no change in batch-invariant mode is the batch's own, if so."""
        changed = self.counted(_INVARIANT, Effect.BATCH).rows.count
        moved = self.summary.unseen[_INVARIANT].cache_moved
        return self.cached(_INVARIANT) if moved and moved >= changed else None

    def comparable(self) -> str | None:
        """Why the modes' answers cannot be set against each other, if so."""
        standard, invariant = (self.counted(mode, Effect.BATCH) for mode in MODES)
        tokens = standard.compared_tokens, invariant.compared_tokens
        if tokens[0] and tokens[1] is not None and 2 * tokens[1] < tokens[0]:
            return (
                f"batch-invariant mode gave {tokens[1]:,} tokens to compare and standard "
                f"{tokens[0]:,}: what changes late in one was not looked at in the other"
            )
        sent = standard.dispatches
        if sent and sent.count == 1 and sent.n > 1 and not invariant.rows.count:
            return f"every change lies in one of {sent.n} batches, which is one event"
        return self.unscored()

    def unscored(self) -> str | None:
        """Why these labels say little, if so."""
        if self.endpoint is not Endpoint.LABEL_FLIPS:
            return None
        for mode in MODES:
            missing, rows = sum(self.summary.unscored(mode)[0].values()), self.summary.mode(mode).ok
            which = f"solo answers have no score in {mode.words} mode"
            if reason := unresolved(missing, rows, which):
                return reason
        return self._scored_otherwise()

    def _scored_otherwise(self) -> str | None:
        """Why these labels are not those of the texts, where these could be scored anew."""
        again = self.summary.labels_by_profile
        if again is None or not again.profiles or again.scored < again.rows:
            return None
        told = [self.counted(mode, Effect.BATCH).rows.count for mode in MODES]
        found = {
            name: [of.batch_effect[mode].rows.count for mode in MODES]
            for name, of in again.profiles.items()
        }
        if told in found.values():
            return None
        counts = ", ".join(f"{one} and {two} under {name}" for name, (one, two) in found.items())
        return (
            f"scored anew from their texts other rows change their label: {counts}, where "
            f"{told[0]} and {told[1]} are recorded (`harness score` scores them)"
        )
