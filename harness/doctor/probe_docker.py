"""The engine and the image, as the doctor sees them; an engine that is away is a fact."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from harness.doctor.facts import EngineFacts, ImageFacts
from harness.errors import EnvironmentError_, UsageError

if TYPE_CHECKING:
    import docker

    from harness.images import LockEntry

__all__ = ["probe_engine"]


def probe_engine(image: str, lock: Path) -> tuple[EngineFacts, ImageFacts]:
    """Ask the engine for itself and for the image; pulls nothing."""
    from harness.images import ImageLock
    from harness.serve.docker import connect

    try:
        entry = ImageLock.load(lock).get(image)
    except UsageError:
        entry = None
    try:
        client = connect(10.0)
        try:
            return _engine(client), _image(image, entry, client)
        finally:
            client.close()
    except EnvironmentError_ as error:
        return EngineFacts(error=error.message, remedy=error.hint), _without_engine(image, entry)


def _engine(client: docker.DockerClient) -> EngineFacts:
    from harness.serve.docker import engine_gpu_access

    info = client.info()
    root = Path(str(info.get("DockerRootDir") or "/var/lib/docker"))
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        free = None
    return EngineFacts(
        version=str(info.get("ServerVersion", "")),
        gpu_access=engine_gpu_access(client).value,
        free_bytes=free,
    )


def _image(image: str, entry: LockEntry | None, client: docker.DockerClient) -> ImageFacts:
    from harness.images import Presence, find_image, presence

    facts = _without_engine(image, entry)
    found = find_image(client, image)
    here = presence(entry, client) if entry is not None else None
    return ImageFacts(
        name=facts.name,
        status=facts.status,
        here=found is not None if here is None else here in {Presence.HERE, Presence.UNPINNED},
        other=here is Presence.OTHER,
        needs_gpu=found.needs_gpu if found is not None else True,
        vllm=facts.vllm,
        cuda=facts.cuda,
    )


def _without_engine(image: str, entry: LockEntry | None) -> ImageFacts:
    in_tag = re.search(r":v?(\d+\.\d+\.\d+)", image)
    known = entry.versions if entry is not None else None
    return ImageFacts(
        name=image,
        status=entry.status if entry is not None else "not in the lock",
        here=False,
        vllm=(known.vllm if known else None) or (in_tag.group(1) if in_tag else None),
        cuda=known.cuda if known else None,
    )
