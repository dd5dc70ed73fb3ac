"""What a report says: the study's numbers, whether they count, and what they are about."""

from __future__ import annotations

from typing import Any

import pytest
from report_samples import CPU, H100, report_of, study_report, summary_of
from study_records import study_records

from harness.report import Report, build_report, render_markdown
from harness.report.model import Tone

VALID = {"ok": True, "findings": [{"check": "rows_per_mode", "status": "ok", "message": "55"}]}
FAILED = {
    "ok": False,
    "findings": [{"check": "rows_per_mode", "status": "failed", "message": "standard has 54"}],
}


def _cells(report: Report) -> set[str]:
    return {
        text
        for section in report.sections
        for table in section.tables
        for row in table.rows
        for cell in row
        for text in (cell.text, cell.remark)
    }


@pytest.mark.parametrize(
    "number",
    [
        "22/55 = 40.0% [28.1, 53.2]",
        "25/55 = 45.5% [33.0, 58.5]",
        "0/55 = 0.0% [0.0, 6.5]",
        "b=22 c=0 p=4.8e-07 (exact McNemar)",
        "b=25 c=0 p=6.0e-08 (exact McNemar)",
        "8/19 = 42.1% [23.1, 63.7]",
        "13/26 = 50.0% [32.1, 67.9]",
        "10/16 = 62.5% [38.6, 81.5]",
        "Holm-adjusted p=7.3e-04",
        "underpowered: smallest possible p is 0.12",
    ],
)
def test_the_study_s_numbers_are_in_its_tables(number: str) -> None:
    assert number in _cells(study_report())


def test_an_underpowered_slice_shows_no_bare_p() -> None:
    rows = [
        row
        for section in study_report().sections
        for table in section.tables
        if table.caption == "By model"
        for row in table.rows
    ]
    cell = next(row[-1] for row in rows if row[0].text == "llama3.2-1b")
    assert cell.text == "b=1 c=0"
    assert "p=" not in cell.text


def test_the_headline_names_result_device_and_versions() -> None:
    headline = study_report().headline
    assert "22/55 = 40.0% [28.1, 53.2]" in headline.sentence
    assert headline.measured_on == "GPU: NVIDIA H100 80GB HBM3 · vLLM 0.19.1 · PyTorch 2.10.0"


def _verdict(validation: dict[str, Any] | None) -> Report:
    records = study_records()
    return build_report(summary_of(records), records, (), H100, validation)


def test_a_valid_run_is_countable() -> None:
    assert _verdict(VALID).banner.tone is Tone.GOOD


@pytest.mark.parametrize("validation", [FAILED, None])
def test_a_run_that_failed_or_was_not_validated_says_so_first(validation: Any) -> None:
    report = _verdict(validation)
    assert report.banner.tone is Tone.BAD
    assert report.headline.sentence.startswith("Not countable")


def test_every_failed_check_is_named_in_the_banner() -> None:
    assert _verdict(FAILED).banner.reasons == ("rows_per_mode: standard has 54",)


def test_a_records_file_without_logs_counts_with_reservations() -> None:
    banner = study_report().banner
    assert banner.tone is Tone.NOTE
    assert any(reason.startswith("modes_proven") for reason in banner.reasons)


def test_a_cpu_run_says_that_it_says_nothing_about_a_gpu() -> None:
    report = report_of(study_records(), CPU)
    assert "they say nothing about a GPU" in report.nature
    assert "they say nothing about a GPU" in render_markdown(report)


def test_a_gpu_run_carries_no_such_sentence() -> None:
    assert study_report().nature == ""


def test_every_flip_and_every_text_change_is_listed() -> None:
    report = study_report()
    assert (len(report.flips), len(report.text_changes)) == (22, 3)


def test_a_flip_shows_what_the_other_mode_did() -> None:
    flip = study_report().flips[0]
    assert flip.other_modes[0].startswith("batch_invariant: ")
    assert flip.other_modes[0].endswith("text identical")


