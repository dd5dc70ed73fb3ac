"""What was read inside an image, kept by the image's id: an image never changes under its id."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from harness.images.inventory_container import script_text
from harness.images.inventory_model import Contents, read_as

__all__ = ["ContentsCache", "default_cache_folder"]

_SCHEMA = 1


def default_cache_folder() -> Path:
    """``$HARNESS_CACHE`` or ``~/.cache/harness``, below it ``inventory``."""
    root = os.environ.get("HARNESS_CACHE")
    return (Path(root) if root else Path.home() / ".cache/harness") / "inventory"


class ContentsCache:
    """Files that only this user can read, each written in one step.

    A file belongs to an image and to this version of the reading: another one reads again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader = sha256(f"{_SCHEMA}\n{script_text()}".encode()).hexdigest()[:12]

    def path_of(self, image_id: str) -> Path:
        """Where an image's contents are kept."""
        return self._folder / f"{sha256(image_id.encode()).hexdigest()[:32]}-{self._reader}.json"

    def load(self, image_id: str) -> Contents | None:
        """What is kept; ``None`` if nothing is, or nothing that can be read."""
        try:
            value = json.loads(self.path_of(image_id).read_text(encoding="utf-8"))
            return read_as(Contents, value["contents"]) if value["image"] == image_id else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, image_id: str, contents: Contents) -> None:
        """Keep contents; a folder that cannot be written is no error, only no cache."""
        path = self.path_of(image_id)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        text = json.dumps({"image": image_id, "contents": asdict(contents)})
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
