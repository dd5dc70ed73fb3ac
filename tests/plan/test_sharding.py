"""A plan cut for servers side by side: nothing lost, nothing doubled, and what meets together."""

from hypothesis import given
from hypothesis import strategies as st

from harness.candidates import Candidate
from harness.plan import build_plan, sharded
from harness.settings import load_spec
from harness.tasks import load_tasks

SPEC = load_spec("demo").spec
POPULATION = load_tasks(SPEC.tasks)
PROMPTS = POPULATION.prompts
ROWS = st.lists(
    st.tuples(st.integers(0, len(PROMPTS) - 1), st.sampled_from((2, 3, 8)), st.booleans()),
    min_size=1,
    max_size=60,
    unique=True,
)


def planned(rows):
    found = [
        Candidate(
            model=SPEC.models[0].name,
            task_name=PROMPTS[place].task.name,
            sample_id=PROMPTS[place].sample.sample_id,
            batch_size=size,
            dispatch_mode="staggered" if staggered else "synchronized",
        )
        for place, size, staggered in rows
    ]
    return build_plan(SPEC, found, POPULATION)


def prompts_of(lifetime):
    return {prompt.sha256 for record in lifetime.records for prompt in record.group.prompts}


@given(ROWS, st.integers(1, 9))
def test_parts_hold_every_record_once_and_share_no_prompt(rows, servers):
    whole = planned(rows)
    parts = sharded(whole, servers)
    ids = [record.record_id for record in parts.records]
    assert sorted(ids) == sorted(record.record_id for record in whole.records)
    for mode in SPEC.modes:
        own = [one for one in parts.lifetimes if one.mode is mode]
        assert 1 <= len(own) <= max(1, -(-servers // len(whole.lifetimes)))
        assert sum(len(prompts_of(one)) for one in own) == len(set().union(*map(prompts_of, own)))


@given(ROWS, st.integers(1, 9))
def test_a_part_keeps_the_order_of_its_records(rows, servers):
    whole = planned(rows)
    place = {record.record_id: number for number, record in enumerate(whole.records)}
    for part in sharded(whole, servers).lifetimes:
        places = [place[record.record_id] for record in part.records]
        assert places == sorted(places)


def test_as_many_parts_as_servers_where_the_prompts_allow_it():
    rows = [(place, 2, False) for place in range(min(len(PROMPTS), 40))]
    parts = sharded(planned(rows), 6).lifetimes
    assert len(parts) == 6
    sizes = {len(part.records) for part in parts}
    assert max(sizes) - min(sizes) <= 2
    assert len(sharded(planned(rows), 2).lifetimes) == 2
