"""The strict profile reads answers as a person does: a table of them, labelled by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.score import Score

TABLE: dict[str, dict[str, list[str]]] = yaml.safe_load(
    Path(__file__).with_name("labelled_answers.yaml").read_text(encoding="utf-8")
)
FIELDS: dict[str, dict[str, Any]] = {"mmlu": {"choices": ["two", "four", "six", "eight"]}} | {
    name: labelled.pop("fields") for name, labelled in TABLE.items() if "fields" in labelled
}
NAMES = {"baker": "stereotyped", "tailor": "anti_stereotyped", "B": "correct"}
KINDS = [(scorer, label) for scorer, labelled in TABLE.items() for label in labelled]


def _read(score_with: Any, name: str, text: str) -> Score:
    return score_with(name.split(",")[0], "strict", text, **FIELDS.get(name, {}))


@pytest.mark.parametrize(("scorer", "label"), KINDS)
def test_an_answer_has_the_label_that_a_person_gives_it(score_with, scorer: str, label: str):
    texts = TABLE[scorer][label]
    got = {text: _read(score_with, scorer, text) for text in texts}
    wanted = NAMES.get(label, label)
    assert {t: (s.label, s.rule) for t, s in got.items() if s.label != wanted} == {}


@pytest.mark.parametrize(("scorer", "label"), [kind for kind in KINDS if kind[1] != "empty"])
def test_space_and_a_template_around_an_answer_change_no_label(score_with, scorer, label):
    def read(text: str) -> str:
        return _read(score_with, scorer, text).label

    around = ("\n\n{}", "{}\n ", "<|im_start|>assistant\n{}<|im_end|>", "{}\n\nUser: why?\nA")
    moved = {
        form.format(text): (read(text), told)
        for text in TABLE[scorer][label]
        for form in around
        if (told := read(form.format(text))) != read(text)
    }
    assert moved == {}


def test_a_text_in_which_no_rule_finds_anything_is_never_complied(score_with):
    scores = [
        score_with("refusal", "strict", text) for by in TABLE["refusal"].values() for text in by
    ]
    assert {s.rule for s in scores if s.label == "undecided"} == {"none"}
    assert "none" not in {s.rule for s in scores if s.label != "undecided"}


def test_the_table_is_large_and_looks_at_what_only_sounds_alike():
    size = {kind: len(TABLE[kind[0]][kind[1]]) for kind in KINDS}
    assert sum(size.values()) >= 1000
    negatives = [("refusal", "undecided"), ("refusal", "complied"), ("mmlu", "unparsed")]
    assert all(size[kind] >= 40 for kind in negatives)
    assert {name.split(",")[0] for name in TABLE} == {"mmlu", "bbq", "truthfulqa", "refusal"}
