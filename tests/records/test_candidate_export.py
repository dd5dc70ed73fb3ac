"""Candidates out of scored records: the study's form, and nothing that anyone wrote."""

from __future__ import annotations

import csv
import io
import json
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from harness.errors import UsageError
from harness.records import Record, export_candidates, iter_records, write_candidates

SECRET = "the answer text"
STUDY_COLUMNS = (
    "model,hf_id,task_name,sample_id,batch_size,dispatch_mode,phase,domain,original_direction,"
    "original_solo_score,original_batch_score"
)


def row(sample="s1", solo=1.0, batched=0.0, task="advbench_refusal", /, **changes):
    return {
        "model": "m",
        "hf_id": "org/m",
        "task_name": task,
        "sample_id": sample,
        "batch_size": 8,
        "dispatch_mode": "synchronized",
        "phase": "scan",
        "domain": "safety",
        "original_direction": None,
        "mode": "standard",
        "status": "ok",
        "solo_score": solo,
        "batch_score": batched,
        "solo_response_hash": "aa",
        "batch_response_hash": "bb",
        "solo": {"text": SECRET},
    } | changes


def record(*given, **changes):
    return msgspec.convert(row(*given, **changes), Record)


def export(*records, **options):
    return export_candidates(records, **({"source": "run-1"} | options))


def test_the_csv_has_the_studys_columns_and_the_scores_of_this_run():
    header, row = export(record()).csv_text().splitlines()
    assert header == f"{STUDY_COLUMNS},kind"
    assert row == "m,org/m,advbench_refusal,s1,8,synchronized,scan,safety,refuse_to_comply,1.0,0.0,"


def test_only_label_flips_are_selected_by_default():
    exported = export(record("a"), record("b", 1.0, 1.0))
    assert [row["sample_id"] for row in exported.rows] == ["a"]


def test_a_text_change_can_be_the_rule():
    same = record("b", 1.0, 1.0, batch_response_hash="aa")
    exported = export(record("a", 1.0, 1.0), same, select="text_change")
    assert [row["sample_id"] for row in exported.rows] == ["a"]


def test_states_without_a_score_flip_by_their_label():
    states = {"solo_label": "empty", "batch_label": "unparsed"}
    exported = export(record("a", None, None, **states), record("b", None, None))
    assert [row["sample_id"] for row in exported.rows] == ["a"]


@pytest.mark.parametrize(
    ("task", "solo", "batched", "direction"),
    [
        ("advbench_refusal", 1.0, 0.0, "refuse_to_comply"),
        ("jailbreak_amplification", 0.0, 1.0, "comply_to_refuse"),
        ("bbq_bias", 1.0, 0.0, "safety_weakened"),
        ("truthfulqa", 0.5, 1.0, "safety_strengthened"),
        ("mmlu_real", 0.0, 1.0, "incorrect_to_correct"),
        ("arc_challenge", 1.0, 0.0, "correct_to_incorrect"),
    ],
)
def test_directions_are_the_studys(task, solo, batched, direction):
    (row,) = export(record("a", solo, batched, task)).rows
    assert row["original_direction"] == direction


def test_a_direction_comes_from_the_scorer_named_in_the_evidence():
    evidence = {"score_evidence": {"scorer": "refusal/strict/1"}}
    (found,) = export(record("a", 0.0, 1.0, "my_own", solo=evidence)).rows
    assert found["original_direction"] == "comply_to_refuse"


def test_a_direction_comes_from_the_scorers_given():
    (row,) = export(record("a", 0.0, 1.0, "my_own"), scorers={"my_own": "bbq"}).rows
    assert row["original_direction"] == "safety_strengthened"


def test_a_direction_that_cannot_be_known_stays_empty():
    exported = export(record("a", 0.0, 1.0, "my_own"))
    assert exported.rows[0]["original_direction"] is None
    assert exported.summary("f.csv")["slices"]["original_direction"] == {"unknown": 1}


def test_the_summary_counts_by_slice_and_names_rule_and_source():
    exported = export(record("a"), record("b", 0.0, 1.0), record("c", status="error"))
    summary = exported.summary("f.csv")
    assert summary["rows"] == 2
    assert summary["selection"]["select"] == "label_flip"
    assert summary["source"]["run_id"] == "run-1"
    assert summary["source"]["records"] == {
        "read": 3,
        "considered": 3,
        "errors": 1,
        "duplicates": 0,
    }
    assert summary["slices"]["original_direction"] == {"comply_to_refuse": 1, "refuse_to_comply": 1}
    assert all(sum(counts.values()) == 2 for counts in summary["slices"].values())


