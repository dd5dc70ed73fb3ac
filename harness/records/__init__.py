"""Records and the folder they live in: written one by one, read back by everybody.

Everything that a run leaves behind is written here, and nothing is read by other rules elsewhere.
"""

from harness.records.answers import ScoreState
from harness.records.columns import (
    MODES,
    BoolArray,
    FloatArray,
    IntArray,
    LineProblem,
    RecordKey,
    Records,
)
from harness.records.jsonfile import read_json, read_lines, write_json
from harness.records.pairs import Duplicate, Pairing, pair_records, refuse_duplicates
from harness.records.reader import read_records, scan_records
from harness.records.run_files import PROVEN, RunFiles, Startup, read_run_files
from harness.records.run_folder import RunFolder, TornTail, find_unfinished, new_run_id

__all__ = [
    "MODES",
    "PROVEN",
    "BoolArray",
    "Duplicate",
    "FloatArray",
    "IntArray",
    "LineProblem",
    "Pairing",
    "RecordKey",
    "Records",
    "RunFiles",
    "RunFolder",
    "ScoreState",
    "Startup",
    "TornTail",
    "find_unfinished",
    "new_run_id",
    "pair_records",
    "read_json",
    "read_lines",
    "read_records",
    "read_run_files",
    "refuse_duplicates",
    "scan_records",
    "write_json",
]
