"""Which requests met in which engine steps, from the engine's own account of its steps.

The log tells how many requests each step prefilled and decoded, and how many tokens, not which. The
client knows each request's tokens and the order in which they left. A scheduler that takes requests
in that order leaves one assignment, or none: each step's prefilled tokens must be those of the
requests that it admits, and each step must decode exactly the requests that are not done yet. Two
requests that left within a moment may have changed places on the way, so neighbours are tried too.
An account that does not add up to the last token is none: nothing is said of any request then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, dropwhile, islice
from typing import NamedTuple

from harness.prove import EngineStep
from harness.records import Witness

_PASSED = 4
"""Requests that one may have been overtaken by on its way to the engine."""
_TRIED, _MOST = 2_000, 2_000_000
"""Choices tried for one step, and in all."""


class Request(NamedTuple):
    """A request as its client knows it, in the order in which they left.

    Attributes:
        prompt_tokens: tokens of its prompt that had to be computed, those of the cache left out.
        answer_tokens: of its answer; the first is the prefill's.
        stopped: whether it ended by itself: an engine that schedules ahead may do one step more.
    """

    prompt_tokens: int
    answer_tokens: int
    stopped: bool


class Met(NamedTuple):
    """What one request's steps show.

    Attributes:
        witness: of its own steps, read from the log.
        neighbours: place of each request that shared a step with it, and how many steps.
    """

    witness: Witness
    neighbours: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _State:
    """What runs after a step; ``began`` and ``decoded`` had part in that step."""

    pending: tuple[int, ...]
    prefilling: tuple[tuple[int, int], ...] = ()
    decoding: tuple[tuple[int, int], ...] = ()
    ahead: int = 0
    began: tuple[int, ...] = ()
    decoded: tuple[int, ...] = ()
    before: _State | None = None

    @property
    def is_over(self) -> bool:
        """Whether every request is done."""
        return not (self.pending or self.prefilling or self.decoding)

    def after(self, step: EngineStep, requests: Sequence[Request]) -> Iterator[_State]:
        """Every state that the step may leave, the order of arrival first."""
        new = step.context_requests - len(self.prefilling)
        more = step.generation_requests - len(self.decoding)
        if new < 0 or not 0 <= more <= self.ahead:
            return
        for chosen in islice(combinations(self.pending[: new + _PASSED], new), _TRIED):
            whole = (*self.prefilling, *((one, requests[one].prompt_tokens) for one in chosen))
            left = sum(tokens for _, tokens in whole) - step.context_tokens
            if left == 0 or (whole and 0 < left < whole[-1][1]):
                yield self._left(whole, left, frozenset(chosen), requests)

    def _left(
        self,
        whole: Sequence[tuple[int, int]],
        left: int,
        chosen: frozenset[int],
        requests: Sequence[Request],
    ) -> _State:
        done = whole[:-1] if left else whole
        due = [(one, tokens - 1) for one, tokens in self.decoding]
        due += [(one, requests[one].answer_tokens - 1) for one, _ in done]
        ended = [one for one, tokens in due if tokens <= 0]
        return _State(
            pending=tuple(p for p in self.pending if p not in chosen) if chosen else self.pending,
            prefilling=((whole[-1][0], left),) if left else (),
            decoding=tuple((one, tokens) for one, tokens in due if tokens > 0),
            ahead=sum(requests[one].stopped for one in ended),
            began=tuple(one for one, _ in whole),
            decoded=tuple(one for one, _ in self.decoding),
            before=self,
        )


def neighbours(steps: Sequence[EngineStep], requests: Sequence[Request]) -> list[Met] | None:
    """What the steps show of each request; ``None`` where they do not add up to the requests.

    Args:
        steps: of the log from just before the first request left to after the last was answered.
        requests: all that were sent meanwhile, answered, in the order in which they left.
    """
    own = list(dropwhile(lambda step: not step.context_requests, steps))
    last = _assigned(own, requests)
    if last is None:
        return None
    spans = [[len(own), -1, 0] for _ in requests]  # first step, last step, steps of prefill
    state: _State | None = last
    for at in range(len(own) - 1, -1, -1):
        assert state is not None
        for one in (*state.began, *state.decoded):
            spans[one][0] = at
            spans[one][1] = max(spans[one][1], at)
        for one in state.began:
            spans[one][2] += 1
        state = state.before
    return _told(own, spans)


def _assigned(steps: Sequence[EngineStep], requests: Sequence[Request]) -> _State | None:
    """The state after the last step, all requests done; the latest choice is changed first."""
    state = _State(tuple(range(len(requests))))
    trail: list[Iterator[_State]] = []
    for _ in range(_MOST):
        if len(trail) == len(steps):
            if state.is_over:
                return state
        else:
            trail.append(state.after(steps[len(trail)], requests))
        while trail and (following := next(trail[-1], None)) is None:
            trail.pop()
        if not trail or following is None:
            return None
        state = following
    return None


def _told(steps: Sequence[EngineStep], spans: Sequence[Sequence[int]]) -> list[Met]:
    def so_far(flags: Iterator[bool]) -> list[int]:
        return [0, *accumulate(flags)]

    mixed = so_far(s.context_requests > 0 and s.generation_requests > 0 for s in steps)
    shared = so_far(s.context_requests + s.generation_requests > 1 for s in steps)
    found = []
    for place, (first, last, prefills) in enumerate(spans):
        decodes = last + 1 - (first + prefills)
        together = shared[last + 1] - shared[first + prefills]
        witness = Witness(
            steps=last + 1 - first,
            admitted_first_step=steps[first].context_requests,
            shared_decode_share=together / decodes if decodes else None,
            mixed_steps=mixed[last + 1] - mixed[first + prefills],
            split_prefills=prefills - 1,
            largest_step=max(
                s.context_tokens + s.generation_tokens for s in steps[first : last + 1]
            ),
            source="log",
        )
        met = (
            (other, min(last, end) + 1 - max(first, begin))
            for other, (begin, end, _) in enumerate(spans)
            if other != place
        )
        found.append(Met(witness, tuple((other, n) for other, n in met if n > 0)))
    return found
