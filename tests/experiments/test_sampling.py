"""Draws above temperature 0: what the tests find, what they leave alone, and how often they err."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from scipy import stats

from harness.experiments import (
    SampleRow,
    detectable_shift,
    label_test,
    sampled,
    seed_of,
)
from harness.records import Answer, Witness
from harness.words import Mode, Status

PROMPTS, SAMPLES = 40, 16
MET = Witness(steps=9, admitted_first_step=8, shared_decode_share=1.0, source="log")
ALONE = Witness(steps=9, admitted_first_step=1, shared_decode_share=0.0, source="log")


def draws(
    seed: int, shift: float = 0.0, *, labels: str = "ac", kept: float = 0.0, alike: bool = True
) -> list[tuple[str, str, str]]:
    """Pairs of draws: each prompt has a distribution of its own, the batch moves ``shift`` of it.

    ``kept`` of the pairs fall alike, as one seed makes them; the rest are drawn apart. Unless
    ``alike``, every other prompt moves the other way.
    """
    lot = random.Random(seed)
    found = []
    for number in range(PROMPTS):
        weights = [lot.uniform(0.35, 0.65) for _ in labels]
        for _ in range(SAMPLES):
            alone, batched = lot.choices(labels, weights, k=2)
            if lot.random() < kept:
                batched = alone
            source, target = (
                (labels[0], labels[-1]) if alike or number % 2 else (labels[-1], labels[0])
            )
            # of those that could be moved about half the draws are
            if batched == source and lot.random() < shift * 2:
                batched = target
            found.append((f"p{number}", alone, batched))
    return found


@pytest.mark.parametrize(("labels", "kept"), [("ac", 0.0), ("ac", 0.9), ("abc", 0.5)])
def test_at_most_one_null_experiment_in_twenty_finds_a_difference(labels: str, kept: float) -> None:
    found = sum(
        label_test(draws(seed, labels=labels, kept=kept), resamples=199).is_found
        for seed in range(200)
    )
    assert found <= 10


def test_a_planted_shift_is_found_with_the_power_that_is_stated() -> None:
    shift = detectable_shift(PROMPTS * SAMPLES, 0.5)
    assert shift is not None
    found = sum(label_test(draws(1000 + seed, shift), resamples=999).is_found for seed in range(60))
    assert found / 60 >= 0.7  # 80% less the chance of 60 experiments


@pytest.mark.parametrize(
    ("pairs", "discordant", "shift"),
    [(256, 2, 0.0352), (100, 3, 0.0894), (1000, 4, 0.0091), (256, 128, 0.1386), (32, 16, 0.3766)],
)
def test_the_power_is_that_of_pairs_that_differ_also_where_few_do(
    pairs: int, discordant: int, shift: float
) -> None:
    """A shift of more than the discordant pairs makes all that differ, and these are counted."""
    stated = detectable_shift(pairs, discordant / pairs)
    assert stated == pytest.approx(shift, abs=1e-4)
    lot = random.Random(pairs + discordant)
    back = max(0.0, (discordant / pairs - stated) / 2)
    times = 200
    found = 0
    for _ in range(times):
        drawn = [lot.random() for _ in range(pairs)]
        up, down = sum(x < stated + back for x in drawn), sum(x > 1 - back for x in drawn)
        found += bool(up + down) and 2 * stats.binomtest(up, up + down).pvalue < 0.05
    assert abs(found / times - 0.8) < 0.1


def test_so_few_draws_that_no_shift_is_found_have_none() -> None:
    assert detectable_shift(4, 0.5) is None  # the smallest p of four pairs is 1 in 8
    assert detectable_shift(0, 0.5) is None
    assert label_test([("p", "a", "c")]).detectable is None


def test_a_third_label_asks_for_a_larger_shift() -> None:
    two, three = (detectable_shift(1000, 0.5, labels=n) for n in (2, 3))
    assert two is not None
    assert three is not None
    assert 1.05 < three / two < 1.25


def test_shifts_that_go_both_ways_are_found_prompt_by_prompt() -> None:
    test = label_test(draws(7, 0.35, alike=False), resamples=999)
    assert test.p_within < 0.01 < test.p_shift
    assert test.is_found


def test_few_pairs_are_tested_exactly_as_mcnemar_tests_them() -> None:
    pairs = [("p", "a", "c")] * 8 + [("q", "c", "a")] * 1 + [("q", "a", "a")] * 30
    test = label_test(pairs)
    assert test.p_shift == pytest.approx(stats.binomtest(8, 9).pvalue)
    assert test.shifts == {"a": pytest.approx(-7 / 39), "c": pytest.approx(7 / 39)}


def test_the_randomised_p_is_that_of_the_exact_test_where_it_is_known() -> None:
    pairs = [("p", "a", "c")] * 40 + [("p", "c", "a")] * 22
    assert label_test(pairs).p_shift == pytest.approx(stats.binomtest(40, 62).pvalue, abs=0.006)


def test_pairs_that_all_fall_alike_show_nothing_and_have_no_detectable_shift() -> None:
    test = label_test([("p", "a", "a")] * 20)
    assert (test.p_adjusted, test.discordant, test.detectable) == (1.0, 0, None)


def test_no_two_draws_share_a_seed_and_each_fits_the_server() -> None:
    seeds = {seed_of(42, f"p{n}", k) for n in range(100) for k in range(16)}
    assert len(seeds) == 1600
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seed_of(42, "p0", 3) == seed_of(42, "p0", 3) != seed_of(43, "p0", 3)


def rows(texts: dict[str, str], mode: Mode = Mode.STANDARD, **more) -> Iterator[SampleRow]:
    """Draws of prompts by their three texts a seed: alone, in the batch, alone again."""
    for key, told in texts.items():
        for number in range(0, len(told), 3):
            alone, batched, again = (Answer(text=t, label=t) for t in told[number : number + 3])
            fields = {"mode": mode, "status": Status.OK, "key": key, "group": (key, "x")}
            fields |= {"sample": number // 3, "seed": number, "alone": alone, "batched": batched}
            fields |= {"again": again, "alone_witness": ALONE, "batch_witness": MET}
            yield SampleRow(**(fields | more))


def test_a_prompt_changes_if_one_of_its_seeds_gives_another_text_in_the_batch() -> None:
    found = sampled([*rows({"q": "aaabbb", "r": "aaabcb"})])
    of = found.by_mode[Mode.STANDARD]
    assert (of.prompts, of.text_changes, of.noise, of.several) == (2, 1, 0, 2)
    assert found.gaps == ()


def test_a_server_that_does_not_keep_its_seeds_is_said_to_and_nothing_is_claimed() -> None:
    found = sampled([*rows({"q": "abcbbb", "r": "aaabbb"})])
    of = found.by_mode[Mode.STANDARD]
    assert (of.noise, of.text_changes) == (1, 0)
    assert "the server does not keep its seeds" in found.gaps[0]


def test_seeds_that_all_give_one_text_are_no_sample() -> None:
    assert "nothing was sampled" in sampled([*rows({"q": "aaaaaa"})]).gaps[0]


@pytest.mark.parametrize(
    "more",
    [
        {"batch_witness": None},
        {"batch_witness": ALONE},
        {"alone_witness": MET},
        {"alone_witness": None},
    ],
)
def test_a_draw_whose_batch_was_none_is_no_evidence(more) -> None:
    found = sampled([*rows({"q": "abaccc"}, **more)])
    of = found.by_mode[Mode.STANDARD]
    assert (of.vacuous, of.prompts, of.text_changes, of.labels) == (2, 0, 0, None)
    assert found.gaps


def test_a_server_that_says_the_same_to_everything_was_not_asked_anything() -> None:
    of = {f"q{n}": "aaabbb" for n in range(8)}
    assert "different prompts have the same answer" in sampled([*rows(of)]).gaps[0]
    other = {f"q{n}": "aaabbb" if n else "cccddd" for n in range(8)}
    assert sampled([*rows(other)]).gaps == ()


def test_the_modes_are_compared_by_the_prompts_that_both_count() -> None:
    moved = {f"q{n}": "abaccc" for n in range(7)}
    still = {f"q{n}": "aaaccc" for n in range(6)}
    found = sampled([*rows(moved), *rows(still, Mode.BATCH_INVARIANT)])
    assert found.paired == (6, 0)
    assert found.p_two_sided == pytest.approx(2 / 2**6)
