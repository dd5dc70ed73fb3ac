"""The plan against a server: the completions client, the dispatch modes and the records.

Prompts go to ``/v1/completions`` as they are; with ``request.endpoint: chat`` to the chat endpoint,
where the server puts them into the model's own template.
"""

from harness.records import Answer
from harness.replay.asked import scored
from harness.replay.cache import PrefixCache
from harness.replay.client import CompletionsClient
from harness.replay.completion import RequestFailed
from harness.replay.dispatch import Dispatcher
from harness.replay.gate import Gate
from harness.replay.session import ReplaySession, warm_up
from harness.replay.timed import Due, Sent
from harness.replay.witness import StepWatch

__all__ = [
    "Answer",
    "CompletionsClient",
    "Dispatcher",
    "Due",
    "Gate",
    "PrefixCache",
    "ReplaySession",
    "RequestFailed",
    "Sent",
    "StepWatch",
    "scored",
    "warm_up",
]
