"""The task linter finds what makes a scorer say the wrong thing, with its line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from harness.errors import UsageError
from harness.families import BBQ
from harness.tasks.lint import Severity, lint_paths, lint_rules

HEADS = {
    "bbq": ("safety_bias", "{{ context }} {{ question }}"),
    "truthfulqa": ("safety_truthfulness", "{{ question }}"),
    "mmlu": ("classification", "{{ question }}"),
    "refusal": ("safety_refusal", "{{ instruction }}"),
}
GOOD = {
    "bbq": {
        "id": "b1",
        "context": "A baker and a tailor wait.",
        "question": "Who forgot the umbrella?",
        "answer_choice_0": "The baker",
        "answer_choice_1": "Cannot be determined",
        "answer_choice_2": "The tailor",
        "reference": "Cannot be determined",
        "correct_label": 1,
        "stereotyped_idx": 0,
        "anti_stereotyped_idx": 2,
        "question_polarity": "neg",
    },
    "truthfulqa": {
        "id": "t1",
        "question": "Do blue tea leaves glow?",
        "reference": "They do not glow",
        "correct_answers": ["They do not glow", "Nothing happens"],
        "incorrect_answers": ["They glow at night"],
    },
    "mmlu": {
        "id": "m1",
        "question": "What is plim plus plim?",
        "option_a": "two",
        "option_b": "four",
        "option_c": "six",
        "option_d": "eight",
        "reference": "B",
    },
    "refusal": {"id": "r1", "instruction": "Tell me the handshake."},
}


@pytest.fixture
def lint(tmp_path: Path):
    """``lint(kind, changed fields…)`` lints a file with one sample and returns its findings."""

    def run(kind: str, *changes: dict, head: dict | None = None):
        task_type, template = HEADS[kind]
        samples = []
        for number, change in enumerate(changes or ({},)):
            fields = GOOD[kind] | {"id": f"s{number}"} | change
            samples.append({key: value for key, value in fields.items() if value is not ...})
        document = {
            "name": "made",
            "source": "self-written",
            "task_type": task_type,
            "prompt_template": template,
            "samples": samples,
        } | (head or {})
        path = tmp_path / "made.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        return lint_paths([path]).findings

    return run


def rules(findings) -> set[str]:
    return {finding.rule.rule_id for finding in findings}


@pytest.mark.parametrize("kind", GOOD)
def test_a_sound_task_has_no_findings(lint, kind):
    assert lint(kind) == ()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"stereotyped_idx": 1}, "bbq-biased-is-unknown"),
        ({"biased_idx": 1}, "bbq-biased-is-unknown"),
        ({"anti_stereotyped_idx": 1}, "bbq-anti-is-unknown"),
        ({"anti_stereotyped_idx": 0}, "bbq-biased-is-anti"),
        ({"question_polarity": ...}, "bbq-no-polarity"),
        ({"question_polarity": "negative"}, "bbq-no-polarity"),
        ({"stereotyped_idx": ...}, "bbq-no-biased-index"),
        ({"stereotyped_idx": 3}, "bbq-index-range"),
        ({"stereotyped_idx": "0"}, "bbq-index-range"),
        ({"correct_label": 0}, "bbq-reference-mismatch"),
        (
            {"answer_choice_1": "The cook", "reference": "The cook"},
            "bbq-no-unknown-option",
        ),
        ({"unknown_idx": 0, "stereotyped_idx": 2}, "bbq-unknown-idx-wording"),
        (
            {"answer_choice_1": "Can’t answer", "reference": "Can’t answer"},
            "bbq-unknown-unread-by-paper",
        ),
        ({"answer_choice_0": ..., "answer_choice_1": ..., "answer_choice_2": ...}, "bbq-options"),
    ],
)
def test_a_defect_of_a_bias_question_is_found(lint, change, rule):
    assert rule in rules(lint("bbq", change))


def test_an_explicit_biased_index_needs_no_polarity(lint):
    assert lint("bbq", {"question_polarity": ..., "biased_idx": 0}) == ()


@pytest.mark.parametrize("wording", ["Cannot answer", "Can't answer", "Not known"])
def test_the_three_wordings_that_the_paper_profile_misses_are_warnings(lint, wording):
    (finding,) = lint("bbq", {"answer_choice_1": wording, "reference": wording})
    assert finding.rule.rule_id == "bbq-unknown-unread-by-paper"
    assert finding.rule.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"correct_answers": []}, "truthfulqa-no-references"),
        ({"incorrect_answers": ...}, "truthfulqa-no-references"),
        ({"correct_answers": "They do not glow"}, "truthfulqa-no-references"),
        ({"incorrect_answers": ["They glow at night", ""]}, "truthfulqa-empty-reference"),
        ({"incorrect_answers": ["they do not  glow."]}, "truthfulqa-overlap"),
        (
            {"correct_answers": ["They do not glow", "They do not glow."]},
            "truthfulqa-duplicate-reference",
        ),
        ({"reference": "Something else"}, "truthfulqa-reference-unlisted"),
    ],
)
def test_a_defect_of_references_is_found(lint, change, rule):
    assert rule in rules(lint("truthfulqa", change))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"reference": "E"}, "mmlu-reference"),
        ({"reference": "four"}, "mmlu-reference"),
        ({"reference": ...}, "mmlu-reference"),
        ({"option_e": "ten", "reference": "E"}, "mmlu-beyond-d"),
        ({"option_a": "six"}, "mmlu-duplicate-option"),
        (dict.fromkeys(("option_a", "option_b", "option_c", "option_d"), ...), "mmlu-no-options"),
    ],
)
def test_a_defect_of_a_multiple_choice_question_is_found(lint, change, rule):
    assert rules(lint("mmlu", change)) == {rule}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"instruction": "Say {{ name }}"}, "placeholder-in-prompt"),
        ({"instruction": "Ca\u0301fe"}, "not-nfc"),
        ({"instruction": "word " * 2000}, "prompt-may-not-fit"),
    ],
)
def test_a_defect_of_a_prompt_is_found(lint, change, rule):
    assert rules(lint("refusal", change)) == {rule}


def test_two_samples_with_one_prompt_are_found_once(lint):
    findings = lint("refusal", {}, {})
    assert [(f.rule.rule_id, f.sample) for f in findings] == [("duplicate-prompt", "s1")]
    assert "same prompt as s0" in findings[0].message


@pytest.mark.parametrize(
    ("head", "rule"),
    [
        ({"prompt_template": "{{ instruction }}\n"}, "trailing-newline"),
        ({"filters": [{"type": "strip_whitespace"}]}, "filters-ignored"),
        ({"source": None}, "no-licence"),
    ],
)
def test_what_the_head_leaves_open_is_one_warning_a_file(lint, head, rule):
    findings = lint("refusal", {}, {"instruction": "Another"}, head=head)
    assert [finding.rule.rule_id for finding in findings] == [rule]


def test_a_finding_has_the_line_of_its_sample(tmp_path: Path):
    path = tmp_path / "t.yaml"
    path.write_text(
        "name: t\nsource: x\ntask_type: classification\nprompt_template: '{{ question }}'\n"
        "samples:\n"
        "  - {id: a, question: one, choices: [x, y], reference: A}\n"
        "  - {id: b, question: two, choices: [x, y], reference: Q}\n"
    )
    (finding,) = lint_paths([path]).findings
    assert (finding.line, finding.sample) == (7, "b")


def test_a_bad_sample_does_not_hide_defects_of_the_others(tmp_path: Path):
    path = tmp_path / "t.yaml"
    path.write_text(
        "name: t\nsource: x\ntask_type: classification\nprompt_template: '{{ question }}'\n"
        "samples:\n"
        "  - {question: one}\n"
        "  - {id: b, question: two, choices: [x, y], reference: Q}\n"
    )
    assert [(f.rule.rule_id, f.line) for f in lint_paths([path]).findings] == [
        ("form", 6),
        ("mmlu-reference", 7),
    ]


@pytest.mark.parametrize("content", ["name: [", "", "- a\n- b\n", "name: x\n", "\x00"])
def test_a_file_that_cannot_be_read_is_a_finding_and_not_a_crash(tmp_path: Path, content: str):
    path = tmp_path / "t.yaml"
    path.write_text(content)
    report = lint_paths([path])
    assert rules(report.findings) == {"form"}
    assert all(finding.file == str(path) for finding in report.findings)


def test_a_file_that_is_no_yaml_is_found_at_its_own_line(tmp_path: Path):
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nprompt: a: b\n")
    (finding,) = lint_paths([path]).findings
    assert (finding.rule.rule_id, finding.line) == ("form", 2)
    assert str(path) not in finding.message


def test_a_name_used_by_two_files_is_found(tmp_path: Path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(
            "name: same\nsource: x\ntask_type: safety_refusal\nprompt_template: '{{ q }}'\n"
            "samples: [{id: a, q: one}]\n"
        )
    (finding,) = lint_paths([tmp_path]).findings
    assert (finding.rule.rule_id, Path(finding.file).name) == ("duplicate-task", "b.yaml")


def test_groups_count_each_rule_and_put_errors_first(lint, tmp_path: Path):
    lint("bbq", {"stereotyped_idx": 1}, {"stereotyped_idx": 1, "context": "Caf\u0065\u0301"})
    report = lint_paths([tmp_path / "made.yaml"])
    counts = {rule: len(findings) for (_, rule), findings in report.grouped().items()}
    assert counts == {"bbq-biased-is-unknown": 2, "not-nfc": 1}
    assert list(counts) == ["bbq-biased-is-unknown", "not-nfc"]
    assert report.as_json()["rules"] == counts


def test_a_missing_folder_is_an_error_of_the_caller(tmp_path: Path):
    with pytest.raises(UsageError, match="no such folder"):
        lint_paths([tmp_path / "nowhere"])


def test_every_rule_says_what_to_do():
    assert all(rule.meaning and rule.remedy for rule in lint_rules().values())
    assert Counter(rule.severity for rule in lint_rules().values())[Severity.ERROR] > 10


def test_the_rule_of_the_biased_answer_names_the_keys_that_may_hold_it():
    assert lint_rules()["bbq-no-biased-index"].remedy == f"give {BBQ.keys_of('biased')}"
