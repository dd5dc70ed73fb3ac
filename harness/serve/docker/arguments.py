"""From launch options to the Docker SDK's keyword arguments; pure, and golden-tested."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from harness.machine import GpuAccess
from harness.serve.container_options import LABEL_PREFIX, GpuRequest
from harness.serve.container_options import Mount as MountOption
from harness.serve.docker.owner import Owner
from harness.serve.options import LaunchOptions

__all__ = [
    "LABEL_HOST",
    "LABEL_MODE",
    "LABEL_MODEL",
    "LABEL_PID",
    "LABEL_PID_STARTED",
    "LABEL_RUN",
    "container_arguments",
    "container_name",
    "with_secrets",
]

LABEL_RUN = f"{LABEL_PREFIX}run-id"
LABEL_MODE = f"{LABEL_PREFIX}mode"
LABEL_MODEL = f"{LABEL_PREFIX}model"
LABEL_PID = f"{LABEL_PREFIX}pid"
LABEL_PID_STARTED = f"{LABEL_PREFIX}pid-started"
LABEL_HOST = f"{LABEL_PREFIX}host"

_NAME_LENGTH = 120


def container_name(options: LaunchOptions, suffix: str) -> str:
    """A name that no other lifetime has: run, mode, model and a random suffix."""
    wanted = f"harness-{options.run_id or 'run'}-{options.mode.value}-{options.model}"
    safe = re.sub(r"[^a-zA-Z0-9_.-]+", "-", wanted)[:_NAME_LENGTH]
    return f"{safe}-{suffix}"


def container_arguments(options: LaunchOptions, *, name: str, owner: Owner) -> dict[str, Any]:
    """Keyword arguments for ``client.containers.create``, without any secret's value.

    The entrypoint is explicit because images differ in theirs. Nothing is removed or restarted by
    the engine itself: a crash must leave its log and its exit code. Logs go to ``json-file``
    whatever the engine's default is, since only some drivers can be read back. A variable named
    without ``=`` is taken out of the image's own environment.

    Args:
        options: launch options with their container part.
        name: the container's name, from `container_name`.
        owner: the harness process, for the labels that a later clean-up reads.
    """
    container = options.container
    if container is None:
        raise ValueError(f"launch options for {options.backend} have no container")
    address, host_port, port = container.publish
    return {
        "image": container.image,
        "name": name,
        "entrypoint": list(options.command),
        "command": list(options.arguments),
        "environment": _environment(options),
        "ports": {f"{port}/tcp": (address, host_port)},
        "labels": {
            **container.labels,
            LABEL_HOST: owner.host,
            LABEL_PID: str(owner.pid),
            LABEL_PID_STARTED: str(owner.started),
        },
        "mounts": [_mount(mount) for mount in container.mounts],
        "device_requests": device_requests(container.gpu),
        "ipc_mode": "private",
        "shm_size": container.shm_size,
        "ulimits": [
            Ulimit(name=limit, soft=value, hard=value) for limit, value in container.ulimits
        ],
        "log_config": LogConfig(type=LogConfig.types.JSON),
        "auto_remove": False,
        "restart_policy": {"Name": "no"},
        "detach": True,
    }


def with_secrets(
    arguments: Mapping[str, Any], names: tuple[str, ...], environment: Mapping[str, str]
) -> dict[str, Any]:
    """The arguments of the create call itself: secrets that are set here, with their values."""
    secrets = [f"{name}={environment[name]}" for name in names if environment.get(name)]
    return {**arguments, "environment": [*arguments["environment"], *secrets]}


def device_requests(gpu: GpuRequest) -> list[DeviceRequest]:
    """How to ask the engine for GPUs; always a list, and by id where ids are given."""
    if gpu.access is GpuAccess.NONE:
        return []
    if gpu.access is GpuAccess.CDI:
        return [DeviceRequest(driver="cdi", device_ids=list(gpu.cdi_devices))]
    if gpu.device_ids is None:
        return [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    return [DeviceRequest(device_ids=list(gpu.device_ids), capabilities=[["gpu"]])]


def _environment(options: LaunchOptions) -> list[str]:
    pairs = [f"{name}={value}" for name, value in sorted(options.environment.items())]
    return [*pairs, *options.cleared_variables]


def _mount(mount: MountOption) -> Mount:
    return Mount(
        target=mount.target,
        source=mount.source,
        type="volume" if mount.is_volume else "bind",
        read_only=mount.read_only,
    )
