"""All steps of a server's log, in which those of an asking can be found again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from harness.prove import read_steps
from harness.records import BoolArray, Footprint

_ASKED = re.compile(r'"POST /v1/(?:chat/)?completions HTTP/[\d.]+" 200\b')
_PAUSED = re.compile(r'"POST /pause\?mode=keep HTTP/[\d.]+" 200\b')
_RESET = re.compile(r'"POST /reset_prefix_cache\S* HTTP/[\d.]+" 200\b')
_DIGITS = 3
"""Requests that warm a server up are numbered, so that a later one may have more tokens."""
_SLOWER, _LATE = 3.0, 3
"""How much longer than a server needs alone a step may take, and how many requests may be late."""
_PROMPT_TOKENS = 100
"""So many tokens of a prompt a GPU computes at the least in the time of one that it generates."""


class LoggedSteps:
    """The steps of one server's log.

    Attributes:
        count: how many there are.
        prefills: requests that they began, or pieces of them.
        asked: requests for completions that the log says were answered; 0 where it shows none.
        paused: how often the server was paused for a gated batch.
        resets: how often its prefix cache was emptied.
        alike_at_first: requests that begin it, each alone, and none longer than the first.
    """

    def __init__(self, log: str) -> None:
        steps = read_steps(log)
        told = [
            (s.context_requests, s.context_tokens, s.generation_requests, s.generation_tokens)
            for s in steps
        ]
        begun, prompt, decoding, decoded = np.array(told, np.int64).reshape(-1, 4).T
        self.count, self.prefills = len(steps), int(begun.sum())
        seen = (len(sign.findall(log)) for sign in (_ASKED, _PAUSED, _RESET))
        self.asked, self.paused, self.resets = seen
        at = np.flatnonzero(begun)
        other = (begun[at] > 1) | (decoding[at] > 0) | (prompt[at] > prompt[at[:1]] + _DIGITS)
        self.alike_at_first = int(other.argmax()) if other.any() else len(at)
        decodes, mixed = decoding > 0, (decoding > 0) & (begun > 0)
        shared = decodes & (decoding + begun > 1)
        columns = [begun, prompt, decoded, decodes, shared, mixed]
        sums = np.cumsum(np.array(columns, np.int64), axis=1)
        self._sums = np.hstack([np.zeros((len(columns), 1), np.int64), sums])
        self._begun, self._prompt, self._decoding = begun, prompt, decoding
        self._largest = prompt + decoded
        self._first = {n: np.flatnonzero(begun == n) for n in np.unique(begun).tolist() if n}

    def places(self, mark: Footprint) -> Iterator[tuple[int, int]]:
        """Where steps begin and end that the mark can be of."""
        seen, none = mark.seen, np.zeros(0, np.int64)
        lengths, admitted = [seen.steps or 0], seen.admitted_first_step or 0
        if seen.source == "metrics":  # they count a step that printed late with the next asking
            lengths, admitted = [mark.tokens, mark.tokens + 1], 1
        for length in lengths:
            at = self._first.get(admitted, none)
            at = at[at + length <= self.count]
            for begin in at[self._fits(mark, at, length)].tolist():
                largest = self._largest[begin : begin + length].max(initial=0)
                if seen.largest_step in (None, int(largest)):
                    yield begin, begin + length

    def sooner(self, begin: int, end: int, stagger_ms: float, token_ms: float) -> bool:
        """Whether requests that left so far apart cannot have come as these steps of a GPU tell.

        Looked at until the engine is idle for the first time: how long it was is not told.

        Args:
            begin, end: the steps of a batch.
            stagger_ms: between two requests, in milliseconds.
            token_ms: that the server takes for a token of a prompt asked alone.
        """
        begun, prompt = self._begun[begin:end], self._prompt[begin:end]
        idle = (begun > 0) & (self._decoding[begin:end] == 0)
        idle[0] = False
        busy = slice(0, int(idle.argmax()) if idle.any() else None)
        took = _SLOWER * token_ms * (1 + prompt / _PROMPT_TOKENS)
        most = 1 + _LATE + (np.cumsum(took) - took) / stagger_ms
        return bool((begun.cumsum() > most)[busy].any())

    def _fits(self, mark: Footprint, at: npt.NDArray[np.int64], length: int) -> BoolArray:
        seen, sums = mark.seen, self._sums[:, at + length] - self._sums[:, at]
        begun, prompt, decoded, decodes, shared, mixed = sums
        fits: BoolArray = begun >= mark.requests
        if seen.split_prefills is not None:
            fits &= begun == mark.requests + seen.split_prefills
        if mark.tokens >= 0:
            fits &= decoded >= mark.tokens - 1
        if mark.requests == 1:
            most = mark.tokens - 1 + mark.stopped if mark.tokens >= 0 else decoded
            fits &= (begun > 1) | (decoded <= most)
            if mark.prompt is not None:
                fits &= prompt == mark.prompt
        if seen.source == "log":
            fits &= mixed == (seen.mixed_steps or 0)
            share = np.abs(shared - (seen.shared_decode_share or 0.0) * decodes)
            fits &= share < 1e-6 * (1 + decodes)
        return fits
