"""The same candidates on one image after another: runs that are named after the image's digest.

A run that is complete is not run again, and one that was cut is taken up, so every verb built on
this can simply be typed again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import docker

from harness.conduct import ConsoleProgress, RunOptions, RunProgress, SilentProgress, prepare, run
from harness.images import DEFAULT_LOCK, ImageLock, ImageReference, ResolvedImage, resolve
from harness.settings import LoadedSpec
from harness.words import BackendName, Mode

__all__ = ["ImageRuns", "pinned", "short_name"]

_SHORT = 12


@dataclass(frozen=True, slots=True)
class ImageRuns:
    """How to run a spec on an image.

    Attributes:
        loaded: the spec; its image and backend are replaced.
        results: the folder of run folders.
        quiet: whether progress is not shown.
        retry_errors: ask failed records again.
    """

    loaded: LoadedSpec
    results: Path
    quiet: bool = False
    retry_errors: bool = False

    def run_on(self, image: ResolvedImage) -> Path:
        """Run, or complete, or find complete, the run on this image; its folder.

        Raises:
            UsageError: an input is wrong.
            EnvironmentError_, RunError, Interrupted: as `harness.conduct.run.run`.
        """
        prepared = prepare(_on_image(self.loaded, image))
        name = f"image-{_digest(image)}-{prepared.fingerprint[:8]}"
        options = RunOptions(self.results, name, retry_errors=self.retry_errors)
        progress: RunProgress = SilentProgress() if self.quiet else ConsoleProgress()
        return run(prepared, options, progress).folder

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The kernel paths that are run."""
        return self.loaded.spec.modes


def _on_image(loaded: LoadedSpec, image: ResolvedImage) -> LoadedSpec:
    changes = {"image": _reference(image), "backend": BackendName.DOCKER}
    spec = loaded.spec.model_copy(update=changes)
    given = {**loaded.given, "image": changes["image"], "backend": str(BackendName.DOCKER)}
    return replace(loaded, spec=spec, given=given)


def _reference(image: ResolvedImage) -> str:
    """By digest; a local image has only its name, and the run's name has its id."""
    return image.requested if image.entry.digest is None else image.reference


def _digest(image: ResolvedImage) -> str:
    return (image.entry.identity or image.image_id).removeprefix("sha256:")[:_SHORT]


def pinned(
    image: str, client: docker.DockerClient, progress: Callable[[str], None]
) -> ResolvedImage:
    """The image that a name means, checked against the lock; one that is not pinned is pinned.

    Raises:
        UsageError: it is not a reference.
        EnvironmentError_: it is not here and cannot be pulled.
        ImageMismatch: it is not the one that the lock names.
    """
    lock = ImageLock.load(DEFAULT_LOCK)
    found = resolve(image, lock, client, progress=progress)
    if found.newly_pinned:
        progress(f"{image} was not pinned; pinned now: {found.entry.identity}")
    if found.belongs_in_lock:
        lock.with_entry(found.entry).save(DEFAULT_LOCK)
    return found


def short_name(image: str) -> str:
    """The last part of an image's name with its tag, fit for a folder's name."""
    reference = ImageReference.parse(image)
    tag = reference.tag or (reference.digest or "").removeprefix("sha256:")[:_SHORT]
    return re.sub(r"[^\w.-]+", "-", f"{reference.repository.rpartition('/')[2]}-{tag}")
