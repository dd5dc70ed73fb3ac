"""This machine: its processor, memory, GPUs, and the way a server gets at them.

Probes never raise; what cannot be found out is said to be unknown.
"""

from harness.machine.host import GpuAccess, Host, this_host

__all__ = [
    "GpuAccess",
    "Host",
    "this_host",
]
