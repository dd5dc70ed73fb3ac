"""From an answer's text to its score, with the evidence: refusal, bbq, truthfulqa and mmlu.

Two profiles live side by side: ``paper`` is the study's algorithms with their blind spots,
``strict`` (the default) reads the answer alone; ``docs/scorers.md`` shows where they differ.
"""

from harness.score.bias_item import is_unknown_option, options_of
from harness.score.comparison import ProfileComparison
from harness.score.model import Score
from harness.score.registry import PROFILES, SCORERS, Profile, score, scorer_versions
from harness.score.rescore import rescore

__all__ = [
    "PROFILES",
    "SCORERS",
    "Profile",
    "ProfileComparison",
    "Score",
    "is_unknown_option",
    "options_of",
    "rescore",
    "score",
    "scorer_versions",
]
