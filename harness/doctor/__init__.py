"""Whether this machine can do a run, before an hour of GPU time is spent on finding out.

`probe` looks and changes nothing; `judge` is pure and turns what was seen into findings.
"""

from harness.doctor.checks import Check, Level
from harness.doctor.facts import Facts
from harness.doctor.judge import judge
from harness.doctor.probe import probe

__all__ = [
    "Check",
    "Facts",
    "Level",
    "judge",
    "probe",
]
