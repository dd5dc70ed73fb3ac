"""The paired outcomes: one square a candidate, or a bar where there are too many to tell apart."""

from __future__ import annotations

from markupsafe import Markup

from harness.report.figures.waffle import waffle
from harness.report.model import PairedBar

__all__ = ["paired_chart"]

OUTCOMES = (
    ("both", "both", "changed under both"),
    ("standard_only", "standard", "standard only"),
    ("invariant_only", "invariant", "batch-invariant only"),
    ("neither", "neither", "changed under neither"),
)


def paired_chart(bar: PairedBar) -> Markup:
    """The four outcomes of one measure, in a fixed order and each with a look of its own."""
    counts = ", ".join(f"{getattr(bar, name)} {words}" for name, _, words in OUTCOMES)
    parts = [(getattr(bar, name), style) for name, style, _ in OUTCOMES]
    return waffle(parts, f"{bar.label}: {counts}")
