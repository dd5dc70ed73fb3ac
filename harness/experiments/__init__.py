"""The experiments that the study left open: replayed traffic, and sampling above temperature 0.

Pure: what a trace and its samples are, what the engine's steps show of them, and their tests.
"""

from harness.experiments.neighbours import Met, Request, neighbours
from harness.experiments.pairing import Row
from harness.experiments.sampling import (
    LabelTest,
    Sampled,
    SampledOfMode,
    SampleRow,
    detectable_shift,
    label_test,
    sampled,
    seed_of,
)
from harness.experiments.traces import Arrival, clipped, read_trace, refuse_long
from harness.experiments.traffic import TraceOfMode, TraceRow, Traffic, traffic

__all__ = [
    "Arrival",
    "LabelTest",
    "Met",
    "Request",
    "Row",
    "SampleRow",
    "Sampled",
    "SampledOfMode",
    "TraceOfMode",
    "TraceRow",
    "Traffic",
    "clipped",
    "detectable_shift",
    "label_test",
    "neighbours",
    "read_trace",
    "refuse_long",
    "sampled",
    "seed_of",
    "traffic",
]
