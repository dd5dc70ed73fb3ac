"""The register of known defects: its form, its ranges, and stacks judged by it."""

from __future__ import annotations

import re

import pytest

from harness.cause import Has, Trait, fitting, judge_stack, known_defects, traits_of, with_axis
from harness.prove import parse_version
from harness.settings import load_spec
from harness.words import Mode

THREAD = re.compile(r"[\w.-]+/[\w.-]+#\d+$")
HOPPER = {
    "server.attention_backend": "FLASH_ATTN",
    "server.dtype": "bfloat16",
    "controls.prefix_caching": "off",
}


def stack(
    release,
    capability,
    mode=Mode.BATCH_INVARIANT,
    features=("dense",),
    quantization=("none",),
    **overrides,
):
    spec = load_spec("controlled", HOPPER | overrides).spec
    known = {"release": release, "capability": capability, "features": features}
    known["quantization"] = quantization
    return traits_of(spec, mode, **known)


def found(release, traits, *kinds):
    wanted = kinds or (Has.YES,)
    return {one.defect.id for one in judge_stack(release, traits) if one.has in wanted}


def test_there_are_at_least_25_entries_each_with_an_id_of_its_own():
    names = [one.id for one in known_defects()]
    assert len(names) >= 25
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("defect", known_defects(), ids=lambda one: one.id)
def test_an_entry_says_where_it_is_known_from_and_what_helps(defect):
    assert defect.threads or defect.source
    assert all(THREAD.match(thread) for thread in defect.threads)
    assert set(defect.known_by) <= {"measured", "source", "thread"}
    assert defect.known_by
    assert "thread" not in defect.known_by or defect.threads
    assert defect.workaround
    assert defect.seen


@pytest.mark.parametrize("defect", known_defects(), ids=lambda one: one.id)
def test_an_entrys_releases_are_releases_in_their_order(defect):
    told = [defect.first_bad, defect.first_good, defect.read]
    versions = [parse_version(one) for one in told]
    assert [v is None for v in versions] == [one is None for one in told]
    bad, good, read = versions
    assert not (bad and good) or bad < good
    assert not (bad and read) or bad <= read


def test_only_what_no_asking_can_show_names_no_effect_that_is_seen():
    unseen = {one.id: one.outcome for one in known_defects() if not one.shows}
    confounds = {name for name, outcome in unseen.items() if outcome == "confounds"}
    assert confounds == {"breakable-graphs-confound", "blackwell-backend-confound"}
    assert {outcome for name, outcome in unseen.items() if name not in confounds} == {"refuses"}


STACKS = {
    "H100, 0.19.1, FLASH_ATTN, cache off": ("0.19.1", "9.0", {}, {"fa3-mixed-prefill"}),
    "H100, 0.19.1, TRITON_ATTN, cache off": (
        "0.19.1",
        "9.0",
        {"server.attention_backend": "TRITON_ATTN"},
        set(),
    ),
    "H100, 0.19.1, FA2, cache off": (
        "0.19.1",
        "9.0",
        {"server.extra_args": ["--attention-config", '{"flash_attn_version": 2}']},
        set(),
    ),
    "RTX 3090, 0.19.1": (
        "0.19.1",
        "8.6",
        {},
        {"capability-8.6-hopper-branch", "compiled-on-ampere-ada"},
    ),
    "L40S, 0.25.1, 4 workers": (
        "0.25.1",
        "8.9",
        {"server.extra_args": ["--tensor-parallel-size", "4"]},
        {"rmsnorm-256-tokens", "sequence-parallel"},
    ),
    "H100, 0.26.0, TRITON_ATTN": (
        "0.26.0",
        "9.0",
        {"server.attention_backend": "TRITON_ATTN"},
        {"rmsnorm-256-tokens"},
    ),
}


@pytest.mark.parametrize(
    ("release", "capability", "changes", "expected"), STACKS.values(), ids=STACKS
)
def test_a_stack_has_what_is_known_of_it(release, capability, changes, expected):
    judged = judge_stack(release, stack(release, capability, **changes))
    has = {one.defect.id for one in judged if one.has is Has.YES}
    assert has - {one.id for one in known_defects() if one.outcome == "confounds"} == expected


