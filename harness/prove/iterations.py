"""The engine's own account of its steps, and what it witnesses about a batch.

``--enable-logging-iteration-details`` prints one line a step: how many requests were prefilled in
it and how many decoded. Only these lines prove that requests shared a step.
"""

import re
from dataclasses import asdict, dataclass

from harness.prove.server_log import HEADER, read_lines

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

    @property
    def width(self) -> int:
        """Requests in this step."""
        return self.context_requests + self.generation_requests


@dataclass(frozen=True, slots=True)
class BatchWitness:
    """What the steps of one dispatch show.

    Attributes:
        expected_requests: how many requests were sent.
        steps: steps that held at least one request.
        first_width: requests in the first of them.
        max_width: requests in the fullest.
        max_context_requests: most prompts begun in one step.
        shared_steps: steps that held more than one request.
        full_steps: steps that held all of them.
        prefill_steps: steps that processed prompt tokens.
    """

    expected_requests: int
    steps: int
    first_width: int
    max_width: int
    max_context_requests: int
    shared_steps: int
    full_steps: int
    prefill_steps: int

    @property
    def seen(self) -> bool:
        """Whether the log holds any step at all."""
        return self.steps > 0

    @property
    def admitted_together(self) -> bool:
        """Whether the first step held exactly the requests sent, all prefilling: one admission."""
        return self.first_width == self.max_context_requests == self.expected_requests

    @property
    def alone(self) -> bool:
        """Whether no step held a second request: what a solo dispatch must show."""
        return self.seen and self.max_width == 1

    @property
    def all_met(self) -> bool:
        """Whether at least one step held all requests and none held more."""
        return self.full_steps > 0 and self.max_width == self.expected_requests

    def to_json(self) -> dict[str, object]:
        """The witness as JSON values."""
        judged = ("admitted_together", "alone", "all_met")
        return {**asdict(self), **{name: getattr(self, name) for name in judged}}


def read_steps(log_slice: str) -> tuple[EngineStep, ...]:
    """Every engine step in a piece of a log, in order; printed by engine core or API server."""
    found = ((line.number, _STEP.match(line.text)) for line in read_lines(log_slice))
    return tuple(EngineStep(*(*map(int, told.groups()), line)) for line, told in found if told)


def batch_witness(log_slice: str, expected_requests: int) -> BatchWitness:
    """Judge the steps between the sending of a dispatch and its last answer.

    ``log_slice`` is what the log grew by in that time.
    """
    steps = [step for step in read_steps(log_slice) if step.width > 0]
    return BatchWitness(
        expected_requests=expected_requests,
        steps=len(steps),
        first_width=steps[0].width if steps else 0,
        max_width=max((step.width for step in steps), default=0),
        max_context_requests=max((step.context_requests for step in steps), default=0),
        shared_steps=sum(step.width > 1 for step in steps),
        full_steps=sum(step.width == expected_requests for step in steps),
        prefill_steps=sum(step.context_requests > 0 for step in steps),
    )
