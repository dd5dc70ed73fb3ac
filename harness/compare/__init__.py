"""Run against run, mode against mode, samples against samples: what changed, and does it pass.

Everything here is a function of files that runs left behind; nothing is asked of a server.
"""

from harness.compare.comparison import Comparison, SideFacts, compare_runs
from harness.compare.gate import (
    MAX_FLIP_RATE,
    RUN_CONDITIONS,
    SAMPLE_CONDITIONS,
    GateVerdict,
    judge,
)
from harness.compare.model import CandidateChange, FlipChange, ModeComparison
from harness.compare.sample_comparison import (
    FilterComparison,
    MetricComparison,
    SampleChange,
    SampleComparison,
    compare_samples,
)
from harness.compare.samples import Samples, is_samples_file, read_samples
from harness.compare.side import Side, read_rows, read_side
from harness.compare.stack_difference import StackDifference

__all__ = [
    "MAX_FLIP_RATE",
    "RUN_CONDITIONS",
    "SAMPLE_CONDITIONS",
    "CandidateChange",
    "Comparison",
    "FilterComparison",
    "FlipChange",
    "GateVerdict",
    "MetricComparison",
    "ModeComparison",
    "SampleChange",
    "SampleComparison",
    "Samples",
    "Side",
    "SideFacts",
    "StackDifference",
    "compare_runs",
    "compare_samples",
    "is_samples_file",
    "judge",
    "read_rows",
    "read_samples",
    "read_side",
]
