"""vLLM servers as containers of the local Docker engine, and what a killed run left of them.

How a container is asked for and what is said about it are pure; `server` acts on it.
"""

from harness.serve.docker.arguments import container_arguments
from harness.serve.docker.engine import connect, engine_address
from harness.serve.docker.gpu import docker_host, engine_gpu_access, gpu_access
from harness.serve.docker.leftovers import LeftoverContainer, find_leftovers, remove_leftovers
from harness.serve.docker.server import DockerBackend, DockerServer
from harness.serve.docker.state import container_record

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
