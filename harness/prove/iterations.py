"""The engine's own account of its steps, and what it witnesses of an asking.

``--enable-logging-iteration-details`` prints one line a step: how many requests were prefilled in
it and how many decoded. Only these lines prove that requests shared a step. Where they are not to
be had, the growth of the histogram ``vllm:iteration_tokens_total`` tells how many steps had one
token, the decode steps of a request alone.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.prove.metrics import EngineMetrics
from harness.prove.server_log import HEADER, read_lines
from harness.records import Answer, Witness

_STEP = re.compile(
    rf"^{HEADER}(?:Engine \d+: )?Iteration\((\d+)\): (\d+) context requests?, "
    r"(\d+) context tokens?, (\d+) generation requests?, (\d+) generation tokens?\b"
)


@dataclass(frozen=True, slots=True)
class EngineStep:
    """One engine step.

    Attributes:
        number: as the engine counts.
        context_requests: requests of which a piece of the prompt was processed.
        context_tokens: prompt tokens processed.
        generation_requests: requests that decoded.
        generation_tokens: tokens decoded.
        line: 1-based line in the log slice.
    """

    number: int
    context_requests: int
    context_tokens: int
    generation_requests: int
    generation_tokens: int
    line: int


def read_steps(log_slice: str) -> tuple[EngineStep, ...]:
    """Every engine step in a piece of a log, in order; printed by engine core or API server."""
    found = ((line.number, _STEP.match(line.text)) for line in read_lines(log_slice))
    return tuple(EngineStep(*(*map(int, told.groups()), line)) for line, told in found if told)


def log_witness(steps: Sequence[EngineStep], answers: Sequence[Answer]) -> Witness | None:
    """What the steps between two quiet moments show of the asking that was answered in them.

    Its account must be whole: a prefill for each request, and as many decoded tokens as the
    answers have after their first, which the prefill gives. An engine that schedules ahead of its
    results may do one step more for each request that stopped by itself; such a step may also
    print late, into the next asking's lines, before its first prefill, where it is passed over.

    Args:
        steps: of the log from just before the requests were sent.
        answers: all of them, with their token ids.

    Returns:
        ``None`` while the lines do not add up to the answers' tokens: lines are still to come, or
        other requests ran, or the lines of some step are lost.
    """
    own = list(itertools.dropwhile(lambda step: not step.context_requests, steps))
    if not own or any(answer.token_ids is None for answer in answers):
        return None
    due = sum(max(len(answer.token_ids or ()) - 1, 0) for answer in answers)
    ahead = sum(answer.finish_reason == "stop" for answer in answers)
    decoded = sum(step.generation_tokens for step in own)
    prefills = sum(step.context_requests for step in own)
    if prefills < len(answers) or not due <= decoded <= due + ahead:
        return None
    decodes = [step for step in own if step.generation_requests]
    shared = sum(step.generation_requests + step.context_requests > 1 for step in decodes)
    return Witness(
        steps=len(own),
        admitted_first_step=own[0].context_requests,
        shared_decode_share=shared / len(decodes) if decodes else None,
        mixed_steps=sum(step.context_requests > 0 for step in decodes),
        split_prefills=prefills - len(answers),
        largest_step=max(step.context_tokens + step.generation_tokens for step in own),
        source="log",
    )


def metrics_witness(grown: EngineMetrics, answers: Sequence[Answer]) -> Witness | None:
    """The same from the growth of the metrics: steps, and at least how many of them were shared.

    A step of more than one token is a prefill or is shared; as many prefills as there are requests
    are taken off, so that the share is never too high where no prompt was split over steps.

    Returns:
        ``None`` where the server counts no steps, or the tokens do not add up.
    """
    steps, alone = grown.steps, grown.one_token_steps
    if steps is None or alone is None or any(answer.token_ids is None for answer in answers):
        return None
    if grown.generation_tokens != sum(len(answer.token_ids or ()) for answer in answers):
        return None
    shared = max(0.0, steps - alone - len(answers))
    return Witness(
        steps=int(steps),
        shared_decode_share=shared / (shared + alone) if shared + alone else None,
        source="metrics",
    )
