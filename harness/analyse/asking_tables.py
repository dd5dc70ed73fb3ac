"""What the askings of a prompt show, by prompt and by row, as ``summary.json`` holds it.

`harness.analyse.effects` fills these; docs/verdict.md says what each comparison tells.
"""

from typing import Generic

from msgspec import Struct

from harness.analyse.rates import BeyondRepeat, OfEndpoints, Paired, PairTest, Rate, T
from harness.analyse.statistics import upper_bound
from harness.words import CachePolicy, Effect, Mode


class Counted(Struct, frozen=True):
    """How often two askings of one prompt differ, by prompt and by row.

    Attributes:
        prompts: prompts of which any row differs, among those with both askings; this one leads.
        rows: rows that differ.
        compared_tokens: output tokens compared, the shorter answer's where they differ; ``None``
            where token ids are not recorded.
        compared_upper95: one-sided bound of the rate a compared token; set where nothing differs.
        dispatches: batches sent of which any row differs: rows that shared one dispatch are a unit
            too; ``None`` for what has no batch in it, and where batches are not recorded.
    """

    rows: Rate = Rate(0, 0)
    prompts: Rate = Rate(0, 0)
    compared_tokens: int | None = None
    compared_upper95: float | None = None
    dispatches: Rate | None = None

    @property
    def room(self) -> str:
        """What a count of none leaves room for (one-sided 95%), by each unit; else empty.

        ``20.58% of prompts, 14.59% of rows, 0.0012 a compared token of 2,432``.
        """
        if self.rows.count or not self.rows.n:
            return ""
        units = {"prompts": self.prompts, "rows": self.rows, "dispatches": self.dispatches}
        bounds = [f"{r.upper95:.2%} of {name}" for name, r in units.items() if r and r.upper95]
        if self.compared_upper95 is not None:
            token = f"{self.compared_upper95:.2g} a compared token"
            bounds.append(f"{token} of {self.compared_tokens:,}")
        return ", ".join(bounds)

    @property
    def told(self) -> str:
        """``17 of 38 rows (13 of 19 prompts)``."""
        rows, prompts = self.rows, self.prompts
        return f"{rows.count} of {rows.n} rows ({prompts.count} of {prompts.n} prompts)"


class EffectPairs(Struct, frozen=True):
    """Standard (first) against batch-invariant (second): by prompt, which leads, and by row.

    ``dispatches`` is the same over the batches sent, as in `Counted`.
    """

    rows: PairTest
    prompts: PairTest
    dispatches: PairTest | None = None


class EffectTable(OfEndpoints[T], Generic[T], frozen=True):
    """One comparison of two askings, for labels and for texts."""

    label_flips: T
    text_changes: T


class SliceEffect(Struct, frozen=True):
    """One comparison of two askings over some rows; the pairs are by prompt.

    ``p_holm`` of a pair is adjusted for the slices of its attribute.
    """

    standard: EffectTable[Counted]
    batch_invariant: EffectTable[Counted]
    paired: EffectTable[Paired]

    def mode(self, mode: Mode) -> EffectTable[Counted]:
        """The counts of a mode."""
        return self.standard if mode is Mode.STANDARD else self.batch_invariant


class ByPrompt(Struct, frozen=True):
    """The prompts of some rows, by the study's comparison and by the batch effect.

    Attributes:
        n: prompts.
        batch_effect: ``None`` where S1 was not asked of every counted row.
    """

    n: int
    study: SliceEffect
    batch_effect: SliceEffect | None = None

    def of(self, effect: Effect | None) -> SliceEffect:
        """The batch effect, where asked for and known; else the study's comparison."""
        return self.batch_effect if effect and self.batch_effect else self.study


class OfEffects(Struct, Generic[T], frozen=True):
    """The four comparisons of a row's askings.

    Attributes:
        study: B against S0, as the study compares; it cannot tell a batch from a cache.
        batch_effect: B against S1, both with the prompt seen before.
        cache_effect: S1 against S0, both alone.
        noise: S2 against S1: nothing changed but time.
    """

    study: EffectTable[T]
    batch_effect: EffectTable[T]
    cache_effect: EffectTable[T]
    noise: EffectTable[T]

    def of(self, effect: Effect | None) -> EffectTable[T]:
        """One of them; ``None`` is the study's."""
        table: EffectTable[T] = getattr(self, effect or "study")
        return table


class Hidden(Struct, frozen=True):
    """Rows in which the study's comparison and the batch effect disagree.

    Attributes:
        masked: B differs from S1 and equals S0: the study's comparison sees nothing.
        not_batch: B differs from S0 and equals S1: the study's comparison blames the batch.
    """

    masked: int
    not_batch: int


class ModeEffects(Struct, frozen=True):
    """What the askings of one mode show.

    Attributes:
        effects: the comparisons.
        patterns: rows by what S0, S1, B and S2 say together; ``unknown``: an asking is missing.
        first_rows, later_rows: texts changed by the cache effect at the first row of a prompt in
            this mode, and at its later ones, where the prompt had been asked before.
        hidden: where the study's comparison misleads, for labels and for texts.
        beyond_noise: prompts by whether the batch (``batch_only``), and whether time alone
            (``repeat_only``) changed any of their rows; those with all three askings.
        s1_after_batch: rows whose S1 was asked after B, as in records of schema 1.
    """

    effects: OfEffects[Counted]
    patterns: dict[str, int]
    first_rows: Rate
    later_rows: Rate
    hidden: EffectTable[Hidden]
    beyond_noise: EffectTable[BeyondRepeat]
    s1_after_batch: int = 0


