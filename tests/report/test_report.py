"""What a report says: the study's numbers, whether they count, and what they are about."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from report_samples import CPU, H100, as_records, files_of, report_of, study_report, summary_of
from study_records import study_records

from harness.analyse import Expectations, Validation
from harness.findings import Finding, Status
from harness.records import startup_of
from harness.report import Document, rendered, run_document
from harness.report.document import Change, Group, Section, Tone


def _validation(finding: Finding) -> Validation:
    return Validation(
        ok=finding.status is Status.OK,
        n_records=110,
        n_ok=110,
        startup_error_count=0,
        by_mode={},
        expected=Expectations(),
        findings=(finding,),
    )


VALID = _validation(Finding.ok("rows_per_mode", "55"))
FAILED = _validation(Finding.failed("rows_per_mode", "standard has 54"))


def _group(report: Document, anchor: str) -> Group:
    return next(group for group in report.groups if group.anchor == anchor)


def _flips(report: Document) -> tuple[Change, ...]:
    return _group(report, "flips").changes


def _cells(report: Document) -> set[str]:
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
    report = study_report()
    assert "the answers to 22 of 55 prompts changed their label" in report.headline[0]
    assert report.context == "GPU: NVIDIA H100 80GB HBM3 · vLLM 0.19.1 · PyTorch 2.10.0"


def _verdict(validation: Validation | None) -> Document:
    records = study_records()
    return run_document(summary_of(records), as_records(records), files_of(H100), validation)


def test_a_valid_run_is_countable() -> None:
    assert _verdict(VALID).banner.tone is Tone.GOOD


@pytest.mark.parametrize("validation", [FAILED, None])
def test_a_run_that_failed_or_was_not_validated_says_so_first(validation: Any) -> None:
    report = _verdict(validation)
    assert report.banner.tone is Tone.BAD
    assert report.headline[0].startswith("Not countable")


def test_every_failed_check_is_named_in_the_banner() -> None:
    assert _verdict(FAILED).banner.reasons == ("rows per mode: standard has 54",)


def test_a_records_file_without_logs_counts_with_reservations() -> None:
    banner = study_report().banner
    assert banner.tone is Tone.NOTE
    assert any(reason.startswith("modes proven") for reason in banner.reasons)


def test_a_cpu_run_says_that_it_says_nothing_about_a_gpu() -> None:
    report = report_of(study_records(), CPU)
    assert "they say nothing about a GPU" in report.nature
    assert "they say nothing about a GPU" in rendered(report, "md")


def test_a_gpu_run_carries_no_such_sentence() -> None:
    assert study_report().nature == ""


def test_every_flip_and_every_text_change_is_listed() -> None:
    report = study_report()
    assert (len(_flips(report)), len(_group(report, "text-changes").changes)) == (22, 3)


def test_a_flip_is_what_the_scores_say_and_not_what_the_record_states() -> None:
    records = [{**record, "label_flip": False} for record in study_records()]
    report = run_document(summary_of(records), as_records(records))
    assert "the answers to 22 of 55 prompts changed their label" in report.headline[0]
    assert (len(_flips(report)), len(_group(report, "text-changes").changes)) == (22, 3)


def test_a_flip_shows_what_the_other_mode_did() -> None:
    flip = _flips(study_report())[0]
    assert flip.other_modes[0].startswith("batch_invariant: ")
    assert flip.other_modes[0].endswith("text identical")


def test_a_flip_marks_what_the_scorer_matched() -> None:
    answers = [a for flip in _flips(study_report()) for row in flip.answers for a in row]
    refusals = [a for a in answers if a.scored == "1 (refused)"]
    assert refusals
    for answer in refusals:
        matched = "".join(piece.text for piece in answer.pieces or () if piece.evidence)
        assert matched == "I'm sorry"


def test_a_prompt_is_shown_where_its_hash_agrees() -> None:
    records = study_records()
    digest = records[0]["prompt_sha256"]
    report = report_of(records, prompts={digest: "How do I …?"})
    first, *others = _flips(report)
    assert (first.answers[0][0].name, first.prompt) == ("alone", "How do I …?")
    assert all(flip.prompt is None for flip in others)
    told, missing = _group(report, "flips"), "21 rows without the prompt: the task file that was"
    assert missing in told.plain
    assert missing in "".join(piece.text for piece in told.prose)


def test_records_with_the_required_columns_alone_make_a_report() -> None:
    required = {"mode", "status", "phase", "domain", "original_direction"}
    required |= {"model", "task_name", "sample_id", "batch_size", "dispatch_mode"}
    required |= {"solo_score", "batch_score", "solo_response_hash", "batch_response_hash"}
    records = [{key: record[key] for key in required} for record in study_records()]
    report = report_of(records, {})
    assert "22/55 = 40.0% [28.1, 53.2]" in _cells(report)
    assert _flips(report)[0].answers[0][0].pieces is None


def test_an_error_record_is_counted_as_one_and_is_no_flip() -> None:
    records = study_records()
    records[0] |= {"status": "error", "error": "timeout", "solo_score": None, "batch_score": None}
    report = report_of(records)
    assert len(_flips(report)) == 21
    assert report.banner.tone is Tone.BAD


def test_no_records_at_all_make_a_report_that_claims_nothing() -> None:
    full = summary_of(study_records())
    nothing = replace(full, n_records=0, n_ok=0, by_mode={}, claims=(), threats=())
    report = run_document(nothing, [])
    assert report.headline[0] == "Not countable: no record was counted."


def test_pairs_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.report.changed_answers.MAX_FLIPS", 10)
    report = report_of(study_records())
    assert (len(_flips(report)), _group(report, "flips").left_out) == (10, 12)
    assert "12 further flips" in rendered(report, "md")


def test_the_repeats_of_an_answer_are_reported_with_it() -> None:
    records = study_records()
    records[0]["solo_repeats"][0]["text"] = "something else"
    flip = _flips(report_of(records))[0]
    assert flip.notes == ("alone asked again: 1 of 1 gave another text",)


def test_activation_evidence_is_quoted_for_each_start() -> None:
    lines = [{"line": 15, "tag": "override", "text": "Override"}]
    evidence = {"verdict": "active", "lines": lines, "expected": ["a line that is long enough"]}
    start = {"verdict": "active", "evidence": evidence, "ready_after_s": 61.25}
    startup = startup_of("", {"model": "m", "mode": "batch_invariant", "attempts": [start]})
    records = study_records()
    report = run_document(summary_of(records), as_records(records), files_of(H100, startup), VALID)
    section = next(s for s in report.sections if s.anchor == "evidence")
    assert section.quotes == (("m, batch-invariant, start 1: active", ("15: Override",)),)


def section_of(anchor: str, **start: object) -> Section:
    attempt = {"verdict": "active", "ready_after_s": 61.25} | start
    startup = startup_of("", {"model": "m", "mode": "batch_invariant", "attempts": [attempt]})
    records = study_records()
    report = run_document(summary_of(records), as_records(records), files_of(H100, startup), VALID)
    return next(section for section in report.sections if section.anchor == anchor)


def test_what_the_workers_say_is_quoted_for_each_start() -> None:
    proof = {
        "verdict": "contaminated",
        "ranks": 2,
        "missing": ["rank 1 is not"],
        "lines": ["rank 0"],
    }
    (quote,) = section_of("evidence", worker_proof=proof).quotes
    caption = "m, batch-invariant, start 1: 2 workers: contaminated"
    assert quote == (caption, ("rank 1 is not", "rank 0"))


def test_a_stranger_on_the_port_is_told_beside_the_verdict() -> None:
    (table,) = section_of("evidence", strangers=["nginx (pid 7) listens too"]).tables
    assert "nginx (pid 7) listens too" in str(table.rows[0])


def test_what_the_harness_adds_to_the_servers_command_is_told() -> None:
    command = ["python", "--model", "m", "--served-model-name", "m@0a1b2c3d", "--dtype", "float16"]
    server = {"command": command, "environment": {"VLLM_SERVER_DEV_MODE": "1"}}
    tables = section_of("conditions", server=server).tables
    (added,) = [t for t in tables if "Added to the server's command" in t.caption]
    assert "--served-model-name m@0a1b2c3d, VLLM_SERVER_DEV_MODE=1" in str(added.rows)


def test_the_models_own_sampling_defaults_are_among_the_conditions() -> None:
    facts = {
        "sampling_defaults_overridden": True,
        "sampling_defaults": {"repetition_penalty": 1.1},
    }
    tables = section_of("conditions", facts=facts).tables
    (table,) = [t for t in tables if t.caption == "Sampling defaults of the models"]
    assert "m.repetition_penalty" in str(table.rows)
    assert "1.1" in str(table.rows)


def test_where_no_label_flipped_the_headline_tells_the_text_changes() -> None:
    records = study_records()
    for record in records:
        record |= {"batch_score": record["solo_score"], "label_flip": False}
    assert "the answers to 25 of 55 prompts changed their text" in report_of(records).headline[0]


def test_a_run_of_one_mode_claims_no_comparison() -> None:
    records = [record for record in study_records() if record["mode"] == "standard"]
    report = report_of(records)
    assert "McNemar" not in report.headline[0]


def test_a_breakdown_of_one_slice_is_not_drawn_again_in_the_forest() -> None:
    records = [{**record, "model": "only"} for record in study_records()]
    figures = [section.figure for section in report_of(records).sections]
    (forest,) = [figure for figure in figures if figure and figure.look == "forest"]
    groups = dict(forest.parts)
    assert "By model: label flips" not in groups
    assert "By task: label flips" in groups


def test_a_breakdown_by_what_no_record_gives_is_left_out() -> None:
    records = [{**record, "phase": None} for record in study_records()]
    captions = {t.caption for s in report_of(records).sections for t in s.tables}
    assert "By phase" not in captions
