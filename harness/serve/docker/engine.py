"""The Docker engine: how it is reached, hands out GPUs and refuses, and what is left in it.

Explicit timeouts, the user's context, clear errors. Containers of a killed harness are found by
label and removed if their owner is gone.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from msgspec import Struct
from requests.exceptions import RequestException

from harness.errors import EnvironmentError_, HarnessError, StartupFailed
from harness.machine import (
    LABEL_HOST,
    LABEL_PID,
    LABEL_PID_STARTED,
    LABEL_RUN,
    LABEL_SPACE,
    GpuAccess,
    Host,
    Owner,
    this_host,
)
from harness.serve.failures import read_table

API_TIMEOUT_S = 60.0
"""For each call to the engine; a pull streams and needs no longer one."""
CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where an engine that does not say so in ``docker info`` looks for CDI files."""

PODMAN_HEEDS_CDI = (5, 4)
"""From this release on its Docker API heeds device requests, those to CDI only."""
_NVIDIA_KIND = "nvidia.com/gpu"
_WITHOUT = (
    "have servers without it: --backend native, or external where they run already (of a case: "
    "--native-command, or --server)"
)
_LOCAL_SCHEMES = ("unix://", "http+unix://", "npipe://")


def engine_address() -> str | None:
    """The engine that the ``docker`` command would use: ``DOCKER_HOST``, else the current context.

    Returns:
        An address, or ``None`` for the default socket.
    """
    if address := os.environ.get("DOCKER_HOST"):
        return address
    try:
        context = ContextAPI.get_current_context()
    except (DockerException, OSError, ValueError, KeyError):
        return None
    host = context.Host if context is not None else None
    return str(host) if host else None


def connect(timeout_s: float = API_TIMEOUT_S) -> docker.DockerClient:
    """A client for an engine that has just answered.

    Raises:
        EnvironmentError_: no engine, no permission, or one on another machine.
    """
    address = engine_address()
    if address is not None and not address.startswith(_LOCAL_SCHEMES):
        raise EnvironmentError_(
            f"the Docker engine at {address} is on another machine",
            hint="ports and folders are local: unset DOCKER_HOST",
        )
    try:
        client = docker.DockerClient(base_url=address, version="auto", timeout=int(timeout_s))
        client.ping()
    except (DockerException, RequestException) as error:
        raise _unreachable(address, error) from error
    return client


def connect_for_servers(timeout_s: float = API_TIMEOUT_S) -> docker.DockerClient:
    """As `connect`, for what can have its servers without an engine: a hint says how.

    Raises:
        EnvironmentError_: as `connect`.
    """
    try:
        return connect(timeout_s)
    except EnvironmentError_ as error:
        error.hint = f"{error.hint}; or {_WITHOUT}"
        raise


def guarded(what: str, call: Callable[[], Any]) -> Any:
    """Run one engine call; an engine that is gone or refuses becomes one message.

    Args:
        what: what was being done, for the message: ``inspect the image``.
        call: the SDK call.

    Raises:
        EnvironmentError_: the engine did not answer or refused.
    """
    try:
        return call()
    except APIError as error:
        raise EnvironmentError_(
            f"the Docker engine could not {what}: {error.explanation or error}"
        ) from error
    except (DockerException, RequestException) as error:
        raise _unreachable(engine_address(), error) from error


def remove_container(client: docker.DockerClient, name: str) -> None:
    """Remove a container, also while it runs; one that is gone already is removed."""
    try:
        client.api.remove_container(name, force=True, v=True)
    except APIError as error:
        # 404: no such container; 409: its removal is under way
        if error.status_code not in {404, 409}:
            raise


def _unreachable(address: str | None, error: Exception) -> EnvironmentError_:
    where = address or "the default socket"
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        return EnvironmentError_(
            f"no permission to talk to the Docker engine at {where}",
            hint="add yourself to the group docker (sudo usermod -aG docker $USER, then log in "
            "again) or run as root",
        )
    return EnvironmentError_(
        f"no Docker engine answers at {where}",
        hint="start it (sudo systemctl start docker), or install it "
        "(https://docs.docker.com/engine/install)",
    )


