"""The window of an answer: nothing is lost, moved or marked in the wrong place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.records import first_difference
from harness.report.answer_windows import AnswerView, text_view


def window(text: str, at: int | None, evidence: tuple[int, int] | None, limit: int) -> AnswerView:
    return text_view("solo", text, at, limit, span=evidence)


TEXT = st.text("ab \n", max_size=60)


def test_equal_texts_have_no_first_difference() -> None:
    assert first_difference("same", "same") is None


def test_a_longer_text_differs_where_the_shorter_one_ends() -> None:
    assert first_difference("yes", "yes, and more") == 3


@given(TEXT, TEXT)
def test_texts_agree_up_to_the_first_difference_and_not_at_it(one: str, other: str) -> None:
    at = first_difference(one, other)
    if at is not None:
        assert one[:at] == other[:at]
        assert one[at : at + 1] != other[at : at + 1]


@given(TEXT, st.integers(0, 60), st.integers(1, 80))
def test_the_window_is_a_piece_of_the_answer(text: str, at: int, limit: int) -> None:
    cut = window(text, min(at, len(text)), None, limit)
    shown = "".join(piece.text for piece in cut.pieces)
    assert shown == text[cut.before : len(text) - cut.after]
    assert len(shown) == min(limit, len(text))


@given(TEXT.filter(bool), st.data(), st.integers(4, 80))
def test_the_first_difference_is_in_the_window_and_marked(text: str, data, limit: int) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    cut = window(text, at, None, limit)
    place = cut.before
    for piece in cut.pieces:
        if place <= at < place + len(piece.text):
            assert piece.differs
            assert place == at
        else:
            assert not piece.differs or place > at
        place += len(piece.text)


def test_the_mark_covers_the_rest_of_the_word() -> None:
    cut = window("I can help", 2, None, 100)
    assert [piece.text for piece in cut.pieces if piece.differs] == ["can"]


def test_evidence_and_difference_may_overlap() -> None:
    cut = window("I cannot help", 5, (2, 8), 100)
    marked = [(piece.text, piece.differs, piece.evidence) for piece in cut.pieces]
    assert marked == [
        ("I ", False, False),
        ("can", False, True),
        ("not", True, True),
        (" help", False, False),
    ]
