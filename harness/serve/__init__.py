"""One vLLM server up and down, by Docker, natively or run by someone else.

What a server is started with is computed by pure functions; the backends act on it.
"""

from harness.serve.container_options import LABEL_PREFIX, ContainerOptions, GpuRequest, Mount
from harness.serve.environment import is_secret_name
from harness.serve.host import GpuAccess, Host, this_host
from harness.serve.options import LaunchOptions, launch_options
from harness.serve.protocol import Backend, Server, ServerState

__all__ = [
    "LABEL_PREFIX",
    "Backend",
    "ContainerOptions",
    "GpuAccess",
    "GpuRequest",
    "Host",
    "LaunchOptions",
    "Mount",
    "Server",
    "ServerState",
    "is_secret_name",
    "launch_options",
    "this_host",
]
