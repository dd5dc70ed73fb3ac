"""The site holds what the repository links to, and loads nothing from elsewhere (a hook of MkDocs).

README, the changes and the like are pages of the site where they lie; a link from a
page to another file of the repository leads to a copy of that file. What then leads nowhere, and
whatever a page would load over the network, is a warning, and `make docs` fails on each.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
_AT = {source: page for page, source in PAGES.items()}
_LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")
_LOADS = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\ssrc=\"?(?:https?:)?//[^\s>\"]+"
    r"|<link\b[^>]*rel=\"?(?:stylesheet|preconnect|icon)[^>]*\shref=\"?(?:https?:)?//[^\s>\"]+"
)
_log = logging.getLogger("mkdocs.hooks.whole_site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of `docs`, and the files that pages link to."""
    for page, source in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for file in list(files.documentation_pages()):
        for link in _LINK.findall(file.content_string):
            target = _in_repository(file.src_uri, link[1])
            if (
                _site_path(target) == f"repository/{target}"
                and f"repository/{target}" not in files.src_uris
            ):
                copy = File.generated(
                    config, f"repository/{target}", abs_src_path=str(ROOT / target)
                )
                files.append(copy)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that hold in the repository into links that hold in the site."""

    def led(link: re.Match[str]) -> str:
        here = page.file.src_uri
        target = _site_path(_in_repository(here, link[2]))
        return link[1] + posixpath.relpath(target, posixpath.dirname(here) or ".") + link[3]

    return _LINK.sub(led, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Warn of whatever a reader's browser would fetch from elsewhere."""
    for found in _LOADS.findall(output):
        _log.warning("%s would load from the network: %s", page.file.src_uri, found)
    return output


def _in_repository(page: str, link: str) -> str:
    """Where a link of a page leads, from the repository's root."""
    source = PAGES.get(page, f"docs/{page}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _site_path(target: str) -> str:
    """Where the site has a file of the repository; what is no file stays, told as missing."""
    if target in _AT:
        return _AT[target]
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return f"repository/{target}" if (ROOT / target).is_file() else target
