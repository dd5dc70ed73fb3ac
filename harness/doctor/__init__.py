"""Whether this machine can do a run, before an hour of GPU time is spent on finding out.

`probe` looks and changes nothing; `judge` is pure and turns what was seen into findings.
"""

from harness.doctor.judge import capability_finding, judge
from harness.doctor.machine_facts import EngineFacts, Facts, ImageFacts, ModelFacts, NativeFacts
from harness.doctor.probe import probe, weight_bytes

__all__ = [
    "EngineFacts",
    "Facts",
    "ImageFacts",
    "ModelFacts",
    "NativeFacts",
    "capability_finding",
    "judge",
    "probe",
    "weight_bytes",
]
