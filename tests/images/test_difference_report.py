"""The page of an image difference: every change is in it, nothing of an image acts in it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from headless_chromium import opened
from msgspec import to_builtins
from msgspec.structs import replace

from harness.images import ImageDifference, compare_images
from harness.images.inventory.contents import TorchFacts, VllmFacts
from harness.report import Document, image_difference_document, rendered, write_document
from harness.report.document import Banner, Look, Section, Tone

from .inventories import arguments, inventory

HOSTILE = (
    "<script>window.pwned=1</script>",
    "</style><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "{{ 7 * 7 }}",
    "a\u202eb\x1b[31m|c`d",
)


def _difference(**changes: object) -> ImageDifference:
    newer = {
        "torch": TorchFacts("2.11.0", cuda="13.0"),
        "vllm": VllmFacts("0.20.2", "vllm"),
        "python_packages": {"torch": "2.11.0", "vllm": "0.20.2", "xgrammar": "0.2.8"},
        "arguments": arguments(port=8001, fresh=None),
        **changes,
    }
    return compare_images(inventory(), inventory("vllm/vllm-openai:v0.20.2", **newer))


def _hostile() -> ImageDifference:
    side = inventory("b:1", python_packages={text: text for text in HOSTILE})
    changes = {text: text for text in HOSTILE}
    config = replace(side.config, environment=changes, labels=changes, entrypoint=HOSTILE)
    notes = HOSTILE
    side = replace(side, config=config, contents=replace(side.contents, notes=notes))
    return compare_images(inventory(), side)


CLAUSES = ("standard: label flips 22 → 19 of 55", "batch_invariant: label flips 0 → 0")


def _answers() -> Document:
    return Document(
        look=Look.COMPARISON,
        kicker="Run against run",
        title="A against B",
        heading="Comparison",
        names=("A", "B"),
        banner=Banner(Tone.GOOD, "Comparable"),
        headline=CLAUSES,
        sections=(),
        made_with="harness",
    )


def _page(difference: ImageDifference, form: str, answers: Document | None = None) -> str:
    clauses = answers.headline if answers else ()
    document = image_difference_document(difference, answers, clauses)
    return rendered(document, form, to_builtins(difference))


@pytest.mark.parametrize("name", ["md", "html"])
@pytest.mark.parametrize(
    "text",
    ["vLLM 0.19.1", "xgrammar", "0.2.8", "8001", "fresh", "2.11.0", "A2 override", "bmm"],
)
def test_every_kind_of_change_is_on_the_page(name: str, text: str):
    module = inventory().contents.batch_invariant
    difference = _difference(batch_invariant=replace(module, sha256="b" * 64))
    page = _page(difference, name).replace("<wbr>", "")
    assert text in page


def test_long_tables_are_closed_at_first():
    many = {f"package-{number}": "1" for number in range(100)}
    page = _page(_difference(python_packages=many), "html")
    assert '<details class="sheet fold"><summary>Python packages: 102</summary>' in page


def test_equal_images_have_a_page_that_says_so():
    same = compare_images(inventory(), inventory("b:1"))
    page = _page(same, "md")
    assert "**no difference in what was read**" in page
    assert "No package differs." in page
    assert "No argument differs." in page


def test_what_could_not_be_compared_has_a_section():
    difference = compare_images(inventory(), inventory("b:1", notes=("kernels: OSError",)))
    assert "## Not compared\n\nb:1: kernels: OSError" in _page(difference, "md")


def test_answers_follow_the_images_in_the_headline():
    report = image_difference_document(_difference(), _answers(), CLAUSES)
    assert report.headline[0].startswith("vLLM 0.19.1 → 0.20.2")
    assert report.headline[1:] == CLAUSES
    assert 'href="comparison.html"' in _page(_difference(), "html", _answers())


def test_a_link_within_the_joined_page_leads_to_one_place():
    told = tuple(Section(name, name, ("Said.",)) for name in ("answers", "stack", "packages"))
    page = _page(_difference(), "html", dataclasses.replace(_answers(), sections=told))
    ids = re.findall(r'<section id="([^"]*)"', page)
    assert {"stack", "answers-stack"} < set(ids)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)


def test_files_are_written_whole(tmp_path: Path):
    difference = _difference()
    document = image_difference_document(difference)
    formats, folder = ("md", "html", "json"), tmp_path / "new"
    written = write_document(document, formats, folder, to_builtins(difference))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in written
    )


@pytest.mark.parametrize("text", HOSTILE[:2])
def test_markup_from_an_image_is_text_in_html(text: str):
    assert text not in _page(_hostile(), "html")


def test_a_link_from_an_image_is_escaped_in_markdown():
    page = re.sub(r"(`+)[^`].*?\1", "", _page(_hostile(), "md"))
    assert "javascript" in page
    assert not re.search(r"(?<!\\)\]\(", page)


def test_control_characters_from_an_image_are_named_in_markdown():
    page = _page(_hostile(), "md")
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "U+202E" in page


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_window_runs_nothing_and_loads_nothing(tmp_path: Path, width: int):
    path = tmp_path / "page.html"
    path.write_text(_page(_hostile(), "html", _answers()), encoding="utf-8")
    with opened(path, width=width) as page:
        page.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.ask("window.pwned") is None
        assert page.dialogs == []
        assert [url for url in page.requests if not url.startswith("file:")] == []
        assert page.ask("document.documentElement.scrollWidth") <= width
