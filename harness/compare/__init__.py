"""Run against run, mode against mode, samples against samples: what changed, and does it pass.

Everything here is a function of files that runs left behind; nothing is asked of a server.
"""

from harness.compare.alignment import Side, read_side
from harness.compare.compared_modes import (
    CandidateChange,
    Changed,
    ChangedAnswers,
    ChangedSlice,
    Effect,
    Fates,
    FlipChange,
    ModeComparison,
    SliceCounts,
)
from harness.compare.gate import (
    MAX_FLIP_RATE,
    RUN_CONDITIONS,
    SAMPLE_CONDITIONS,
    GateFinding,
    GateVerdict,
    judge,
)
from harness.compare.run_comparison import Comparison, compare_runs
from harness.compare.sample_comparison import (
    FilterComparison,
    MetricComparison,
    SampleChange,
    SampleComparison,
    compare_samples,
)
from harness.compare.samples_file import is_samples_file, read_samples

__all__ = [
    "MAX_FLIP_RATE",
    "RUN_CONDITIONS",
    "SAMPLE_CONDITIONS",
    "CandidateChange",
    "Changed",
    "ChangedAnswers",
    "ChangedSlice",
    "Comparison",
    "Effect",
    "Fates",
    "FilterComparison",
    "FlipChange",
    "GateFinding",
    "GateVerdict",
    "MetricComparison",
    "ModeComparison",
    "SampleChange",
    "SampleComparison",
    "Side",
    "SliceCounts",
    "compare_runs",
    "compare_samples",
    "is_samples_file",
    "judge",
    "read_samples",
    "read_side",
]
