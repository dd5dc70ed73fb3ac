"""The plan against a server: the completions client, the dispatch modes and the records.

Everything goes through ``/v1/completions`` with raw prompts, no chat template.
"""

from harness.replay.client import Answer, CompletionsClient, RequestFailed
from harness.replay.dispatch import BatchAnswers, Dispatcher
from harness.replay.record import Answers, error_record, ok_record
from harness.replay.scan import scan_lifetime
from harness.replay.session import ReplaySession, warm_up

__all__ = [
    "Answer",
    "Answers",
    "BatchAnswers",
    "CompletionsClient",
    "Dispatcher",
    "ReplaySession",
    "RequestFailed",
    "error_record",
    "ok_record",
    "scan_lifetime",
    "warm_up",
]
