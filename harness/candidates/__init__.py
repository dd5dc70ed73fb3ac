"""Which rows to test: candidate files read and checked, and rows of a run exported as candidates.

A candidate is one ``(model, task_name, sample_id, batch_size, dispatch_mode)``.
"""

from harness.candidates.candidate import Candidate, CandidateKey
from harness.candidates.candidate_files import candidate_hashes, check_candidates, load_candidates
from harness.candidates.export import ExportedCandidates, export_candidates, label_flipped
from harness.candidates.writing import summary_path, write_candidates

__all__ = [
    "Candidate",
    "CandidateKey",
    "ExportedCandidates",
    "candidate_hashes",
    "check_candidates",
    "export_candidates",
    "label_flipped",
    "load_candidates",
    "summary_path",
    "write_candidates",
]