def docker_host(client: docker.DockerClient, *, needs_gpu: bool) -> Host:
    """This machine for the launch options of containers, with the engine's way to the GPUs.

    Raises:
        EnvironmentError_: the image needs a GPU and the engine has no way to one.
    """
    if not needs_gpu:
        return this_host(GpuAccess.NONE)
    access = engine_gpu_access(client)
    podman = podman_release(client) if access is GpuAccess.NONE else None
    if podman is not None and podman < PODMAN_HEEDS_CDI:
        raise EnvironmentError_(
            f"Podman {'.'.join(map(str, podman))} ignores the GPUs that its Docker API is asked "
            "for, and a container would start without one",
            hint="Podman 5.4 or later heeds CDI; or use Docker, or start the servers by hand "
            "(podman run --device nvidia.com/gpu=all ...) and give them with --backend external",
        )
    if access is GpuAccess.NONE:
        raise EnvironmentError_(
            "the image needs a GPU and the Docker engine has neither the NVIDIA runtime nor CDI",
            hint="harness doctor says what to install; harness demo needs no GPU",
        )
    return this_host(access)


def engine_gpu_access(client: docker.DockerClient) -> GpuAccess:
    """Which way to the GPUs the engine has, by asking it and looking at this machine's files.

    Raises:
        EnvironmentError_: the engine does not answer.
    """
    info = guarded("describe itself", client.info)
    release = podman_release(client)
    if release is not None and release < PODMAN_HEEDS_CDI:
        return GpuAccess.NONE
    folders = info.get("CDISpecDirs") or CDI_FOLDERS
    return gpu_access(
        info,
        nvidia_in_cdi_files=cdi_files_name_nvidia(folders),
        hook_on_path=shutil.which("nvidia-container-runtime-hook") is not None,
        podman=release is not None,
    )


def podman_release(client: docker.DockerClient) -> tuple[int, ...] | None:
    """The release of Podman, where it is Podman that answers in the engine's place.

    Raises:
        EnvironmentError_: the engine does not answer.
    """
    said = guarded("tell its version", client.version)
    parts = said.get("Components") or ()
    versions = (part.get("Version", "") for part in parts if "Podman" in str(part.get("Name")))
    text = next(versions, None)
    return None if text is None else tuple(map(int, re.findall(r"\d+", text)[:3]))


def gpu_access(
    info: Mapping[str, Any],
    *,
    nvidia_in_cdi_files: bool,
    hook_on_path: bool = False,
    podman: bool = False,
) -> GpuAccess:
    """Which way to the GPUs this engine has; the NVIDIA runtime wins where both are there.

    Args:
        info: the engine's ``info``.
        nvidia_in_cdi_files: whether a CDI file describes ``nvidia.com/gpu``; engines before
            API 1.50 do not list the devices that they found.
        hook_on_path: whether ``nvidia-container-runtime-hook`` is installed, which serves device
            requests also where the runtime itself is not registered.
        podman: whether it is Podman, which heeds CDI names alone and reads the CDI files whether
            it says so or not.
    """
    if not podman and ("nvidia" in (info.get("Runtimes") or {}) or hook_on_path):
        return GpuAccess.RUNTIME
    discovered = info.get("DiscoveredDevices")
    if discovered is not None:
        listed = any(
            str(device.get("ID", "")).startswith(_NVIDIA_KIND)
            for device in discovered
            if device.get("Source") == "cdi"
        )
        return GpuAccess.CDI if listed else GpuAccess.NONE
    enabled = podman or bool(info.get("CDISpecDirs"))
    return GpuAccess.CDI if enabled and nvidia_in_cdi_files else GpuAccess.NONE


