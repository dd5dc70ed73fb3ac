"""What every HTML page of a report has: safe rendering, the style sheet, and a policy.

Every expression of a template passes `visible` and then autoescape; a page loads nothing, and its
content security policy names its own style sheet by hash.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.report.hostile import visible

__all__ = ["page_environment", "page_policy", "page_style"]


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def page_environment() -> Environment:
    """Templates of this room, escaping everything that is not markup of our own."""
    return Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_style(*names: str) -> str:
    """Style sheets of this room, one after the other."""
    folder = files("harness.report").joinpath("templates")
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def page_policy(style: str) -> str:
    """A content security policy for a page with this style and without a script."""
    digest = b64encode(sha256(style.encode()).digest()).decode()
    rules = ("default-src 'none'", f"style-src 'sha256-{digest}'", "base-uri 'none'")
    return "; ".join((*rules, "form-action 'none'"))
