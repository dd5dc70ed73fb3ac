"""The inventory of an image: what the engine says of it and what is inside, read once an image."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from msgspec import Struct, json
from requests.exceptions import RequestException

from harness.errors import EnvironmentError_, UsageError
from harness.files import write_whole
from harness.images.inventory.contents import Contents, ImageConfig, Inventory, Layer
from harness.images.inventory.locked_container import TIMEOUT_S, run_probe, script_text
from harness.images.inventory.said import read_contents
from harness.images.reference import ImageReference, LocalImage, Progress, find_image, find_or_pull
from harness.secrets import redact_command, redact_environment, redact_text

_CACHE_SCHEMA = 2
_MOST_STEP = 2000
_METADATA = re.compile(
    r"(?:/bin/sh -c #\(nop\) +)?(?:ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER"
    r"|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME)\b"
)


class _Kept(Struct):
    """The content of a file of the cache."""

    image: str
    contents: Contents


class ContentsCache:
    """What was read inside images, by id: an image never changes under its id.

    Each file is readable by this user only. It belongs to an image and to this version of the
    reading: another one reads again.

    Args:
        folder: ``inventory`` below ``$HARNESS_CACHE`` or ``~/.cache/harness`` when ``None``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        root = Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache/harness")
        self._folder = folder or root / "inventory"
        self._reader = sha256(f"{_CACHE_SCHEMA}\n{script_text()}".encode()).hexdigest()[:12]

    def path_of(self, image_id: str) -> Path:
        """Where an image's contents are kept."""
        return self._folder / f"{sha256(image_id.encode()).hexdigest()[:32]}-{self._reader}.json"

    def load(self, image_id: str) -> Contents | None:
        """What is kept; ``None`` if nothing is, or nothing that can be read."""
        with suppress(OSError, ValueError, RecursionError):
            kept = json.decode(self.path_of(image_id).read_bytes(), type=_Kept)
            return kept.contents if kept.image == image_id else None
        return None

    def save(self, image_id: str, contents: Contents) -> None:
        """Keep contents; a folder that cannot be written is no error, only no cache."""
        kept = json.encode(_Kept(image_id, contents))
        with suppress(EnvironmentError_):
            write_whole(self.path_of(image_id), kept, parents=True, private=True)


def take_inventory(
    image: str,
    client: docker.DockerClient,
    *,
    cache: ContentsCache | None = None,
    progress: Progress = lambda _: None,
    timeout_s: int = TIMEOUT_S,
) -> Inventory:
    """Read an image; it is pulled if it is not here.

    Args:
        image: name and tag, name and digest, or an id of this engine.
        cache: where to look first and to keep what was read; the user's own when ``None``.
        progress: told what takes time.
        timeout_s: for the program that runs inside.

    Raises:
        UsageError: ``image`` is not a reference.
        EnvironmentError_: the image is not here and cannot be pulled, or the engine fails.
    """
    cache = cache or ContentsCache()
    if image.startswith("sha256:"):
        found = find_image(client, image)
        if found is None:
            raise EnvironmentError_(f"there is no image {image} on this machine")
    else:
        found = find_or_pull(client, ImageReference.parse(image), progress)
    try:
        inspected = client.images.get(found.id)
        config = image_config(inspected.attrs, inspected.history())
    except (DockerException, RequestException) as error:
        reason = f"the Docker engine could not inspect {found.id}: {error}"
        raise EnvironmentError_(reason) from None
    contents = cache.load(found.id)
    if contents is None:
        progress(f"reading {image}, in a container without network and GPU")
        output = run_probe(client, found.id, found.entrypoint, timeout_s=timeout_s)
        contents = read_contents(output.text, output.notes)
        if output.text and not output.notes:
            cache.save(found.id, contents)
    return Inventory(image=image, config=config, contents=contents)


def image_config(inspected: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> ImageConfig:
    """``docker inspect`` and ``docker history`` of an image, without secrets.

    The history is newest first, as the engine gives it.
    """
    image, config = LocalImage.read(inspected), inspected.get("Config") or {}
    started = tuple(redact_command((*image.entrypoint, *image.command)))
    return ImageConfig(
        id=image.id,
        digests=image.repo_digests,
        platform=image.platform,
        created=str(inspected.get("Created") or ""),
        size_bytes=image.size_bytes,
        layers=_layers((inspected.get("RootFS") or {}).get("Layers") or (), history),
        labels=redact_environment(image.labels),
        environment=redact_environment(image.environment),
        entrypoint=started[: len(image.entrypoint)],
        command=started[len(image.entrypoint) :],
        user=str(config.get("User") or "root"),
        working_directory=str(config.get("WorkingDir") or "/"),
        ports=tuple(sorted(config.get("ExposedPorts") or ())),
        needs_gpu=image.needs_gpu,
    )


def _layers(diff_ids: Sequence[str], history: Sequence[Mapping[str, Any]]) -> tuple[Layer, ...]:
    """Layers with the step that made each, where as many steps as layers can have made one.

    An engine does not say which step made which layer; steps that only set metadata make none.
    """
    made = [
        (int(step.get("Size") or 0), words)
        for step in reversed(history)
        for words in [" ".join(str(step.get("CreatedBy") or "").split())]
        if not _METADATA.match(words)
    ]
    if len(made) != len(diff_ids):
        return tuple(Layer(str(diff_id)) for diff_id in diff_ids)
    return tuple(
        Layer(str(diff_id), size, redact_text(words)[:_MOST_STEP])
        for diff_id, (size, words) in zip(diff_ids, made, strict=True)
    )


def load_inventory(path: Path) -> Inventory:
    """An inventory that ``harness images inventory --json`` printed, perhaps elsewhere.

    Raises:
        UsageError: the file is none.
    """
    try:
        return json.decode(path.read_bytes(), type=Inventory)
    except (OSError, ValueError, RecursionError) as error:
        hint = "make one: harness images inventory IMAGE --json > FILE"
        raise UsageError(f"is not an inventory: {error}", file=path, hint=hint) from None
