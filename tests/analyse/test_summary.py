"""What a summary says beside the study's tables: states, errors, repeats, clusters, edges."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from harness.analyse import Attribute, Rate, summarise, summarise_run
from harness.analyse.aside import changed_before
from harness.analyse.rates import Pairs
from harness.analyse.summary import Transition
from harness.analyse.tables import rate
from harness.errors import UsageError
from harness.records import RunFiles, pair_records
from harness.records.reader import read_records
from harness.report import detail_lines
from harness.words import Endpoint, Mode

FAMILIES = {"model", "domain", "task_name", "dispatch_mode", "phase", "original_direction"}


def record(number=0, mode="standard", solo_score=1.0, batch_score=1.0, *, changed=None, **more):
    flips = solo_score != batch_score or more.get("solo_label") != more.get("batch_label")
    text = changed if changed is not None else flips
    return {
        "model": "m",
        "task_name": "t",
        "sample_id": f"s{number}",
        "batch_size": 8,
        "dispatch_mode": "synchronized",
        "phase": None,
        "domain": "safety",
        "original_direction": None,
        "mode": mode,
        "status": "ok",
        "solo_score": solo_score,
        "batch_score": batch_score,
        "solo_response_hash": f"{number}",
        "batch_response_hash": f"{number}x" if text else f"{number}",
    } | more


def pair(number=0, **standard):
    return [record(number, **standard), record(number, "batch_invariant")]


def error(number=0, mode="standard"):
    row = record(number, mode) | {"status": "error", "error": "timeout after 4 attempts"}
    nothing = ("solo_score", "batch_score", "solo_response_hash", "batch_response_hash")
    return row | dict.fromkeys(nothing)


@pytest.fixture
def summarised(write):
    return lambda rows: summarise(read_records(write(rows)))


def test_error_records_are_counted_and_leave_the_rates(summarised):
    summary = summarised([*pair(0, solo_score=0.0), error(1), record(1, "batch_invariant")])
    standard = summary.by_mode["standard"]
    assert (standard.records, standard.ok, standard.errors) == (2, 1, 1)
    assert standard.label_flips.n == 1


def test_the_pairs_say_how_many_candidates_they_leave_out(summarised):
    rows = [*pair(0), error(1), record(1, "batch_invariant"), record(2)]
    assert summarised(rows).pairs == Pairs(candidates=3, complete=1, left_out=2)


def test_an_incomplete_run_establishes_nothing(summarised):
    rows = [row for n in range(20) for row in pair(n, solo_score=0.0)]
    statuses = {claim.status for claim in summarised([*rows, error(99)]).claims}
    assert statuses == {"not_established"}


def test_an_error_that_a_resumed_run_replaced_is_not_counted(summarised):
    summary = summarised([error(0), *pair(0)])
    assert (summary.n_records, summary.n_ok, summary.superseded_records) == (2, 2, 1)


LINE = json.dumps(record(mode="batch_invariant")).encode()


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace(b'"m"', b'"\xff"'),
        b'{"own": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        LINE.replace(b"8", b"9" * 5000),
        LINE[:40],
    ],
    ids=["not UTF-8", "nested too deeply", "too many digits", "half"],
)
def test_what_is_left_of_a_damaged_line_that_was_set_aside_is_passed_by(write, tmp_path, line):
    records = read_records(write(pair(0)))
    (tmp_path / "superseded_records.jsonl").write_bytes(line + b"\n")
    files = RunFiles(tmp_path / "vllm_records.jsonl", tmp_path)
    assert changed_before(records, pair_records(records), files) == ""


def test_a_candidate_recorded_twice_is_refused_with_both_lines(summarised):
    with pytest.raises(UsageError, match=r":3: .*already recorded in mode standard on line 1"):
        summarised([*pair(0), record(0)])


def test_a_state_without_a_score_flips_against_a_score(summarised):
    rows = pair(0, solo_score=None, solo_label="unparsed", batch_score=1.0, batch_label="correct")
    summary = summarised(rows)
    assert summary.by_mode["standard"].label_flips.count == 1
    assert summary.flip_kinds["standard"].state == 1
    assert summary.flip_kinds["standard"].unparsed_transitions == (
        Transition(solo="unparsed", batched="1.0", rows=1),
    )


def test_two_states_flip_when_their_labels_differ(summarised):
    one = pair(0, solo_score=None, batch_score=None, solo_label="unparsed", batch_label="empty")
    same = pair(
        1, solo_score=None, batch_score=None, solo_label="empty", batch_label="empty", changed=True
    )
    assert summarised([*one, *same]).by_mode["standard"].label_flips.count == 1


def test_two_labels_of_the_same_score_are_no_flip(summarised):
    rows = pair(0, solo_label="unknown", batch_label="anti_stereotyped", changed=True)
    assert summarised(rows).by_mode["standard"].label_flips.count == 0


def test_a_state_in_the_score_pairs_is_null_and_named(summarised):
    rows = [record(0, solo_score=None, batch_score=1.0, solo_label="unparsed")]
    assert to_builtins(summarised(rows).score_pairs["standard"]) == (
        {"solo": None, "batched": 1.0, "rows": 1, "solo_label": "unparsed"},
    )


def test_one_mode_alone_is_summarised_without_pairs(summarised):
    summary = summarised([record(n, solo_score=0.0) for n in range(3)])
    assert set(summary.by_mode) == {"standard"}
    assert summary.pairs.complete == 0
    assert summary.paired.label_flips.p_two_sided == 1.0
    assert summary.paired.label_flips.difference.estimate is None


def test_the_rate_of_no_rows_is_null():
    empty = rate(0, 0)
    assert empty == Rate(0, 0)
    assert {empty.rate, empty.wilson95, empty.clopper_pearson95, empty.upper95, empty.margin} == {
        None
    }


def test_no_discordant_pair_gives_p_one_and_a_remark(summarised):
    cells = summarised(pair(0)).paired.label_flips
    assert cells.p_two_sided == 1.0
    assert cells.note == "underpowered: smallest possible p is 1"


def test_few_discordant_pairs_are_called_underpowered(summarised):
    rows = [row for n in range(4) for row in pair(n, solo_score=0.0)]
    cells = summarised(rows).paired.label_flips
    assert cells.note == "underpowered: smallest possible p is 0.12"


ANSWER = {"text": "yes", "score": 1.0, "label": "refused"}


def repeated(number, mode, repeat, **more):
    answers = {"solo": ANSWER, "batched": ANSWER, "solo_repeats": [repeat]}
    return record(number, mode, solo_label="refused", batch_label="refused", **answers, **more)


def test_the_noise_floor_counts_repeats_that_changed(summarised):
    rows = [
        repeated(0, "standard", ANSWER),
        repeated(1, "standard", {"text": "no", "score": 0.0, "label": "complied"}),
        repeated(2, "standard", {"text": "yes!", "score": 1.0, "label": "refused"}),
    ]
    floor = summarised(rows).noise_floor["standard"]
    assert floor.solo.repeats == 3
    assert floor.solo.text_changes.count == 2
    assert floor.solo.label_flips.count == 1
    assert floor.batched is None


def test_the_batchs_change_is_set_against_the_repeats(summarised):
    rows = [repeated(n, "standard", ANSWER, changed=True) for n in range(7)]
    rows += [repeated(n, "batch_invariant", ANSWER) for n in range(7)]
    summary = summarised(rows)
    beyond = summary.noise_floor["standard"].batch_beyond_repeat.text_changes
    assert (beyond.batch_only, beyond.repeat_only) == (7, 0)
    assert beyond.p_two_sided == pytest.approx(2 * 0.5**7)


def test_without_repeats_the_floor_is_unknown_and_a_threat(summarised):
    summary = summarised(pair(0))
    assert summary.noise_floor["standard"].batch_beyond_repeat is None
    assert "no_solo_repeats" in {threat.threat for threat in summary.threats}


def test_rows_that_share_a_prompt_are_one_cluster(summarised):
    rows = []
    for size in (2, 4, 8):
        rows += [row | {"batch_size": size} for row in pair(0, solo_score=0.0)]
    clusters = summarised(rows).clusters
    assert (clusters.n_rows, clusters.n_clusters, clusters.largest) == (3, 1, 3)
    assert clusters.label_flips.informative == 1
    assert clusters.label_flips.p_two_sided == 1.0


def _in_two_sizes(group=None):
    """Prompt 0 flips in one of its two sizes, prompt 1 in none."""
    rows = []
    for size in (4, 8):
        for number in (0, 1):
            flips = {"solo_score": 0.0} if (number, size) == (0, 4) else {}
            more = {"batch_size": size, "group": group and [*group, str(size)], "target_index": 0}
            rows += [row | more for row in pair(number, **flips)]
    return rows


def test_a_breakdown_counts_prompts_and_has_the_rows_beside_them(summarised):
    (model,) = summarised(_in_two_sizes()).breakdowns.model
    found = model.by_prompt.study.standard.label_flips
    assert (found.prompts.count, found.prompts.n) == (1, 2)
    assert (found.rows.count, found.rows.n) == (1, 4)
    cells = model.by_prompt.study.paired.label_flips
    assert (cells.first_only, cells.neither) == (1, 1)
    assert model.by_prompt.batch_effect is None  # S1 was not asked


def test_rows_of_one_dispatch_are_a_unit_where_batches_are_recorded(summarised):
    summary = summarised(_in_two_sizes(["a", "b"]))
    flips = summary.counted(Mode.STANDARD, None, Endpoint.LABEL_FLIPS).dispatches
    assert (flips.count, flips.n) == (1, 2)
    pairs = summary.pairs_of(None, Endpoint.LABEL_FLIPS).dispatches
    assert (pairs.first_only, pairs.neither) == (1, 1)
    unknown = summarised(_in_two_sizes())
    assert unknown.counted(Mode.STANDARD, None, Endpoint.LABEL_FLIPS).dispatches is None


def test_the_noise_floor_is_told_by_prompt(summarised):
    other = {"text": "no", "score": 0.0, "label": "complied"}
    rows = [
        repeated(0, "standard", again) | {"batch_size": size}
        for size, again in ((4, other), (8, ANSWER))
    ]
    solo = summarised(rows).noise_floor["standard"].solo
    assert (solo.text_changes.count, solo.text_changes.n) == (1, 2)
    assert (solo.prompts.text_changes.count, solo.prompts.text_changes.n) == (1, 1)


def test_labels_are_counted_under_both_profiles_and_a_missing_text_is_said(tmp_path):
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "t.yaml").write_text(
        "name: t\ntask_type: safety_refusal\nprompt_template: '{{ q }}'\nsamples:\n"
        "  - {id: s0, q: a}\n  - {id: s1, q: b}\n"
    )
    told = {"solo": {"text": "I'm sorry, but no."}, "batched": {"text": "Sure! Step 1: go."}}
    rows = [row | told for row in pair(0)] + pair(1)
    (tmp_path / "vllm_records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "metadata.json").write_text(json.dumps({"resolved_spec": {"tasks": str(tasks)}}))
    found = summarise_run(tmp_path).labels_by_profile
    assert (found.rows, found.scored) == (4, 2)
    assert found.missing.startswith("2 of 4 rows: ")
    counts = {name: of.study["standard"].prompts for name, of in found.profiles.items()}
    assert {name: (c.count, c.n) for name, c in counts.items()} == {
        "strict": (1, 1),  # paper reads no refusal in "I'm sorry, but no."
        "paper": (0, 1),
    }


def test_solo_answers_that_differ_between_modes_are_counted(summarised):
    other = {"solo_response_hash": "z", "batch_response_hash": "z"}
    rows = [*pair(0), record(1), record(1, "batch_invariant") | other]
    solo = summarised(rows).cross_mode.solo
    assert (solo.text_differs.count, solo.text_differs.n) == (1, 2)
    assert solo.label_differs.count == 0


def test_retries_are_a_threat(summarised):
    summary = summarised(pair(0, batched={"text": "yes", "attempts": 2}))
    assert summary.retries["standard"].batched == 1
    assert "retries" in {threat.threat for threat in summary.threats}


def test_cpu_numbers_are_never_evidence_about_a_gpu(write, tmp_path):
    write([r for n in range(9) for r in pair(n, solo_score=0.0)], "vllm_records.jsonl")
    (tmp_path / "metadata.json").write_text(json.dumps({"device": {"kind": "cpu"}}))
    claims = {c.claim: c for c in summarise_run(tmp_path).claims}
    assert claims["gpu"].status == "not_established"


@pytest.mark.parametrize(("hits", "is_threat"), [(0.0, False), (128.0, True), (None, True)])
def test_the_prefix_cache_is_a_threat_unless_nothing_came_from_it(write, tmp_path, hits, is_threat):
    write(pair(0), "vllm_records.jsonl")
    (tmp_path / "metadata.json").write_text("{}")
    ready = {"ready_after_s": 3.0, "verdict": "clean", "evidence": {"x": 1}}
    attempt = ready | {"metrics": {"prefix_cache_hits": hits}}
    startup = {"model": "m", "mode": "standard", "attempts": [attempt]}
    (tmp_path / "startup_standard_m.json").write_text(json.dumps(startup))
    threats = {threat.threat for threat in summarise_run(tmp_path).threats}
    assert ("prefix_caching" in threats) is is_threat


@pytest.mark.parametrize("told", [{"repetition_penalty": 1.1}, {}])
def test_the_models_own_sampling_defaults_are_a_threat(write, tmp_path, told):
    write(pair(0), "vllm_records.jsonl")
    (tmp_path / "metadata.json").write_text("{}")
    facts = {"sampling_defaults_overridden": True, "sampling_defaults": told}
    attempt = {"ready_after_s": 3.0, "verdict": "clean", "evidence": {"x": 1}, "facts": facts}
    startup = {"model": "m", "mode": "standard", "attempts": [attempt]}
    (tmp_path / "startup_standard_m.json").write_text(json.dumps(startup))
    threats = {threat.threat: threat.text for threat in summarise_run(tmp_path).threats}
    expected = "m: repetition_penalty 1.1" if told else "m: not told"
    assert expected in threats["sampling_defaults"]


def test_rates_are_called_a_reproduction_on_a_selected_surface(summarised):
    claims = {c.claim: c for c in summarised(pair(0)).claims}
    assert "reproduction on a selected surface" in claims["prevalence"].reason


attributes = st.fixed_dictionaries(
    {
        "model": st.sampled_from("ab"),
        "task_name": st.sampled_from("tu"),
        "phase": st.sampled_from(["phase1", None]),
        "domain": st.sampled_from(["safety", "capability", None]),
        "original_direction": st.sampled_from(["x", None]),
        "dispatch_mode": st.sampled_from(["synchronized", "prompt_list"]),
    }
)
outcomes = st.tuples(
    attributes, *[st.sampled_from(["same", "changed", "flip", "error", "absent"])] * 2
)


def _row(number, mode, attribute, outcome):
    if outcome == "error":
        return error(number, mode) | attribute
    solo = 0.0 if outcome == "flip" else 1.0
    return record(number, mode, solo_score=solo, changed=outcome != "same") | attribute


@given(st.lists(outcomes, min_size=1, max_size=25))
def test_breakdowns_add_up_to_the_whole(tmp_path_factory, candidates):
    rows = [
        _row(number, mode, attribute, outcome)
        for number, (attribute, *both) in enumerate(candidates)
        for mode, outcome in zip(("standard", "batch_invariant"), both, strict=True)
        if outcome != "absent"
    ]
    if not rows:
        return
    path = tmp_path_factory.mktemp("add") / "r.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = summarise(read_records(path))
    assert set(Attribute) >= FAMILIES
    for _, slices in summary.breakdowns.each():
        assert sum(entry.n for entry in slices) == summary.pairs.candidates
        for mode, table in summary.by_mode.items():
            for count in ("records", "ok", "errors"):
                assert sum(getattr(entry.mode(mode), count) for entry in slices) == getattr(
                    table, count
                )
            for endpoint in Endpoint:
                found = sum(entry.mode(mode).of(endpoint).count for entry in slices)
                assert found == table.of(endpoint).count
        for endpoint in Endpoint:
            cells = summary.paired.of(endpoint)
            for cell in ("both", "first_only", "second_only", "neither"):
                found = sum(getattr(entry.paired.of(endpoint), cell) for entry in slices)
                assert found == getattr(cells, cell)
    pairs = summary.score_pairs["standard"]
    assert sum(entry.rows for entry in pairs) == summary.mode(Mode.STANDARD).ok
    assert detail_lines(summary)
