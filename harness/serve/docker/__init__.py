"""vLLM servers as containers of the local Docker engine, and what a killed run left of them.

How a container is asked for and what is said about it are pure; `docker_server` acts on it.
"""

from harness.serve.docker.container import container_arguments, container_record
from harness.serve.docker.docker_server import DockerBackend, DockerServer
from harness.serve.docker.engine import (
    PODMAN_HEEDS_CDI,
    connect,
    connect_for_servers,
    docker_host,
    engine_gpu_access,
    find_leftovers,
    podman_release,
    remove_leftovers,
)

__all__ = [
    "PODMAN_HEEDS_CDI",
    "DockerBackend",
    "DockerServer",
    "connect",
    "connect_for_servers",
    "container_arguments",
    "container_record",
    "docker_host",
    "engine_gpu_access",
    "find_leftovers",
    "podman_release",
    "remove_leftovers",
]