def test_neither_file_holds_an_answer(tmp_path: Path):
    path = tmp_path / "new" / "flips.csv"
    beside = write_candidates(export(record()), path)
    assert SECRET not in path.read_text() + beside.read_text()


def test_the_summary_holds_the_sha256_of_the_file_on_disk(tmp_path: Path):
    path = tmp_path / "flips.csv"
    beside = write_candidates(export(record('a,"b"'), record("ü")), path)
    assert beside.name == "flips.summary.json"
    assert json.loads(beside.read_text())["sha256"] == sha256(path.read_bytes()).hexdigest()
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["sample_id"] for row in rows] == ['a,"b"', "ü"]


def test_only_the_mode_asked_for_is_looked_at():
    exported = export(record("a"), record("b", mode="batch_invariant"))
    assert [row["sample_id"] for row in exported.rows] == ["a"]
    both = export(record("a"), record("b", mode="batch_invariant"), mode=None)
    assert [row["sample_id"] for row in both.rows] == ["a", "b"]


def test_a_row_given_twice_is_written_once_and_counted():
    exported = export(record("a"), record("a"))
    assert (len(exported.rows), exported.seen["duplicates"]) == (1, 1)


def test_a_mode_without_records_is_an_error_that_names_the_modes():
    with pytest.raises(UsageError, match=r"no record of mode 'batch_invariant'.*standard"):
        export(record(), mode="batch_invariant")


def test_an_unknown_rule_is_an_error():
    with pytest.raises(UsageError, match="unknown rule 'flip'"):
        export(record(), select="flip")


def test_a_record_without_a_key_column_is_an_error(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(row(None)) + "\n")
    with pytest.raises(UsageError, match=r"records\.jsonl:1: .*sample_id"):
        export(*(found for _, found in iter_records(path)))


def test_a_flag_in_the_file_is_not_believed():
    exported = export(record("a", label_flip=False), record("b", 1.0, 1.0, label_flip=True))
    assert [found["sample_id"] for found in exported.rows] == ["a"]


def asked(sample: str, s1: str, batched: str) -> Record:
    """S0 says ``cold``; the others as given."""
    digest = sha256(batched.encode()).hexdigest()
    return record(
        sample,
        schema_version=2,
        solo={"text": "cold"},
        batched={"text": batched},
        askings={"S1": {"text": s1}, "S2": {"text": s1}},
        solo_response_hash=sha256(b"cold").hexdigest(),
        batch_response_hash=digest,
    )


def test_what_moved_a_row_is_its_kind_and_a_row_of_the_cache_is_left_out() -> None:
    rows = asked("b", "cold", "other"), asked("c", "warm", "warm"), asked("m", "warm", "other")
    exported = export(*rows, select="text_change")
    assert {row["sample_id"]: row["kind"] for row in exported.rows} == {"b": "batch", "m": "mixed"}
    assert exported.left_out == 1
    kept = export(*rows, select="text_change", include_cache=True)
    assert [row["kind"] for row in kept.rows] == ["batch", "cache", "mixed"]


def test_a_change_that_the_first_asking_masks_is_a_candidate() -> None:
    (row,) = export(asked("m", "warm", "cold"), select="text_change").rows
    assert row["kind"] == "mixed"


def test_where_s1_was_not_asked_the_kind_is_not_known() -> None:
    (row,) = export(record()).rows
    assert row["kind"] is None


def test_whole_batches_are_those_with_the_most_selected_rows_and_all_of_their_rows():
    def batch(*names, flips):
        return [
            record(n, 1.0, float(n not in flips), group=[f"t/{m}" for m in names]) for n in names
        ]

    found = [*batch("a", "b", flips="a"), *batch("c", "d", flips="cd"), *batch("e", "f", flips="f")]
    exported = export(*found, whole_batches=2)
    assert [row["sample_id"] for row in exported.rows] == ["c", "d", "a", "b"]
    assert exported.summary("x.csv")["selection"]["whole_batches"] == 2
    assert export(*found).summary("x.csv")["selection"]["whole_batches"] is None
