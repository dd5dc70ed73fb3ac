"""Two lm-evaluation-harness sample files: answers, correctness, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from compared_runs import MadeRun
from lm_eval_samples import chosen, generated, write_samples
from msgspec import to_builtins

from harness.compare import (
    SAMPLE_CONDITIONS,
    compare_samples,
    is_samples_file,
    judge,
    read_samples,
)
from harness.errors import UsageError
from harness.report import comparison_lines


@pytest.fixture
def compare(tmp_path: Path):
    def _compare(a, b, **flags):
        paths = [write_samples(tmp_path / f"samples_{n}.jsonl", r) for n, r in zip("ab", (a, b))]  # noqa: B905
        return compare_samples(*map(read_samples, paths), **flags)

    return _compare


def right(number, **more):
    return generated(number, f"The answer is {2 * number}.", True, **more)


def wrong(number, **more):
    return generated(number, f"The answer is {2 * number + 1}.", False, **more)


def test_equal_evaluations_have_no_change(compare):
    (entry,) = compare([right(1), wrong(2)], [right(1), wrong(2)]).filters
    assert (entry.answer_changes.count, entry.correctness_changes.count, entry.changes) == (
        0,
        0,
        (),
    )


def test_right_and_wrong_are_paired_and_tested_exactly(compare):
    a = [right(n) for n in range(10)]
    b = [wrong(n) for n in range(6)] + [right(n) for n in range(6, 10)]
    (metric,) = compare(a, b).filters[0].metrics
    assert (metric.newly_right, metric.newly_wrong) == (0, 6)
    assert {k: to_builtins(metric.paired)[k] for k in ("both", "a_only", "b_only", "neither")} == {
        "both": 4,
        "a_only": 6,
        "b_only": 0,
        "neither": 0,
    }
    assert metric.paired.p_two_sided == 2 * 0.5**6


def test_equal_accuracy_can_hide_changes(compare):
    entry = compare([right(1), wrong(2)], [wrong(1), right(2)]).filters[0]
    assert entry.metrics[0].mean_a == entry.metrics[0].mean_b
    assert (entry.correctness_changes.count, entry.answer_changes.count) == (2, 2)


def test_samples_are_matched_by_document_and_not_by_line(compare):
    entry = compare([right(1), right(2)], [right(2), wrong(1)]).filters[0]
    (change,) = entry.changes
    assert (change.doc_id, change.line_a, change.line_b) == ("1", 1, 2)


def test_each_filter_is_compared_on_its_own(compare):
    a = [right(1), right(1, filter="flexible-extract")]
    b = [right(1), wrong(1, filter="flexible-extract")]
    counts = {f.filter: f.correctness_changes.count for f in compare(a, b).filters}
    assert counts == {"strict-match": 0, "flexible-extract": 1}


def test_log_likelihoods_can_change_and_leave_the_choice(compare):
    entry = compare([chosen(1, [-1.0, -2.0], 0)], [chosen(1, [-1.25, -2.0], 0)]).filters[0]
    assert (entry.response_changes.count, entry.answer_changes.count) == (1, 0)
    assert entry.changes == ()


def test_another_likeliest_choice_is_another_answer(compare):
    entry = compare([chosen(1, [-1.0, -2.0], 0)], [chosen(1, [-2.5, -2.0], 0)]).filters[0]
    assert entry.answer_changes.count == 1
    assert {metric.name for metric in entry.metrics} == {"acc", "acc_norm"}
    moved = {name: (moved.a, moved.b) for name, moved in entry.changes[0].metrics.items()}
    assert moved == {"acc": (1.0, 0.0), "acc_norm": (1.0, 0.0)}


def test_a_metric_that_is_not_0_or_1_is_counted_and_not_tested(compare):
    a = [right(1, metrics=["bleu"], bleu=0.25), right(2, metrics=["bleu"], bleu=1.0)]
    b = [right(1, metrics=["bleu"], bleu=0.50), right(2, metrics=["bleu"], bleu=1.0)]
    entry = compare(a, b).filters[0]
    (metric,) = entry.metrics
    assert (metric.binary, metric.paired, metric.changed) == (False, None, 1)
    assert entry.correctness_changes.count == 0


def test_a_metric_of_true_and_false_is_binary(compare):
    more = {"metrics": ["prompt_level_strict_acc"]}
    a = [right(1, prompt_level_strict_acc=True, **more)]
    b = [right(1, prompt_level_strict_acc=False, **more)]
    (metric,) = compare(a, b).filters[0].metrics
    assert metric.newly_wrong == 1


def test_not_a_number_is_no_change_and_was_not_checked(compare):
    a = [right(1, metrics=["ppl"], ppl=float("nan"))]
    comparison = compare(a, a)
    assert comparison.filters[0].changes == ()
    assert comparison.not_checked == (
        "metric ppl (strict-match): missing or no number on a side in 1 of 1 documents",
    )


BROKEN = {
    "nan": lambda number: float("nan") if number == 0 else 0.0,
    "half": lambda number: 0.5 if number == 0 else 0.0,
    "text": lambda number: "0.0",
    "list": lambda number: [0.0],
    "huge": lambda number: 10**400,
}
ON_RIGHT = ["correctness-changes", "newly-wrong"]


def failed(comparison, conditions=tuple(SAMPLE_CONDITIONS)):
    verdicts = judge(comparison, conditions, 0.0)
    return {v.condition.partition(" ")[0] for v in verdicts if not v.ok}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("named", [True, False])
def test_answers_that_turned_wrong_fail_the_gate_whatever_the_first_one_holds(compare, kind, named):
    a = [right(number) for number in range(8)]
    b = [right(number, exact_match=BROKEN[kind](number)) for number in range(8)]
    for row in (*a, *b) if not named else ():
        del row["metrics"]
    comparison = compare(a, b)
    assert failed(comparison, [*ON_RIGHT, "not-checked"]) == {
        *ON_RIGHT,
        "not-checked",
        "max-flip-rate",
    }
    few = kind in ("nan", "half")
    (gap,) = comparison.not_checked
    assert gap == (
        "metric exact_match (strict-match): missing or not 0 or 1 on a side in "
        f"{1 if few else 8} of 8 documents"
    )
    (metric,) = comparison.filters[0].metrics
    assert (metric.n, metric.newly_wrong) == ((7, 7) if few else (0, 0))


@pytest.mark.parametrize("named", [True, False])
def test_a_metric_that_b_lacks_was_not_compared(compare, named):
    a = [right(number) for number in range(4)]
    b = [right(number, metrics=[]) for number in range(4)]
    for row in b:
        del row["exact_match"]
        if not named:
            del row["metrics"]
    found = failed(compare(a, b))
    assert found == {*ON_RIGHT, "not-checked", "max-flip-rate"}
    assert failed(compare(b, a)) == found


def test_one_metric_that_says_nothing_is_not_hidden_by_another_that_does(compare):
    more = {"metrics": ["exact_match", "acc"]}
    a = [right(number, acc=1.0, **more) for number in range(4)]
    b = [right(number, acc=0.5, **more) for number in range(4)]
    assert failed(compare(a, b), ON_RIGHT) == {*ON_RIGHT, "max-flip-rate"}


def test_a_comparison_of_a_metric_of_no_document_is_told_in_full(compare):
    rows = [right(1)], [right(1, exact_match="0.0")]
    (entry,) = compare(*rows).filters
    assert "nan" not in "".join(comparison_lines(compare(*rows))).lower()
    assert "NaN" not in json.dumps(to_builtins(entry))


OLD = ("filter", "metrics", "doc_hash", "prompt_hash", "target_hash")


def test_an_older_file_without_hashes_is_compared_by_its_prompt_and_says_so(compare):
    old = [{k: v for k, v in right(n).items() if k not in OLD} for n in (1, 2)]
    for row in old:
        prompt, settings = row["arguments"]["gen_args_0"].values()
        row["arguments"] = [[prompt, settings]]
    new = [{k: v for k, v in wrong(n).items() if k not in OLD} for n in (1, 2)]
    comparison = compare(old, new)
    assert comparison.filters[0].metrics[0].newly_wrong == 2
    assert comparison.not_checked == (
        "document (doc_hash): not recorded on both sides for 2 samples",
    )


@pytest.mark.parametrize(
    ("key", "words"),
    [("doc_hash", "document"), ("prompt_hash", "prompt"), ("target_hash", "target")],
)
def test_other_questions_are_refused_at_the_first_line_that_differs(compare, key, words):
    with pytest.raises(UsageError) as refusal:
        compare([right(1), right(2)], [right(1), right(2, **{key: "other"})])
    message = str(refusal.value)
    assert "samples_b.jsonl:2: not comparable, another " + words in message
    assert "doc_id 2" in message
    assert "1 of 2 samples differ" in message


def test_other_generation_arguments_are_refused(compare):
    other = right(1)
    other["arguments"]["gen_args_0"]["arg_1"]["temperature"] = 0.7
    with pytest.raises(UsageError, match="another sampling"):
        compare([right(1)], [other])


def test_other_documents_are_refused_unless_a_subset_is_allowed(compare):
    a, b = [right(1), right(2), right(3)], [right(1), wrong(2)]
    with pytest.raises(UsageError, match="here 2"):
        compare(a, b)
    comparison = compare(a, b, allow_subset=True)
    assert comparison.filters[0].n == 2
    assert comparison.left_out == ("2 samples compared, 1 only in A, 0 only in B",)


def test_two_evaluations_in_one_file_are_refused(tmp_path):
    path = write_samples(tmp_path / "s.jsonl", [right(1), wrong(1)])
    with pytest.raises(UsageError, match=r"s\.jsonl:2: doc_id 1 .* was already on line 1"):
        read_samples(path)


@pytest.mark.parametrize("line", ['{"doc": 1}', "[1]", "{"])
def test_a_line_that_is_no_sample_is_named(tmp_path, line):
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps(right(1)) + "\n" + line + "\n")
    with pytest.raises(UsageError, match=r"s\.jsonl:2: not a sample"):
        read_samples(path)


def test_samples_are_told_from_records_by_their_first_line(tmp_path):
    run = MadeRun(tmp_path / "run").write()
    samples = write_samples(tmp_path / "s.jsonl", [right(1)])
    assert is_samples_file(samples)
    assert not is_samples_file(run)
    assert not is_samples_file(run / "vllm_records.jsonl")
    assert not is_samples_file(tmp_path / "nothing.jsonl")


@pytest.mark.parametrize("key", ["", '{"doc_id": 1, "resps": '], ids=["a line", "an answer"])
def test_a_sample_that_is_nested_too_deeply_is_refused(tmp_path, key):
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps(right(1)) + "\n" + key + "[" * 3000 + "]" * 3000 + "}" * bool(key))
    with pytest.raises(UsageError, match=r"s\.jsonl:2: not a sample: nested too deeply"):
        read_samples(path)
    path.write_text("[" * 3000 + "]" * 3000 + "\n")
    assert not is_samples_file(path)


def test_each_condition_of_the_gate_fails_on_what_it_names(compare):
    def failing(a, b):
        verdicts = judge(compare(a, b), list(SAMPLE_CONDITIONS))
        return {verdict.condition for verdict in verdicts if not verdict.ok}

    reworded = generated(1, "It is 2", True, filtered_resps=["two"])
    assert failing([right(1)], [right(1)]) == set()
    assert failing([right(1)], [reworded]) == {"answer-changes"}
    assert failing([wrong(1)], [right(1)]) == {"answer-changes", "correctness-changes"}
    assert failing([right(1)], [wrong(1)]) == {
        "answer-changes",
        "correctness-changes",
        "newly-wrong",
    }


def test_the_flip_rate_is_of_documents_whose_correctness_changed(compare):
    comparison = compare([right(1), right(2)], [wrong(1), right(2)])
    assert [v.ok for limit in (0.49, 0.5) for v in judge(comparison, [], limit)] == [False, True]


def test_the_headline_says_what_equal_accuracy_hides(compare):
    lines = comparison_lines(compare([right(1), wrong(2)], [wrong(1), right(2)]))
    assert (
        "strict-match: 2 of 2 answers changed, exact_match 1 → 1 right "
        "(1 newly right, 1 newly wrong)" in lines
    )
