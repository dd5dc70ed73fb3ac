"""Whether a port is free, and who holds it if not."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentError_

__all__ = ["PortOwner", "check_port_free", "free_port", "port_owner"]

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
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
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
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((address, port))
                return port
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def port_owner(port: int) -> PortOwner | None:
    """The process that listens on ``port``; ``None`` without /proc or without the right to see."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for handle in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(handle.readlink()) in inodes:
                        return PortOwner(int(process.name), _program(process))
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for row in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found


def _program(process: Path) -> str:
    """The program and the start of its arguments; what follows may be private to its owner."""
    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    line = " ".join(" ".join(words[:3]).split())
    return line[:80] or "a process"
