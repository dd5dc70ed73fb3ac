"""What the askings show, in the report and in the terminal."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from report_samples import summary_of
from study_records import study_records

from harness.analyse import Summary
from harness.analyse.asking_tables import Witnessed
from harness.report import detail_lines
from harness.report.sections_askings import asking_lines, askings, claim_lines
from harness.words import Mode


def _asked(s1: str, b: str) -> Summary:
    """Every row's S0 is x, with the given S1 (and S2) and B."""
    records: list[dict[str, Any]] = study_records()
    for record in records:
        record["schema_version"] = 2
        record.pop("solo_repeats", None)
        record["solo"], record["batched"] = _answer("x"), _answer(b)
        record["askings"] = {"S1": _answer(s1), "S2": _answer(s1)}
        record["solo_response_hash"] = _hash("x")
        record["batch_response_hash"] = _hash(b)
    return summary_of(records)


def _hash(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode()).hexdigest()


def _answer(text: str) -> dict[str, Any]:
    return {"text": text, "token_ids": [1, 2], "finish_reason": "stop", "score": 1.0}


def test_where_s1_was_not_asked_the_report_says_what_the_study_cannot_tell() -> None:
    records = [
        {k: v for k, v in record.items() if k != "solo_repeats"} for record in study_records()
    ]
    section = askings(summary_of(records))
    assert section is not None
    assert "cannot tell a batch from a cache" in section.prose[0]
    assert section.tables == ()


def test_a_masked_change_is_a_batch_effect_that_the_study_does_not_see() -> None:
    lines = list(asking_lines(_asked("y", "x")))
    (batch,) = [x for x in lines if x.startswith("batch effect  text changes standard ")]
    assert "55/55 rows" in batch
    assert any(x.startswith("S0 misleads, standard: 55 texts masked") for x in lines)


def test_a_cache_effect_is_named_and_not_blamed_on_the_batch() -> None:
    lines = list(asking_lines(_asked("y", "y")))
    assert any("55 blamed on the batch that are not its doing" in line for line in lines)
    assert any("patterns, standard: cache 55" in line for line in lines)


def test_without_a_witness_nothing_is_called_zero() -> None:
    summary = replace(_asked("x", "x"), witnessed={Mode.STANDARD: Witnessed(55)})
    section = askings(summary)
    assert section is not None
    (table,) = [t for t in section.tables if t.caption.startswith("Batches")]
    assert [cell.text for cell in table.rows[0]] == ["standard", "no witness", "–", "–"]


def test_a_claim_is_one_line_of_at_most_a_hundred_columns() -> None:
    summary = _asked("x", "x")
    assert all(len(line) <= 100 for line in claim_lines(summary))
    assert detail_lines(summary)[-1] in list(claim_lines(summary))
