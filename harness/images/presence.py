"""The lock beside the machine: which of its images are here, and are they the ones it names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import docker

from harness.images.local import find_image
from harness.images.lock import ImageLock, LockEntry, Source
from harness.images.reference import ImageReference

__all__ = ["ImageRow", "Presence", "lock_status", "presence"]


class Presence(StrEnum):
    """What this machine has under a name of the lock."""

    HERE = "here"
    ABSENT = "not on this machine"
    OTHER = "another image has this name here"
    UNPINNED = "here, to be pinned at its first use"


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One entry of the lock and what is here."""

    entry: LockEntry
    here: Presence


def lock_status(lock: ImageLock, client: docker.DockerClient) -> tuple[ImageRow, ...]:
    """Every entry, by name."""
    return tuple(
        ImageRow(lock.entries[image], presence(lock.entries[image], client))
        for image in sorted(lock.entries)
    )


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
    known = {entry.digest, entry.platform_digest} & set(tagged.digests_in(reference))
    return Presence.HERE if known else Presence.OTHER
