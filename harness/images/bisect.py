"""The first image of an ordered list at which something changed: a binary search with gaps.

Pure: what an image does is asked through a function. The answer is a pair of neighbours, one
unchanged and one changed; there may be further steps in the list, as in any bisection.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Literal

from msgspec import Struct

from harness.errors import UsageError
from harness.files import read_text


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
    """Where the step is, as it begins ``bisect.json``; ``tried`` is in order of trying.

    ``first_changed`` is the very next image in the list after ``last_same``, unless ``between``
    holds images that could not be used, any of which may hold the step.
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
            unusable = f"or at an image that could not be used: {', '.join(self.between)}"
            step = f"the step is at {self.first_changed}, {unusable}"
        return step, f"last same      {self.last_same}", f"{len(self.tried)} images tried"


def read_image_list(path: Path) -> tuple[str, ...]:
    """Images, one a line from old to new; empty lines and ``#`` comments do not count.

    Raises:
        UsageError: the file cannot be read, is empty or names an image twice.
    """
    found: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
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

    Raises:
        UsageError: both ends are the same, only one is in the list (``source``), or they stand the
            other way round.
    """
    if good == bad:
        raise UsageError("GOOD and BAD are the same image", hint="there is no step to find")
    missing = [image for image in (good, bad) if image not in images]
    if len(missing) == 2:
        return (good, *images, bad)
    if missing:
        problem = f"{missing[0]} is not in the list and the other end is"
        raise UsageError(problem, file=source, hint="add it where it belongs")
    first, last = images.index(good), images.index(bad)
    if first > last:
        hint = "list images from old to new"
        raise UsageError(f"{bad} stands before {good}", file=source, hint=hint)
    return tuple(images[first : last + 1])


def find_step(
    images: Sequence[str],
    observe: Callable[[str], tuple[Seen, str]],
    *,
    log: Callable[[str], None] = lambda _: None,
) -> Bisection:
    """Search between the first and the last of two or more images, from old to new.

    ``observe`` says what an image does, set against the first; it is called at most once an image.

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
    for name, end, place in (("GOOD", low, "first"), ("BAD", high, "last")):
        if at(end).seen is Seen.UNUSABLE:
            hint = f"choose a {place} image that runs"
            raise UsageError(f"{name} cannot be used: {at(end).words}", hint=hint)
    if at(high).seen is Seen.SAME:
        hint = "there is no step to find; watch something else (--watch), or other candidates"
        raise UsageError(f"BAD answers as GOOD: {at(high).words}", hint=hint)
    unusable: set[int] = set()
    while usable := [index for index in range(low + 1, high) if index not in unusable]:
        middle = (low + high) / 2
        nearest = min(usable, key=lambda index: (abs(index - middle), index))
        match at(nearest).seen:
            case Seen.CHANGED:
                high = nearest
            case Seen.SAME:
                low = nearest
            case Seen.UNUSABLE:
                unusable.add(nearest)
    return Bisection(
        last_same=images[low],
        first_changed=images[high],
        between=tuple(images[low + 1 : high]),
        tried=tuple(tried.values()),
    )
