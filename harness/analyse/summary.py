"""What a run came to, as ``summary.json`` holds it (DESIGN 4.7): one struct for each of its parts.

`harness.analyse.from_records` fills these, and everybody else reads them; the file is their
`msgspec.to_builtins`, so the order of fields is the order of its keys. Rates and bounds are
fractions; ``None`` stands where a number does not exist (no rows) or is not recorded.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import UNSET, Struct, UnsetType, field

from harness.analyse.stack import Stack
from harness.records import FirstDifference
from harness.words import Effect, Endpoint, Mode

Bounds = tuple[float, float] | None
T = TypeVar("T")


class Attribute(StrEnum):
    """What a candidate has, and the rows are broken down by."""

    MODEL = "model"
    DOMAIN = "domain"
    TASK_NAME = "task_name"
    DISPATCH_MODE = "dispatch_mode"
    PHASE = "phase"
    ORIGINAL_DIRECTION = "original_direction"
    BATCH_SIZE = "batch_size"

    @property
    def words(self) -> str:
        """To stand after "by": ``original direction``."""
        return "task" if self is Attribute.TASK_NAME else self.value.replace("_", " ")


class ClaimStatus(StrEnum):
    """How far a claim is carried."""

    ESTABLISHED = "established"
    REFUTED = "refuted"
    NOT_ESTABLISHED = "not_established"

    @property
    def words(self) -> str:
        """For a line that people read: ``not established``."""
        return self.value.replace("_", " ")


class OfEndpoints(Struct, Generic[T], frozen=True):
    """Something that there is once for label flips and once for text changes."""

    def of(self, endpoint: Endpoint) -> T:
        """The one of an endpoint."""
        one: T = getattr(self, endpoint)
        return one


class Rate(Struct, frozen=True):
    """A count of rows with its intervals; everything but the counts is ``None`` for no rows.

    Attributes:
        wilson95, clopper_pearson95: two-sided intervals.
        upper95: the one-sided exact bound.
        margin: the smallest customary margin that ``upper95`` stays under, if any: what "no flip
            in n rows" supports.
    """

    count: int
    n: int
    rate: float | None = None
    wilson95: Bounds = None
    clopper_pearson95: Bounds = None
    upper95: float | None = None
    margin: float | None = None


class ModeTable(OfEndpoints[Rate], frozen=True):
    """The records of one mode; the rates are over the ok ones."""

    records: int = 0
    ok: int = 0
    errors: int = 0
    label_flips: Rate = Rate(0, 0)
    text_changes: Rate = Rate(0, 0)


class Pairs(Struct, frozen=True):
    """How many candidates there are, and how many have an ok record in both modes."""

    candidates: int
    complete: int
    left_out: int


class Difference(Struct, frozen=True):
    """The first condition's rate minus the second's over the pairs, with two intervals."""

    estimate: float | None
    newcombe95: Bounds
    tango95: Bounds


class PairTest(Struct, frozen=True):
    """A paired two-by-two table of two conditions and its tests (exact McNemar).

    Attributes:
        first_only, second_only: the discordant cells.
        p_one_sided: the tail in favour of the first condition.
        p_mid: the two-sided mid-p value.
        smallest_p: the smallest two-sided p that so many discordant pairs can give.
        underpowered: whether that is 0.05 or more; ``note`` says so in words.
        detectable_rate80: the one-directional rate that so many pairs find with a power of 0.8.
    """

    both: int
    first_only: int
    second_only: int
    neither: int
    p_two_sided: float
    p_one_sided: float
    p_mid: float
    smallest_p: float
    underpowered: bool
    note: str | None
    difference: Difference
    detectable_rate80: float | None


class Paired(
    PairTest,
    frozen=True,
    rename={"first_only": "standard_only", "second_only": "invariant_only"},
):
    """Standard (first) against batch-invariant (second), row by row."""

    first_only: int
    second_only: int
    p_holm: float | UnsetType = UNSET
    """Adjusted for the slices of one attribute; not set over all rows."""


class PairedTable(OfEndpoints[Paired], frozen=True):
    """The paired tests of both endpoints."""

    label_flips: Paired
    text_changes: Paired


class Slice(Struct, frozen=True):
    """The rows with one value of an attribute; ``n`` counts its candidates."""

    value: str | int | None
    n: int
    standard: ModeTable
    batch_invariant: ModeTable
    paired: PairedTable

    def mode(self, mode: Mode) -> ModeTable:
        """The table of a mode."""
        return self.standard if mode is Mode.STANDARD else self.batch_invariant


class Breakdowns(Struct, frozen=True):
    """The slices of every attribute, in the order of their values."""

    model: tuple[Slice, ...] = ()
    domain: tuple[Slice, ...] = ()
    task_name: tuple[Slice, ...] = ()
    dispatch_mode: tuple[Slice, ...] = ()
    phase: tuple[Slice, ...] = ()
    original_direction: tuple[Slice, ...] = ()
    batch_size: tuple[Slice, ...] = ()

    def of(self, attribute: Attribute) -> tuple[Slice, ...]:
        """The slices of an attribute."""
        slices: tuple[Slice, ...] = getattr(self, attribute)
        return slices

    def each(self) -> Iterator[tuple[Attribute, tuple[Slice, ...]]]:
        """Every attribute with its slices."""
        return ((attribute, self.of(attribute)) for attribute in Attribute)


class ScorePair(Struct, frozen=True):
    """How many rows had one solo and one batched score; a label is set where a score is none."""

    solo: float | None
    batched: float | None
    rows: int
    solo_label: str | UnsetType | None = UNSET
    batched_label: str | UnsetType | None = UNSET


class Transition(Struct, frozen=True):
    """Rows whose answer went from one state to another, at least one of them without a score."""

    solo: str
    batched: str
    rows: int


class FlipKinds(Struct, frozen=True):
    """Flips of one mode by direction (with an exact symmetry test) and by kind.

    Attributes:
        hard, soft: across 0.5, and not.
        state: into, out of or between states without a score; each is listed in
            ``unparsed_transitions``.
    """

    up: int
    down: int
    p_symmetry: float
    hard: int
    soft: int
    state: int
    unparsed_transitions: tuple[Transition, ...] = ()


class Repeats(OfEndpoints[Rate], frozen=True):
    """The rows asked again: in how many any repeat had another label or text."""

    repeats: int
    label_flips: Rate
    text_changes: Rate


class BeyondRepeat(Struct, frozen=True):
    """Rows, or prompts, by whether the batch, and whether asking again, changed them."""

    both: int
    batch_only: int
    repeat_only: int
    neither: int
    p_two_sided: float


class BeyondRepeats(OfEndpoints[BeyondRepeat], frozen=True):
    """The batch's changes against those of asking again alone."""

    label_flips: BeyondRepeat
    text_changes: BeyondRepeat


