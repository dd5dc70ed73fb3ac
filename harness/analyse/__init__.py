"""From records to numbers: a streaming reader, pairs, exact statistics, claims and threats.

Everything here is a function of files that a run left behind; texts are read and not kept.
"""

from harness.analyse.checks import CheckStatus, Finding, check_records
from harness.analyse.columns import MODES, LineProblem, RecordKey, Records
from harness.analyse.exact import (
    McNemar,
    holm,
    mcnemar,
    minimum_detectable_rate,
    sign_flip_test,
    symmetry_p,
)
from harness.analyse.intervals import (
    Interval,
    clopper_pearson_interval,
    newcombe_interval,
    tango_interval,
    upper_bound,
    wilson_interval,
)
from harness.analyse.pairs import Duplicate, Pairing, pair_records
from harness.analyse.reader import read_records, scan_records
from harness.analyse.run_files import PROVEN, RunFiles, Startup, read_run_files
from harness.analyse.summary import summarise, summarise_run
from harness.analyse.wording import paired_text, rate_text, summary_lines

__all__ = [
    "MODES",
    "PROVEN",
    "CheckStatus",
    "Duplicate",
    "Finding",
    "Interval",
    "LineProblem",
    "McNemar",
    "Pairing",
    "RecordKey",
    "Records",
    "RunFiles",
    "Startup",
    "check_records",
    "clopper_pearson_interval",
    "holm",
    "mcnemar",
    "minimum_detectable_rate",
    "newcombe_interval",
    "pair_records",
    "paired_text",
    "rate_text",
    "read_records",
    "read_run_files",
    "scan_records",
    "sign_flip_test",
    "summarise",
    "summarise_run",
    "summary_lines",
    "symmetry_p",
    "tango_interval",
    "upper_bound",
    "wilson_interval",
]
