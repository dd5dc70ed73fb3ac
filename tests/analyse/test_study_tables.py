"""Records with the study's margins give the study's tables, to the digit."""

import json

import pytest
from msgspec import to_builtins

from harness.analyse import Attribute, Flip, read_summary, summarise
from harness.analyse.rates import Pairs
from harness.errors import UsageError
from harness.records.reader import read_records
from harness.report import detail_lines
from harness.words import Endpoint, Mode

FAMILIES = {
    "model": "by_model",
    "domain": "by_domain",
    "task_name": "by_task",
    "dispatch_mode": "by_dispatch",
    "phase": "by_phase",
    "original_direction": "by_direction",
}
MODES = ("standard", "batch_invariant")


def _own_form(row, number):
    """The same record as the harness itself writes it."""
    answer = {"token_ids": [1], "finish_reason": "stop", "latency_s": 0.5, "attempts": 1}
    flip = row["solo_score"] != row["batch_score"]
    change = row["solo_response_hash"] != row["batch_response_hash"]
    return row | {
        "schema_version": 1,
        "run_id": "fixture",
        "record_id": f"r{number}",
        "hf_id": "org/model",
        "error": None,
        "prompt_sha256": row["sample_id"],
        "group": ["a/1", "a/2"],
        "target_index": 0,
        "solo_label": str(row["solo_score"]),
        "batch_label": str(row["batch_score"]),
        "label_flip": flip,
        "text_change": change,
        "solo": answer | {"text": "one answer"},
        "batched": answer | {"text": "one other answer" if change else "one answer"},
        "solo_repeats": [],
        "batched_repeats": [],
        "extra": {"unknown": 1},
    }


@pytest.fixture(params=["required columns only", "the harness's own records"])
def summary(request, study_rows, write):
    rows = study_rows
    if request.param == "the harness's own records":
        rows = [_own_form(row, number) for number, row in enumerate(rows)]
    return summarise(read_records(write(rows)))


def test_all_records_count(summary):
    assert (summary.n_records, summary.n_ok, summary.startup_error_count) == (110, 110, 0)
    assert summary.pairs == Pairs(candidates=55, complete=55, left_out=0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("endpoint", ["label_flips", "text_changes"])
def test_the_primary_rates_and_their_intervals(summary, tables, mode, endpoint):
    published = tables["published"][mode]
    rate = summary.by_mode[mode].of(Endpoint(endpoint))
    golden = tables["rates"][f"{published[endpoint]}/{published['n']}"]
    assert (rate.count, rate.n) == (golden["k"], golden["n"])
    assert rate.rate == golden["k"] / golden["n"]
    assert rate.wilson95 == pytest.approx(golden["wilson95"], abs=1e-12)
    assert rate.clopper_pearson95 == pytest.approx(golden["clopper_pearson95"], abs=1e-12)


def _cells(paired):
    return paired.both, paired.first_only, paired.second_only, paired.neither


def test_the_paired_label_table_and_its_p_value_exactly(summary):
    cells = summary.paired.label_flips
    assert _cells(cells) == (0, 22, 0, 33)
    assert cells.p_two_sided == 4.76837158203125e-07
    assert cells.p_one_sided == 2.384185791015625e-07


def test_the_paired_text_table_and_its_p_value_exactly(summary):
    cells = summary.paired.text_changes
    assert _cells(cells) == (0, 25, 0, 30)
    assert cells.p_two_sided == 5.960464477539063e-08


@pytest.mark.parametrize("family", FAMILIES)
def test_every_breakdown_has_the_published_rows_flips_and_intervals(summary, tables, family):
    found = {entry.value: entry for entry in summary.breakdowns.of(Attribute(family))}
    published = tables["published"][FAMILIES[family]]
    assert set(found) == set(published)
    for value, (rows, flips) in published.items():
        standard = found[value].standard.label_flips
        invariant = found[value].batch_invariant.label_flips
        assert (found[value].n, standard.count, standard.n) == (rows, flips, rows)
        assert (invariant.count, invariant.n) == (0, rows)
        golden = tables["rates"].get(f"{flips}/{rows}")
        if golden:
            assert standard.wilson95 == pytest.approx(golden["wilson95"], abs=1e-12)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "phase"])