class NoiseFloor(Struct, frozen=True):
    """How often asking again, with nothing changed, changed the answer; ``None`` if not asked."""

    solo: Repeats | None = None
    batched: Repeats | None = None
    batch_beyond_repeat: BeyondRepeats | None = None


class Differing(Struct, frozen=True):
    """The same candidate's answers under the two modes that are not the same."""

    label_differs: Rate = Rate(0, 0)
    text_differs: Rate = Rate(0, 0)


class CrossMode(Struct, frozen=True):
    """Whether the modes agree with each other: alone, and in the batch."""

    solo: Differing = Differing()
    batched: Differing = Differing()


class SignFlip(Struct, frozen=True):
    """A sign-flip test over clusters (see `harness.analyse.statistics.ClusterTest`)."""

    informative: int
    statistic: int
    p_two_sided: float
    method: str


class Clusters(OfEndpoints[SignFlip], frozen=True):
    """The paired test by prompt; only prompts with a complete pair are counted."""

    n_rows: int = 0
    n_clusters: int = 0
    largest: int = 0
    label_flips: SignFlip = SignFlip(0, 0, 1.0, "exact")
    text_changes: SignFlip = SignFlip(0, 0, 1.0, "exact")


class Counted(Struct, frozen=True):
    """How often two askings of one prompt differ, by prompt and by row.

    Attributes:
        prompts: prompts of which any row differs, among those with both askings; this one leads.
        rows: rows that differ.
        compared_tokens: output tokens compared, the shorter answer's where they differ; ``None``
            where token ids are not recorded.
        compared_upper95: one-sided bound of the rate a compared token; set where nothing differs.
    """

    rows: Rate = Rate(0, 0)
    prompts: Rate = Rate(0, 0)
    compared_tokens: int | None = None
    compared_upper95: float | None = None


