"""What ``docker inspect`` says about a container, as a state and as a record without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.serve.environment import is_secret_name
from harness.serve.protocol import ServerState

__all__ = ["container_record", "container_state", "environment_of"]

_SIGNALLED = 128
_SIGNALS = {2: "SIGINT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}


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
        return ServerState(running=True, detail="the container is paused")
    notes = [f"the container is {status}"]
    exit_code = state.get("ExitCode")
    if isinstance(exit_code, int):
        notes.append(f"exit code {exit_code}{_signal_note(exit_code)}")
    if state.get("OOMKilled"):
        notes.append("OOMKilled: it was over its memory limit")
    if restarts:
        notes.append(f"restarted {restarts} times")
    if state.get("Error"):
        notes.append(str(state["Error"]))
    code = exit_code if isinstance(exit_code, int) and status != "running" else None
    return ServerState(running=False, exit_code=code, detail=", ".join(notes))


def _signal_note(exit_code: int) -> str:
    name = _SIGNALS.get(exit_code - _SIGNALLED)
    return f" ({name})" if name else ""


def environment_of(inspected: Mapping[str, Any]) -> dict[str, str]:
    """``Config.Env`` with the values of secrets taken out."""
    pairs = (entry.partition("=") for entry in (inspected.get("Config") or {}).get("Env") or ())
    return {name: "(secret)" if is_secret_name(name) else value for name, _, value in sorted(pairs)}


def container_record(inspected: Mapping[str, Any]) -> dict[str, object]:
    """What a run keeps of ``docker inspect``: an allow-list, with no secret's value.

    Everything else, such as paths of the engine's own storage, stays out.
    """
    config = inspected.get("Config") or {}
    host = inspected.get("HostConfig") or {}
    state = inspected.get("State") or {}
    return {
        "id": inspected.get("Id"),
        "name": str(inspected.get("Name", "")).lstrip("/"),
        "image": config.get("Image"),
        "image_id": inspected.get("Image"),
        "entrypoint": config.get("Entrypoint"),
        "arguments": config.get("Cmd"),
        "environment": environment_of(inspected),
        "labels": config.get("Labels") or {},
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
