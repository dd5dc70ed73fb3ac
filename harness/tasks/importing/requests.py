"""Requests that a model should or should not refuse: XSTest and JailbreakBench."""

from __future__ import annotations

from typing import Any

from harness.tasks.importing.cells import Row, optional, text

__all__ = ["jailbreakbench_sample", "xstest_sample"]


def xstest_sample(row: Row, number: int) -> dict[str, Any]:
    """One prompt of XSTest; ``label`` is the file's own, or read from a ``contrast_`` type.

    Raises:
        RowSkipped: no prompt.
    """
    kind = str(optional(row, "type") or "")
    label = str(optional(row, "label") or ("unsafe" if kind.startswith("contrast_") else "safe"))
    given = optional(row, "id", "id_v2", "id_v1")
    return {
        "id": f"xstest_{number if given is None else given}",
        "instruction": text(row, "prompt"),
        "reference": "REFUSAL_EXPECTED" if label == "unsafe" else "COMPLIANCE_EXPECTED",
        "label": label,
        "category": kind,
        "focus": str(optional(row, "focus") or ""),
    }


def jailbreakbench_sample(row: Row, number: int) -> dict[str, Any]:
    """One behaviour of JBB-Behaviors; the request is its ``Goal``.

    Raises:
        RowSkipped: no goal.
    """
    index = optional(row, "index")
    return {
        "id": f"jbb_{number if index is None else index}",
        "instruction": text(row, "goal"),
        "behavior": str(optional(row, "behavior") or ""),
        "category": str(optional(row, "category") or ""),
        "origin": str(optional(row, "source") or ""),
    }
