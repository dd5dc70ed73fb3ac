"""One run from its settings to its reports: prepared, its servers started and asked, concluded.

`prepare` reads and checks and starts nothing; `run` does what of a plan is not done yet.
"""

from harness.conduct.conductor import Conclusion, RunOptions, concluded, run, with_server
from harness.conduct.lifetime import Work, sigterm_is_interrupt
from harness.conduct.next_steps import without_flags
from harness.conduct.one_server import insist_on_one_server
from harness.conduct.prepare import CandidateSource, Prepared, prepare
from harness.conduct.progress import ConsoleProgress, RunProgress
from harness.conduct.server_files import server_files
from harness.conduct.workers import HERE

__all__ = [
    "HERE",
    "CandidateSource",
    "Conclusion",
    "ConsoleProgress",
    "Prepared",
    "RunOptions",
    "RunProgress",
    "Work",
    "concluded",
    "insist_on_one_server",
    "prepare",
    "run",
    "server_files",
    "sigterm_is_interrupt",
    "with_server",
    "without_flags",
]
