"""A candidate file on disk, with its summary beside it; both replaced atomically."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.candidates.export import ExportedCandidates
from harness.errors import UsageError


def summary_path(csv_path: Path) -> Path:
    """``<name>.summary.json`` beside ``<name>.csv``."""
    return csv_path.with_suffix(".summary.json")


def write_candidates(exported: ExportedCandidates, path: Path) -> Path:
    """Write the candidate file and its summary.

    Args:
        exported: the rows.
        path: the CSV; its folder is made when missing.

    Returns:
        Where the summary is.

    Raises:
        UsageError: the folder cannot be written to.
    """
    beside = summary_path(path)
    summary = exported.summary(path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, exported.csv_text())
        _replace(beside, json.dumps(summary, ensure_ascii=False, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=path) from None
    return beside


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8", newline="")
    temporary.replace(path)
