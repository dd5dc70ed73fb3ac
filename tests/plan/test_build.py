from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.plan import build_plan, estimate, remaining
from harness.records import record_id
from harness.settings import Controls, ModelSpec, RequestSettings, RunSpec, ServerSettings
from harness.words import Asking, CachePolicy, Mode

from .conftest import candidate, population_of

POPULATION = population_of(6, 6)
SPEC = RunSpec(
    models=tuple(ModelSpec(name=name, hf_id=f"org/{name}") for name in ("b", "unused", "a")),
    modes=(Mode.BATCH_INVARIANT, Mode.STANDARD),
    tasks="tasks",
)
CANDIDATES = (
    candidate("a", "task0", "s1", 4, "synchronized"),
    candidate("b", "task1", "s5", 8, "prompt_list"),
    candidate("a", "task0", "s1", 8, "prompt_list"),
)
PLAN = build_plan(SPEC, CANDIDATES, POPULATION)
IDS = [record.record_id for record in PLAN.records]


def test_there_is_one_lifetime_a_model_and_mode_in_the_order_of_the_spec() -> None:
    assert [(item.model.name, item.mode) for item in PLAN.lifetimes] == [
        ("b", Mode.BATCH_INVARIANT),
        ("b", Mode.STANDARD),
        ("a", Mode.BATCH_INVARIANT),
        ("a", Mode.STANDARD),
    ]


def test_records_of_a_lifetime_keep_the_order_of_the_candidates() -> None:
    assert [record.candidate for record in PLAN.lifetimes[2].records] == [
        CANDIDATES[0],
        CANDIDATES[2],
    ]


def test_every_candidate_is_recorded_once_a_mode() -> None:
    found = sorted((record.candidate.key, record.mode) for record in PLAN.records)
    assert found == sorted((item.key, mode) for item in CANDIDATES for mode in SPEC.modes)


def test_a_candidate_has_the_same_batch_in_both_modes() -> None:
    groups: dict[object, set[tuple[str, ...]]] = {}
    for record in PLAN.records:
        groups.setdefault(record.candidate.key, set()).add(record.group.ids)
    assert [len(group) for group in groups.values()] == [1, 1, 1]


def test_record_ids_are_unique_and_do_not_change_between_versions() -> None:
    assert len(set(IDS)) == len(IDS)
    key = ("llama3.2-1b", "bbq_bias", "bbq_197", 32, "synchronized")
    assert record_id(key, Mode.STANDARD) == "a2f4bf575bf80ee1"


def test_a_candidate_of_a_model_that_the_spec_lacks_is_an_error() -> None:
    with pytest.raises(UsageError, match="model 'c'"):
        build_plan(SPEC, [candidate("c", "task0", "s0", 2, "prompt_list")], POPULATION)


@given(st.sets(st.sampled_from(IDS)))
def test_what_remains_and_what_is_done_are_the_whole_plan_in_order(done: set[str]) -> None:
    left = [record.record_id for record in remaining(PLAN, done).records]
    assert left == [identity for identity in IDS if identity not in done]


def test_a_lifetime_with_nothing_left_is_not_started() -> None:
    done = [record.record_id for record in PLAN.lifetimes[0].records]
    assert remaining(PLAN, done).lifetimes == PLAN.lifetimes[1:]


def test_ids_of_another_run_change_nothing() -> None:
    assert remaining(PLAN, ["ffffffffffffffff"]) == PLAN


@pytest.mark.parametrize(
    ("policy", "solos"),
    [
        # a: 8 prompts of its two groups once, S1 of its one target, S2 of two rows; b: 8, 1 and 1
        (CachePolicy.SERVER_DEFAULT, (8 + 1 + 2) + (8 + 1 + 1)),
        (CachePolicy.OFF, (1 + 1 + 2) + (1 + 1 + 1)),
    ],
)
def test_requests_and_answers_are_counted_by_asking_dispatch_mode_and_cache(policy, solos) -> None:
    controls = Controls(askings=tuple(Asking), prefix_caching=policy, warmup_requests=0)
    spec = SPEC.model_copy(update={"controls": controls})
    total = estimate(spec, build_plan(spec, CANDIDATES, POPULATION))
    assert (total.lifetimes, total.records) == (4, 6)
    assert total.requests == 2 * (solos + 2 * (4 + 1 + 1))
    assert total.answers == 2 * (solos + 2 * (4 + 8 + 8))


def test_rows_of_one_batch_are_one_slice_wherever_they_stand() -> None:
    rows = (
        candidate("a", "task0", "s1", 4, "synchronized"),
        candidate("a", "task0", "s1", 4, "prompt_list"),
        candidate("a", "task0", "s5", 4, "synchronized"),
        candidate("a", "task0", "s3", 4, "synchronized"),
    )
    slices = build_plan(SPEC, rows, POPULATION).lifetimes[0].slices
    assert [[r.candidate.sample_id for r in one] for one in slices] == [
        ["s1", "s3"],
        ["s1"],
        ["s5"],
    ]


def test_the_estimate_grows_with_the_answers_length_and_knows_the_cpu_engine() -> None:
    short = SPEC.model_copy(update={"request": RequestSettings(max_tokens=8)})
    assert estimate(short, PLAN).seconds < estimate(SPEC, PLAN).seconds
    server = ServerSettings(env={"VLLM_CPU_KVCACHE_SPACE": "1"})
    assert estimate(SPEC.model_copy(update={"server": server}), PLAN).on_cpu


def test_gpu_hours_count_every_card_that_is_held_and_no_overlap_makes_them_fewer() -> None:
    one = estimate(SPEC, PLAN)
    two = SPEC.model_copy(update={"server": ServerSettings(tensor_parallel=2, overlap=2)})
    assert estimate(two, PLAN).gpu_hours == 2 * one.gpu_hours
    assert estimate(two, PLAN).seconds == one.seconds / 2
    assert one.gpu_hours == one.seconds / 3600
    on_cpu = ServerSettings(env={"VLLM_CPU_KVCACHE_SPACE": "1"})
    assert estimate(SPEC.model_copy(update={"server": on_cpu}), PLAN).gpu_hours == 0
