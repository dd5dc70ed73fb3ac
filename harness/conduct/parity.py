"""What differs between the two modes' servers of each model, from their own logs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.conduct.lifetime import startup_file
from harness.prove import mode_parity, read_facts
from harness.records import read_json
from harness.serve import read_log
from harness.words import Mode

__all__ = ["parity_of_modes"]


def parity_of_modes(folder: Path, models: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Each model that was served in both modes, with every setting that its logs show to differ.

    The last server of each mode is read. An empty list says that nothing differs.
    """
    found = {}
    for model in models:
        logs = [_last_log(folder, model, mode) for mode in Mode]
        if all(path is not None for path in logs):
            facts = [read_facts(read_log(path)) for path in logs if path is not None]
            found[model] = [asdict(difference) for difference in mode_parity(*facts)]
    return found


def _last_log(folder: Path, model: str, mode: Mode) -> Path | None:
    path = folder / startup_file(model, mode)
    if not path.exists():
        return None
    attempts = read_json(path).get("attempts") or []
    log = folder / str(attempts[-1]["log"]) if attempts else None
    return log if log is not None and log.exists() else None
