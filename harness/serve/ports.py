"""Whether a port is free, who holds it if not, and the lock that keeps two runs from one port.

vLLM binds its port with ``SO_REUSEPORT`` long before it listens, and the kernel then shares the
requests among all that listen there. So a free port is not enough: it is locked for a lifetime, and
everybody who listens on it is looked at.
"""

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentError_
from harness.locks import Lock, holder_of

_LISTEN = "0A"
_LOCKS = Path("/tmp")
"""One folder for all users and processes of a machine, so neither ``TMPDIR`` nor a user's own."""
_TRIES, _TRY_AGAIN_S = 5, 0.1
_LONGEST_NAME = 80
_PROXIES = frozenset(
    {"docker-proxy", "rootlesskit", "rootlessport", "slirp4netns", "pasta", "com.docker.backend"}
)
"""Programs by which an engine publishes a port; one that uses the firewall alone has none."""


@dataclass(frozen=True, slots=True)
class PortOwner:
    """The process that listens on a port, as far as this user may see."""

    pid: int
    program: str

    @property
    def publishes(self) -> bool:
        """Whether it is a container engine's, and passes the port on to a container."""
        return Path(self.program.partition(" ")[0]).name in _PROXIES

    def __str__(self) -> str:
        return f"{self.program} (pid {self.pid})"


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket; ``owners`` is empty where this user may not see them."""

    inode: str
    owners: tuple[PortOwner, ...]


def check_port_free(port: int, address: str = "127.0.0.1") -> None:
    """Make sure that a server could listen there and would be alone.

    Raises:
        EnvironmentError_: another run has locked it, or something listens or is about to; named
            where it can be seen.
    """
    lock_port(port, f"a check (pid {os.getpid()})").release()
    listeners = listening(port)
    owner = next((owner for listener in listeners for owner in listener.owners), None)
    if owner and owner.publishes:
        step = f"docker ps --filter publish={port} names it, harness clean removes one of ours"
        raise _taken(port, f"by a container, published by {owner}", step)
    try:
        _bind(port, address)
    except OSError as error:
        raise _taken(port, f"by {owner}" if owner else f"({error.strerror})") from None
    if listeners:
        raise _taken(port, f"by {owner}" if owner else "by another user's process")
    if _is_bound_in_silence(port, address):
        raise _taken(port, "by a process that does not listen yet, as a starting vLLM does")


def lock_port(port: int, holder: str) -> Lock:
    """Hold the port until the lock is released or its last holder ends.

    Args:
        port: on this machine.
        holder: who takes it: the run and the process.

    Raises:
        EnvironmentError_: somebody else holds it.
    """
    folder = _LOCKS if _LOCKS.is_dir() else Path(tempfile.gettempdir())
    path = folder / f"harness-port-{port}.lock"
    for _ in range(_TRIES):
        if lock := Lock.take(path, holder, everybodys=True):
            return lock
        time.sleep(_TRY_AGAIN_S)  # another's check lasts a moment
    raise _taken(port, f"by {holder_of(path) or 'another run'}")


def free_port(start: int, address: str = "127.0.0.1") -> int:
    """The first port from ``start`` on that is free now."""
    for port in range(start, min(start + 200, 65536)):
        with contextlib.suppress(OSError):
            return _bind(port, address)
    return _bind(0, address)


def port_owner(port: int) -> PortOwner | None:
    """The process that listens on ``port``; ``None`` without /proc or without the right to see."""
    return next((owner for found in listening(port) for owner in found.owners), None)


def listening(port: int) -> tuple[Listener, ...]:
    """Every socket that listens on ``port``, at any address, in this network namespace."""
    inodes = {inode for state, inode in _sockets(port) if state == _LISTEN}
    owners: dict[str, list[PortOwner]] = {f"socket:[{inode}]": [] for inode in sorted(inodes)}
    for process in Path("/proc").glob("[0-9]*") if owners else ():
        with contextlib.suppress(OSError):
            for name in {_target(handle) for handle in (process / "fd").iterdir()} & owners.keys():
                # what follows the first words may be private to its owner
                words = (process / "cmdline").read_text(errors="replace").split("\0")[:3]
                program = " ".join(" ".join(words).split())[:_LONGEST_NAME] or "a process"
                owners[name].append(PortOwner(int(process.name), program))
    return tuple(Listener(inode, tuple(found)) for inode, found in owners.items())


def strange_listener(port: int, is_ours: Callable[[PortOwner], bool]) -> str:
    """Why the listeners of ``port`` are not one socket of ours alone; empty where they are.

    Args:
        port: on this machine.
        is_ours: whether a process belongs to the server. A listener whose processes this user may
            not see is left to whoever asks.
    """
    found = listening(port)
    for owner in (owner for listener in found for owner in listener.owners):
        if not is_ours(owner):
            return f"{owner} listens on port {port} too and does not belong to this server"
    if len(found) > 1:
        return (
            f"{len(found)} sockets listen on port {port}, and the kernel shares requests among them"
        )
    return ""


def _taken(port: int, by: str, step: str = "stop it") -> EnvironmentError_:
    return EnvironmentError_(
        f"port {port} is in use {by}",
        hint=f"{step}, or choose another port: --port {free_port(port + 1)}",
    )


def _bind(port: int, address: str, *, reuse: bool = True) -> int:
    """The port that could be had: ``port``, or for 0 whichever the kernel chose."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
        probe.bind((address, port))
        return int(probe.getsockname()[1])


def _is_bound_in_silence(port: int, address: str) -> bool:
    """Whether a socket has the port and does not listen: ``SO_REUSEADDR`` alone would not tell.

    A connection of an earlier server that is still dying down would hold it too, and is listed.
    """
    try:
        _bind(port, address, reuse=False)
    except OSError:
        return not any(True for _ in _sockets(port))
    return False


def _sockets(port: int) -> Iterator[tuple[str, str]]:
    """State and inode of every socket whose own port is ``port``."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for row in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = row.split()
                if int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[3], fields[9]


def _target(handle: Path) -> str:
    with contextlib.suppress(OSError):
        return str(handle.readlink())
    return ""
