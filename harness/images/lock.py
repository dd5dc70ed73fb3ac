"""The lock file of images: which digest a tag meant when it was pinned, and what was inside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import yaml

from harness.errors import UsageError
from harness.images.reference import ImageReference

__all__ = ["DEFAULT_LOCK", "ImageLock", "ImageVersions", "LockEntry", "Source"]

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


@dataclass(frozen=True, slots=True)
class ImageVersions:
    """What is inside, read in a container of the image; ``None`` where it is not there.

    Attributes:
        cuda: the CUDA version that PyTorch was built for; ``None`` for a CPU build.
    """

    vllm: str | None = None
    torch: str | None = None
    cuda: str | None = None
    python: str | None = None

    def __str__(self) -> str:
        pairs = [(name, value) for name, value in asdict(self).items() if value]
        return ", ".join(f"{name} {value}" for name, value in pairs) or "versions not known"


@dataclass(frozen=True, slots=True)
class LockEntry:
    """One pinned image.

    Attributes:
        image: name and tag.
        digest: of the index (or of the only manifest); what ``name@sha256:...`` is pulled by.
            ``None`` for a local image and for one that is not pinned yet.
        platform_digest: of this platform's manifest in that index.
        platform: such as ``linux/amd64``.
        image_id: of the engine that pinned it; identifies a local image.
        pinned_at: time in UTC, ISO 8601.
    """

    image: str
    digest: str | None = None
    platform_digest: str | None = None
    platform: str | None = None
    image_id: str | None = None
    source: Source = Source.REGISTRY
    versions: ImageVersions = field(default_factory=ImageVersions)
    pinned_at: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the entry says which image is meant."""
        return self.identity is not None

    @property
    def identity(self) -> str | None:
        """The digest, or the image id of a local image."""
        return self.image_id if self.source is Source.LOCAL else self.digest

    @property
    def status(self) -> str:
        """``pinned``, ``local`` or ``unpinned``, for people."""
        if not self.is_pinned:
            return "unpinned"
        return "local" if self.source is Source.LOCAL else "pinned"

    def to_json(self) -> dict[str, Any]:
        """The entry as JSON values, also as it stands in the file, but for its name."""
        row: dict[str, Any] = {"status": self.status, "source": self.source.value}
        row |= {key: getattr(self, key) for key in _KEYS}
        return {"image": self.image, **row, "versions": asdict(self.versions)}


@dataclass(frozen=True, slots=True)
class ImageLock:
    """All entries, by name and tag."""

    entries: Mapping[str, LockEntry] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a lock file; a missing one is an empty lock.

        Raises:
            UsageError: it is not a lock file.
        """
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"cannot be read: {' '.join(str(error).split())}", file=path) from None
        try:
            if data["schema_version"] != 1:
                raise UsageError(f"schema_version {data['schema_version']} is unknown", file=path)
            rows = [_entry(str(image), row or {}) for image, row in (data["images"] or {}).items()]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"is not a lock file: {type(error).__name__} {error}",
                file=path,
                hint="see docs/docker.md, or make it anew with harness pin",
            ) from None
        return cls({entry.image: entry for entry in rows})

    def get(self, image: str | ImageReference) -> LockEntry | None:
        """The entry for a name and tag."""
        reference = ImageReference.parse(image) if isinstance(image, str) else image
        return self.entries.get(reference.key)

    def with_entry(self, entry: LockEntry) -> Self:
        """A lock that also has, or has instead, ``entry``."""
        return replace(self, entries={**self.entries, entry.image: entry})

    def save(self, path: Path) -> None:
        """Write the file in one step: it is the old one or the new one, never half of it."""
        data = {
            "schema_version": 1,
            "images": {image: _row(self.entries[image]) for image in sorted(self.entries)},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(_HEADER + yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        temporary.replace(path)


def _entry(image: str, row: Mapping[str, Any]) -> LockEntry:
    known = {key: row.get(key) for key in _KEYS if row.get(key) is not None}
    return LockEntry(
        image=ImageReference.parse(image).key,
        **known,
        source=Source(row.get("source") or Source.REGISTRY),
        versions=ImageVersions(**(row.get("versions") or {})),
    )


_KEYS = ("digest", "platform_digest", "platform", "image_id", "pinned_at")


def _row(entry: LockEntry) -> dict[str, Any]:
    return {key: value for key, value in entry.to_json().items() if key != "image"}
