"""``harness images bisect``: each image that is tried is pinned, run and compared with GOOD."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import docker

from harness.compare import ModeComparison, Side, compare_runs, read_side
from harness.errors import RunError, UsageError
from harness.images import Bisection, Seen, find_step
from harness.jobs.image_runs import ImageRuns, pinned
from harness.records import read_json, write_json
from harness.settings import nearest

__all__ = ["WATCHES", "bisect_images", "chosen_watches"]

WATCHES: Mapping[str, Callable[[ModeComparison], int]] = {
    "solo-texts": lambda mode: _count(mode, "solo", "text_changes"),
    "solo-labels": lambda mode: _count(mode, "solo", "label_changes"),
    "batched-texts": lambda mode: _count(mode, "batched", "text_changes"),
    "batched-labels": lambda mode: _count(mode, "batched", "label_changes"),
    "label-flips": lambda mode: _moved(mode, "label_flips"),
    "text-changes": lambda mode: _moved(mode, "text_changes"),
}
"""What can be watched, each a count of candidates that differ from GOOD's."""


def _count(mode: ModeComparison, condition: str, what: str) -> int:
    return int(mode.answers[condition][what]["count"])


def _moved(mode: ModeComparison, what: str) -> int:
    return int(mode.flips[what]["appeared"]) + int(mode.flips[what]["vanished"])


def chosen_watches(text: str) -> tuple[str, ...]:
    """The names of a comma-separated list.

    Raises:
        UsageError: one of them is not known, or none is named.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in WATCHES:
            hint = nearest(name, WATCHES) or f"known: {', '.join(WATCHES)}"
            raise UsageError(f"--watch: nothing is called '{name}'", hint=hint)
    if not names:
        raise UsageError("--watch names nothing", hint=f"known: {', '.join(WATCHES)}")
    return names


@dataclass
class _Observer:
    """Runs images and sets each against the first one.

    Attributes:
        watches: keys of `WATCHES`.
        ends: GOOD and BAD, which must run; an image between them may fail.
        good_id: GOOD's id, known once it was run.
        folders: run folders by image, in the order in which they were tried.
    """

    client: docker.DockerClient
    runs: ImageRuns
    watches: tuple[str, ...]
    ends: tuple[str, str]
    progress: Callable[[str], None]
    folders: dict[str, Path] = field(default_factory=dict)
    good_id: str | None = None

    def observe(self, image: str) -> tuple[Seen, str]:
        """What an image answers, beside GOOD's answers."""
        found = pinned(image, self.client, self.progress)
        if found.image_id == self.good_id:
            return Seen.SAME, "the same image as GOOD"
        try:
            folder = self.folders[image] = self.runs.run_on(found)
        except RunError as error:
            if image in self.ends:
                raise
            return Seen.UNUSABLE, f"{type(error).__name__}: {error.message}"
        failures = _failures(folder)
        if failures:
            return Seen.UNUSABLE, f"its run does not count: {failures[0]}"
        if image == self.ends[0]:
            self.good_id = found.image_id
            return Seen.SAME, f"GOOD itself (run {folder.name})"
        return self._set_against_good(folder)

    @cached_property
    def _good_side(self) -> Side:
        return read_side(self.folders[self.ends[0]])

    def _set_against_good(self, folder: Path) -> tuple[Seen, str]:
        comparison = compare_runs(self._good_side, read_side(folder))
        counts = [
            (f"{mode.title} {watch}", WATCHES[watch](mode), mode.n)
            for mode in comparison.modes
            for watch in self.watches
        ]
        words = ", ".join(f"{name} {count} of {n}" for name, count, n in counts)
        words += "".join(map(_noise, comparison.modes))
        changed = any(count for _, count, _ in counts)
        return (Seen.CHANGED if changed else Seen.SAME), f"{words} (run {folder.name})"


def _noise(mode: ModeComparison) -> str:
    """A step can only be told from noise where asking GOOD again changes nothing."""
    again = mode.noise_a["solo"]
    changed = again["text_changes"]["count"] if again else 0
    return f", but GOOD changes {changed} of its own when asked again" if changed else ""


def _failures(folder: Path) -> list[str]:
    """Checks of the run's own validation that failed."""
    findings = read_json(folder / "validation.json").get("findings") or ()
    return [str(f.get("message")) for f in findings if f.get("status") == "failed"]


def bisect_images(
    images: tuple[str, ...],
    runs: ImageRuns,
    watches: tuple[str, ...],
    *,
    out: Path,
    client: docker.DockerClient,
    progress: Callable[[str], None],
) -> Bisection:
    """Find the step between the first image and the last; writes ``bisect.json``.

    Raises:
        UsageError: the ends are not what they are called.
        EnvironmentError_: an image cannot be had.
        ImageMismatch: an image is not the one that the lock names.
        RunError: GOOD or BAD could not be run to its end; the same command goes on.
        Interrupted: the same command goes on.
    """
    observer = _Observer(client, runs, watches, (images[0], images[-1]), progress)
    found = find_step(images, observer.observe, log=progress)
    folders = {image: str(folder) for image, folder in observer.folders.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        out, {**found.to_json(), "images": list(images), "watch": list(watches), "runs": folders}
    )
    return found