def cdi_files_name_nvidia(folders: Iterable[Path | str] = CDI_FOLDERS) -> bool:
    """Whether a CDI file in ``folders`` describes NVIDIA GPUs; unreadable ones do not."""
    for folder in folders:
        for file in sorted(Path(folder).glob("*.*")):
            if file.suffix in {".json", ".yaml", ".yml"}:
                with suppress(OSError):
                    if _NVIDIA_KIND in file.read_text(encoding="utf-8", errors="replace"):
                        return True
    return False


class Refusal(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of ``refusals.yaml``: what the engine says, and what it means."""

    says: tuple[str, ...]
    message: str
    hint: str
    startup_failed: bool = False


def engine_refusal(text: str, *, image: str, port: int, program: str) -> HarnessError:
    """The error for what the engine said when a container was created or started.

    Args:
        text: the engine's message; it becomes the error's detail.
        image: the reference that was asked for.
        port: the host port that was asked for.
        program: the entrypoint's first word.
    """
    said = " ".join(text.split())
    for refusal in read_table("harness.serve.docker", "refusals.yaml", tuple[Refusal, ...]):
        found = re.search("|".join(refusal.says), said)
        if found:
            match = found.group(1) if found.groups() else ""
            fill = {"image": image, "port": port, "program": program, "match": match}
            return (StartupFailed if refusal.startup_failed else EnvironmentError_)(
                refusal.message.format(**fill),
                hint=refusal.hint.format(**fill),
                detail=(f"Docker: {said}",),
            )
    return StartupFailed(
        "the Docker engine refused to start the container",
        hint="its message is below; docker info and the engine's log say more",
        detail=(f"Docker: {said}",),
    )


@dataclass(frozen=True, slots=True)
class LeftoverContainer:
    """A container of ours; it may be removed only if the harness that started it surely ended."""

    id: str
    name: str
    run_id: str
    status: str
    owner: Owner
    owner_gone: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> LeftoverContainer:
        """From a row of the engine's list."""
        labels: Mapping[str, str] = row.get("Labels") or {}
        pid, started = (
            int(text) if (text := labels.get(name, "")).isdigit() else 0
            for name in (LABEL_PID, LABEL_PID_STARTED)
        )
        told = labels.get(LABEL_HOST, ""), pid, started, labels.get(LABEL_SPACE, "")
        owner = Owner(*told)
        return cls(
            id=str(row["Id"]),
            name=str((row.get("Names") or ["?"])[0]).lstrip("/"),
            run_id=labels.get(LABEL_RUN, ""),
            status=str(row.get("State", "unknown")),
            owner=owner,
            owner_gone=owner.is_gone(),
        )

    def __str__(self) -> str:
        owner = f"{self.owner.host} pid {self.owner.pid}"
        fate = "owner gone" if self.owner_gone else "owner may be alive"
        if self.owner.elsewhere:
            fate += f" {self.owner.elsewhere}; if it is not, `docker rm -f {self.name}`"
        return f"container {self.name} (run {self.run_id}, {self.status}; {owner}: {fate})"


def find_leftovers(
    client: docker.DockerClient, run_id: str | None = None
) -> tuple[LeftoverContainer, ...]:
    """All containers that carry our run label (of this run), running or not, by name.

    Raises:
        EnvironmentError_: the engine does not answer.
    """
    label = LABEL_RUN if run_id is None else f"{LABEL_RUN}={run_id}"
    listed = guarded(
        "list containers",
        lambda: client.api.containers(all=True, filters={"label": [label]}),
    )
    return tuple(sorted(map(LeftoverContainer.of, listed), key=lambda found: found.name))


def remove_leftovers(
    client: docker.DockerClient, leftovers: tuple[LeftoverContainer, ...]
) -> tuple[LeftoverContainer, ...]:
    """Remove those whose owner is gone, also while they run; returns what was removed."""
    removed = tuple(leftover for leftover in leftovers if leftover.owner_gone)
    for leftover in removed:
        guarded(f"remove {leftover.name}", partial(remove_container, client, leftover.id))
    return removed
