"""Image references taken apart: registry, repository, tag and digest."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from harness.errors import UsageError

__all__ = ["DOCKER_HUB", "ImageReference"]

DOCKER_HUB = "docker.io"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``[registry/]repository[:tag][@digest]``.

    Attributes:
        registry: ``docker.io`` where the reference names none.
        repository: without the registry; an official image's has ``library/`` in front.
        tag: ``None`` when only a digest is given; ``latest`` when neither is.
        digest: ``sha256:`` and 64 hex digits, of an index or of one platform's manifest.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read a reference as the ``docker`` command does.

        Raises:
            UsageError: it is none.
        """
        rest, at, digest = text.strip().partition("@")
        head, slash, tail = rest.partition("/")
        names_registry = bool(slash) and ("." in head or ":" in head or head == "localhost")
        registry, path = (head, tail) if names_registry else (DOCKER_HUB, rest)
        repository, colon, tag = path.partition(":")
        good = (
            _REPOSITORY.fullmatch(repository)
            and (not colon or _TAG.fullmatch(tag))
            and (not at or _DIGEST.fullmatch(digest))
        )
        if not good:
            raise UsageError(
                f"{text!r} is not an image reference",
                hint="write it as name:tag or name@sha256:<64 hex digits>",
            )
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        return cls(registry, repository, tag or (None if at else "latest"), digest or None)

    @property
    def familiar_name(self) -> str:
        """The repository as the engine shows it: without Docker Hub's name and ``library/``."""
        if self.registry != DOCKER_HUB:
            return f"{self.registry}/{self.repository}"
        return self.repository.removeprefix("library/")

    @property
    def key(self) -> str:
        """What the lock file knows it by: the name with its tag."""
        return f"{self.familiar_name}:{self.tag}" if self.tag else self.familiar_name

    def with_digest(self, digest: str) -> ImageReference:
        """The same repository at ``digest``."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.familiar_name}{tag}{digest}"
