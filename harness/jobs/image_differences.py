"""Two sides of an image difference, each an image of the engine or a saved inventory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.images import (
    ImageDifference,
    Inventory,
    compare_images,
    load_inventory,
    take_inventory,
)

if TYPE_CHECKING:
    import docker

__all__ = ["read_difference"]


def read_difference(a: str, b: str, progress: Callable[[str], None]) -> ImageDifference:
    """Read both sides and compare them; the engine is asked only for a side that is an image.

    Raises:
        UsageError: a side is neither an image reference nor an inventory file.
        EnvironmentError_: an image cannot be had or read.
    """
    return compare_images(_side(a, progress), _side(b, progress))


def _side(name: str, progress: Callable[[str], None]) -> Inventory:
    path = Path(name)
    if name.endswith(".json") and path.is_file():
        return load_inventory(path)
    return take_inventory(name, _client(), progress=progress)


@cache
def _client() -> docker.DockerClient:
    from harness.serve.docker import connect

    return connect()
