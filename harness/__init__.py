"""Does batching change a vLLM server's answers because of its kernels? A paired ablation.

In Python: ``harness.open_run("results/RUN")`` gives ``.records`` (a pandas DataFrame),
``.summary``, ``.claims``, ``.flips()`` and ``.to_html()``; `docs/python.md` shows them.
"""

import os
from importlib import import_module as _import
from os import PathLike
from typing import Any

if os.name == "nt":
    raise SystemExit("harness needs Linux or macOS: on Windows use WSL 2 (wsl --install)")

__version__ = "0.1.0"
__all__ = ["__version__", "open_run"]


def open_run(path: str | PathLike[str]) -> Any:
    """Open a run folder or a records file: an `harness.jobs.opened_run.OpenedRun`.

    What reads it is loaded here and not before, so that ``import harness`` stays quick.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    return _import("harness.jobs.opened_run").open_run(path)
