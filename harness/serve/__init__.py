"""One vLLM server up and down, by Docker, natively or run by someone else.

What a server is started with is computed by pure functions; the backends act on it.
"""

from harness.serve.compose_file import compose_file
from harness.serve.container_options import LABEL_PREFIX, ContainerOptions, GpuRequest, Mount
from harness.serve.external import external_refusal, served_models
from harness.serve.failures import FailureKind, StartupFailure, classify_startup_failure
from harness.serve.launch import LaunchOptions, launch_options
from harness.serve.leftovers import RUN_MARK, Swept, marks_of, sweep_everything, sweep_folder
from harness.serve.log_files import last_lines, new_log, read_log
from harness.serve.own_endpoints import ask_server_info, ask_workers, let_go, why_not_held
from harness.serve.ports import check_port_free, free_port, listening, lock_port, port_owner
from harness.serve.protocol import Backend, Server, ServerState, make_backend, server_evidence
from harness.serve.readiness import Liveness, Readiness, describe_death, wait_until_ready
from harness.serve.server_arguments import added
from harness.serve.supervised import supervised

__all__ = [
    "LABEL_PREFIX",
    "RUN_MARK",
    "Backend",
    "ContainerOptions",
    "FailureKind",
    "GpuRequest",
    "LaunchOptions",
    "Liveness",
    "Mount",
    "Readiness",
    "Server",
    "ServerState",
    "StartupFailure",
    "Swept",
    "added",
    "ask_server_info",
    "ask_workers",
    "check_port_free",
    "classify_startup_failure",
    "compose_file",
    "describe_death",
    "external_refusal",
    "free_port",
    "last_lines",
    "launch_options",
    "let_go",
    "listening",
    "lock_port",
    "make_backend",
    "marks_of",
    "new_log",
    "port_owner",
    "read_log",
    "served_models",
    "server_evidence",
    "supervised",
    "sweep_everything",
    "sweep_folder",
    "wait_until_ready",
    "why_not_held",
]
