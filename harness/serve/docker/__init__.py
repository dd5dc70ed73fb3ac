"""vLLM servers as containers of the local Docker engine, and what a killed run left of them.

How a container is asked for and what is said about it are pure; `docker_server` acts on it.
"""

from harness.serve.docker.container import container_arguments, container_record
from harness.serve.docker.docker_server import DockerBackend, DockerServer
from harness.serve.docker.engine import (
    connect,
    docker_host,
    engine_gpu_access,
    find_leftovers,
    remove_leftovers,
)

__all__ = [
    "DockerBackend",
    "DockerServer",
    "connect",
    "container_arguments",
    "container_record",
    "docker_host",
    "engine_gpu_access",
    "find_leftovers",
    "remove_leftovers",
]
