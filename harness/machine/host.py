"""This machine as one value for the launch options, which are thereby pure, and as facts."""

import os
import platform
import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.places import user_cache
from harness.words import Mode

_CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


class GpuAccess(StrEnum):
    """How a container gets at the GPUs.

    ``runtime``: a device request to the NVIDIA runtime (``--gpus``). ``cdi``: a CDI device name
    (``nvidia.com/gpu=all``). ``none``: no GPU, for CPU images.
    """

    RUNTIME = "runtime"
    CDI = "cdi"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Host:
    """One machine as the launch options see it; host name and harness's process id are for labels.

    Relative model folders are relative to ``working_directory``; native compile caches live below
    ``cache_root``, one folder a mode; containers mount ``huggingface_home``.
    """

    name: str
    pid: int
    working_directory: Path
    cache_root: Path
    huggingface_home: Path
    gpu: GpuAccess = GpuAccess.RUNTIME

    def cache_for(self, mode: Mode, *, in_container: bool) -> str:
        """The compile cache of ``mode``: a volume name for a container, else a folder.

        vLLM up to 0.18.1 does not put the mode into its compile-cache key, so a shared cache
        could serve one mode's compiled graph to the other.
        """
        name = f"vllm-cache-{mode.value}"
        return f"harness-{name}" if in_container else str(self.cache_root / name)


def this_host(gpu: GpuAccess = GpuAccess.RUNTIME) -> Host:
    """The machine that this process runs on; honours ``XDG_CACHE_HOME`` and ``HF_HOME``."""
    cache = user_cache()
    return Host(
        name=socket.gethostname(),
        pid=os.getpid(),
        working_directory=Path.cwd(),
        cache_root=cache / "harness",
        huggingface_home=Path(os.environ.get("HF_HOME") or cache / "huggingface"),
        gpu=gpu,
    )


def free_memory() -> int | None:
    """Bytes that new processes may take without others giving way; ``None`` where nobody says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = dict(line.split(":", 1) for line in lines)
    said = found.get("MemAvailable", "").split()
    return int(said[0]) * 1024 if said else None


def host_facts() -> dict[str, Any]:
    """Platform, processor, cores and memory (bytes) of this machine."""
    processor: dict[str, str] = {}
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [f"model name: {platform.processor()}"]
    for name, _, value in (line.partition(":") for line in lines):
        processor[name.strip()] = value.strip()
    flags = processor.get("flags", "").split()
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": processor.get("model name") or None,
        "cpu_flags": [flag for flag in _CPU_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }
