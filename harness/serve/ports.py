"""Whether a port is free, and who holds it if not."""

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentError_

_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class PortOwner:
    """The process that listens on a port, as far as this user may see."""

    pid: int
    program: str

    def __str__(self) -> str:
        return f"{self.program} (pid {self.pid})"


def check_port_free(port: int, address: str = "127.0.0.1") -> None:
    """Make sure that a server could listen there.

    Raises:
        EnvironmentError_: something listens already; named where it can be seen.
    """
    try:
        _bind(port, address)
    except OSError as error:
        owner = port_owner(port)
        by = f" by {owner}" if owner else f" ({error.strerror})"
        raise EnvironmentError_(
            f"port {port} is in use{by}",
            hint=f"stop it, or choose another port: --port {free_port(port + 1)}",
        ) from None


def free_port(start: int, address: str = "127.0.0.1") -> int:
    """The first port from ``start`` on that is free now."""
    for port in range(start, min(start + 200, 65536)):
        with contextlib.suppress(OSError):
            return _bind(port, address)
    return _bind(0, address)


def _bind(port: int, address: str) -> int:
    """The port that could be had: ``port``, or for 0 whichever the kernel chose."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, port))
        return int(probe.getsockname()[1])


def port_owner(port: int) -> PortOwner | None:
    """The process that listens on ``port``; ``None`` without /proc or without the right to see."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for row in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):
            for handle in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(handle.readlink()) in inodes:
                        # what follows the first words may be private to its owner
                        words = (process / "cmdline").read_text(errors="replace").split("\0")[:3]
                        program = " ".join(" ".join(words).split())[:80] or "a process"
                        return PortOwner(int(process.name), program)
    return None
