"""How the engine hands out GPUs: the NVIDIA runtime, CDI, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.serve.host import GpuAccess

__all__ = ["CDI_FOLDERS", "cdi_files_name_nvidia", "gpu_access"]

CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where an engine that does not say so in ``docker info`` looks for CDI files."""

_NVIDIA_KIND = "nvidia.com/gpu"


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