def test_a_flip_marks_what_the_scorer_matched() -> None:
    answers = [a for pair in study_report().flips for a in (pair.solo, pair.batched)]
    refusals = [a for a in answers if a.scored == "1 (refused)"]
    assert refusals
    for answer in refusals:
        matched = "".join(piece.text for piece in answer.pieces or () if piece.evidence)
        assert matched == "I'm sorry"


def test_a_prompt_is_shown_where_its_hash_agrees() -> None:
    records = study_records()
    digest = records[0]["prompt_sha256"]
    report = report_of(records, prompts={digest: "How do I …?"})
    prompts = {pair.solo.name: pair.prompt for pair in report.flips[:1]}
    assert prompts == {"solo": "How do I …?"}
    assert all(pair.prompt is None for pair in report.flips[1:])


def test_records_with_the_required_columns_alone_make_a_report() -> None:
    required = {"mode", "status", "phase", "domain", "original_direction"}
    required |= {"model", "task_name", "sample_id", "batch_size", "dispatch_mode"}
    required |= {"solo_score", "batch_score", "solo_response_hash", "batch_response_hash"}
    records = [{key: record[key] for key in required} for record in study_records()]
    report = report_of(records, {})
    assert "22/55 = 40.0% [28.1, 53.2]" in _cells(report)
    assert report.flips[0].solo.pieces is None


def test_an_error_record_is_counted_as_one_and_is_no_flip() -> None:
    records = study_records()
    records[0] |= {"status": "error", "error": "timeout", "solo_score": None, "batch_score": None}
    report = report_of(records)
    assert len(report.flips) == 21
    assert report.banner.tone is Tone.BAD


def test_no_records_at_all_make_a_report_that_claims_nothing() -> None:
    report = build_report({}, [])
    assert report.headline.sentence == "Not countable: no record was counted."


def test_pairs_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.report.pairs.MAX_FLIPS", 10)
    report = report_of(study_records())
    assert (len(report.flips), report.flips_left_out) == (10, 12)
    assert "12 further flips" in render_markdown(report)


def test_the_repeats_of_an_answer_are_reported_with_it() -> None:
    records = study_records()
    records[0]["solo_repeats"][0]["text"] = "something else"
    flip = report_of(records).flips[0]
    assert flip.notes == ("solo asked again: 1 of 1 gave another text",)


def test_activation_evidence_is_quoted_for_each_start() -> None:
    lines = [{"line": 15, "tag": "override", "text": "Override"}]
    evidence = {"verdict": "active", "lines": lines, "expected": ["a line that is long enough"]}
    startup = {
        "model": "m",
        "mode": "batch_invariant",
        "attempts": [{"verdict": "active", "evidence": evidence, "ready_after_s": 61.25}],
    }
    records = study_records()
    report = build_report(summary_of(records), records, [startup], H100, VALID)
    section = next(s for s in report.sections if s.anchor == "evidence")
    assert section.quotes == (("m, batch-invariant, start 1: active", ("15: Override",)),)


def test_where_no_label_flipped_the_headline_tells_the_text_changes() -> None:
    records = study_records()
    for record in records:
        record |= {"batch_score": record["solo_score"], "label_flip": False}
    assert "25/55 = 45.5% [33.0, 58.5] text changes" in report_of(records).headline.sentence


def test_a_run_of_one_mode_claims_no_comparison() -> None:
    records = [record for record in study_records() if record["mode"] == "standard"]
    report = report_of(records)
    assert "McNemar" not in report.headline.sentence


def test_a_breakdown_of_one_slice_is_not_drawn_again_in_the_forest() -> None:
    records = [{**record, "model": "only"} for record in study_records()]
    groups = {row.group for row in report_of(records).figures.forest}
    assert "By model: label flips" not in groups
    assert "By task: label flips" in groups


def test_a_breakdown_by_what_no_record_gives_is_left_out() -> None:
    records = [{**record, "phase": None} for record in study_records()]
    captions = {t.caption for s in report_of(records).sections for t in s.tables}
    assert "By phase" not in captions
