"""Which rows to test: candidate files read and checked, and rows of a run exported as candidates.

A candidate is one ``(model, task_name, sample_id, batch_size, dispatch_mode)``.
"""

from harness.candidates.candidate import Candidate, CandidateKey
from harness.candidates.candidate_export import (
    ExportedCandidates,
    export_candidates,
    write_candidates,
)
from harness.candidates.candidate_files import (
    candidate_hashes,
    check_candidates,
    load_candidates,
)

__all__ = [
    "Candidate",
    "CandidateKey",
    "ExportedCandidates",
    "candidate_hashes",
    "check_candidates",
    "export_candidates",
    "load_candidates",
    "write_candidates",
]
