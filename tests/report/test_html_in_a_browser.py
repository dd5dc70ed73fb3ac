"""report.html in a real browser: nothing runs, nothing leaves, nothing overflows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from headless_chromium import Page, opened
from report_samples import HOSTILE, hostile_report, many_flips, study_report

from harness.report import rendered

PHONE, DESK = 390, 1280


def filter_by(words: str) -> str:
    """An expression that types into the filter and promises what it then says."""
    return (
        "new Promise(done => {"
        "  const said = document.querySelector('form.filter output');"
        "  new MutationObserver(() => done(said.textContent)).observe(said, {childList: true});"
        "  const field = document.querySelector('form.filter input');"
        f"  field.value = '{words}';"
        "  field.dispatchEvent(new Event('input'));"
        "})"
    )


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("html") / "report.html"
    path.write_text(rendered(hostile_report(), "html"), encoding="utf-8")
    with opened(path, width=PHONE) as page:
        yield page


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(rendered(study_report(), "html"), encoding="utf-8")
    return path


def test_no_request_leaves_the_file(hostile_page: Page) -> None:
    hostile_page.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert [url for url in hostile_page.requests if not url.startswith("file:")] == []


def test_a_script_in_an_answer_does_not_run(hostile_page: Page) -> None:
    assert hostile_page.ask("window.pwned") is None
    assert hostile_page.dialogs == []


def test_an_answer_adds_no_element(hostile_page: Page) -> None:
    assert hostile_page.ask("document.querySelectorAll('script').length") == 1
    assert hostile_page.ask("document.querySelectorAll('img, iframe, link, object').length") == 0


@pytest.mark.parametrize("text", HOSTILE)
def test_an_answer_is_read_as_it_was_written(hostile_page: Page, text: str) -> None:
    assert text in hostile_page.ask("document.querySelector('#flips').textContent")


def test_no_direction_override_survives(hostile_page: Page) -> None:
    assert "\u202e" not in hostile_page.ask("document.body.textContent")


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_page_does_not_scroll_sideways(study_file: Path, width: int) -> None:
    with opened(study_file, width=width) as page:
        page.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.ask("document.documentElement.scrollWidth") <= width


def test_a_50_kb_answer_without_a_space_does_not_widen_a_phone(hostile_page: Page) -> None:
    hostile_page.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert hostile_page.ask("document.documentElement.scrollWidth") <= PHONE


def test_our_own_script_runs_and_filters_the_flips(study_file: Path) -> None:
    with opened(study_file, width=DESK) as page:
        assert page.ask(filter_by("jailbreak_amplification")) == "4 of 22"


def test_every_link_has_a_target(study_file: Path) -> None:
    with opened(study_file, width=DESK) as page:
        missing = page.ask(
            "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
            ".filter(h => !h.startsWith('#') || !document.getElementById(h.slice(1)))"
        )
        assert missing == []


def test_every_figure_and_table_has_a_name(study_file: Path) -> None:
    with opened(study_file, width=DESK) as page:
        assert page.ask("document.querySelectorAll('table:not(:has(caption))').length") == 0
        nameless = "svg:not([aria-hidden]):not(:has(> title))"
        assert page.ask(f"document.querySelectorAll('{nameless}').length") == 0


def test_ten_thousand_flips_can_be_opened_and_filtered(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(rendered(many_flips(10_000), "html"), encoding="utf-8")
    assert path.stat().st_size < 30_000_000
    with opened(path, width=PHONE) as page:
        assert page.ask("document.querySelectorAll('#flips details.pair').length") == 10_000
        assert page.ask("document.querySelectorAll('#flips details.chunk[open]').length") == 1
        assert page.ask(filter_by("n9999")) == "1 of 10000"
        assert page.ask("document.documentElement.scrollWidth") <= PHONE
