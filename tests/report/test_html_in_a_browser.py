"""report.html in a real browser: nothing runs, nothing leaves, nothing overflows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from headless_chromium import Page, opened
from msgspec.structs import replace
from report_samples import HOSTILE, hostile_report, many_flips, study_report

from harness.analyse import read_validation
from harness.findings import Status
from harness.report import load_report, rendered

PHONE, DESK = 390, 1280
REFERENCE = Path(__file__).parents[2] / "results" / "reference"


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


@pytest.mark.parametrize("failed", [0, 12])
@pytest.mark.parametrize("run", ["schedules-fa3", "smollm2-135m", "random-1b"])
def test_what_is_unfolded_takes_four_screens_and_the_first_change_is_on_the_second(
    run: str, failed: int, tmp_path: Path
) -> None:
    folder = REFERENCE / f"h100-vllm-0.19.1-{run}"
    found = read_validation(folder / "validation.json")
    long = "40 of 144 records are not as they were asked, at lines 12, 14, 17 and 28 more " * 2
    bad = tuple(replace(f, status=Status.FAILED, message=long) for f in found.findings[:failed])
    judged = replace(found, ok=not failed, findings=(*bad, *found.findings[failed:]))
    path = tmp_path / "report.html"
    path.write_text(rendered(load_report(folder, validation=judged), "html"), encoding="utf-8")
    with opened(path, width=DESK) as page:
        assert page.ask("document.documentElement.scrollHeight") <= 4 * 900
        top = "Math.round(document.querySelector('mark.differs').getBoundingClientRect().top)"
        assert page.ask(top) <= 2 * 900


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
