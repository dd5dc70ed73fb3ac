"""Which rows to test: candidate files, read and checked before any server starts.

A candidate is one ``(model, task_name, sample_id, batch_size, dispatch_mode)``.
"""

from harness.candidates.candidate_files import (
    Candidate,
    CandidateKey,
    candidate_hashes,
    check_candidates,
    load_candidates,
)

__all__ = ["Candidate", "CandidateKey", "candidate_hashes", "check_candidates", "load_candidates"]
