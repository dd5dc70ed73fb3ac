"""From the name in a spec to one certain image: resolved before a run, checked after it."""

from __future__ import annotations

from dataclasses import dataclass

import docker

from harness.errors import EnvironmentError_, ImageMismatch
from harness.images.local import LocalImage, Progress, find_image, pull_image
from harness.images.lock import DEFAULT_LOCK, ImageLock, LockEntry, Source
from harness.images.pin import pin_image
from harness.images.reference import ImageReference

__all__ = ["ResolvedImage", "resolve", "resolve_and_pin", "verify_unchanged"]


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """One certain image on this machine.

    Attributes:
        requested: as the spec named it.
        reference: what to start a container from: ``name@sha256:...``, or the id of a local image.
        entry: the lock's entry, made now if ``newly_pinned``.
        image_id: this engine's id, to notice a change during the run.
        newly_pinned: the lock had no digest for it, so a run says so and saves the entry.
        needs_gpu: False for an image that is for a CPU.
    """

    requested: str
    reference: str
    entry: LockEntry
    image_id: str
    newly_pinned: bool
    needs_gpu: bool

    @property
    def belongs_in_lock(self) -> bool:
        """Whether the run should write the entry: a local image's is good on this machine only."""
        return self.newly_pinned and self.entry.source is Source.REGISTRY

    def to_json(self) -> dict[str, object]:
        """For ``metadata.json``; ``status`` is ``verified`` against a digest or only ``local``."""
        return {
            **self.entry.to_json(),
            "requested": self.requested,
            "reference": self.reference,
            "image_id": self.image_id,
            "status": "local" if self.entry.source is Source.LOCAL else "verified",
            "newly_pinned": self.newly_pinned,
        }


def resolve(
    image: str,
    lock: ImageLock,
    client: docker.DockerClient,
    *,
    progress: Progress = lambda _: None,
) -> ResolvedImage:
    """Find, pull if need be, and check the image that a spec names.

    A reference by digest is its own pin. A name that the lock knows must be what the lock says.
    Any other name is pinned now.

    Raises:
        UsageError: ``image`` is not a reference.
        EnvironmentError_: it is not here and cannot be pulled.
        ImageMismatch: the image is not the one that the lock names.
    """
    reference = ImageReference.parse(image)
    entry = lock.get(reference)
    newly_pinned = False
    if reference.digest is not None and (entry is None or reference.tag is None):
        entry = LockEntry(image=reference.key, digest=reference.digest)
    elif entry is None or not entry.is_pinned:
        entry = pin_image(image, client, progress=progress)
        newly_pinned = True
    wanted, found = _obtain(reference, entry, client, progress)
    return ResolvedImage(
        requested=image,
        reference=wanted,
        entry=entry,
        image_id=found.id,
        newly_pinned=newly_pinned,
        needs_gpu=found.needs_gpu,
    )


def resolve_and_pin(
    image: str, client: docker.DockerClient, *, progress: Progress
) -> ResolvedImage:
    """As `resolve`, by the project's own lock, into which an image of a registry is written.

    Raises:
        UsageError, EnvironmentError_, ImageMismatch: as `resolve`.
    """
    lock = ImageLock.load(DEFAULT_LOCK)
    found = resolve(image, lock, client, progress=progress)
    if found.newly_pinned:
        progress(f"{image} was not pinned; pinned now: {found.entry.identity}")
    if found.belongs_in_lock:
        lock.with_entry(found.entry).save(DEFAULT_LOCK)
    return found


def verify_unchanged(resolved: ResolvedImage, client: docker.DockerClient) -> None:
    """Check after a run that the image and its name are still the same.

    Raises:
        ImageMismatch: it was removed, rebuilt or retagged in between.
    """
    for name in (resolved.reference, resolved.requested):
        found = find_image(client, name)
        gone_but_named = found is None and name == resolved.requested
        if gone_but_named:  # it was pulled by digest and never had the tag here
            continue
        if found is None or found.id != resolved.image_id:
            raise ImageMismatch(
                f"image {name} changed during the run",
                hint="run again with the image left alone; these records do not count",
                detail=(
                    f"at the start: {resolved.image_id}",
                    f"now:          {found.id if found else 'gone'}",
                ),
            )


def _obtain(
    reference: ImageReference, entry: LockEntry, client: docker.DockerClient, progress: Progress
) -> tuple[str, LocalImage]:
    if entry.source is Source.LOCAL:
        return _local(reference, entry, client)
    assert entry.digest is not None
    if reference.digest not in (None, entry.digest, entry.platform_digest):
        raise _mismatch(reference, entry, str(reference.digest))
    _check_tag(reference, entry, client)
    pinned = reference.with_digest(entry.digest)
    found = find_image(client, str(pinned))
    if found is None:
        pull_image(client, pinned, progress)
        found = find_image(client, str(pinned))
    if found is None:
        raise EnvironmentError_(f"image {pinned} was pulled and is not there")
    return str(pinned), found


def _local(
    reference: ImageReference, entry: LockEntry, client: docker.DockerClient
) -> tuple[str, LocalImage]:
    found = find_image(client, str(reference))
    if found is None:
        raise EnvironmentError_(
            f"there is no image {reference} on this machine, and it was built, not pulled",
            hint="build or load it again, then pin it anew: harness pin " + str(reference),
        )
    if found.id != entry.image_id:
        raise _mismatch(reference, entry, found.id)
    return found.id, found


def _check_tag(reference: ImageReference, entry: LockEntry, client: docker.DockerClient) -> None:
    """A tag that is here must mean what the lock says; one that is not here may be pulled."""
    if reference.tag is None:
        return
    tagged = find_image(client, f"{reference.familiar_name}:{reference.tag}")
    if tagged is None:
        return
    digests = tagged.digests_in(reference)
    if not {entry.digest, entry.platform_digest} & set(digests):
        raise _mismatch(reference, entry, digests[0] if digests else f"image id {tagged.id}")


def _mismatch(reference: ImageReference, entry: LockEntry, found: str) -> ImageMismatch:
    remedy = f"accept the new one: harness pin {entry.image}"
    if entry.source is Source.REGISTRY:
        pinned = f"{reference.familiar_name}@{entry.digest}"
        remedy = (
            f"get the pinned one: docker pull {pinned} && docker tag {pinned} {entry.image}; or "
            + remedy
        )
    return ImageMismatch(
        f"image {entry.image} is not the one that the lock names",
        hint=remedy,
        detail=(f"locked: {entry.identity}", f"found:  {found}"),
    )
