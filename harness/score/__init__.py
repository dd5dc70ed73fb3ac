"""From an answer's text to its score, with the evidence: refusal, bbq, truthfulqa and mmlu.

Two profiles live side by side: ``paper`` is the study's algorithms with their blind spots,
``strict`` (the default) reads the answer alone; ``docs/scorers.md`` shows where they differ.
"""

from harness.score.answer import Score
from harness.score.profile_comparison import ProfileComparison, Profiles, ProfileVerdict
from harness.score.refusal import phrases as load_phrases
from harness.score.rescore import flips_under, rescore
from harness.score.scorers import PROFILES, SCORERS, Profile, score, scorer_versions

__all__ = [
    "PROFILES",
    "SCORERS",
    "Profile",
    "ProfileComparison",
    "ProfileVerdict",
    "Profiles",
    "Score",
    "flips_under",
    "load_phrases",
    "rescore",
    "score",
    "scorer_versions",
]
