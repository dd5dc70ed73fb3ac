"""A comparison for people and for CI: what is shown, that nothing acts, that it fits a phone."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from compared_runs import MadeRun, says
from headless_chromium import opened
from lm_eval_samples import generated, write_samples

from harness.compare import compare_runs, compare_samples, judge, read_samples, read_side
from harness.report import Document, comparison_document, rendered

SCRIPT = "<script>alert(1)</script> [x](javascript:alert(1)) \u202e\x00 ```"
GATE = ("new-label-flips", "solo-changes", "mode-not-proven")


@cache
def report(*, gate: bool = True, device: str = "cuda") -> Document:
    """One new flip with a hostile answer, one gone, one that stayed, one changed alone."""
    with tempfile.TemporaryDirectory() as folder:
        a, b = (MadeRun(Path(folder) / name) for name in ("old-run", "new-run"))
        a.flip(1)
        for run in (a, b):
            run.flip(2)
            run.metadata["device"]["kind"] = device
        says(b.row(0), "batched", SCRIPT, 0.0)
        for condition in ("solo", "batched"):
            says(b.row(3, "batch_invariant"), condition, "No.", 1.0)
        b.metadata["versions"] |= {"vllm": "0.32.0"}
        comparison = compare_runs(read_side(a.write()), read_side(b.write()))
        return comparison_document(comparison, judge(comparison, GATE) if gate else ())


@cache
def samples_report() -> Document:
    with tempfile.TemporaryDirectory() as folder:
        rows = [generated(n, f"The answer is {2 * n}.", True) for n in (1, 2)]
        other = [generated(1, SCRIPT, False), rows[1]]
        paths = [write_samples(Path(folder) / f"{n}.jsonl", r) for n, r in zip("ab", (rows, other))]  # noqa: B905
        comparison = compare_samples(*map(read_samples, paths))
        return comparison_document(comparison, judge(comparison, ["newly-wrong"]))


# one value


def test_each_change_is_shown_once_under_the_first_kind_that_it_is_of():
    shown = {group.anchor: [c.heading for c in group.changes] for group in report().groups}
    assert shown == {
        "new-flips": ["t/s0"],
        "solo-changes": ["t/s3"],
        "gone-flips": ["t/s1"],
        "stayed-flips": ["t/s2"],
    }


def test_the_headline_joins_the_stack_to_the_answers():
    assert report().headline == (
        "vllm 0.30.0 → 0.32.0",
        "standard: label flips 2 → 2 of 4 (1 new, 1 gone, 1 stayed), "
        "texts changed by the batch 2 → 2 (1 new, 1 gone, 1 stayed), "
        "answers changed alone (no batch) 0, labels 0, by prompt (label flips by row 2 → 2 of 4)",
        "batch_invariant: label flips 0 → 0 of 4 (0 new, 0 gone, 0 stayed), "
        "texts changed by the batch 0 → 0 (0 new, 0 gone, 0 stayed), "
        "answers changed alone (no batch) 1, labels 0, by prompt (label flips by row 0 → 0 of 4)",
    )


def test_the_answers_of_both_runs_stand_side_by_side():
    (view,) = report().groups[0].changes
    names = [(one.name, other.name) for one, other in view.answers]
    assert names == [("A alone", "B alone"), ("A in its batch", "B in its batch")]
    assert "".join(piece.text for piece in view.answers[1][1].pieces) == SCRIPT


def test_a_gate_that_fails_is_the_banner():
    assert report().banner.title == "The gate fails: new-label-flips, solo-changes"


def test_without_a_gate_the_banner_says_that_the_runs_are_comparable():
    assert report(gate=False).banner.title.startswith("Comparable: the same prompts")


def test_a_run_that_does_not_count_is_said_before_anything_else(tmp_path):
    a, b = (MadeRun(tmp_path / name) for name in "ab")
    comparison = compare_runs(read_side(a.write()), read_side(b.write()))
    banner = comparison_document(comparison, (), ["B: run_finished: exit code 4"]).banner
    assert (banner.tone, banner.reasons) == ("bad", ("B: run_finished: exit code 4",))


@pytest.mark.parametrize(("device", "said"), [("cpu", True), ("cuda", False)])
def test_what_cpu_numbers_cannot_say_is_said_for_a_cpu(device, said):
    assert ("nothing about a GPU" in report(device=device).nature) is said


# formats


@pytest.fixture(params=[report, samples_report], ids=["runs", "samples"])
def any_report(request) -> Document:
    return request.param()


def test_html_escapes_every_answer_and_loads_nothing(any_report):
    page = rendered(any_report, "html")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "\u202e" not in page
    assert "\x00" not in page


def test_html_shows_each_square_of_a_drawing():
    page = rendered(report(), "html")
    assert "standard: label flips: 1 flip in A and B, 1 only in A (gone), 1 only in B (new)" in page
    drawing = re.search(r"<svg[^>]*>(?:(?!</svg>).)*standard: label flips:.*?</svg>", page, re.S)
    assert drawing
    assert drawing.group().count("<rect") == 4


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_its_window_and_asks_for_nothing(any_report, tmp_path, width):
    path = tmp_path / "comparison.html"
    path.write_text(rendered(any_report, "html"), encoding="utf-8")
    with opened(path, width=width) as page:
        assert page.ask("document.documentElement.scrollWidth") <= width
        styled = "getComputedStyle(document.querySelector('.banner')).borderStyle"
        assert page.ask(styled) == "solid"
        assert page.ask("document.querySelectorAll('details.pair').length") > 0
        assert page.requests == [path.as_uri()]
        assert page.dialogs == []


def test_markdown_holds_a_hostile_answer_in_a_fence_that_it_cannot_close(any_report):
    text = rendered(any_report, "md")
    at = text.index("alert(1)")
    fence = text.rindex("\n````text\n", 0, at)
    assert "\n````\n" not in text[fence + 1 : at]


def test_the_step_summary_is_short_and_holds_no_answer(any_report):
    text = rendered(any_report, "github")
    assert "alert(1)" not in text
    assert "⛔ FAIL" in text
    assert len(text) < 20_000


def test_the_step_summary_lists_the_flips():
    text = rendered(report(), "github")
    assert "New label flips: 1" in text
    assert "- `t/s0`, m · standard · batch 4" in text


def test_junit_has_a_test_a_condition_and_one_a_new_flip():
    root = ElementTree.fromstring(rendered(report(), "junit"))
    suites = {suite.get("name"): suite for suite in root}
    assert [case.get("name") for case in suites["gate"].iter("testcase")] == list(GATE)
    assert (suites["gate"].get("tests"), suites["gate"].get("failures")) == ("3", "2")
    (flip,) = suites["new-label-flips"].iter("testcase")
    assert flip.get("name") == "standard: m t/s0 batch 4 synchronized"
    assert flip.find("failure") is not None


def test_junit_without_a_gate_has_no_failure():
    root = ElementTree.fromstring(rendered(report(gate=False), "junit"))
    assert not list(root.iter("failure"))
    assert len(list(root.iter("testcase"))) == 1
