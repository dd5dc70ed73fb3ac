"""Pinning: what a name means now, written down with what is inside."""

from __future__ import annotations

from datetime import UTC, datetime

import docker

from harness.errors import EnvironmentError_
from harness.images.contents import read_versions
from harness.images.local import LocalImage, Progress, find_image, pull_image
from harness.images.lock import LockEntry, Source
from harness.images.reference import ImageReference
from harness.images.registry import read_digests

__all__ = ["pin_image"]


def pin_image(
    image: str, client: docker.DockerClient, *, progress: Progress = lambda _: None
) -> LockEntry:
    """Pull a name and pin what came; where no registry answers, pin the local image.

    Raises:
        UsageError: ``image`` is not a reference.
        EnvironmentError_: it is neither in a registry nor on this machine.
    """
    reference = ImageReference.parse(image)
    digest = _pull_unless_built_here(
        reference, find_image(client, str(reference)), client, progress
    )
    found = find_image(client, str(reference))
    if found is None:
        raise EnvironmentError_(f"image {reference} was pulled and is not there")
    return _entry(reference, found, digest or _known_digest(reference, found), client, progress)


def _pull_unless_built_here(
    reference: ImageReference,
    here: LocalImage | None,
    client: docker.DockerClient,
    progress: Progress,
) -> str | None:
    """The registry's digest; ``None`` for an image that never came from a registry.

    A registry may have a stranger's image under the name of one that was built here, so for such
    a name it is not asked.
    """
    if here is not None and not here.repo_digests:
        progress(f"{reference} was built or loaded here: pinning it by its image id")
        return None
    try:
        return pull_image(client, reference, progress)
    except EnvironmentError_:
        if here is None:
            raise
        progress(f"no registry gives {reference}: pinning the image on this machine")
        return None


def _known_digest(reference: ImageReference, found: LocalImage) -> str | None:
    """A digest from an earlier pull.

    An engine with the containerd image store gives an image that was only built here a digest
    too, which then equals its id; that one is no registry's.
    """
    digests = [digest for digest in found.digests_in(reference) if digest != found.id]
    return digests[0] if len(digests) == 1 else None


def _entry(
    reference: ImageReference,
    found: LocalImage,
    digest: str | None,
    client: docker.DockerClient,
    progress: Progress,
) -> LockEntry:
    progress(f"reading the versions inside {reference}")
    return LockEntry(
        image=reference.key,
        digest=digest,
        platform_digest=_platform_digest(reference, digest, found.platform),
        platform=found.platform,
        image_id=found.id,
        source=Source.REGISTRY if digest else Source.LOCAL,
        versions=read_versions(client, found.id),
        pinned_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _platform_digest(reference: ImageReference, digest: str | None, platform: str) -> str | None:
    if digest is None:
        return None
    try:
        return read_digests(reference.with_digest(digest), platform).platform_digest
    except EnvironmentError_:
        return None
