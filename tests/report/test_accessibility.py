"""axe-core, in Debian's Chromium, finds nothing serious on a drawn page: light, dark, wide, narrow.

axe-core (MPL-2.0, 1.5 MB) is not of this repository: ``npm ci`` fetches it by the hash in
``tests/axe/package-lock.json``, once a checkout.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from golden.folders import FOLDERS
from headless_chromium import Page, opened
from report_samples import study_report

from harness import open_run
from harness.cli import main
from harness.report import rendered

AXE = Path(__file__).parents[1] / "axe"
SCRIPT = AXE / "node_modules" / "axe-core" / "axe.min.js"
KEPT = Path(__file__).parents[2] / "results" / "reference"
INPUTS = Path(__file__).parents[1] / "golden" / "inputs"
SERIOUS = {"serious", "critical"}
_RUN = """axe.run(document, {resultTypes: ['violations']}).then(found => JSON.stringify(
  found.violations.map(v => [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.target.join(' '))])))"""
# axe reads where things stand, and what is not laid out yet stands anywhere
_LAID_OUT = """document.querySelectorAll('details').forEach(part => { part.open = true })
document.querySelectorAll('.pair, .chunk').forEach(part => {
  part.style.contentVisibility = 'visible' })"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The text of axe-core at the locked version and hash."""
    with (AXE / "package.json").open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        pinned = json.loads((AXE / "package-lock.json").read_text())["packages"]
        version = pinned["node_modules/axe-core"]["version"]
        own = SCRIPT.with_name("package.json")
        if not own.is_file() or json.loads(own.read_text())["version"] != version:
            _fetch()
    return SCRIPT.read_text("utf-8")


def _fetch() -> None:
    said = "npm is not here"
    if npm := shutil.which("npm"):
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(AXE)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            return
        said = done.stderr[-300:]
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no axe-core: {said}")


def _of_the_verb(folder: Path, *words: str) -> Path:
    """The page that a verb writes into a folder."""
    with pytest.raises(SystemExit):
        main([*words, str(folder / "out")])
    (page,) = (folder / "out").rglob("*.html")
    return page


def _compared(folder: Path) -> Path:
    FOLDERS["demo"](folder / "a")
    FOLDERS["later"](folder / "b")
    runs = (str(folder / "a"), str(folder / "b"))
    return _of_the_verb(folder, "compare", *runs, "--format", "html", "-o")


def _drawn(name: str, folder: Path) -> Path:
    """One of the pages that people read, drawn into a folder."""
    path = folder / "page.html"
    if name == "a run with flips":
        path.write_text(rendered(study_report(), "html"), "utf-8")
    elif name == "a kept run":
        path.write_text(open_run(KEPT / "h200-vllm-0.19.1-container").to_html(), "utf-8")
    elif name == "a comparison":
        return _compared(folder)
    elif name == "two images":
        sides = (str(INPUTS / "v0.19.1.json"), str(INPUTS / "v0.20.2.json"))
        return _of_the_verb(folder, "images", "diff", *sides, "--format", "html", "-o")
    else:
        kept = str(KEPT / "h200-vllm-0.19.1-unselected-triton")
        return _of_the_verb(folder, "certify", "--of", kept, "--out")
    return path


def _shown(page: Page, *, width: int, scheme: str) -> None:
    page.call(
        "Emulation.setDeviceMetricsOverride",
        **{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.call("Emulation.setEmulatedMedia", features=features)


@pytest.mark.parametrize(
    "name", ["a run with flips", "a kept run", "a comparison", "two images", "a certificate"]
)
def test_nothing_serious_is_found_on_a_page(name: str, tmp_path: Path, axe: str) -> None:
    with opened(_drawn(name, tmp_path), width=1280) as page:
        page.ask(_LAID_OUT)
        page.ask(f"{axe};0")
        for width, scheme in ((1280, "light"), (390, "dark")):
            _shown(page, width=width, scheme=scheme)
            found = json.loads(page.ask(_RUN))
            assert [v for v in found if v[0] in SERIOUS] == [], (name, width, scheme)


def test_axe_finds_what_is_planted(tmp_path: Path, axe: str) -> None:
    path = tmp_path / "planted.html"
    path.write_text("<html lang=en><title>x</title><p style='color:#bbb'>pale<img src=''></html>")
    with opened(path, width=1280) as page:
        page.ask(f"{axe};0")
        assert {"color-contrast", "image-alt"} <= {v[1] for v in json.loads(page.ask(_RUN))}
