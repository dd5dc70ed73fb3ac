"""Which requests met in which engine steps, from the engine's own account of its steps.

The log tells how many requests each step prefilled and decoded, and how many tokens, not which. The
client knows each request's tokens and when it left. What may have run is followed from step to
step: the prefilled tokens must be those of the requests that the step admits, and it must decode
exactly the requests that are not done yet. Requests are admitted in the order in which they left;
those that left within a moment may have changed places on the way, so several ways may add up. What
is said of a request is what it has in all of them. An account that does not add up to the last
token, or in too many ways to be followed, is none: nothing is said of any request then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, combinations, dropwhile, takewhile
from typing import NamedTuple

from harness.prove import EngineStep
from harness.records import Witness

_MOMENT_S = 0.05
"""Requests that left with less between them may reach the engine in another order."""
_MOST = 30_000
"""Choices that are tried, beyond one a step."""


class Request(NamedTuple):
    """A request as its client knows it, in the order in which they left.

    Attributes:
        prompt_tokens: tokens of its prompt that had to be computed, those of the cache left out.
        answer_tokens: of its answer; the first is the prefill's.
        stopped: whether it ended by itself: an engine that schedules ahead may do one step more.
        sent_s: when it left.
    """

    prompt_tokens: int
    answer_tokens: int
    stopped: bool
    sent_s: float = 0.0

    def is_like(self, other: Request) -> bool:
        """Whether the account cannot tell the two apart."""
        return self[:3] == other[:3]


class Met(NamedTuple):
    """What one request's steps show.

    Attributes:
        witness: of its own steps, read from the log; where they are not certain, the share that
            was shared at least, and nothing where that is none.
        neighbours: place of each request that shared a step with it, and how many steps; ``None``
            where its own steps or those of one of them are not certain.
    """

    witness: Witness
    neighbours: tuple[tuple[int, int], ...] | None


class _State(NamedTuple):
    """What is left to do after a step.

    Attributes:
        following: the first request that neither was admitted nor passed by a later one.
        passed: those before it that wait still.
        prefilling: of whose prompt a part is done, and the tokens that are left of it.
        decoding: the step in which each ends, and the request.
        ahead: how many that ended by themselves in this step may have one more.
    """

    following: int = 0
    passed: tuple[int, ...] = ()
    prefilling: tuple[tuple[int, int], ...] = ()
    decoding: tuple[tuple[int, int], ...] = ()
    ahead: int = 0


class _Way(NamedTuple):
    """How a state came about: what it was before, and who was prefilled in between."""

    before: _State
    began: tuple[int, ...]

    @property
    def parts(self) -> frozenset[tuple[int, bool]]:
        """Who had part in the step, and whether by a prefill."""
        began = ((one, True) for one in self.began)
        return frozenset(chain(began, ((one, False) for _, one in self.before.decoding)))


@dataclass(slots=True)
class _Span:
    """Steps that a request had, or may have had where they are not ``certain``.

    ``sure`` are those from the first up to the last in which it decoded in all ways.
    """

    first: int
    last: int = -1
    prefills: int = 0
    certain: bool = True
    sure: tuple[int, int] = (0, 0)

    def trade(self, other: _Span) -> None:
        """The two requests may have had each other's steps."""
        if (self.first, self.last) != (other.first, other.last):
            begin, end = max(self.sure[0], other.sure[0]), min(self.sure[1], other.sure[1])
            self.certain = other.certain = False
            self.sure = other.sure = (begin, max(begin, end))


def neighbours(steps: Sequence[EngineStep], requests: Sequence[Request]) -> list[Met] | None:
    """What the steps show of each request; ``None`` where they do not add up to the requests.

    Args:
        steps: of the log from just before the first request left to after the last was answered.
        requests: all that were sent meanwhile, answered, in the order in which they left.
    """
    own = list(dropwhile(lambda step: not step.context_requests, steps))
    layers = _followed(own, requests)
    ended = {s for s in layers[-1] if s.following == len(requests) and not any(s[1:4])}
    if len(layers) <= len(own) or not ended or not requests:
        return None
    spans = _spans(layers, ended, len(requests))
    for place, one in enumerate(requests):
        for other in range(place + 1, len(requests)):
            if requests[other].sent_s >= one.sent_s + _MOMENT_S:
                break
            if one.is_like(requests[other]):
                spans[place].trade(spans[other])
    return _told(own, requests, spans)


def _followed(
    steps: Sequence[EngineStep], requests: Sequence[Request]
) -> list[dict[_State, list[_Way]]]:
    """All that may be left after each step, with how it came about; shorter where nothing may."""
    layers: list[dict[_State, list[_Way]]] = [{_State(): []}]
    room = len(steps) + _MOST
    for at, step in enumerate(steps):
        found: dict[_State, list[_Way]] = {}
        for state in layers[-1]:
            for tried in _after(state, at, step, requests):
                for following, began in tried:
                    found.setdefault(following, []).append(_Way(state, began))
                room -= 1
                if room < 0:
                    return layers
        if not found:
            return layers
        layers.append(found)
    return layers


