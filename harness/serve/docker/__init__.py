"""vLLM servers as containers of the local Docker engine, and what a killed run left of them.

How a container is asked for and what is said about it are pure; `docker_server` acts on it.
"""

from harness.serve.docker.container import container_arguments, container_record
from harness.serve.docker.docker_server import DockerBackend, DockerServer
from harness.serve.docker.engine import (
    connect,
    docker_host,
    engine_address,
    engine_gpu_access,
    gpu_access,
)
from harness.serve.docker.left_containers import (
    LeftoverContainer,
    find_leftovers,
    remove_leftovers,
)

__all__ = [
    "DockerBackend",
    "DockerServer",
    "LeftoverContainer",
    "connect",
    "container_arguments",
    "container_record",
    "docker_host",
    "engine_address",
    "engine_gpu_access",
    "find_leftovers",
    "gpu_access",
    "remove_leftovers",
]