def test_every_slice_has_its_exact_p_and_its_holm_adjustment(summary, tables, family):
    golden = tables["holm_within_family"][FAMILIES[family]]
    found = {e.value: e.paired.label_flips for e in summary.breakdowns.of(Attribute(family))}
    for value, expected in golden.items():
        assert found[value].p_two_sided == expected["p"]
        assert found[value].p_holm == pytest.approx(expected["holm"], rel=1e-12)


@pytest.mark.parametrize(
    ("mode", "table"),
    [("standard", "score_pairs_standard"), ("batch_invariant", "score_pairs_invariant")],
)
def test_the_score_pairs(summary, tables, mode, table):
    found = {f"{p.solo}->{p.batched}": p.rows for p in summary.score_pairs[mode]}
    assert found == tables["published"][table]


def test_score_pairs_stand_in_the_papers_order(summary):
    pairs = [(p.solo, p.batched) for p in summary.score_pairs["standard"]]
    assert pairs == sorted(pairs)


def test_the_paired_difference_has_the_reference_intervals(summary, tables):
    for endpoint, cells in (("label_flips", "(0, 22, 0, 33)"), ("text_changes", "(0, 25, 0, 30)")):
        difference = summary.paired.of(Endpoint(endpoint)).difference
        golden = tables["paired"][cells]
        assert difference.estimate == pytest.approx(golden["tango"][0])
        assert difference.newcombe95 == pytest.approx(golden["newcombe10"][1:], abs=1e-9)
        assert difference.tango95 == pytest.approx(golden["tango"][1:], abs=1e-9)


def test_directions_and_kinds_of_flips(summary):
    kinds = summary.flip_kinds["standard"]
    assert (kinds.up, kinds.down, kinds.hard, kinds.soft) == (14, 8, 18, 4)
    assert kinds.p_symmetry == pytest.approx(0.28627872467)


def test_no_flip_in_55_supports_ten_per_cent_and_not_five(summary):
    invariant = summary.by_mode["batch_invariant"].label_flips
    assert invariant.upper95 == pytest.approx(0.05301, abs=1e-5)
    assert invariant.margin == 0.10


def test_the_studys_records_establish_nothing_for_they_hold_no_s1(summary):
    claims = {(claim.claim, claim.endpoint): claim for claim in summary.claims}
    for endpoint in ("label_flips", "text_changes"):
        differ = claims["paths_differ", endpoint]
        assert (differ.basis, differ.direction) == ("study", "standard")
        assert "B against S0, which cannot tell a batch from a cache" in differ.reason
        assert "p=" in differ.reason
        for name in ("standard_changes", "removes_change", "invariant", "paths_differ"):
            assert claims[name, endpoint].status == "not_established"
            assert "S1 was not asked of every row" in claims[name, endpoint].reason


def test_the_modes_solo_scores_differ_as_the_papers_own_margins_imply(summary):
    assert summary.cross_mode.solo.label_differs.count >= 5
    assert summary.cross_mode.batched.label_differs.count >= 4


def test_the_flip_list_holds_every_flip_and_no_answer(summary):
    assert len(summary.flips) == 22
    assert all(f.solo_score != f.batch_score and f.text_change for f in summary.flips)
    assert not {"text", "solo", "batched"} & set(Flip.__struct_fields__)


def test_the_summary_is_plain_json(summary, tmp_path):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(to_builtins(summary), allow_nan=False))
    assert read_summary(path) == summary


def test_a_summary_without_the_later_sections_is_read_as_empty_there(summary, tmp_path):
    older = to_builtins(summary)
    for section in ("breakdowns", "noise_floor", "clusters", "stack", "claims", "flips"):
        del older[section]
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(older))
    read = read_summary(path)
    assert read.by_mode == summary.by_mode
    assert (read.claims, read.stack.device, read.clusters.n_rows) == ((), None, 0)
    assert read.floor(Mode.STANDARD).solo is None


def test_what_is_no_summary_is_refused_with_the_verb_that_writes_one(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text('{"n_records": "many"}')
    with pytest.raises(UsageError, match=r"not a summary: .*harness summarize"):
        read_summary(path)


def test_people_read_the_papers_numbers(summary):
    text = "\n".join(detail_lines(summary))
    assert "22/55 = 40.0% [28.1, 53.2]" in text
    assert "25/55 = 45.5% [33.0, 58.5]" in text
    assert "0/55 = 0.0% [0.0, 6.5]" in text
    assert "b=22 c=0 p=4.8e-07 (exact McNemar)" in text
    assert "b=25 c=0 p=6.0e-08 (exact McNemar)" in text
