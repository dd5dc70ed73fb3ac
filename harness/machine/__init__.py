"""This machine: its processor, memory, GPUs, and the way a server gets at them.

Probes never raise; what cannot be found out is said to be unknown.
"""

from harness.machine.host import GpuAccess, Host, free_memory, host_facts, this_host
from harness.machine.probes import (
    VERSIONS_SCRIPT,
    Gpu,
    Gpus,
    Versions,
    git_commit,
    gpu_facts,
    harness_versions,
    interpreter_versions,
    parse_gpus,
    read_gpus,
)
from harness.machine.processes import (
    INVENTORY,
    LABEL_HOST,
    LABEL_PID,
    LABEL_PID_STARTED,
    LABEL_RUN,
    LABEL_SPACE,
    Owner,
    ProcessId,
    end_processes,
    end_with_parent,
    first_in_line,
    marked_processes,
    processes_with,
    this_space,
    wait_gone,
)

__all__ = [
    "INVENTORY",
    "LABEL_HOST",
    "LABEL_PID",
    "LABEL_PID_STARTED",
    "LABEL_RUN",
    "LABEL_SPACE",
    "VERSIONS_SCRIPT",
    "Gpu",
    "GpuAccess",
    "Gpus",
    "Host",
    "Owner",
    "ProcessId",
    "Versions",
    "end_processes",
    "end_with_parent",
    "first_in_line",
    "free_memory",
    "git_commit",
    "gpu_facts",
    "harness_versions",
    "host_facts",
    "interpreter_versions",
    "marked_processes",
    "parse_gpus",
    "processes_with",
    "read_gpus",
    "this_host",
    "this_space",
    "wait_gone",
]