class Witnessed(Struct, frozen=True):
    """What the engine's steps show of the batched askings of one mode.

    Attributes:
        rows: ok records.
        witnessed: of these, whose every asking has a witness.
        vacuous: whose batch never shared an engine step, or whose solo asking did.
        mixed: whose batch, sent so that prefills join running decodes (staggered, wide), had a
            step in which one did.
        mixed_prompts: prompts of these.
    """

    rows: int = 0
    witnessed: int = 0
    vacuous: int = 0
    mixed: int = 0
    mixed_prompts: int = 0


class Unseen(Struct, frozen=True):
    """What the comparison of a row's own texts does not see, in one mode.

    Attributes:
        companions: companions of batches whose answers could be compared: with their own S1 and
            S2 where they are asked alone too, else with one another's.
        companions_moved: of these, those that a batch answered otherwise.
        again: rows whose batch was sent twice (B2).
        again_moved: of these, those whose text changed.
        tokens_moved: rows of which B has the text of S1, or of B2, in other token ids: a change
            that no text shows.
        tokens_unsteady: rows of which S2 has the text of S1 in other token ids.
        cache_moved: rows whose text changed with the batch, and whose B found other tokens of its
            prompt in the cache than S1: a change by the cache cannot be told from one by the batch.
        cache_unknown: rows whose text changed with the batch, of which that is not known.
        unsteady: prompts whose text alone (S1, S2) is not one over all of their rows.
    """

    companions: int = 0
    companions_moved: int = 0
    again: int = 0
    again_moved: int = 0
    tokens_moved: int = 0
    tokens_unsteady: int = 0
    cache_moved: int = 0
    cache_unknown: int = 0
    unsteady: int = 0

    @property
    def beside_the_rows(self) -> str | None:
        """What changes with the batch beside the rows' own texts, if anything does."""
        if self.companions_moved:
            return (
                f"{self.companions_moved} of {self.companions} companions are answered otherwise "
                "in a batch than alone or in another batch"
            )
        if self.again_moved:
            return (
                f"{self.again_moved} of {self.again} rows change when the same batch is sent again "
                "(B2)"
            )
        if self.tokens_moved:
            return f"{self.tokens_moved} rows have other token ids in the batch, in the same text"
        return None

    def of_the_cache(self, policy: str | None) -> str | None:
        """Why a change with the batch may be one by the cache, if so, under a cache policy."""
        if policy in set(CachePolicy) and CachePolicy(policy).forbids_earlier:
            return None
        if self.cache_moved:
            return (
                f"{self.cache_moved} rows that change with the batch found other tokens of their "
                "prompt in the cache in B than in S1: cache or batch cannot be told"
            )
        if self.cache_unknown:
            return (
                f"of {self.cache_unknown} rows that change with the batch it is not known what B "
                "found in the cache"
            )
        return None


CONTROLS = 3
"""Answers that standard mode has to change under a schedule for one to be seen there."""


class CarriedEndpoint(Struct, frozen=True):
    """What the carrying rows show of labels, or of texts.

    Attributes:
        answers: standard against batch-invariant mode by different answers.
        control: by schedule, different answers that change in standard mode.
        standard: rows that change in standard mode, by answers there that count and are no other
            prompt's too.
    """

    answers: PairTest
    control: dict[str, Rate]
    standard: int

    @property
    def seen_under(self) -> list[str]:
        """Schedules under which standard mode's changes show that one would have been seen.

        Where a path changed as often as c of n answers, all n would stay the same with a chance of
        ``(1 - c/n)^n``, under ``e^-c``: under 5% from three on.
        """
        return [name for name, found in self.control.items() if found.count >= CONTROLS]


class Carried(Struct, frozen=True, omit_defaults=True):
    """The rows that carry a claim.

    Attributes:
        rows: of the pairs of records that both modes have, those that do.
        prompts, answers: their prompts, and these with one for all of the same long answer.
        left_out: rows that do not, by the reason that applies first.
        scarce: by mode, rows whose prompt was surely alone for most of its answer in the batch.
        cache_differs: rows of which an asking after the first found other tokens in the cache in
            one mode than in the other.
        tokens: tokens compared in the batch-invariant mode's rows of them; ``None`` where these are
            all rows, or token ids are not recorded.
    """

    rows: Rate
    prompts: int
    answers: int
    left_out: dict[str, int]
    scarce: dict[Mode, int]
    cache_differs: int
    endpoints: EffectTable[CarriedEndpoint]
    tokens: int | None = None

    @property
    def room(self) -> str:
        """What a count of none in them leaves room for (one-sided 95%), where they are not all."""
        if not self.told or not self.answers:
            return ""
        bounds = [
            f"{upper_bound(0, self.answers):.2%} of prompts",
            f"{upper_bound(0, self.rows.count):.2%} of rows",
        ]
        if self.tokens:
            bounds.append(f"{upper_bound(0, self.tokens):.2g} a compared token of {self.tokens:,}")
        return ", ".join(bounds)

    @property
    def told(self) -> str:
        """What carries the claim, where it is not every row; else empty."""
        if self.rows.count == self.rows.n and self.answers == self.prompts:
            return ""
        lacks = [f"{n} left out: {why}" for why, n in self.left_out.items() if n]
        shared = f", with {self.answers} different answers" * (self.answers < self.prompts)
        return (
            f"it rests on {self.rows.count} of {self.rows.n} rows ({self.prompts} prompts{shared})"
            + "".join(f"; {lack}" for lack in lacks)
        )
