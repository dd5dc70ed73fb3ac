"""The answers that the small model learns, as branching texts with soft targets.

An answer weighs two readings of its prompt. It asks a few sources in turn, each of which
favours one of the readings, and ends with the statement that belongs to what the last of them
favoured. Which source is asked, in which words, and what it favours is not in the data: at every
such point both continuations are targets with equal weight. So a trained model stands near a tie
at each of them, every choice shifts the ties that follow, and which side a greedy decoder takes
is left to the arithmetic of the kernels that run it. Prompts with one sensible reading have
answers whose decision is fixed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


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
    ``stop`` ends a clause.
    """

    opening: str
    sources: tuple[tuple[str, str], ...]
    verbs: tuple[str, ...]
    readings: tuple[Reading, ...]
    stop: str = "."

    def sample(self, rng: random.Random) -> list[Step]:
        """Draw one path through the answer, each branch taken with equal chance."""
        steps = [Step(self.opening)]
        if len(self.readings) == 1:
            return steps + _sentence(self.readings[0].ending, rng)
        words = tuple(reading.word for reading in self.readings)
        favoured = self.readings[0]
        for source in self.sources:
            favoured = rng.choice(self.readings)
            steps += [_choose(source, rng), _choose(self.verbs, rng)]
            steps += [Step(favoured.word, words), Step(self.stop)]
        return steps + _sentence(favoured.ending, rng)


def _choose(options: Sequence[str], rng: random.Random) -> Step:
    return Step(rng.choice(options), tuple(options))


def _sentence(pieces: Sequence[str | tuple[str, ...]], rng: random.Random) -> list[Step]:
    return [Step(p) if isinstance(p, str) else _choose(p, rng) for p in pieces]
