"""The answers that the small model learns, as branching texts with soft targets.

An answer weighs two readings of its prompt. It starts from one of them, goes on through a few
clauses, each of which either keeps the reading ("And") or turns it round ("Yet"), and ends with
the statement that belongs to the reading it has arrived at. Which way each clause goes is not
in the data: at every such point both continuations are targets with equal weight. So a trained
model stands near a tie at each of them, its final decision depends on all of them, and which
side a greedy decoder takes is left to the arithmetic of the kernels that run it. Prompts with
one sensible reading have answers whose decision is fixed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SENTENCES: Final = (".", " Yet", " And")
CLAUSES: Final = (",", " yet", " and")


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of an answer: the text taken, and all pieces that were equally right there."""

    text: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One of the two ways to read a prompt: its word inside a clause, and the last sentence.

    A sentence is a sequence of pieces; a tuple among them is a choice of equal wordings.
    """

    word: str
    ending: tuple[str | tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Deliberation:
    """How an answer weighs two readings; with one reading it only states that one.

    ``sources`` has one pair of equal wordings a clause and ``verbs`` the equal verbs of all.
    ``joints`` are what ends a clause, what turns the reading round, and what keeps it.
    """

    opening: str
    sources: tuple[tuple[str, str], ...]
    verbs: tuple[str, ...]
    readings: tuple[Reading, ...]
    joints: tuple[str, str, str] = SENTENCES

    def sample(self, rng: random.Random) -> list[Step]:
        """Draw one path through the answer, each branch taken with equal chance."""
        steps = [Step(self.opening)]
        if len(self.readings) == 1:
            return steps + _sentence(self.readings[0].ending, rng)
        first, second = self.readings
        stop, turn, keep = self.joints
        state = rng.choice(self.readings)
        for number, source in enumerate(self.sources):
            if number:
                taken = _choose((turn, keep), rng)
                steps.append(taken)
                if taken.text == turn:
                    state = second if state is first else first
            steps += [_choose(source, rng), _choose(self.verbs, rng)]
            words = (first.word, second.word) if number == 0 else ()
            steps += [Step(state.word, words), Step(stop)]
        return steps + _sentence(state.ending, rng)


def _choose(options: Sequence[str], rng: random.Random) -> Step:
    return Step(rng.choice(options), tuple(options))


def _sentence(pieces: Sequence[str | tuple[str, ...]], rng: random.Random) -> list[Step]:
    return [Step(p) if isinstance(p, str) else _choose(p, rng) for p in pieces]
