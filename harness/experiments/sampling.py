"""What answers drawn above temperature 0 show: the same seed, and the distribution of the labels.

Alone and in a batch each answer is drawn with one seed, so they are a pair. Two questions, two
tests. *Same seed, same text* is exact and by prompt. *Equal distributions of labels* is a
randomisation test (Fisher 1935): where the batch changes no distribution, alone and batched may
change places within each pair, whatever the prompts' own distributions are. Only pairs with two
labels say anything (McNemar 1947, Stuart 1955; by prompt as strata, Mantel and Haenszel 1959).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy import special, stats

from harness.analyse import ALPHA, holm, upper_bound
from harness.experiments.pairing import by_mode, paired, share_one_text
from harness.records import Answer, Witness
from harness.words import Mode, Status

RESAMPLES = 9_999
_EXACT_PAIRS = 12
"""With so many pairs of two labels all changes of places are gone through."""
_CHUNK = 256
_POWER, _CLOSE = 0.8, 1e-5
Pair = tuple[str, Hashable, Hashable]
"""A prompt, and how its answer was judged alone and in the batch, drawn with the same seed."""


class SampleRow(Struct, frozen=True, kw_only=True):
    """One prompt, one seed, one mode; a line of ``samples.jsonl``.

    Attributes:
        key: ``task/sample`` of the prompt; ``group`` is its batch in order.
        sample: which draw of the prompt, from 0; ``seed`` is the request's own in each asking.
        alone, batched, again: S1, B and S2.
        alone_witness, batch_witness: of S1 and B.
        start: which start of its server answered, from 1.
    """

    mode: Mode
    status: Status
    error: str = ""
    key: str
    group: tuple[str, ...]
    sample: int
    seed: int
    alone: Answer | None = None
    batched: Answer | None = None
    again: Answer | None = None
    alone_witness: Witness | None = None
    batch_witness: Witness | None = None
    start: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it is evidence: answered, the batch shared a step and the solo asking none."""
        if self.status is not Status.OK or self.batch_witness is None:
            return False
        alone = self.alone_witness
        return self.batch_witness.shared and alone is not None and not alone.shared

    @property
    def in_vain(self) -> bool:
        """Whether it was not answered, or is no evidence."""
        return not self.counts


class LabelTest(Struct, frozen=True, kw_only=True):
    """Whether labels are distributed alike alone and in the batch.

    Attributes:
        pairs: draws that are judged on both sides; ``prompts`` have one.
        discordant: pairs whose two labels differ. At temperature 0 each would be a label flip; here
            it is one draw that fell otherwise, and says nothing of the distribution by itself.
        shifts: share of each label in the batch less its share alone, over all pairs.
        p_shift: that labels move the same way in all prompts.
        p_within: that any prompt's labels move, in whatever direction.
        p_adjusted: the smaller of both after Holm's correction: the test's own p.
        detectable: shift of a label's share that so many pairs, of which so many are discordant,
            find with 80% power if all prompts move alike; ``None`` without a discordant pair, and
            where no shift is.
    """

    pairs: int
    prompts: int
    discordant: int
    shifts: dict[str, float]
    p_shift: float
    p_within: float
    p_adjusted: float
    detectable: float | None

    @property
    def is_found(self) -> bool:
        """Whether the distributions differ, at 5%."""
        return bool(self.p_adjusted < ALPHA)


class SampledOfMode(Struct, frozen=True, kw_only=True):
    """Draws under one mode.

    Attributes:
        rows, errors, vacuous: draws, those not answered, those whose batch was none.
        prompts: those with a draw that counts.
        several: prompts of which two seeds gave two texts: none means that nothing was sampled.
        noise: prompts of which a seed gave two texts alone: the server does not keep its seeds.
        text_changes: of the others, prompts of which a seed gave another text in the batch.
        bound: one-sided 95% upper bound of the share of such prompts.
        labels: the test; ``None`` where nothing is judged.
        computes: whether different prompts have different answers.
    """

    rows: int
    errors: int
    vacuous: int
    prompts: int
    several: int
    noise: int
    text_changes: int
    bound: float | None
    labels: LabelTest | None
    computes: bool


