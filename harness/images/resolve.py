"""From the name in a spec to one certain image: pinned, resolved before a run, checked after it."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import docker
from msgspec import to_builtins

from harness.errors import EnvironmentError_, ImageMismatch
from harness.images.inventory.contents import ImageConfig
from harness.images.inventory.locked_container import run_probe
from harness.images.lock import DEFAULT_LOCK, ImageLock, ImageVersions, LockEntry, Source
from harness.images.reference import (
    ImageReference,
    Progress,
    find_image,
    find_or_pull,
    pull_image,
    read_digests,
)
from harness.machine import VERSIONS_SCRIPT, Versions

_VERSIONS_TIMEOUT_S = 120


def pin_image(
    image: str, client: docker.DockerClient, *, progress: Progress = lambda _: None
) -> LockEntry:
    """Pull a name and pin what came; where no registry answers, pin the local image.

    Raises:
        UsageError: ``image`` is not a reference.
        EnvironmentError_: it is neither in a registry nor on this machine.
    """
    reference = ImageReference.parse(image)
    digest = _pulled(reference, client, progress)
    found = find_or_pull(client, reference, progress)
    # an engine with the containerd image store gives what was only built here a digest too, which
    # then equals its id; that one is no registry's
    known = [known for known in found.digests_in(reference.familiar_name) if known != found.id]
    if digest is None and len(known) == 1:
        digest = known[0]
    platform_digest = None
    if digest is not None:
        with suppress(EnvironmentError_):
            by_digest = reference.with_digest(digest)
            platform_digest = read_digests(by_digest, found.platform).platform_digest
    progress(f"reading the versions inside {reference}")
    inside = Versions()  # what is known of an image without a working Python
    with suppress(EnvironmentError_):
        asked = client, found.id, found.entrypoint
        output = run_probe(*asked, script=VERSIONS_SCRIPT, timeout_s=_VERSIONS_TIMEOUT_S)
        inside = Versions.read("" if output.notes else output.text)
    return LockEntry(
        image=reference.key,
        digest=digest,
        platform_digest=platform_digest,
        platform=found.platform,
        image_id=found.id,
        source=Source.REGISTRY if digest else Source.LOCAL,
        versions=ImageVersions(inside.vllm, inside.torch, inside.cuda, inside.python),
        pinned_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _pulled(
    reference: ImageReference, client: docker.DockerClient, progress: Progress
) -> str | None:
    """The registry's digest; ``None`` for an image that never came from a registry.

    A registry may have a stranger's image under the name of one that was built here, so for such
    a name it is not asked; nor is it for an image that is named by its id on this machine.
    """
    here = find_image(client, str(reference))
    if here is not None and (not here.digests or str(reference) == here.id):
        progress(f"{reference} was built or loaded here: pinning it by its image id")
        return None
    try:
        return pull_image(client, reference, progress)
    except EnvironmentError_:
        if here is None:
            raise
        progress(f"no registry gives {reference}: pinning the image on this machine")
        return None


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """One certain image on this machine, ``requested`` as the spec named it.

    A container starts from ``reference``: ``name@sha256:...``, or the id of a local image. If
    ``newly_pinned`` the lock had no digest, so a run says so and saves the ``entry`` made now. This
    engine's ``image_id`` shows a change during the run.
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

    def to_json(self) -> dict[str, Any]:
        """For ``metadata.json``; ``status`` is ``verified`` against a digest or only ``local``."""
        return {
            **to_builtins(self.entry),
            "requested": self.requested,
            "reference": self.reference,
            "image_id": self.image_id,
            "status": "local" if self.entry.source is Source.LOCAL else "verified",
            "newly_pinned": self.newly_pinned,
        }


def resolve(
    image: str, lock: ImageLock, client: docker.DockerClient, *, progress: Progress = lambda _: None
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
    return ResolvedImage(image, wanted, entry, found.id, newly_pinned, found.needs_gpu)


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
        ImageLock.add(DEFAULT_LOCK, found.entry)
    return found


def verify_unchanged(resolved: ResolvedImage, client: docker.DockerClient) -> None:
    """Check after a run that the image and its name are still the same.

    Raises:
        ImageMismatch: it was removed, rebuilt or retagged in between.
    """
    for name in (resolved.reference, resolved.requested):
        found = find_image(client, name)
        if found is None and name == resolved.requested:
            continue  # it was pulled by digest and never had the tag here
        if found is None or found.id != resolved.image_id:
            now = found.id if found else "gone"
            raise ImageMismatch(
                f"image {name} changed during the run",
                hint="run again with the image left alone; these records do not count",
                detail=(f"at the start: {resolved.image_id}", f"now:          {now}"),
            )


def _obtain(
    reference: ImageReference, entry: LockEntry, client: docker.DockerClient, progress: Progress
) -> tuple[str, ImageConfig]:
    if entry.source is Source.LOCAL:
        found = find_image(client, str(reference))
        if found is None:
            raise EnvironmentError_(
                f"there is no image {reference} on this machine, and it was built, not pulled",
                hint=f"build or load it again, then pin it anew: harness pin {reference}",
            )
        if found.id != entry.image_id:
            raise _mismatch(reference, entry, found.id)
        return found.id, found
    locked = {entry.digest, entry.platform_digest}
    assert entry.digest is not None
    if reference.digest not in {None, *locked}:
        raise _mismatch(reference, entry, str(reference.digest))
    # a tag that is here must mean what the lock says; one that is not here may be pulled
    name = f"{reference.familiar_name}:{reference.tag}"
    tagged = find_image(client, name) if reference.tag is not None else None
    digests = tagged.digests_in(reference.familiar_name) if tagged else ()
    if tagged and not locked & set(digests):
        raise _mismatch(reference, entry, digests[0] if digests else f"image id {tagged.id}")
    by_digest = reference.with_digest(entry.digest)
    return str(by_digest), find_or_pull(client, by_digest, progress)


def _mismatch(reference: ImageReference, entry: LockEntry, found: str) -> ImageMismatch:
    remedy = f"accept the new one: harness pin {entry.image}"
    if entry.source is Source.REGISTRY:
        right = f"{reference.familiar_name}@{entry.digest}"
        got = f"docker pull {right} && docker tag {right} {entry.image}"
        remedy = f"get the pinned one: {got}; or {remedy}"
    return ImageMismatch(
        f"image {entry.image} is not the one that the lock names",
        hint=remedy,
        detail=(f"locked: {entry.identity}", f"found:  {found}"),
    )


class Presence(StrEnum):
    """What this machine has under a name of the lock."""

    HERE = "here"
    ABSENT = "not on this machine"
    OTHER = "another image has this name here"
    UNPINNED = "here, to be pinned at its first use"


def presence(entry: LockEntry, client: docker.DockerClient) -> Presence:
    """What this machine has of one entry; by tag if it has the tag, else by digest.

    Raises:
        EnvironmentError_: the engine does not answer.
    """
    reference = ImageReference.parse(entry.image)
    tagged = find_image(client, entry.image)
    if tagged is None:
        by_digest = entry.digest and find_image(client, str(reference.with_digest(entry.digest)))
        return Presence.HERE if by_digest else Presence.ABSENT
    if not entry.is_pinned:
        return Presence.UNPINNED
    if entry.source is Source.LOCAL:
        return Presence.HERE if tagged.id == entry.image_id else Presence.OTHER
    known = {entry.digest, entry.platform_digest} & set(tagged.digests_in(reference.familiar_name))
    return Presence.HERE if known else Presence.OTHER
