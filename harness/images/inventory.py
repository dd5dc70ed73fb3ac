"""The inventory of an image: what the engine says of it and what is inside."""

from __future__ import annotations

import json
from pathlib import Path

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from harness.errors import EnvironmentError_, UsageError
from harness.images.inventory_cache import ContentsCache, default_cache_folder
from harness.images.inventory_config import image_config
from harness.images.inventory_container import TIMEOUT_S, run_probe
from harness.images.inventory_contents import read_contents
from harness.images.inventory_model import ImageConfig, Inventory, read_as
from harness.images.local import LocalImage, Progress, find_image, pull_image
from harness.images.reference import ImageReference

__all__ = ["load_inventory", "take_inventory"]


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
    cache = cache or ContentsCache(default_cache_folder())
    found = _find(image, client, progress)
    config = _config(found, client)
    contents = cache.load(found.id)
    if contents is None:
        progress(f"reading {image}, in a container without network and GPU")
        output = run_probe(client, found.id, found.entrypoint, timeout_s=timeout_s)
        contents = read_contents(output.text, output.notes)
        if output.text and not output.notes:
            cache.save(found.id, contents)
    return Inventory(image=image, config=config, contents=contents)


def load_inventory(path: Path) -> Inventory:
    """An inventory that ``harness images inventory --json`` printed, perhaps elsewhere.

    Raises:
        UsageError: the file is none.
    """
    try:
        return read_as(Inventory, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"is not an inventory: {error}",
            file=path,
            hint="make one: harness images inventory IMAGE --json > FILE",
        ) from None


def _find(image: str, client: docker.DockerClient, progress: Progress) -> LocalImage:
    if image.startswith("sha256:"):
        found = find_image(client, image)
        if found is None:
            raise EnvironmentError_(f"there is no image {image} on this machine")
        return found
    reference = ImageReference.parse(image)
    found = find_image(client, str(reference))
    if found is None:
        pull_image(client, reference, progress)
        found = find_image(client, str(reference))
    if found is None:
        raise EnvironmentError_(f"image {reference} was pulled and is not there")
    return found


def _config(found: LocalImage, client: docker.DockerClient) -> ImageConfig:
    try:
        image = client.images.get(found.id)
        inspected, history = image.attrs, image.history()
    except (DockerException, RequestException) as error:
        raise EnvironmentError_(
            f"the Docker engine could not inspect {found.id}: {error}"
        ) from None
    return image_config(inspected, history, needs_gpu=found.needs_gpu)
