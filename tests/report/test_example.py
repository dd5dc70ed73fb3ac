"""The two answers at the top of a page: a flip leads; words alone leave the meaning as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from report_samples import report_of
from study_records import study_records

from harness.records import Answer, Record, iter_records, read_records
from harness.report import first_changes, load_report, rendered
from harness.report.causes import change_sentence

SMOL = Path(__file__).parents[2] / "results" / "reference" / "h100-vllm-0.19.1-smollm2-135m"


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
    assert example.said.startswith("The label changed between alone and the batch ")
    assert example.change == "change-1"


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


def test_one_of_a_kind_is_not_told_as_many():
    text = rendered(report_of(rows("flip")), "md")
    assert "the answers to the 1 prompt changed their label" in text
    assert "<summary>1 label flip</summary>" in text
    assert "(s)" not in text


def test_without_a_change_there_is_no_example():
    document = report_of(rows("same"))
    assert document.examples == ()
    assert 'class="example"' not in rendered(document, "html")


def test_a_prompt_is_shown_once_though_it_changed_in_several_rows():
    first, second = rows("flip", "flip")
    again = first | {"batch_size": 32, "record_id": "f" * 16}
    document = report_of([first, again, second])
    assert [e.change for e in document.examples] == ["change-1", "change-3"]


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


def asked(texts: str, scores: str) -> Record:
    """A row with these texts of S0, S1, B and S2, a letter each, and with these scores."""
    (_, row) = next(iter_records(SMOL / "vllm_records.jsonl"))
    s0, s1, b, s2 = (
        Answer(text=text, score=float(score), label=f"l{score}")
        for text, score in zip(texts, scores, strict=True)
    )
    return replace(
        row,
        solo=s0,
        batched=b,
        askings=replace(row.askings, S1=s1, S2=s2),
        **{f"{side}_score": one.score for side, one in (("solo", s0), ("batch", b))},
        **{f"{side}_label": one.label for side, one in (("solo", s0), ("batch", b))},
        **{f"{s}_response_hash": one.response_hash for s, one in (("solo", s0), ("batch", b))},
    )


@pytest.mark.parametrize(
    ("texts", "scores", "said"),
    [
        ("aaba", "1111", "Only the words changed with the batch;"),
        ("aaba", "1101", "The label changed with the batch:"),
        ("abbb", "1111", "Only the words changed with the prefix cache and not with the batch;"),
        ("abbb", "1000", "The label changed with the prefix cache and not with the batch:"),
        ("abcb", "1111", "Only the words changed with the prefix cache and again with the batch;"),
        ("abcb", "1101", "The label changed with the batch (the words with the prefix cache too):"),
        ("abcb", "1000", "The label changed with the prefix cache and not with the batch, which"),
        ("aabc", "1111", "Only the words changed without a cause (noise,"),
        ("aabc", "1100", "The label changed without a cause (noise,"),
    ],
)
def test_what_moved_an_answer_is_told_by_the_pattern_of_its_row(
    texts: str, scores: str, said: str
) -> None:
    assert change_sentence(asked(texts, scores)).startswith(said)


def test_a_row_that_was_not_asked_again_names_no_cause() -> None:
    row = asked("aaba", "1111")
    bare = replace(row, askings=replace(row.askings, S1=None, S2=None))
    assert "whether by the batch or the cache is not known" in change_sentence(bare)


def test_every_face_says_of_a_change_by_the_cache_that_it_was_no_batch() -> None:
    from harness.jobs.run_list import shown as first_screen

    told = "Only the words changed with the prefix cache and not with the batch"
    faces = [rendered(load_report(SMOL), form) for form in ("md", "html")]
    faces.append(
        " ".join(" ".join(map(str, first_screen(SMOL, None).lines)).replace("│", "").split())
    )
    for face in faces:
        assert told in face
        assert "Only the words changed with the batch" not in face
        assert (
            "the texts of 19 of 19 prompts changed on both kernel paths: all of them with" in face
        )