class Sampled(Struct, frozen=True, kw_only=True):
    """Draws under one mode or both.

    Attributes:
        paired: prompts whose text changes in standard mode only, and in the invariant one only.
        p_two_sided: exact McNemar of these.
        gaps: why not everything counts, in words.
    """

    by_mode: dict[Mode, SampledOfMode]
    paired: tuple[int, int] | None
    p_two_sided: float | None
    gaps: tuple[str, ...]


def seed_of(base: int, prompt: str, sample: int) -> int:
    """The seed of one draw of a prompt: no other prompt or draw shares it, but by chance.

    With one seed for all prompts their draws would fall alike, and were no independent evidence.
    """
    return int.from_bytes(sha256(f"{base}/{prompt}/{sample}".encode()).digest()[:4]) >> 1


def detectable_shift(
    pairs: int, discordance: float, *, labels: int = 2, power: float = _POWER
) -> float | None:
    """The shift of a label's share that ``pairs`` find, all prompts moving alike.

    By the exact sign test of the discordant pairs (Connor 1987, without his approximation), at half
    of 5% as the smaller of two p values needs. More labels dilute it as further degrees of freedom
    do a chi-squared test.

    Args:
        pairs: draws judged on both sides.
        discordance: share of pairs with two labels: 0.5 at most for two labels drawn apart, the
            less the more the seed fixes the answer. A shift of more makes so many discordant.
        labels: that were seen.
        power: of the two-sided test.

    Returns:
        ``None`` where no shift is found as often.
    """
    low, high = _CLOSE, 1.0
    if not pairs or _power_of(high, pairs, discordance) < power:
        return None
    while high - low > _CLOSE:
        middle = (low + high) / 2
        enough = _power_of(middle, pairs, discordance) >= power
        low, high = (low, middle) if enough else (middle, high)
    reach = [_noncentrality(freedom, power) for freedom in (1, max(1, labels - 1))]
    found = high * math.sqrt(reach[1] / reach[0])
    return found if found <= 1 else None


def _power_of(shift: float, pairs: int, discordance: float) -> float:
    """How often a shift is found: over the numbers of discordant pairs, the sign test's power."""
    rate = max(shift, discordance)
    low, high = (int(stats.binom.ppf(share, pairs, rate)) for share in (1e-9, 1 - 1e-9))
    counts = np.arange(low, high + 1)
    up = stats.binom.sf(_fewest(pairs)[counts] - 1, counts, (1 + shift / rate) / 2)
    return float((stats.binom.pmf(counts, pairs, rate) * up).sum())


@cache
def _fewest(pairs: int) -> NDArray[np.float64]:
    """Of 0, 1 ... discordant pairs, how many of one sign are found."""
    return np.asarray(stats.binom.isf(ALPHA / 4, np.arange(pairs + 1), 0.5)) + 1


def _noncentrality(freedom: int, power: float) -> float:
    """Of a chi-squared test at half of 5% with that power."""
    limit = special.chdtri(freedom, ALPHA / 2)
    return float(special.chndtrinc(limit, freedom, 1 - power))


def label_test(pairs: Sequence[Pair], *, resamples: int = RESAMPLES, seed: int = 0) -> LabelTest:
    """Test equality of the label distributions of paired draws, stratified by prompt.

    Args:
        pairs: the draws.
        resamples: random changes of places; exact where at most 12 pairs are discordant.
        seed: of these.
    """
    moved = sorted((p for p in pairs if p[1] != p[2]), key=lambda pair: pair[0])
    names = sorted({label for pair in pairs for label in pair[1:]}, key=str)
    shift = Counter(str(label) for _, _, label in pairs)
    shift.subtract(Counter(str(label) for _, label, _ in pairs))
    p_shift, p_within = _randomised(moved, names, resamples, seed) if moved else (1.0, 1.0)
    rate = len(moved) / len(pairs) if pairs else 0.0
    return LabelTest(
        pairs=len(pairs),
        prompts=len({prompt for prompt, _, _ in pairs}),
        discordant=len(moved),
        shifts={name: count / len(pairs) for name, count in sorted(shift.items())},
        p_shift=p_shift,
        p_within=p_within,
        p_adjusted=min(holm([p_shift, p_within])),
        detectable=detectable_shift(len(pairs), rate, labels=len(names)) if moved else None,
    )


