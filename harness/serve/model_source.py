"""Where the weights are: on the hub, or in a folder of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import UsageError
from harness.settings import ModelSpec

__all__ = ["ModelSource", "model_source"]

_PATH_STARTS = ("/", "./", "../", "~")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A hub id, or a local folder and the place where a container sees it."""

    hub_id: str
    folder: Path | None = None
    container_folder: PurePosixPath | None = None

    def seen_by(self, *, in_container: bool) -> str:
        """What ``--model`` is given."""
        if self.folder is None:
            return self.hub_id
        return str(self.container_folder if in_container else self.folder)


def model_source(model: ModelSpec, working_directory: Path) -> ModelSource:
    """Decide what ``hf_id`` means: an existing folder wins, as it does in vLLM.

    Raises:
        UsageError: it is written like a path and no such folder exists.
    """
    folder = (working_directory / Path(model.hf_id).expanduser()).resolve()
    if folder.is_dir():
        return ModelSource(model.hf_id, folder, PurePosixPath("/models") / _safe(model.name))
    if model.hf_id.startswith(_PATH_STARTS):
        raise UsageError(
            f"model {model.name}: there is no folder {folder}",
            hint="give a hub id such as org/name, or the path of a folder with config.json",
        )
    return ModelSource(model.hf_id)


def _safe(name: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in name)
