"""The lock file of images: which digest a tag meant when it was pinned, and what was inside."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

import yaml
from msgspec import Struct, to_builtins
from msgspec.structs import force_setattr

from harness.errors import UsageError
from harness.files import write_whole
from harness.hostile import shaped
from harness.images.reference import ImageReference
from harness.places import shipped
from harness.settings import read_yaml

DEFAULT_LOCK = Path("docker/images.lock.yaml")
_HEADER = """\
# Images by digest. `harness pin IMAGE` writes an entry; a run uses exactly what is named here and
# refuses anything else. An entry without a digest is pinned at its first use.
"""


class Source(StrEnum):
    """Where an image's identity comes from.

    ``registry``: an index digest, the same everywhere. ``local``: an image id of one machine, for
    an image that was built here or whose registry cannot be reached.
    """

    REGISTRY = "registry"
    LOCAL = "local"


class ImageVersions(Struct, frozen=True, forbid_unknown_fields=True):
    """What is inside, read in a container of the image; ``None`` where it is not there.

    ``cuda`` is what PyTorch was built for; ``None`` for a CPU build.
    """

    vllm: str | None = None
    torch: str | None = None
    cuda: str | None = None
    python: str | None = None

    def __str__(self) -> str:
        pairs = [(name, value) for name, value in to_builtins(self).items() if value]
        return ", ".join(f"{name} {value}" for name, value in pairs) or "versions not known"


class LockEntry(Struct, frozen=True, kw_only=True):
    """One pinned image.

    ``status`` (``pinned``, ``local`` or ``unpinned``) is for people and follows the other values.
    What is pulled by is the ``digest`` of the index (or of the only manifest), ``None`` for a local
    image and one not pinned yet; ``platform_digest`` is that of the manifest in that index for
    ``platform``, such as ``linux/amd64``. The pinning engine's ``image_id`` identifies a local
    image; ``pinned_at`` is a time in UTC, ISO 8601.
    """

    image: str
    status: str = ""
    source: Source = Source.REGISTRY
    digest: str | None = None
    platform_digest: str | None = None
    platform: str | None = None
    image_id: str | None = None
    pinned_at: str | None = None
    versions: ImageVersions = ImageVersions()

    def __post_init__(self) -> None:
        pinned = "local" if self.source is Source.LOCAL else "pinned"
        force_setattr(self, "status", pinned if self.is_pinned else "unpinned")

    @property
    def is_pinned(self) -> bool:
        """Whether the entry says which image is meant."""
        return self.identity is not None

    @property
    def identity(self) -> str | None:
        """The digest, or the image id of a local image."""
        return self.image_id if self.source is Source.LOCAL else self.digest


@dataclass(frozen=True, slots=True)
class ImageLock:
    """All entries, by name and tag."""

    entries: Mapping[str, LockEntry] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a lock file; a missing one is an empty lock, the default one what ships.

        Raises:
            UsageError: it is not a lock file.
        """
        if path == DEFAULT_LOCK and not path.exists():
            path = shipped(str(DEFAULT_LOCK))
        if not path.exists():
            return cls()
        data = read_yaml(path).data
        try:
            if data["schema_version"] != 1:
                raise UsageError(f"schema_version {data['schema_version']} is unknown", file=path)
            entries = {}
            for image, row in (data["images"] or {}).items():
                key = ImageReference.parse(str(image)).key
                known = {name: value for name, value in (row or {}).items() if value is not None}
                entries[key] = shaped({**known, "image": key}, LockEntry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = f"is not a lock file: {type(error).__name__} {error}"
            hint = "see docs/docker.md, or make it anew with harness pin"
            raise UsageError(problem, file=path, hint=hint) from None
        return cls(entries)

    def get(self, image: str | ImageReference) -> LockEntry | None:
        """The entry for a name and tag."""
        return self.entries.get(ImageReference.parse(str(image)).key)

    def with_entry(self, entry: LockEntry) -> Self:
        """A lock that also has, or has instead, ``entry``."""
        return replace(self, entries={**self.entries, entry.image: entry})

    @classmethod
    def add(cls, path: Path, entry: LockEntry) -> Self:
        """The file with ``entry`` in it too, also while others add to it.

        Raises:
            UsageError: it is not a lock file.
            EnvironmentError_: it cannot be written.
        """
        with _alone_in(path.parent):
            lock = cls.load(path).with_entry(entry)
            lock.save(path)
        return lock

    def save(self, path: Path) -> None:
        """Write the file in one step: it is the old one or the new one, never half of it."""
        images = {
            image: {name: value for name, value in to_builtins(entry).items() if name != "image"}
            for image, entry in sorted(self.entries.items())
        }
        data = {"schema_version": 1, "images": images}
        write_whole(path, _HEADER + yaml.safe_dump(data, sort_keys=False), parents=True)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's own lock, which leaves no file: another one's entry is read, not lost."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
