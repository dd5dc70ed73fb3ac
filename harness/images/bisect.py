"""The first image of an ordered list at which something changed: a binary search with gaps.

Pure: what an image does is asked through a function. The answer is a pair of neighbours, one
unchanged and one changed; there may be further steps in the list, as in any bisection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.errors import UsageError

__all__ = ["Bisection", "Observation", "Seen", "find_step", "image_range", "read_image_list"]


class Seen(StrEnum):
    """What an image did, set against the first one."""

    SAME = "same"
    CHANGED = "changed"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class Observation:
    """One image that was tried, with what was seen in a few words."""

    index: int
    image: str
    seen: Seen
    words: str


@dataclass(frozen=True, slots=True)
class Bisection:
    """Where the step is.

    Attributes:
        last_same: the last image that answers as the first one.
        first_changed: the first one known to answer otherwise; the very next one in the list,
            unless ``between`` holds images that could not be tried.
        between: unusable images, any of which may hold the step.
        tried: every image that was tried, in order.
    """

    last_same: str
    first_changed: str
    between: tuple[str, ...]
    tried: tuple[Observation, ...]

    def lines(self) -> tuple[str, ...]:
        """The result for people."""
        count = f"{len(self.tried)} images tried"
        if not self.between:
            return (
                f"first changed  {self.first_changed}",
                f"last same      {self.last_same}",
                count,
            )
        held = ", ".join(self.between)
        return (
            f"the step is at {self.first_changed}, or at an image that could not be used: {held}",
            f"last same      {self.last_same}",
            count,
        )

    def to_json(self) -> dict[str, Any]:
        """The content of ``bisect.json`` (schema version 1)."""
        return {"schema_version": 1, "kind": "bisect", **asdict(self)}


def read_image_list(path: Path) -> tuple[str, ...]:
    """Images, one a line from old to new; empty lines and ``#`` comments do not count.

    Raises:
        UsageError: the file cannot be read, is empty or names an image twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", file=path) from None
    found: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        image = line.partition("#")[0].strip()
        if image in found:
            raise UsageError(f"{image} stands in line {found[image]} too", file=path, line=number)
        if image:
            found[image] = number
    if not found:
        raise UsageError("names no image", file=path, hint="one a line, from old to new")
    return tuple(found)


def image_range(images: Sequence[str], good: str, bad: str, source: Path) -> tuple[str, ...]:
    """The part of a list from ``good`` to ``bad``; ends that are not in it are put around it.

    Args:
        source: the file of the list, for messages.

    Raises:
        UsageError: both ends are the same, only one is in the list, or they stand the other way
            round.
    """
    if good == bad:
        raise UsageError("GOOD and BAD are the same image", hint="there is no step to find")
    inside = [image in images for image in (good, bad)]
    if not any(inside):
        return (good, *images, bad)
    if not all(inside):
        missing = bad if inside[0] else good
        raise UsageError(
            f"{missing} is not in the list and the other end is",
            file=source,
            hint="add it where it belongs",
        )
    first, last = images.index(good), images.index(bad)
    if first > last:
        raise UsageError(
            f"{bad} stands before {good}", file=source, hint="list images from old to new"
        )
    return tuple(images[first : last + 1])


def find_step(
    images: Sequence[str],
    observe: Callable[[str], tuple[Seen, str]],
    *,
    log: Callable[[str], None] = lambda _: None,
) -> Bisection:
    """Search between the first image and the last.

    Args:
        images: two or more, from old to new.
        observe: what an image does, set against the first; called at most once an image.
        log: told each step.

    Raises:
        UsageError: the ends are not what they are called: the first cannot be used, or the last
            one is unchanged or cannot be used.
    """
    search = _Search(images, observe, log)
    search.check_ends()
    low, high = 0, len(images) - 1
    while (middle := search.next_between(low, high)) is not None:
        if search.at(middle) is Seen.CHANGED:
            high = middle
        elif search.at(middle) is Seen.SAME:
            low = middle
    return Bisection(
        last_same=images[low],
        first_changed=images[high],
        between=tuple(images[low + 1 : high]),
        tried=tuple(search.tried.values()),
    )


class _Search:
    """What was tried so far."""

    def __init__(
        self,
        images: Sequence[str],
        observe: Callable[[str], tuple[Seen, str]],
        log: Callable[[str], None],
    ) -> None:
        self._images = images
        self._observe = observe
        self._log = log
        self.tried: dict[int, Observation] = {}

    def at(self, index: int) -> Seen:
        """What the image at ``index`` does; tried once."""
        if index not in self.tried:
            image = self._images[index]
            seen, words = self._observe(image)
            self.tried[index] = Observation(index, image, seen, words)
            self._log(f"step {len(self.tried)}: {image}: {seen}, {words}")
        return self.tried[index].seen

    def check_ends(self) -> None:
        """Raise unless the first image is usable and the last one has changed."""
        last = len(self._images) - 1
        if self.at(0) is Seen.UNUSABLE:
            raise UsageError(
                f"GOOD cannot be used: {self.tried[0].words}",
                hint="choose a first image that runs",
            )
        if self.at(last) is Seen.CHANGED:
            return
        words = self.tried[last].words
        if self.at(last) is Seen.UNUSABLE:
            raise UsageError(f"BAD cannot be used: {words}", hint="choose a last image that runs")
        raise UsageError(
            f"BAD answers as GOOD: {words}",
            hint="there is no step to find; watch something else (--watch), or other candidates",
        )

    def next_between(self, low: int, high: int) -> int | None:
        """The usable or untried index nearest to the middle; ``None`` if there is none."""
        middle = (low + high) / 2
        candidates = [
            index
            for index in range(low + 1, high)
            if index not in self.tried or self.tried[index].seen is not Seen.UNUSABLE
        ]
        return min(candidates, key=lambda index: (abs(index - middle), index), default=None)
