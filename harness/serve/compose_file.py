"""The two servers of a model as a Docker Compose file, from the same launch options; pure.

Compose is for people who start servers by hand and point ``--backend external`` at them. What a
run starts itself comes from the same `LaunchOptions`; a test holds the two together.
"""

import os
from pathlib import Path
from typing import Any

from harness.machine import GpuAccess, Host
from harness.serve.container_options import LABEL_PREFIX, Mount
from harness.serve.launch import LaunchOptions, launch_options
from harness.settings import ModelSpec, RunSpec
from harness.words import BackendName

_HF_HOME = Path("/harness-huggingface-home")
"""Stands for the Hugging Face cache of whoever runs the file."""
_HF_HOME_IN_FILE = "${HF_HOME:-~/.cache/huggingface}"
_HEALTH = "import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/health', timeout=5)"


def compose_file(
    spec: RunSpec,
    model: ModelSpec,
    *,
    image: str,
    gpu: GpuAccess,
    root: Path,
    folder: Path,
) -> dict[str, Any]:
    """The file's content: a service a mode, on neighbouring ports.

    Args:
        spec: the run whose servers these are.
        model: one of ``spec.models``.
        image: the image's reference, by digest where one is known.
        gpu: how containers get at the GPUs.
        root: what relative model folders are relative to.
        folder: where the file will be; folders in it are relative to that.
    """
    host = Host("", 0, root, root, _HF_HOME, gpu)
    # what a person starts by hand has no nonce, and nothing of this installation mounted into it
    controls = spec.controls.model_copy(update={"worker_proof": False})
    docker_spec = spec.model_copy(update={"backend": BackendName.DOCKER, "controls": controls})
    services: dict[str, Any] = {}
    volumes: dict[str, Any] = {}
    for offset, mode in enumerate(spec.modes):
        options = launch_options(docker_spec, model, mode, host=host, image=image)
        services[mode.value] = compose_service(options, folder=folder, offset=offset)
        volumes[options.cache] = {"name": options.cache}
    return {"name": f"harness-{spec.name}", "services": services, "volumes": volumes}


def compose_service(options: LaunchOptions, *, folder: Path, offset: int = 0) -> dict[str, Any]:
    """One server as a Compose service, published ``offset`` ports above the spec's."""
    container = options.container
    if container is None:
        raise ValueError("a compose service needs launch options with a container")
    address, host_port, port = container.publish
    service: dict[str, Any] = {
        "image": container.image,
        "entrypoint": list(options.command),
        "command": list(options.arguments),
        # a name alone is passed through from the shell; a cleared one is set to nothing
        "environment": [
            *(f"{name}={value}" for name, value in sorted(options.environment.items())),
            # a switch of vLLM's own is a number
            *(f"{n}={'0' * n.startswith('VLLM_')}" for n in options.cleared_variables),
            *options.secret_variables,
        ],
        "ports": [f"{address}:{host_port + offset}:{port}"],
        "labels": {
            f"{LABEL_PREFIX}mode": options.mode.value,
            f"{LABEL_PREFIX}model": options.model,
        },
        "volumes": [_volume(mount, folder) for mount in container.mounts],
        "ipc": "private",
        "shm_size": container.shm_size,
        "ulimits": {name: {"soft": limit, "hard": limit} for name, limit in container.ulimits},
        "logging": {"driver": "json-file"},
        "restart": "no",
        "stop_grace_period": f"{options.stop_timeout_s:.0f}s",
        "healthcheck": {
            "test": ["CMD", options.command[0], "-c", _HEALTH.format(port=port)],
            "interval": "5s",
            "timeout": "10s",
            "retries": 3,
            "start_period": f"{options.startup_timeout_s:.0f}s",
        },
    }
    gpu = container.gpu
    if gpu.access is GpuAccess.CDI:
        # under `devices` Compose 2.26 takes the name for a path
        device = {"driver": "cdi", "device_ids": list(gpu.cdi_devices), "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    elif gpu.access is not GpuAccess.NONE:
        ids = gpu.device_ids
        chosen = {"count": "all"} if ids is None else {"device_ids": list(ids)}
        device = {"driver": "nvidia", **chosen, "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    return service


def _volume(mount: Mount, folder: Path) -> dict[str, Any]:
    if mount.source == str(_HF_HOME):
        source = _HF_HOME_IN_FILE
    elif mount.is_volume:
        source = mount.source
    else:
        source = os.path.relpath(mount.source, folder)
        source = source if source.startswith(".") else f"./{source}"
    volume: dict[str, Any] = {
        "type": "volume" if mount.is_volume else "bind",
        "source": source,
        "target": mount.target,
        "read_only": mount.read_only,
    }
    if not (mount.is_volume or mount.read_only):
        volume["bind"] = {"create_host_path": True}
    return volume
