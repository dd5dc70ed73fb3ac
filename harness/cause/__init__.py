"""From "it changes" to what causes it: the register of known defects, and what takes a change away.

Pure: values and files in, values out. Servers are asked by `harness.jobs`.
"""

from harness.cause.attribution import Attribution, Axis, Explorer, How
from harness.cause.case_file import (
    Case,
    CaseAnswer,
    CasePrompt,
    CaseStack,
    check_case,
    read_case,
    write_case,
)
from harness.cause.certificate import (
    Certificate,
    CertificateVerdict,
    Lifetimes,
    certify,
    read_lifetime,
)
from harness.cause.certificate_counts import Counts
from harness.cause.costs import FEWEST_BLOCKS, Cost, Reading, costs
from harness.cause.defects import (
    Defect,
    Has,
    Judged,
    Trait,
    fitting,
    judge_stack,
    known_defects,
    not_judged,
)
from harness.cause.run_traits import judged_run, spec_of_run, traits_of_run
from harness.cause.seen import Cell, CellTotal, Seen, name_of
from harness.cause.shrinking import Shrinker, Tally, Trial
from harness.cause.traits import (
    VARIABLES_GONE,
    VARIABLES_READ,
    Traits,
    traits_of,
    with_axis,
)

__all__ = [
    "FEWEST_BLOCKS",
    "VARIABLES_GONE",
    "VARIABLES_READ",
    "Attribution",
    "Axis",
    "Case",
    "CaseAnswer",
    "CasePrompt",
    "CaseStack",
    "Cell",
    "CellTotal",
    "Certificate",
    "CertificateVerdict",
    "Cost",
    "Counts",
    "Defect",
    "Explorer",
    "Has",
    "How",
    "Judged",
    "Lifetimes",
    "Reading",
    "Seen",
    "Shrinker",
    "Tally",
    "Trait",
    "Traits",
    "Trial",
    "certify",
    "check_case",
    "costs",
    "fitting",
    "judge_stack",
    "judged_run",
    "known_defects",
    "name_of",
    "not_judged",
    "read_case",
    "read_lifetime",
    "spec_of_run",
    "traits_of",
    "traits_of_run",
    "with_axis",
    "write_case",
]