def test_a_stack_of_which_something_is_not_known_is_not_clear_of_what_hangs_on_it():
    traits = dict(stack("0.19.1", "9.0"))
    traits.pop(Trait.FEATURE)
    assert "moe-no-guard" in found("0.19.1", traits, Has.UNKNOWN)
    assert "moe-no-guard" not in found("0.19.1", stack("0.19.1", "9.0"), *set(Has) - {Has.NO})


@pytest.mark.parametrize("release", ["0.33.1", "0.34.0rc1", "0.40.0"])
def test_of_a_release_newer_than_the_newest_one_read_nothing_is_said(release):
    traits = stack(release, "9.0", features=("moe",), quantization=("fp8",))
    assert not found(release, traits, Has.YES, Has.MAY)
    assert "fa3-mixed-prefill" in found(release, traits, Has.UNKNOWN)
    assert "fp8-moe-online" in found(release, traits, Has.UNKNOWN)  # repaired in 0.33.0


def test_an_entry_that_was_not_followed_to_a_release_may_still_be_there():
    assert "rmsnorm-fused-quant" in found(
        "0.30.0", fp8 := stack("0.30.0", "9.0", quantization=["fp8"]), Has.MAY
    )
    assert "rmsnorm-fused-quant" in found("0.26.0", fp8)


@pytest.mark.parametrize("release", ["0.27.0rc1", "0.27.0.dev12+g1a2b3c4", "v0.27.0-rc2"])
def test_a_candidate_of_a_repaired_release_may_lack_the_repair(release):
    assert "rmsnorm-256-tokens" in found(release, stack(release, "9.0"), Has.MAY)
    whole = ("0.27.0", "0.27.0+cu129", "0.27.0.post1")
    assert not any(
        "rmsnorm-256-tokens" in found(r, stack(r, "9.0"), *set(Has) - {Has.NO}) for r in whole
    )


def test_every_quantization_of_a_stack_is_looked_at():
    for both in (["awq", "fp8"], ["fp8", "awq"]):
        assert "rmsnorm-fused-quant" in found("0.25.0", stack("0.25.0", "9.0", quantization=both))


def test_a_repaired_release_does_not_have_it():
    assert "fuse-allreduce-rms" not in found(
        "0.29.0",
        stack("0.29.0", "9.0", **{"server.extra_args": ["--tensor-parallel-size", "2"]}),
        *set(Has) - {Has.NO},
    )


@pytest.mark.parametrize(
    ("passes", "has"),
    [
        ((), Has.YES),
        (("--compilation-config", '{"pass_config": {"fuse_allreduce_rms": true}}'), Has.YES),
        (("--compilation-config", '{"pass_config": {"fuse_allreduce_rms": false}}'), Has.NO),
        (("--enforce-eager",), Has.NO),
    ],
)
def test_a_compilers_pass_that_is_off_makes_no_defect(passes, has):
    two = {"server.extra_args": ["--tensor-parallel-size", "2", *passes]}
    judged = judge_stack("0.20.2", stack("0.20.2", "9.0", **two))
    assert {one.has for one in judged if one.defect.id == "fuse-allreduce-rms"} == {has}


def test_what_nobody_has_seen_is_never_said_for_certain():
    for one in (d for d in known_defects() if d.possible or d.repaired):
        traits = {trait: frozenset(words) for trait, words in one.when.items()}
        for release in filter(None, (one.first_bad, "0.19.1", "0.33.0")):
            assert one.id not in found(release, traits)


def test_the_entry_that_fits_is_named_by_what_takes_the_change_away():
    judged = judge_stack("0.19.1", stack("0.19.1", "9.0"))
    for value in ("FA2", "TRITON_ATTN"):
        (fits,) = fitting(judged, {"batch"}, {"staggered"}, ("attention", value))
        assert fits.where == "vllm#51902"
    assert not fitting(judged, {"batch"}, {"staggered"}, ("prefix_cache", "off"))
    assert not fitting(judged, {"batch"}, {"gated"}, ("attention", "FA2"))


def test_a_trait_can_be_set_anew():
    traits = with_axis(stack("0.19.1", "9.0"), Trait.CAPABILITY, "8.9", "8.x")
    assert "fa3-mixed-prefill" not in found("0.19.1", traits)
