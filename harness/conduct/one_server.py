"""Whether answers that are compared come from one server: its release, image, files, device.

A command whose answers stand in several folders may be gone on with when the engine, the image or
the machine has become another one. What a folder of it tells is held against what is here now,
before anything is asked, and against the others where all is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from harness.errors import UsageError, shown
from harness.hostile import shaped
from harness.machine import gpu_facts, harness_versions, host_facts
from harness.prove import Device
from harness.records import METADATA, read_side_file
from harness.score import scorer_versions
from harness.words import BackendName

if TYPE_CHECKING:
    from harness.conduct.prepare import Prepared
    from harness.conduct.site import Site

_ANEW = "give what it was started with, or --fresh asks all anew"
_IMAGE = ("reference", "image_id")


class _Served(msgspec.Struct):
    """What of a folder's metadata tells who answered."""

    versions: dict[str, str | None] = {}
    device: dict[str, str | None] | None = None
    image: dict[str, Any] = {}
    scorers: dict[str, Any] = {}
    model_files: dict[str, Any] = {}
    server_files: dict[str, Any] = {}
    task_files: dict[str, Any] = {}
    resolved_spec: dict[str, Any] = {}

    def told(self) -> dict[str, Any]:
        """Each thing by what it is called; of a server that never answered nothing of itself."""
        found = _named(self)
        found |= {f"image {name}": self.image[name] for name in _IMAGE if self.image.get(name)}
        if self.device is not None:  # before that these are the harness's own packages
            theirs = self.resolved_spec.get("backend") == BackendName.EXTERNAL
            told = releases(self.versions)
            own = {"vllm"} if theirs else told.keys() - harness_versions().keys()
            found |= {name: value for name, value in told.items() if name in own}
            if not theirs:
                found |= {f"{self.device.get('kind')} device": self.device.get("name")}
        return found


def told_here(prepared: Prepared, site: Site) -> dict[str, Any]:
    """What can be told beforehand of the servers of a plan, as a folder's metadata tells it."""
    known = _Served(
        scorers=dict(scorer_versions()),
        model_files=dict(prepared.model_files),
        server_files=dict(prepared.server_files),
        task_files=dict(prepared.population.files),
    )
    found = _named(known) | releases(site.server_packages(prepared.spec))
    image = site.image.to_json() if site.image is not None else {}
    found |= {f"image {name}": image[name] for name in _IMAGE if image.get(name)}
    if prepared.spec.backend is not BackendName.EXTERNAL:
        devices = {Device.CPU: host_facts()["processor"]}
        for gpu in gpu_facts()[:1]:
            devices[Device.CUDA] = gpu["name"]
        found |= {f"{kind} device": name for kind, name in devices.items() if name}
    return found


def insist_on_one_server(folders: Sequence[Path], now: Mapping[str, Any] | None = None) -> None:
    """Refuse what other folders of a command tell otherwise.

    Args:
        folders: those with answers; one without metadata tells nothing.
        now: what answers now; ``None`` where nothing is asked, and they are held against the first.

    Raises:
        UsageError: with each difference.
    """
    word = "now"
    for folder in folders:
        if not (file := folder / METADATA).is_file():
            continue
        told = _served(file).told()
        if now is None:
            now, word = told, "beside"
        if found := differences(told, now, word=word):
            what = "the answers of this folder are of another server than those beside them"
            raise UsageError(what, file=file, hint=_ANEW, detail=tuple(found))


def _served(file: Path) -> _Served:
    try:
        value = {name: told for name, told in read_side_file(file).items() if told is not None}
        return shaped(value, _Served)
    except UsageError as error:
        error.hint = _ANEW
        raise
    except msgspec.ValidationError as error:
        raise UsageError(f"not a run's metadata: {error}", file=file, hint=_ANEW) from error


def _named(one: _Served) -> dict[str, Any]:
    parts = {
        "scorer ": one.scorers,
        "weights of ": one.model_files,
        "the server's ": one.server_files,
        "task file ": one.task_files,
    }
    return {f"{what}{name}": told for what, part in parts.items() for name, told in part.items()}


def releases(versions: Mapping[str, str | None]) -> dict[str, str | None]:
    """Versions, of vLLM without its local part: a log tells it and a package may not."""
    whole = {"vllm": (versions.get("vllm") or "").partition("+")[0]}
    return {name: told for name, told in (dict(versions) | whole).items() if told}


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], what: str = "", word: str = "now"
) -> list[str]:
    """What both tell and tell otherwise."""
    return [
        f"{what}{name}: {shown(before[name])}, {word} {shown(now[name])}"
        for name in before
        if name in now and before[name] != now[name]
    ]
