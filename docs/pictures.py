"""The pictures of `docs/reading.md`: a kept run's report, drawn anew and photographed by Chromium.

python docs/pictures.py [RUN]
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import harness

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests"))
from headless_chromium import opened  # noqa: E402

RUN = DOCS.parent / "results" / "reference" / "h200-vllm-0.19.1-unselected-fa3"
PARTS = {
    "verdict": "h1, .shows, .on, .banner",
    "change": ".example",
    "rates": ".measures",
    "claims": "#findings .sheet",
    "askings": "#askings .sheet",
}
_BOX = """(() => {
  document.querySelectorAll('details.rest').forEach(part => { part.open = true })
  const found = [...document.querySelectorAll('%s')].slice(0, %d)
    .map(part => part.getBoundingClientRect())
  const left = Math.min(...found.map(b => b.left)), top = Math.min(...found.map(b => b.top))
  return {x: left - 12, y: top + scrollY - 8, scale: 1,
    width: Math.max(...found.map(b => b.right)) - left + 24,
    height: Math.max(...found.map(b => b.bottom)) - top + 16}
})()"""


def draw(run: Path, folder: Path) -> None:
    """Write one picture a part of the run's report."""
    folder.mkdir(exist_ok=True)
    page_file = folder / "report.html"
    page_file.write_text(harness.open_run(run).to_html(), "utf-8")
    try:
        with opened(page_file, width=1000) as page:
            for name, selector in PARTS.items():
                clip = page.ask(_BOX % (selector, 9 if "," in selector else 1))
                shot = page.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
                (folder / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
    finally:
        page_file.unlink()


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else RUN, DOCS / "pictures")
