"""The inventory of an image: what the engine says of it and what is inside, read once an image."""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import docker
from docker.errors import DockerException
from msgspec import Struct, json
from requests.exceptions import RequestException

from harness.errors import EnvironmentError_, UsageError
from harness.files import write_whole
from harness.hostile import unreadable
from harness.images.inventory.contents import Contents, Inventory
from harness.images.inventory.locked_container import TIMEOUT_S, run_probe, script_text
from harness.images.inventory.said import read_contents
from harness.images.reference import (
    ImageReference,
    Progress,
    find_image,
    find_or_pull,
    image_config,
)
from harness.places import user_cache

_CACHE_SCHEMA = 2


class _Kept(Struct):
    """The content of a file of the cache."""

    image: str
    contents: Contents


class ContentsCache:
    """What was read inside images, by id: an image never changes under its id.

    Each file is readable by this user only. It belongs to an image and to this version of the
    reading: another one reads again. By default in
    ``inventory`` below ``$HARNESS_CACHE``, or ``harness`` in the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        root = Path(os.environ.get("HARNESS_CACHE") or user_cache() / "harness")
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

    ``image`` is a name and tag, a name and digest, or an id of this engine. What was read is kept
    in ``cache`` (by default the user's own), which is looked into first; ``timeout_s`` is for the
    program that runs inside.

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


def load_inventory(path: Path) -> Inventory:
    """An inventory that ``harness images inventory --json`` printed, perhaps elsewhere.

    Raises:
        UsageError: the file is none.
    """
    try:
        return json.decode(path.read_bytes(), type=Inventory)
    except (OSError, ValueError, RecursionError) as error:
        hint = "make one: harness images inventory IMAGE --json > FILE"
        raise UsageError(
            f"is not an inventory: {unreadable(error)}", file=path, hint=hint
        ) from None
