"""The verbs a person types: parse, call one function, print, set the exit code."""

from harness.cli.app import main
from harness.cli.hub import hub_rows, load_dataset

__all__ = [
    "hub_rows",
    "load_dataset",
    "main",
]
