"""The claim ledger: what it may establish, must refute, and has to leave open."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from harness.analyse import Claim, Summary, summarise_run
from harness.report.screen import finding_lines

SETS = Path(__file__).parents[1] / "data" / "claims"
MODES = ("standard", "batch_invariant")
ALONE = {"steps": 99, "admitted_first_step": 1, "shared_decode_share": 0.0, "mixed_steps": 0}
TOGETHER = {"steps": 99, "admitted_first_step": 1, "shared_decode_share": 1.0, "mixed_steps": 1}
Ledger = dict[tuple[str, str | None], Claim]


def ledger(summary: Summary) -> Ledger:
    return {(claim.claim, claim.endpoint): claim for claim in summary.claims}


def of_set(name: str) -> Ledger:
    return ledger(summarise_run(SETS / name))


def established(claims: Ledger) -> set[str]:
    return {claim.claim for claim in claims.values() if claim.status == "established"}


def test_a_real_run_refutes_that_the_invariant_path_removes_the_change():
    claims = of_set("real")
    assert not established(claims)
    removes = claims["removes_change", "text_changes"]
    assert removes.status == "refuted"
    assert "17 of 38 rows (13 of 19 prompts) change with the batch" in removes.reason
    assert "S1 was asked after B" in removes.reason
    assert "noise is unknown" in removes.reason
    assert removes.unit == "prompt"


def test_the_cache_effect_of_the_real_run_is_at_a_prompts_first_row():
    for mode, shown in summarise_run(SETS / "real").askings.items():
        assert (shown.first_rows.count, shown.first_rows.n) == (14, 19), mode
        assert (shown.later_rows.count, shown.later_rows.n) == (0, 19), mode


def test_masked_rows_are_counted_and_no_invariance_is_established():
    claims = of_set("masked")
    assert not established(claims)
    for name in ("removes_change", "invariant"):
        assert claims[name, "text_changes"].status == "refuted"
    assert "13 of these rows equal the first solo answer (masked)" in (
        claims["removes_change", "text_changes"].reason
    )


def test_changes_that_equal_asking_again_alone_are_no_batch_effect():
    claims = of_set("cache_only")
    assert not established(claims)
    for endpoint in ("label_flips", "text_changes"):
        changes = claims["standard_changes", endpoint]
        assert changes.status == "refuted"
        assert "every one of the 13 rows" in changes.reason
        assert "a cache or order effect" in changes.reason


def test_rows_that_share_a_prompt_are_one_unit():
    claims = of_set("clustered")
    assert not established(claims)
    assert "by prompt p=0.25" in claims["paths_differ", "text_changes"].reason
    assert "p=0.031" in claims["paths_differ", "text_changes"].reason


def answer(text: str, score: float) -> dict[str, Any]:
    return {
        "text": text,
        "token_ids": [len(text), *text.encode()],
        "finish_reason": "stop",
        "latency_s": 0.1,
        "attempts": 1,
        "cached_tokens": 0,
        "score": score,
        "label": "refused" if score else "complied",
    }


def row(number: int, mode: str, texts: dict[str, str], **more: Any) -> dict[str, Any]:
    """A record of schema 2 whose askings say ``texts`` (S0, S1, B, S2); a text with x complies."""
    said = {
        name: answer(f"{number} {text}", float("x" not in text)) for name, text in texts.items()
    }
    hashes = {name: sha256(one["text"].encode()).hexdigest() for name, one in said.items()}
    return {
        "schema_version": 2,
        "run_id": "run",
        "record_id": f"{number}-{mode}",
        "model": "m",
        "task_name": "t",
        "sample_id": f"s{number}",
        "batch_size": 4,
        "dispatch_mode": ("staggered", "synchronized")[number % 2],
        "phase": None,
        "domain": "safety",
        "original_direction": None,
        "mode": mode,
        "status": "ok",
        "error": None,
        "group": ["t/s0", "t/s1"],
        "target_index": 0,
        "solo_score": said["S0"]["score"],
        "batch_score": said["B"]["score"],
        "solo_label": said["S0"]["label"],
        "batch_label": said["B"]["label"],
        "solo_response_hash": hashes["S0"],
        "batch_response_hash": hashes["B"],
        "solo": said["S0"],
        "batched": said["B"],
        "askings": {name: said.get(name) for name in ("S1", "S2")},
        "witness": {
            name: (TOGETHER if name == "B" else ALONE) | {"source": "log"} for name in said
        },
    } | more


SAME = {"S0": "a", "S1": "a", "B": "a", "S2": "a"}
BATCH = SAME | {"B": "x"}
Make = Callable[..., Ledger]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """The ledger of a proven run: what each prompt says in standard mode, and in the invariant.

    What binds its records to a plan is left out: tests/invalid plants faults for that.
    """
    checks = sys.modules["harness.analyse.validate"]
    monkeypatch.setattr(checks, "NOT_NEEDED", set(checks.MENDS))

    def make(
        standard: list[dict[str, str]], invariant: list[dict[str, str]], **more: Any
    ) -> Ledger:
        rows = [
            row(number, mode, texts, **more)
            for mode, said in zip(MODES, (standard, invariant), strict=True)
            for number, texts in enumerate(said)
        ]
        lines = "".join(json.dumps(one) + "\n" for one in rows)
        (tmp_path / "vllm_records.jsonl").write_text(lines)
        metadata = {"kind": "run", "resolved_spec": {"modes": list(MODES)}}
        (tmp_path / "metadata.json").write_text(json.dumps(metadata))
        for mode, verdict in zip(MODES, ("clean", "active"), strict=True):
            start = {"ready_after_s": 3.0, "verdict": verdict, "evidence": {"x": 1}, "error": None}
            startup = {"model": "m", "mode": mode, "attempts": [start]}
            (tmp_path / f"startup_{mode}_m.json").write_text(json.dumps(startup))
        return ledger(summarise_run(tmp_path))

    return make


def test_a_clean_run_of_two_schedules_establishes_all_with_its_bounds(made: Make):
    claims = made([BATCH] * 20, [SAME] * 20)
    for name in ("standard_changes", "removes_change", "invariant", "paths_differ", "kernel_path"):
        for endpoint in ("label_flips", "text_changes"):
            assert claims[name, endpoint].status == "established", claims[name, endpoint]
            assert claims[name, endpoint].basis == "batch_effect"
    invariant = claims["invariant", "text_changes"].reason
    assert "13.91% of prompts" in invariant  # 1 - 0.05 ** (1 / 20)
    assert "a compared token" in invariant
    assert (
        "under staggered (standard mode changes 10 of 10 answers there), synchronized" in invariant
    )
    assert claims["not_companions", None].status == "established"


def test_records_that_no_plan_binds_establish_nothing_and_may_refute(
    made: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()
    assert not established(made([BATCH] * 20, [SAME] * 20))
    claims = made([BATCH] * 20, [BATCH] * 20)
    assert claims["invariant", "text_changes"].status == "refuted"
    assert "is not checked" in claims["standard_changes", "text_changes"].reason


@pytest.mark.parametrize(
    ("change", "claim", "says"),
    [
        pytest.param({"S2": "y"}, "invariant", "when nothing changes but time", id="noise"),
        pytest.param({"S1": None}, "removes_change", "S1 was not asked", id="S1 missing"),
    ],
)
def test_what_is_not_controlled_is_not_established(
    made: Make, change: dict[str, str | None], claim: str, says: str
):
    other = {name: text for name, text in (SAME | change).items() if text is not None}
    claims = made([BATCH] * 20, [*[SAME] * 19, other])
    assert claims[claim, "text_changes"].status == "not_established"
    assert says in claims[claim, "text_changes"].reason


def test_one_prompt_that_changes_refutes_invariance(made: Make):
    claims = made([BATCH] * 20, [*[SAME] * 19, BATCH])
    for name in ("invariant", "removes_change"):
        assert claims[name, "text_changes"].status == "refuted"
        assert "1 of 20 rows (1 of 20 prompts)" in claims[name, "text_changes"].reason
    assert claims["kernel_path", "text_changes"].status == "established"
    assert "does not remove it" in claims["kernel_path", "text_changes"].reason


def test_nothing_changed_anywhere_is_no_invariance(made: Make):
    claims = made([SAME] * 20, [SAME] * 20)
    assert not established(claims)
    assert "nothing shows that a change would have been seen" in (
        claims["invariant", "text_changes"].reason
    )


def test_one_schedule_is_too_few_for_invariance(made: Make):
    claims = made([BATCH] * 20, [SAME] * 20, dispatch_mode="synchronized")
    assert claims["removes_change", "text_changes"].status == "established"
    assert claims["invariant", "text_changes"].status == "not_established"
    assert "one kind of schedule only" in claims["invariant", "text_changes"].reason


def test_a_batch_without_a_witness_establishes_no_absence(made: Make):
    claims = made([BATCH] * 20, [SAME] * 20, witness=None)
    assert claims["standard_changes", "text_changes"].status == "established"
    for name in ("removes_change", "invariant"):
        assert claims[name, "text_changes"].status == "not_established"
        assert "have no witness" in claims[name, "text_changes"].reason


def test_a_vacuous_batch_takes_every_claim_away(made: Make):
    witness = {name: ALONE | {"source": "log"} for name in SAME}
    claims = made([BATCH] * 20, [SAME] * 20, witness=witness)
    assert not established(claims)
    assert "batches_shared_steps" in claims["standard_changes", "text_changes"].reason


def test_what_holds_claims_back_is_told_below_them_in_the_ledgers_words_and_once(
    made: Make, tmp_path: Path
):
    def below_them() -> str:
        lines = list(finding_lines(summarise_run(tmp_path)))[6:]
        assert len(lines) <= 3
        assert max(map(len, lines), default=0) <= 80
        return " ".join(" ".join(lines).split())

    made([BATCH] * 20, [SAME] * 20)
    assert below_them() == ""
    batch = TOGETHER | {"shared_decode_share": 0.01}
    seen = {name: (batch if name == "B" else ALONE) | {"source": "log"} for name in SAME}
    made([BATCH] * 20, [SAME] * 20, witness=seen)
    assert below_them() == (
        "not established: 20 rows hardly were in a batch in standard mode: fewer engine steps "
        "were shared than half of their answer takes"
    )
    made([BATCH] * 20, [*[SAME] * 19, SAME | {"S2": "y"}])
    said = below_them()
    assert said.startswith("not established: the text of 1 of 20 rows (1 of 20 prompts) changes in")
    assert said.count("not established") == 1
    made([BATCH] * 20, [SAME] * 20, witness=None)
    assert "20 of 20 standard rows have no witness" in below_them()
    made([SAME | {"B": "b"}] * 20, [SAME] * 20)
    assert below_them() == ""  # no label changed: nothing speaks for a claim


def test_texts_may_be_established_while_labels_are_not(made: Make):
    worded = SAME | {"B": "b"}
    claims = made([worded] * 20, [SAME] * 20)
    assert claims["removes_change", "text_changes"].status == "established"
    assert claims["removes_change", "label_flips"].status == "not_established"


def test_a_server_that_says_one_thing_to_everybody_establishes_nothing(made: Make, tmp_path: Path):
    made([BATCH] * 20, [SAME] * 20)
    records = tmp_path / "vllm_records.jsonl"
    rows = [json.loads(line) for line in records.read_text().splitlines()]
    for one in rows:
        text = "!" * 20
        one["solo"] |= {"text": text, "token_ids": [0] * 20}
        one["solo_response_hash"] = sha256(text.encode()).hexdigest()
    records.write_text("".join(json.dumps(one) + "\n" for one in rows))
    claims = ledger(summarise_run(tmp_path))
    assert not established(claims)
    assert "servers_compute" in claims["standard_changes", "text_changes"].reason


REFERENCE = Path(__file__).parents[2] / "results" / "reference"


@pytest.mark.parametrize(
    ("run", "status"),
    [("fa3", "refuted"), ("triton", "established"), ("fa2", "established")],
)
def test_an_h100_convicts_one_attention_kernel_and_no_other(run: str, status: str):
    claims = ledger(summarise_run(REFERENCE / f"h100-vllm-0.19.1-schedules-{run}"))
    for name in ("removes_change", "invariant"):
        assert claims[name, "text_changes"].status == status
    assert claims["kernel_path", "text_changes"].status == "established"


def test_a_prefix_cache_on_an_h100_is_no_batch_effect():
    claims = ledger(summarise_run(REFERENCE / "h100-vllm-0.19.1-smollm2-135m"))
    assert not established(claims)
    assert "every one of the 38 rows" in claims["standard_changes", "text_changes"].reason