def _randomised(
    moved: Sequence[Pair], names: Sequence[Hashable], resamples: int, seed: int
) -> tuple[float, float]:
    """p of the shift over all prompts and of the shifts within each, of the same resamples."""
    place = {name: number for number, name in enumerate(names)}
    lot, pairs = np.random.default_rng(seed), len(moved)
    change = np.zeros((pairs, len(names)), np.float32)
    for row, (_, alone, batched) in enumerate(moved):
        change[row, place[alone]] -= 1
        change[row, place[batched]] += 1
    weight = 1 / np.maximum((change**2).sum(axis=0), 1)
    prompts = [prompt for prompt, _, _ in moved]
    starts = [n for n in range(pairs) if not n or prompts[n] != prompts[n - 1]]

    def statistics(signs: np.ndarray) -> np.ndarray:
        within = np.add.reduceat(signs[:, :, None] * change, starts, axis=1)
        over_all = (within.sum(axis=1) ** 2 * weight).sum(axis=1)
        return np.stack([over_all, (within**2).sum(axis=(1, 2))])

    exact = pairs <= _EXACT_PAIRS
    ways = 2**pairs if exact else resamples
    seen = statistics(np.ones((1, pairs), np.float32))
    as_far = np.zeros(2)
    for begin in range(0, ways, _CHUNK):
        count = min(_CHUNK, ways - begin)
        if exact:
            bits = np.arange(begin, begin + count)[:, None] >> np.arange(pairs) & 1
        else:
            bits = lot.integers(0, 2, (count, pairs))
        as_far += (statistics((2 * bits - 1).astype(np.float32)) >= seen - 1e-4).sum(axis=1)
    one, other = as_far / ways if exact else (as_far + 1) / (ways + 1)
    return float(one), float(other)


def sampled(rows: Sequence[SampleRow]) -> Sampled:
    """What draws come to, by prompt."""
    parts = by_mode(rows)
    told = {mode: _of_mode(own) for mode, own in parts.items()}
    counts, p = paired([_changed(own) for own in parts.values()])
    return Sampled(by_mode=told, paired=counts, p_two_sided=p, gaps=tuple(_gaps(told)))


def _of_mode(rows: Sequence[SampleRow]) -> SampledOfMode:
    ok = [row for row in rows if row.status is Status.OK]
    counted = [row for row in ok if row.counts]
    changed = _changed(counted)
    prompts = {row.key for row in counted}
    texts = {(row.key, _hash(row.alone)) for row in counted}
    pairs = [
        (row.key, row.alone.label, row.batched.label)
        for row in counted
        if row.alone and row.batched and row.alone.label and row.batched.label
    ]
    return SampledOfMode(
        rows=len(rows),
        errors=len(rows) - len(ok),
        vacuous=len(ok) - len(counted),
        prompts=len(prompts),
        several=sum(n > 1 for n in Counter(key for key, _ in texts).values()),
        noise=len(prompts - changed.keys()),
        text_changes=sum(changed.values()),
        bound=upper_bound(sum(changed.values()), len(changed)) if changed else None,
        labels=label_test(pairs) if pairs else None,
        computes=not share_one_text({row.key: _hash(row.alone) for row in counted}),
    )


def _changed(rows: Iterable[SampleRow]) -> dict[str, bool]:
    """Whether a seed of a prompt gave another text in the batch; prompts with noise left out."""
    found: dict[str, bool] = {}
    noise = set()
    for row in (row for row in rows if row.counts):
        found[row.key] = found.get(row.key, False) or _hash(row.alone) != _hash(row.batched)
        if _hash(row.alone) != _hash(row.again):
            noise.add(row.key)
    return {key: changed for key, changed in found.items() if key not in noise}


def _gaps(told: dict[Mode, SampledOfMode]) -> Iterator[str]:
    for mode, of in told.items():
        if of.errors:
            yield f"{mode.words}: {of.errors} of {of.rows} draws failed"
        if of.vacuous:
            yield f"{mode.words}: {of.vacuous} of {of.rows} draws are no evidence: no batch"
        if of.noise:
            yield (
                f"{mode.words}: {of.noise} of {of.prompts} prompts change alone with one seed: "
                "the server does not keep its seeds"
            )
        if not of.prompts:
            yield f"{mode.words}: no draw counts"
        elif not of.several:
            yield f"{mode.words}: no two seeds gave two texts: nothing was sampled"
        if not of.computes:
            yield f"{mode.words}: different prompts have the same answer"


def _hash(answer: Answer | None) -> str | None:
    return None if answer is None else answer.response_hash
