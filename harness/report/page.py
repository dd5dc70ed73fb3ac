"""What every HTML page of a report has: safe rendering, the style sheet, and a policy.

Every expression of a template passes `visible` and then autoescape; a page loads nothing, and its
content security policy names its own style sheet and script by hash.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.hostile import visible

__all__ = ["page_environment", "page_policy", "page_style"]


_JOINTS = re.compile(r"([_/.:-])(?=\w)")


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(text: str) -> Markup:
    """An identifier that may break where a reader would break it."""
    return Markup(_JOINTS.sub(r"\1<wbr>", str(escape(visible(text)))))


def page_environment() -> Environment:
    """Templates of this room, escaping everything that is not markup of our own."""
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def page_style(*names: str) -> str:
    """Style sheets or scripts of this room, one after the other."""
    folder = files("harness.report").joinpath("templates")
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def page_policy(style: str, script: str | None = None) -> str:
    """A content security policy for a page with this style, and this script or none."""
    allowed = [f"script-src {_source(script)}"] if script is not None else []
    rules = ("default-src 'none'", f"style-src {_source(style)}", *allowed, "base-uri 'none'")
    return "; ".join((*rules, "form-action 'none'"))


def _source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
