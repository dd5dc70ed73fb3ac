"""A container as the SDK is asked for it and as the engine describes it; pure, golden-tested."""

import re
from collections.abc import Mapping
from typing import Any

from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from harness.machine import GpuAccess, Owner
from harness.secrets import redact_command, redact_environment
from harness.serve.container_options import GpuRequest
from harness.serve.launch import LaunchOptions
from harness.serve.protocol import ServerState

_NAME_LENGTH = 120
_NEVER_ROTATED = "1024g"
"""Over the engine's own default, which may be small; it takes no word for "unlimited" (no -1)."""
_SIGNALLED = 128
_SIGNALS = {2: "SIGINT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}


def container_name(options: LaunchOptions, suffix: str) -> str:
    """A name that no other lifetime has: run, mode, model and a random suffix."""
    wanted = f"harness-{options.run_id or 'run'}-{options.mode.value}-{options.model}"
    safe = re.sub(r"[^a-zA-Z0-9_.-]+", "-", wanted)[:_NAME_LENGTH]
    return f"{safe}-{suffix}"


def container_arguments(options: LaunchOptions, *, name: str, owner: Owner) -> dict[str, Any]:
    """Keyword arguments for ``client.containers.create``, without any secret's value.

    The entrypoint is explicit because images differ in theirs. Nothing is removed or restarted by
    the engine itself: a crash must leave its log and its exit code. Logs go to ``json-file``
    whatever the engine's default is, since only some drivers can be read back, and are never
    rotated: what proves the mode stands at their beginning. A variable named without ``=`` is taken
    out of the image's own environment.

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
        "environment": [
            *(f"{name}={value}" for name, value in sorted(options.environment.items())),
            *options.cleared_variables,
        ],
        "ports": {f"{port}/tcp": (address, host_port)},
        "labels": {
            **container.labels,
            **owner.labels(options.run_id or ""),
        },
        "mounts": [
            Mount(
                target=mount.target,
                source=mount.source,
                type="volume" if mount.is_volume else "bind",
                read_only=mount.read_only,
            )
            for mount in container.mounts
        ],
        "device_requests": device_requests(container.gpu),
        "ipc_mode": "private",
        "shm_size": container.shm_size,
        "ulimits": [
            Ulimit(name=limit, soft=value, hard=value) for limit, value in container.ulimits
        ],
        "log_config": LogConfig(type=LogConfig.types.JSON, config={"max-size": _NEVER_ROTATED}),
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


def container_state(inspected: Mapping[str, Any]) -> ServerState:
    """Judge by ``State.Status``, not ``State.Running``: a container that restarts also "runs".

    Args:
        inspected: ``docker inspect`` of the container, freshly read.
    """
    state = inspected.get("State") or {}
    status = str(state.get("Status", "unknown"))
    restarts = int(inspected.get("RestartCount") or 0)
    if status in {"running", "created"} and restarts == 0:
        return ServerState(running=True)
    if status == "paused":
        own = str(inspected.get("Name", "")).lstrip("/")
        detail = f"its container {own} is paused"
        return ServerState(running=True, detail=detail, stands_still=True)
    notes = [f"the container is {status}"]
    exit_code = state.get("ExitCode")
    if isinstance(exit_code, int):
        name = _SIGNALS.get(exit_code - _SIGNALLED)
        notes.append(f"exit code {exit_code}" + (f" ({name})" if name else ""))
    if state.get("OOMKilled"):
        notes.append("OOMKilled: it was over its memory limit")
    if restarts:
        notes.append(f"restarted {restarts} times")
    if state.get("Error"):
        notes.append(str(state["Error"]))
    code = exit_code if isinstance(exit_code, int) and status != "running" else None
    killed = bool(state.get("OOMKilled"))
    return ServerState(running=False, exit_code=code, detail=", ".join(notes), oom_killed=killed)


def container_record(inspected: Mapping[str, Any]) -> dict[str, object]:
    """What a run keeps of ``docker inspect``: an allow-list, with no secret's value.

    Everything else, such as paths of the engine's own storage, stays out.
    """
    config = inspected.get("Config") or {}
    host = inspected.get("HostConfig") or {}
    state = inspected.get("State") or {}
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return {
        "id": inspected.get("Id"),
        "name": str(inspected.get("Name", "")).lstrip("/"),
        "image": config.get("Image"),
        "image_id": inspected.get("Image"),
        "entrypoint": redact_command(config.get("Entrypoint") or ()),
        "arguments": redact_command(config.get("Cmd") or ()),
        "environment": redact_environment({name: value for name, _, value in pairs}),
        "labels": redact_environment(config.get("Labels") or {}),
        "user": config.get("User") or "root",
        "published": host.get("PortBindings") or {},
        "mounts": [
            {
                "source": mount.get("Name") or mount.get("Source"),
                "target": mount.get("Destination"),
                "writable": mount.get("RW"),
            }
            for mount in inspected.get("Mounts") or ()
        ],
        "device_requests": host.get("DeviceRequests") or [],
        "ipc_mode": host.get("IpcMode"),
        "shm_size_bytes": host.get("ShmSize"),
        "ulimits": host.get("Ulimits") or [],
        "runtime": host.get("Runtime"),
        "started_at": state.get("StartedAt"),
    }