class EffectPairs(Struct, frozen=True):
    """Standard (first) against batch-invariant (second): by prompt, which leads, and by row."""

    rows: PairTest
    prompts: PairTest


class EffectTable(OfEndpoints[T], Generic[T], frozen=True):
    """One comparison of two askings, for labels and for texts."""

    label_flips: T
    text_changes: T


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


class Retries(Struct, frozen=True):
    """Records of one mode that needed more than one attempt, and those cut at the limit."""

    solo: int = 0
    batched: int = 0
    truncated: int = 0


class Latency(Struct, frozen=True):
    """Median seconds of an answer of one mode."""

    solo_median_s: float | None = None
    batched_median_s: float | None = None


class Claim(Struct, frozen=True):
    """One line of the ledger.

    Attributes:
        claim: a short identifier.
        text: the claim as a sentence.
        reason: the numbers behind it, or why it is not established.
        endpoint: labels or texts; ``None`` where the claim is about neither alone.
        basis: the comparison it rests on (``batch_effect``, ``study`` ...).
        direction: which mode changes more, where the claim compares two.
        unit: what was counted for it.
    """

    claim: str
    text: str
    status: ClaimStatus
    reason: str
    endpoint: Endpoint | None = None
    basis: str | None = None
    direction: Mode | None = None
    unit: str = "prompt"


class Threat(Struct, frozen=True):
    """Something that the run could not exclude: its identifier, and why it is left open."""

    threat: str
    text: str


class Flip(Struct, frozen=True):
    """One label flip without its answers; ``line`` finds them in the records file."""

    model: str
    task_name: str
    sample_id: str
    batch_size: int
    dispatch_mode: str
    mode: Mode
    record_id: str | None
    line: int
    phase: str | None
    domain: str | None
    original_direction: str | None
    solo_label: str | None
    batch_label: str | None
    solo_response_hash: str | None
    batch_response_hash: str | None
    text_change: bool
    first_difference: FirstDifference | None
    truncated: bool
    solo_score: float | None
    batch_score: float | None
    kind: str
    direction: str | None


class Summary(Struct, frozen=True, kw_only=True):
    """Every table of the study, and what a demanding reader asks beside them.

    Rates are over the ok records of a mode. Everything paired is over the candidates that are ok
    in both modes; ``pairs`` says how many were left out.
    """

    schema_version: int = 1
    run_id: str | None = None
    n_records: int
    n_ok: int
    startup_error_count: int = 0
    superseded_records: int = 0
    pairs: Pairs
    by_mode: dict[Mode, ModeTable]
    paired: PairedTable
    breakdowns: Breakdowns = Breakdowns()
    score_pairs: dict[Mode, tuple[ScorePair, ...]] = field(default_factory=dict)
    flip_kinds: dict[Mode, FlipKinds] = field(default_factory=dict)
    noise_floor: dict[Mode, NoiseFloor] = field(default_factory=dict)
    askings: dict[Mode, ModeEffects] = field(default_factory=dict)
    paired_askings: OfEffects[EffectPairs] | None = None
    witnessed: dict[Mode, Witnessed] = field(default_factory=dict)
    schedules: tuple[str, ...] = ()
    cross_mode: CrossMode = CrossMode()
    clusters: Clusters = Clusters()
    retries: dict[Mode, Retries] = field(default_factory=dict)
    latency: dict[Mode, Latency] = field(default_factory=dict)
    stack: Stack = Stack()
    claims: tuple[Claim, ...] = ()
    threats: tuple[Threat, ...] = ()
    flips: tuple[Flip, ...] = ()

    def mode(self, mode: Mode) -> ModeTable:
        """The table of a mode; an empty one where it has no records."""
        return self.by_mode[mode] if mode in self.by_mode else ModeTable()

    def floor(self, mode: Mode) -> NoiseFloor:
        """What asking again showed in a mode; nothing where it has no records."""
        return self.noise_floor[mode] if mode in self.noise_floor else NoiseFloor()
