"""How the engine hands out GPUs: the NVIDIA runtime, CDI, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import docker

from harness.errors import EnvironmentError_
from harness.machine import GpuAccess, Host, this_host
from harness.serve.docker.engine import guarded

__all__ = [
    "CDI_FOLDERS",
    "cdi_files_name_nvidia",
    "docker_host",
    "engine_gpu_access",
    "gpu_access",
]

CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where an engine that does not say so in ``docker info`` looks for CDI files."""

_NVIDIA_KIND = "nvidia.com/gpu"


def docker_host(client: docker.DockerClient, *, needs_gpu: bool) -> Host:
    """This machine for the launch options of containers, with the engine's way to the GPUs.

    Raises:
        EnvironmentError_: the image needs a GPU and the engine has no way to one.
    """
    if not needs_gpu:
        return this_host(GpuAccess.NONE)
    access = engine_gpu_access(client)
    if access is GpuAccess.NONE:
        raise EnvironmentError_(
            "the image needs a GPU and the Docker engine has neither the NVIDIA runtime nor CDI",
            hint="harness doctor says what to install; make demo needs no GPU",
        )
    return this_host(access)


def engine_gpu_access(client: docker.DockerClient) -> GpuAccess:
    """Which way to the GPUs the engine has, by asking it and looking at this machine's files.

    Raises:
        EnvironmentError_: the engine does not answer.
    """
    info = guarded("describe itself", client.info)
    folders = info.get("CDISpecDirs") or CDI_FOLDERS
    return gpu_access(
        info,
        nvidia_in_cdi_files=cdi_files_name_nvidia(folders),
        hook_on_path=shutil.which("nvidia-container-runtime-hook") is not None,
    )


def gpu_access(
    info: Mapping[str, Any], *, nvidia_in_cdi_files: bool, hook_on_path: bool = False
) -> GpuAccess:
    """Which way to the GPUs this engine has; the NVIDIA runtime wins where both are there.

    Args:
        info: the engine's ``info``.
        nvidia_in_cdi_files: whether a CDI file describes ``nvidia.com/gpu``; engines before
            API 1.50 do not list the devices that they found.
        hook_on_path: whether ``nvidia-container-runtime-hook`` is installed, which serves device
            requests also where the runtime itself is not registered.
    """
    if "nvidia" in (info.get("Runtimes") or {}) or hook_on_path:
        return GpuAccess.RUNTIME
    discovered = info.get("DiscoveredDevices")
    if discovered is not None:
        listed = any(
            str(device.get("ID", "")).startswith(_NVIDIA_KIND)
            for device in discovered
            if device.get("Source") == "cdi"
        )
        return GpuAccess.CDI if listed else GpuAccess.NONE
    enabled = bool(info.get("CDISpecDirs"))
    return GpuAccess.CDI if enabled and nvidia_in_cdi_files else GpuAccess.NONE


def cdi_files_name_nvidia(folders: Iterable[Path | str] = CDI_FOLDERS) -> bool:
    """Whether a CDI file in ``folders`` describes NVIDIA GPUs; unreadable ones do not."""
    for folder in folders:
        for file in sorted(Path(folder).glob("*.*")):
            if file.suffix in {".json", ".yaml", ".yml"} and _names_nvidia(file):
                return True
    return False


def _names_nvidia(file: Path) -> bool:
    try:
        return _NVIDIA_KIND in file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
