"""The formats that are text: nothing in them can act, and they say the same as the report."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from xml.etree import ElementTree

import pytest
from report_samples import IMAGE, LONG, SCRIPT, hostile_report, many_flips, report_of, study_report
from study_records import study_records

from harness.report import rendered


def _outside_code(markdown: str) -> str:
    """The Markdown without fenced blocks and code spans."""
    fenced = re.sub(r"^(`{3,})text\n.*?^\1$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", fenced)


@pytest.mark.parametrize("form", ["md", "github"])
def test_no_answer_acts_in_markdown(form: str) -> None:
    text = _outside_code(rendered(hostile_report(), form))
    assert re.search(r"(?<!\\)<(?!/?(details|summary|br)>)", text) is None
    assert re.search(r"(?<!\\)!\[", text) is None


def test_a_pipe_in_a_name_does_not_open_a_column() -> None:
    records = study_records()
    for record in records:
        record["model"] = record["model"].replace("llama", "a|b")
    lines = rendered(report_of(records), "md").splitlines()
    rows = [line for line in lines if line.startswith("| `a\\|b3.2")]
    assert len(rows) == 2
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}


def test_markdown_shows_both_answers_of_a_flip_with_the_difference_marked() -> None:
    text = rendered(study_report(), "md")
    assert "⟪Sure. First, gather" in text
    assert "⟪I'm sorry, but" in text


def test_html_escapes_every_answer() -> None:
    page = rendered(hostile_report(), "html")
    assert SCRIPT not in page
    assert IMAGE not in page
    assert "&lt;script&gt;window.pwned" in page


def test_html_names_no_address_to_load_from() -> None:
    page = rendered(study_report(), "html")
    assert re.findall(r"(?:src|href|action)\s*=\s*[\"']?[^\"'#]", page) == []
    assert "url(" not in page
    assert "@import" not in page


def test_the_content_policy_allows_our_style_and_script_by_hash_and_nothing_else() -> None:
    page = rendered(study_report(), "html")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    directives = policy.group(1).replace("&#39;", "'").split("; ")
    assert directives[0] == "default-src 'none'"
    for tag, directive in (("style", directives[1]), ("script", directives[2])):
        content = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(sha256(content.group(1).encode()).digest()).decode()
        assert directive == f"{tag}-src 'sha256-{digest}'"


def test_a_long_answer_is_cut_and_says_how_much_is_missing() -> None:
    page = rendered(hostile_report(), "html")
    assert LONG not in page
    assert "38,000 more characters" in page


def test_the_more_flips_the_less_is_shown_of_each() -> None:
    few, many = (rendered(r, "html") for r in (many_flips(3), many_flips(3_000)))
    assert "Up to 12,000 characters of an answer" in few
    assert "Up to 300 characters of an answer" in many
    assert len(many) < 12_000_000


def test_junit_is_xml_with_a_case_for_every_check() -> None:
    root = ElementTree.fromstring(rendered(study_report(), "junit").encode())
    names = {case.get("name") for case in root.iter("testcase")}
    assert {"no label flips", "modes_proven", "no_duplicates"} <= names
    assert root.findall(".//failure") == []


def test_junit_fails_for_a_flip_under_the_invariant_path_only() -> None:
    records = study_records()
    record = next(r for r in records if r["mode"] == "batch_invariant")
    record |= {"batch_score": 1.0, "batch_label": "refused", "label_flip": True}
    record |= {"batch_response_hash": "0" * 64, "text_change": True}
    root = ElementTree.fromstring(rendered(report_of(records), "junit").encode())
    failed = [
        case.get("name")
        for case in root.iterfind("testsuite[@name='batch_invariant']/testcase")
        if case.find("failure") is not None
    ]
    assert failed == ["no label flips", f"{record['model']} {record['task_name']}/s000"]


def test_junit_of_hostile_answers_is_still_xml() -> None:
    ElementTree.fromstring(rendered(hostile_report(), "junit").encode())


def test_the_step_summary_is_small() -> None:
    assert len(rendered(hostile_report(), "github").encode()) < 100_000