def _after(
    state: _State, at: int, step: EngineStep, requests: Sequence[Request]
) -> Iterator[list[tuple[_State, tuple[int, ...]]]]:
    """For each choice of whom the step admitted: what it may leave, and who was prefilled."""
    new = step.context_requests - len(state.prefilling)
    if new < 0 or not 0 <= step.generation_requests - len(state.decoding) <= state.ahead:
        return
    for chosen, following, passed in _admitted(state, new, requests):
        before = ((p, one) for p in passed for one in chosen if p < one)
        if any(requests[p].is_like(requests[one]) for p, one in before):
            yield []  # of two alike the one that left first, and `neighbours` heeds the other way
            continue
        whole = [*state.prefilling, *((one, requests[one].prompt_tokens) for one in chosen)]
        left = sum(tokens for _, tokens in whole) - step.context_tokens
        # one prompt at a time is split over steps, of those that were admitted last
        split = [((one, left),) for one, tokens in whole[-max(new, 1) :] if 0 < left < tokens]
        tried = []
        for prefilling in split if left else ((),):
            done = [one for one, _ in whole if (one, left) not in prefilling]
            decoding, ahead = state.decoding, 0
            if done or (decoding and decoding[0][0] <= at):  # else the very same one goes on
                running = [(at + requests[one].answer_tokens - 1, one) for one in done]
                running += decoding
                ahead = sum(requests[one].stopped for last, one in running if last <= at)
                decoding = tuple(sorted(entry for entry in running if entry[0] > at))
            began = tuple(one for one, _ in whole)
            tried.append((_State(following, passed, prefilling, decoding, ahead), began))
        yield tried


def _admitted(
    state: _State, new: int, requests: Sequence[Request]
) -> Iterator[tuple[tuple[int, ...], int, tuple[int, ...]]]:
    """Whom a step may have admitted, who is next, and who was passed; in order of leaving first."""
    waiting = [*state.passed, *range(state.following, min(len(requests), state.following + new))]
    if len(waiting) < new:
        return
    if new:  # further ones may have come before the last of these
        latest = requests[waiting[new - 1]].sent_s + _MOMENT_S
        ahead = range(waiting[-1] + 1, len(requests))
        waiting += takewhile(lambda one: requests[one].sent_s < latest, ahead)
    for first in range(new, -1, -1):  # the first that was not admitted
        limit = requests[waiting[first]].sent_s + _MOMENT_S if first < new else 0.0
        near = [one for one in waiting[first + 1 :] if requests[one].sent_s < limit]
        for chosen in combinations(near, new - first):
            admitted = (*waiting[:first], *chosen)
            left = [one for one in waiting[first:] if one not in chosen]
            following = max([state.following, *(one + 1 for one in admitted)])
            passed = tuple(one for one in left if one < following)
            yield admitted, following, passed


def _spans(
    layers: Sequence[Mapping[_State, Sequence[_Way]]], alive: set[_State], requests: int
) -> list[_Span]:
    """The steps of each request, in all ways that lead to the end."""
    spans = [_Span(len(layers)) for _ in range(requests)]
    for at in range(len(layers) - 2, -1, -1):
        ways = [way for state in alive for way in layers[at + 1][state]]
        alive = {way.before for way in ways}
        parts = [way.parts for way in ways]
        always = frozenset.intersection(*parts)
        for one, prefill in frozenset.union(*parts):
            span = spans[one]
            span.first, span.last = at, max(span.last, at)
            span.prefills += prefill
            span.certain &= (one, prefill) in always
            if not prefill and (one, prefill) in always:
                span.sure = (at, span.sure[1] or at + 1)
    return spans


def _told(
    steps: Sequence[EngineStep], requests: Sequence[Request], spans: Sequence[_Span]
) -> list[Met]:
    def so_far(flags: Iterator[bool]) -> list[int]:
        return [0, *accumulate(flags)]

    mixed = so_far(s.context_requests > 0 and s.generation_requests > 0 for s in steps)
    shared = so_far(s.context_requests + s.generation_requests > 1 for s in steps)
    order = sorted(range(len(spans)), key=lambda place: spans[place].first)
    begun = [spans[place].first for place in order]
    longest = max(span.last - span.first for span in spans)
    found = []
    for place, span in enumerate(spans):
        decodes, end = requests[place].answer_tokens - 1, span.last + 1
        together = shared[span.sure[1]] - shared[span.sure[0]]
        share = together / decodes if decodes else None
        if not span.certain:
            least = Witness(shared_decode_share=share, source="log") if share else Witness()
            found.append(Met(least, None))
            continue
        witness = Witness(
            steps=end - span.first,
            admitted_first_step=steps[span.first].context_requests,
            shared_decode_share=share,
            mixed_steps=mixed[end] - mixed[end - decodes],
            split_prefills=span.prefills - 1,
            largest_step=max(
                s.context_tokens + s.generation_tokens for s in steps[span.first : end]
            ),
            source="log",
        )
        near = order[bisect_left(begun, span.first - longest) : bisect_left(begun, end)]
        met = sorted(
            (other, one.certain, min(end, one.last + 1) - max(span.first, one.first))
            for other, one in ((other, spans[other]) for other in near)
            if other != place and one.last >= span.first
        )
        known = all(certain for _, certain, _ in met)
        found.append(Met(witness, tuple((one, n) for one, _, n in met) if known else None))
    return found
