"""Any string that a model can return becomes text that a file can hold and an eye can check."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from harness.hostile import visible
from harness.report.markdown import code, fence

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@given(ANY_TEXT)
def test_any_text_can_be_written_as_utf_8(text: str) -> None:
    assert visible(text).encode("utf-8") is not None


@given(ANY_TEXT)
def test_any_text_is_legal_xml_once_escaped(text: str) -> None:
    element = ElementTree.fromstring(f"<a>{escape(visible(text))}</a>")
    assert (element.text or "") == visible(text)


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\x07", "\ud800", "\u200b", "\ufeff"])
def test_what_no_eye_can_see_is_named(character: str) -> None:
    assert visible(f"a{character}b") == f"a⟦U+{ord(character):04X}⟧b"


def test_line_ends_and_tabs_stay() -> None:
    assert visible("a\r\nb\rc\td") == "a\nb\nc\td"


def test_ordinary_scripts_are_left_alone() -> None:
    assert visible("مرحبا שלום नमस्ते 👩‍🚀 “quoted”") == "مرحبا שלום नमस्ते 👩‍🚀 “quoted”"


@given(ANY_TEXT)
def test_a_fence_is_longer_than_any_run_of_ticks_inside(text: str) -> None:
    first, *middle, last = fence(text).split("\n")
    ticks = first.removesuffix("text")
    assert last == ticks
    assert ticks not in "\n".join(middle)


@given(ANY_TEXT)
def test_a_code_span_stays_on_its_line(text: str) -> None:
    assert "\n" not in code(text)
