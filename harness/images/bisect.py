"""The first image of an ordered list at which something changed: a binary search with gaps.

Pure: what an image does is asked through a function. The answer is a pair of neighbours, one
unchanged and one changed; there may be further steps in the list, as in any bisection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Literal

from msgspec import Struct

from harness.errors import UsageError


class Seen(StrEnum):
    """What an image did, set against the first one."""

    SAME = "same"
    CHANGED = "changed"
    UNUSABLE = "unusable"


class Observation(Struct, frozen=True):
    """One image that was tried, with what was seen in a few words."""

    index: int
    image: str
    seen: Seen
    words: str


class Bisection(Struct, frozen=True, kw_only=True):
    """Where the step is, as it begins ``bisect.json``.

    Attributes:
        last_same: the last image that answers as the first one.
        first_changed: the first one known to answer otherwise; the very next one in the list,
            unless ``between`` holds images that could not be tried.
        between: unusable images, any of which may hold the step.
        tried: every image that was tried, in order.
    """

    schema_version: Literal[1] = 1
    kind: Literal["bisect"] = "bisect"
    last_same: str
    first_changed: str
    between: tuple[str, ...]
    tried: tuple[Observation, ...]

    def lines(self) -> tuple[str, ...]:
        """The result for people."""
        step = f"first changed  {self.first_changed}"
        if self.between:
            step = (
                f"the step is at {self.first_changed}, or at an image that could not be used: "
                + ", ".join(self.between)
            )
        return step, f"last same      {self.last_same}", f"{len(self.tried)} images tried"


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
    tried: dict[int, Observation] = {}

    def at(index: int) -> Observation:
        if index not in tried:
            seen, words = observe(images[index])
            tried[index] = Observation(index, images[index], seen, words)
            log(f"step {len(tried)}: {images[index]}: {seen}, {words}")
        return tried[index]

    low, high = 0, len(images) - 1
    _check_end("GOOD", at(low), "choose a first image that runs")
    _check_end("BAD", at(high), "choose a last image that runs")
    if at(high).seen is Seen.SAME:
        raise UsageError(
            f"BAD answers as GOOD: {at(high).words}",
            hint="there is no step to find; watch something else (--watch), or other candidates",
        )
    while True:
        usable = [
            index
            for index in range(low + 1, high)
            if index not in tried or tried[index].seen is not Seen.UNUSABLE
        ]
        if not usable:
            break
        middle = (low + high) / 2
        nearest = min(usable, key=lambda index: (abs(index - middle), index))
        if at(nearest).seen is Seen.CHANGED:
            high = nearest
        elif at(nearest).seen is Seen.SAME:
            low = nearest
    return Bisection(
        last_same=images[low],
        first_changed=images[high],
        between=tuple(images[low + 1 : high]),
        tried=tuple(tried.values()),
    )


def _check_end(name: str, end: Observation, hint: str) -> None:
    if end.seen is Seen.UNUSABLE:
        raise UsageError(f"{name} cannot be used: {end.words}", hint=hint)
