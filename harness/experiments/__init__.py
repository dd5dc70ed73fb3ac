"""The experiments that the study left open: replayed traffic, and sampling above temperature 0.

Pure: what a trace and its samples are, what the engine's steps show of them, and their tests.
"""

from harness.experiments.neighbours import Met, Request, neighbours
from harness.experiments.traces import Arrival, clipped, read_trace, refuse_long
from harness.experiments.traffic import TraceOfMode, TraceRow, Traffic, traffic

__all__ = [
    "Arrival",
    "Met",
    "Request",
    "TraceOfMode",
    "TraceRow",
    "Traffic",
    "clipped",
    "neighbours",
    "read_trace",
    "refuse_long",
    "traffic",
]
