"""SVG elements as escaped markup."""

from __future__ import annotations

from markupsafe import Markup, escape

from harness.hostile import visible

__all__ = ["element", "label", "picture"]


_SPELLED = {"class_": "class", "view_box": "viewBox", "aspect": "preserveAspectRatio"}


def _attribute(name: str, value: object) -> str:
    shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    spelled = _SPELLED.get(name) or name.replace("_", "-")
    return f' {spelled}="{escape(shown)}"'


def element(name: str, content: str = "", /, **attributes: object) -> Markup:
    """One element; ``content`` must be escaped already, attribute names use ``_`` for ``-``."""
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    return Markup(f"<{name}{shown}>{content}</{name}>")


def label(text: str, x: float, y: float, **attributes: object) -> Markup:
    """A text element; the text is escaped."""
    return element("text", escape(visible(text)), x=x, y=y, **attributes)


def picture(content: str, width: float, height: float, title: str, **attributes: object) -> Markup:
    """A whole drawing in its own units, with an accessible name."""
    named = element("title", escape(visible(title))) + content
    box = f"0 0 {width:g} {height:g}"
    size: dict[str, object] = {"view_box": box, "width": float(width), "height": float(height)}
    return element("svg", named, role="img", **size, **attributes)
