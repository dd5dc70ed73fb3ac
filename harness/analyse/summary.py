"""What a run came to, as ``summary.json`` holds it (DESIGN 4.7): one struct for each of its parts.

`harness.analyse.from_records` fills these, and everybody else reads them; the file is their
`msgspec.to_builtins`, so the order of fields is the order of its keys. Rates and bounds are
fractions; ``None`` stands where a number does not exist (no rows) or is not recorded.
"""

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

from msgspec import UNSET, Struct, UnsetType, field

from harness.analyse.asking_tables import (
    ByPrompt,
    Carried,
    Counted,
    EffectPairs,
    EffectTable,
    ModeEffects,
    OfEffects,
    Unseen,
    Witnessed,
)
from harness.analyse.rates import BeyondRepeat, ModeTable, OfEndpoints, PairedTable, Pairs, Rate
from harness.analyse.stack import Stack
from harness.records import FirstDifference
from harness.words import Effect, Endpoint, Mode


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


class Slice(Struct, frozen=True):
    """The rows with one value of an attribute; ``n`` counts its candidates.

    ``by_prompt`` leads; an older file lacks it.
    """

    value: str | int | None
    n: int
    standard: ModeTable
    batch_invariant: ModeTable
    paired: PairedTable
    by_prompt: ByPrompt | None = None

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
    prompts_up: int = 0
    prompts_down: int = 0
    p_symmetry_prompts: float = 1.0


class Repeats(OfEndpoints[Rate], frozen=True):
    """The rows asked again: in how many any repeat had another label or text.

    ``prompts`` is the same by prompt, of which any row's repeat had; an older file lacks it.
    """

    repeats: int
    label_flips: Rate
    text_changes: Rate
    prompts: EffectTable[Rate] | None = None


class BeyondRepeats(OfEndpoints[BeyondRepeat], frozen=True):
    """The batch's changes against those of asking again alone, by row and by prompt."""

    label_flips: BeyondRepeat
    text_changes: BeyondRepeat
    prompts: EffectTable[BeyondRepeat] | None = None


class NoiseFloor(Struct, frozen=True):
    """How often asking again, with nothing changed, changed the answer; ``None`` if not asked."""

    solo: Repeats | None = None
    batched: Repeats | None = None
    batch_beyond_repeat: BeyondRepeats | None = None


class Differing(Struct, frozen=True):
    """The same candidate's answers under the two modes that are not the same.

    ``prompts`` is the same by prompt, of which any row's answer differs.
    """

    label_differs: Rate = Rate(0, 0)
    text_differs: Rate = Rate(0, 0)
    prompts: EffectTable[Rate] | None = None


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


class ProfileFlips(Struct, frozen=True):
    """Label flips under one scorer profile, of B against S0 and against S1.

    The tests are of standard (first) against batch-invariant; ``batch_effect`` counts what has S1.
    """

    study: dict[Mode, Counted]
    batch_effect: dict[Mode, Counted]
    paired_study: EffectPairs
    paired_batch_effect: EffectPairs


class LabelsByProfile(Struct, frozen=True):
    """The same answers' labels under each scorer profile, scored anew from their texts.

    Attributes:
        rows: ok records; ``scored``: those that could be scored.
        missing: why the others could not be, or nothing was; ``None`` where all were.
        profiles: ``strict`` and ``paper``.
    """

    rows: int = 0
    scored: int = 0
    missing: str | None = None
    profiles: dict[str, ProfileFlips] = field(default_factory=dict)


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


_PLAIN = {"baseline_differs": "the kernels differ alone too"}


class Threat(Struct, frozen=True):
    """Something that the run could not exclude: its identifier, and why it is left open."""

    threat: str
    text: str

    @property
    def words(self) -> str:
        """The identifier for a line that people read: ``no batched repeats``."""
        return _PLAIN.get(self.threat, self.threat.replace("_", " "))


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
    unseen: dict[Mode, Unseen] = field(default_factory=dict)
    carried: Carried | None = None
    schedules: tuple[str, ...] = ()
    labels_by_profile: LabelsByProfile | None = None
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

    def unscored(self, mode: Mode) -> tuple[Counter[str], Counter[str]]:
        """How many answers are ``undecided``, ``unparsed`` ...: the solo and the batched ones."""
        solo, batched = Counter[str](), Counter[str]()
        for pair in (p for of, pairs in self.score_pairs.items() if of is mode for p in pairs):
            if pair.solo is None:
                solo[str(pair.solo_label or "no score")] += pair.rows
            if pair.batched is None:
                batched[str(pair.batched_label or "no score")] += pair.rows
        return solo, batched

    @property
    def unfinished(self) -> bool:
        """Whether records that were planned are not there yet."""
        planned = self.stack.planned_records
        return planned is not None and self.n_records < planned

    @property
    def leading(self) -> Effect | None:
        """What leads: the batch effect, where S1 was asked before B of every row; else the study's.

        Where that is nothing, a comparison with S0 is all that there is.
        """
        known = bool(self.askings) and all(
            of.effects.batch_effect.text_changes.rows.n == (self.mode(mode).ok or -1)
            and not of.s1_after_batch
            for mode, of in self.askings.items()
        )
        return Effect.BATCH if known else None

    def counted(self, mode: Mode, effect: Effect | None, endpoint: Endpoint) -> Counted:
        """How often a comparison differs in a mode; of an older file the rows alone are known."""
        if mode in self.askings:
            return self.askings[mode].effects.of(effect).of(endpoint)
        return Counted(rows=self.mode(mode).of(endpoint) if effect is None else Rate(0, 0))

    def pairs_of(self, effect: Effect | None, endpoint: Endpoint) -> EffectPairs | None:
        """The paired tests of a comparison; ``None`` where no candidate has both modes."""
        if self.paired_askings is None or not self.pairs.complete:
            return None
        return self.paired_askings.of(effect).of(endpoint)

    def floor(self, mode: Mode) -> NoiseFloor:
        """What asking again showed in a mode; nothing where it has no records."""
        return self.noise_floor[mode] if mode in self.noise_floor else NoiseFloor()
