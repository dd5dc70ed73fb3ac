"""A document in its formats, and the files that they go to, written whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.files import write_whole
from harness.report.document import Document, Look

FILES = {
    Look.RUN: {
        "md": "report.md",
        "html": "report.html",
        "junit": "junit.xml",
        "github": "github.md",
    },
    Look.COMPARISON: {
        "md": "comparison.md",
        "html": "comparison.html",
        "json": "comparison.json",
        "junit": "comparison.xml",
        "github": "comparison-github.md",
    },
    Look.BENCH: {name: f"bench.{name}" for name in ("md", "json", "html")},
    Look.MATRIX: {name: f"matrix.{name}" for name in ("md", "json", "html")},
    Look.CERTIFICATE: {name: f"certificate.{name}" for name in ("md", "json", "html")},
    Look.IMAGES: {name: f"image-difference.{name}" for name in ("md", "json", "html")},
}
"""The formats of each kind of report, and the name of their file."""


def rendered(document: Document, name: str, value: Mapping[str, Any] | None = None) -> str:
    """The document in one format; JSON is ``value``, which is no view of it."""
    if name == "json":
        return json.dumps(value, ensure_ascii=True, indent=2) + "\n"
    if name == "html":
        # the templates' library is loaded for a page only
        from harness.report.html import html

        return html(document)
    if name == "junit":
        from harness.report.junit import junit

        return junit(document)
    from harness.report.markdown import markdown, markdown_brief

    return markdown_brief(document) if name == "github" else markdown(document)


def write_document(
    document: Document,
    formats: Sequence[str],
    folder: Path,
    value: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a document into a folder, which is made.

    Args:
        formats: of `FILES` for its kind.
        value: what the format ``json`` holds.

    Returns:
        The files written, in the order of ``formats``.

    Raises:
        EnvironmentError_: a file cannot be written.
    """
    texts = {folder / FILES[document.look][f]: rendered(document, f, value) for f in formats}
    for path, text in texts.items():
        write_whole(path, text, parents=True)
    return list(texts)
