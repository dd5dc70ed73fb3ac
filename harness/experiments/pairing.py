"""Two modes compared by what changed in each, prompt by prompt."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from harness.analyse import mcnemar
from harness.words import MODES, Mode


class Row(Protocol):
    """A row of an experiment."""

    @property
    def mode(self) -> Mode:
        """Whose server answered."""

    @property
    def start(self) -> int | None:
        """Which start of it, from 1; ``None`` in rows of an older version."""

    @property
    def in_vain(self) -> bool:
        """Whether it failed, or nothing shows how it was answered: by chance, so once more may do.

        Never by what the answers are.
        """


_FEWEST, _ALIKE = 8, 0.9
R = TypeVar("R", bound=Row)
K = TypeVar("K")


def by_mode(rows: Sequence[R]) -> dict[Mode, list[R]]:
    """The rows of each mode that has any, the standard mode first."""
    return {mode: own for mode in MODES if (own := [row for row in rows if row.mode is mode])}


def share_one_text(texts: Mapping[K, str | None]) -> bool:
    """Whether a server says the same to nearly every prompt: it has not been asked anything then.

    As `harness.analyse` asks of a run: more than nine in ten of eight prompts or more.
    """
    most = Counter(texts.values()).most_common(1)
    return len(texts) >= _FEWEST and most[0][1] > _ALIKE * len(texts)


def paired(changed: Sequence[Mapping[K, bool]]) -> tuple[tuple[int, int] | None, float | None]:
    """What changed in the first mode only and in the second only, and the exact McNemar test.

    Args:
        changed: for each mode, whether each prompt changed; a prompt of one mode alone is left out.

    Returns:
        ``None`` twice where there are not two modes.
    """
    if len(changed) != len(MODES):
        return None, None
    one, other = changed
    both = one.keys() & other.keys()
    first = sum(one[key] and not other[key] for key in both)
    second = sum(other[key] and not one[key] for key in both)
    return (first, second), mcnemar(first, second).two_sided
