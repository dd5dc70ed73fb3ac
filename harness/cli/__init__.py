"""The verbs a person types: parse, call one job, print, set the exit code."""

from harness.cli.app import main

__all__ = ["main"]
