"""One vLLM server up and down, by Docker, natively or run by someone else.

What a server is started with is computed by pure functions; the backends act on it.
"""

from harness.machine import GpuAccess, Host, this_host
from harness.serve.backends import make_backend
from harness.serve.compose import compose_file
from harness.serve.container_options import LABEL_PREFIX, ContainerOptions, GpuRequest, Mount
from harness.serve.environment import is_secret_name
from harness.serve.evidence import server_evidence
from harness.serve.failures import FailureKind, StartupFailure, classify_startup_failure
from harness.serve.log_files import file_stem, last_lines, new_log, read_log, safe_name
from harness.serve.options import LaunchOptions, launch_options
from harness.serve.orphans import sweep_folder
from harness.serve.ports import check_port_free, free_port, port_owner
from harness.serve.protocol import Backend, Server, ServerState
from harness.serve.readiness import Readiness, describe_death, wait_until_ready
from harness.serve.sweep import Swept, sweep_everything

__all__ = [
    "LABEL_PREFIX",
    "Backend",
    "ContainerOptions",
    "FailureKind",
    "GpuAccess",
    "GpuRequest",
    "Host",
    "LaunchOptions",
    "Mount",
    "Readiness",
    "Server",
    "ServerState",
    "StartupFailure",
    "Swept",
    "check_port_free",
    "classify_startup_failure",
    "compose_file",
    "describe_death",
    "file_stem",
    "free_port",
    "is_secret_name",
    "last_lines",
    "launch_options",
    "make_backend",
    "new_log",
    "port_owner",
    "read_log",
    "safe_name",
    "server_evidence",
    "sweep_everything",
    "sweep_folder",
    "this_host",
    "wait_until_ready",
]
