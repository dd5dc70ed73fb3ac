"""The two answers at the top of a page: a flip leads; words alone leave the meaning as it was."""

from __future__ import annotations

import json

from report_samples import report_of
from study_records import study_records

from harness.records import read_records
from harness.report import first_changes, rendered


def rows(*kinds: str, **texts: str):
    """Records of the standard path that are of these kinds: ``flip``, ``words``, ``same``."""
    found = {"flip": [], "words": [], "same": []}
    for row in study_records():
        if row["mode"] == "standard":
            kind = "flip" if row["label_flip"] else "words" if row["text_change"] else "same"
            found[kind].append(row)
    chosen = [found[kind].pop(0) for kind in kinds]
    for side, text in texts.items():
        chosen[0][side]["text"] = text
    return chosen


def shown(answer) -> tuple[str, str]:
    marked = "".join(piece.text for piece in answer.pieces if piece.differs)
    return "".join(piece.text for piece in answer.pieces), marked


def test_a_label_that_changed_leads_and_says_so():
    example = report_of(rows("words", "flip")).examples[0]
    assert example.said.startswith("The label changed with the batch: ")
    assert example.change == "flip-1"


def test_where_only_words_changed_it_says_that_the_meaning_stayed():
    example = report_of(rows("words", "same", solo="yes, a lot", batched="yes, a bit")).examples[0]
    assert "the meaning, as the scorer reads it, stayed" in example.said
    assert [answer.name for answer in example.answers] == ["alone", "in its batch"]
    assert [shown(answer) for answer in example.answers] == [
        ("yes, a lot", "lot"),
        ("yes, a bit", "bit"),
    ]


def test_a_long_answer_is_cut_round_the_difference():
    texts = {"solo": "same " * 900 + "left", "batched": "same " * 900 + "right"}
    alone, batched = report_of(rows("words", **texts)).examples[0].answers
    assert (shown(alone)[1], shown(batched)[1]) == ("left", "right")
    assert len(shown(alone)[0]) <= 300
    assert alone.before + len(shown(alone)[0]) + alone.after == alone.length


def test_the_question_is_the_users_turn_and_stands_escaped_on_the_page():
    (row,) = rows("words")
    prompt = "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nIs <b>1</b> odd?<|im_end|>\n"
    document = report_of([row], prompts={row["prompt_sha256"]: prompt})
    assert document.examples[0].asked == "Is <b>1</b> odd?"
    assert "Is &lt;b&gt;1&lt;/b&gt; odd?" in rendered(document, "html")


def test_without_a_change_there_is_no_example():
    document = report_of(rows("same"))
    assert document.examples == ()
    assert 'class="example"' not in rendered(document, "html")


def test_a_prompt_is_shown_once_though_it_changed_in_several_rows():
    first, second = rows("flip", "flip")
    again = first | {"batch_size": 32, "record_id": "f" * 16}
    document = report_of([first, again, second])
    assert [e.change for e in document.examples] == ["flip-1", "flip-3"]


def test_of_answers_without_a_score_no_meaning_is_told():
    row = rows("words")[0]
    unread = {"solo_score": None, "batch_score": None, "solo_label": "unparsed"}
    example = report_of([row | unread | {"batch_label": "unparsed"}]).examples[0]
    assert "neither answer has a score: – (unparsed)" in example.said


def test_only_the_lines_of_the_changes_that_are_shown_have_to_be_read_again(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in study_records()))
    whole = first_changes(path)
    assert whole
    assert first_changes(path, read_records(path, check=True)) == whole
