"""From "it changes" to what causes it: the register of known defects, and what takes a change away.

Pure: values and files in, values out. Servers are asked by `harness.jobs`.
"""

from harness.cause.defects import Defect, Has, Judged, Trait, fitting, judge_stack, known_defects
from harness.cause.traits import Traits, traits_of, with_axis

__all__ = [
    "Defect",
    "Has",
    "Judged",
    "Trait",
    "Traits",
    "fitting",
    "judge_stack",
    "known_defects",
    "traits_of",
    "with_axis",
]
