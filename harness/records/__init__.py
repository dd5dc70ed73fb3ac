"""Records and the folder they live in: written one by one, read back by everybody.

Everything that a run leaves behind is written here, and nothing is read by other rules elsewhere.
"""

from harness.flips import ScoreState
from harness.records.answers import (
    FINISHED,
    Answer,
    Askings,
    Companion,
    Evidence,
    Witness,
    Witnesses,
    text_hash,
)
from harness.records.candidate_export import (
    SELECTIONS,
    ExportedCandidates,
    export_candidates,
    write_candidates,
)
from harness.records.frame import (
    BoolArray,
    Duplicate,
    FloatArray,
    IntArray,
    LineProblem,
    Pairing,
    Records,
    pair_records,
    refuse_duplicates,
)
from harness.records.lines import sealed
from harness.records.reader import (
    first_record,
    iter_records,
    iter_values,
    read_records,
    records_at,
    scan_records,
)
from harness.records.record import (
    Difference,
    FirstDifference,
    Record,
    RecordKey,
    Sampling,
    first_difference,
    part,
    record_id,
)
from harness.records.run_files import (
    INTERRUPTED,
    METADATA,
    RECORDS,
    LogEvidence,
    RunFiles,
    Start,
    Startup,
    WorkersSay,
    read_run_files,
    startup_of,
)
from harness.records.run_folder import RunFolder, TornTail, find_unfinished, new_run_id

__all__ = [
    "FINISHED",
    "INTERRUPTED",
    "METADATA",
    "RECORDS",
    "SELECTIONS",
    "Answer",
    "Askings",
    "BoolArray",
    "Companion",
    "Difference",
    "Duplicate",
    "Evidence",
    "ExportedCandidates",
    "FirstDifference",
    "FloatArray",
    "IntArray",
    "LineProblem",
    "LogEvidence",
    "Pairing",
    "Record",
    "RecordKey",
    "Records",
    "RunFiles",
    "RunFolder",
    "Sampling",
    "ScoreState",
    "Start",
    "Startup",
    "TornTail",
    "Witness",
    "Witnesses",
    "WorkersSay",
    "export_candidates",
    "find_unfinished",
    "first_difference",
    "first_record",
    "iter_records",
    "iter_values",
    "new_run_id",
    "pair_records",
    "part",
    "read_records",
    "read_run_files",
    "record_id",
    "records_at",
    "refuse_duplicates",
    "scan_records",
    "sealed",
    "startup_of",
    "text_hash",
    "write_candidates",
]
