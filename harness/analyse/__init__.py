"""From records to numbers: a streaming reader, pairs, exact statistics, claims and threats.

Everything here is a function of files that a run left behind; texts are read and not kept.
"""

from harness.analyse.agreement import flip_direction, noise_floor
from harness.analyse.checks import CheckStatus, Finding, check_records, key_name
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
from harness.analyse.summary import summarise, summarise_run
from harness.analyse.tables import (
    ENDPOINTS,
    endpoint,
    paired_counts,
    paired_statistics,
    rate,
    score_states,
)
from harness.analyse.validate import Validation, expectations_of, validate, validate_run
from harness.analyse.wording import paired_text, rate_text, summary_lines
from harness.records import (
    MODES,
    PROVEN,
    Duplicate,
    LineProblem,
    Pairing,
    RecordKey,
    Records,
    RunFiles,
    Startup,
    pair_records,
    read_records,
    read_run_files,
    scan_records,
)

__all__ = [
    "ENDPOINTS",
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
    "Validation",
    "check_records",
    "clopper_pearson_interval",
    "endpoint",
    "expectations_of",
    "flip_direction",
    "holm",
    "key_name",
    "mcnemar",
    "minimum_detectable_rate",
    "newcombe_interval",
    "noise_floor",
    "pair_records",
    "paired_counts",
    "paired_statistics",
    "paired_text",
    "rate",
    "rate_text",
    "read_records",
    "read_run_files",
    "scan_records",
    "score_states",
    "sign_flip_test",
    "summarise",
    "summarise_run",
    "summary_lines",
    "symmetry_p",
    "tango_interval",
    "upper_bound",
    "validate",
    "validate_run",
    "wilson_interval",
]
