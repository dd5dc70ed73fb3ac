"""What became of the candidates: one square each, or a bar where there are too many."""

from __future__ import annotations

from markupsafe import Markup

from harness.report.comparison.model import Flow
from harness.report.figures import waffle

__all__ = ["flow_chart"]


def flow_chart(flow: Flow) -> Markup:
    """The parts in order, each with a look of its own; the title says the counts."""
    counts = ", ".join(f"{part.count} {part.words}" for part in flow.parts)
    return waffle([(part.count, part.style) for part in flow.parts], f"{flow.label}: {counts}")
