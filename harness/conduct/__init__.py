"""The conductor's parts: preparing, one server lifetime, provenance, progress and conclusion.

``harness.conduct.run`` puts them together; nothing else uses them but the verbs.
"""

from harness.conduct.conclude import Conclusion
from harness.conduct.logbook import open_logbook
from harness.conduct.prepare import CandidateSource, Prepared, prepare
from harness.conduct.progress import ConsoleProgress, RunProgress, SilentProgress
from harness.conduct.run import RunOptions, run

__all__ = [
    "CandidateSource",
    "Conclusion",
    "ConsoleProgress",
    "Prepared",
    "RunOptions",
    "RunProgress",
    "SilentProgress",
    "open_logbook",
    "prepare",
    "run",
]
