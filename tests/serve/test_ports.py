"""A taken port is found before anything is started, with whoever holds it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import EnvironmentError_
from harness.serve import (
    LaunchOptions,
    check_port_free,
    free_port,
    listening,
    lock_port,
    port_owner,
)
from harness.serve.native import NativeBackend, NativeServer
from harness.serve.ports import strange_listener


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_a_free_port_passes(free_port: int):
    check_port_free(free_port)


def test_a_taken_port_names_its_owner_and_a_way_out(taken: int):
    with pytest.raises(EnvironmentError_) as caught:
        check_port_free(taken)
    assert f"port {taken} is in use by" in str(caught.value)
    assert f"pid {os.getpid()}" in str(caught.value)
    suggested = re.search(r"--port (\d+)", str(caught.value))
    assert suggested
    check_port_free(int(suggested[1]))
    assert caught.value.exit_code == 3


def test_a_port_that_an_engine_publishes_is_said_to_be_a_containers(free_port: int, tmp_path: Path):
    (tmp_path / "docker-proxy").symlink_to(Path(sys.executable).resolve())
    serve = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); "
    serve += "print(flush=True); sys.stdin.read()"
    words = ["./docker-proxy", "-c", serve, str(free_port)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, cwd=tmp_path, **pipes) as proxy:
        assert proxy.stdin is not None
        assert proxy.stdout is not None
        proxy.stdout.readline()
        with pytest.raises(EnvironmentError_) as caught:
            check_port_free(free_port)
        proxy.stdin.close()
    assert "in use by a container" in str(caught.value)
    assert f"docker ps --filter publish={free_port}" in str(caught.value)
    assert "harness clean" in str(caught.value)


def test_a_port_taken_on_all_addresses_is_found():
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        with pytest.raises(EnvironmentError_, match="in use"):
            check_port_free(int(listener.getsockname()[1]))


def test_nobody_owns_a_free_port(free_port: int):
    assert port_owner(free_port) is None


def test_a_free_port_is_found_next_to_a_taken_one(taken: int):
    found = free_port(taken)
    assert found != taken
    check_port_free(found)


def test_a_native_server_is_not_started_on_a_taken_port(
    native_options: Callable[..., LaunchOptions], tmp_path: Path, free_port: int
):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port))
        listener.listen()
        with pytest.raises(EnvironmentError_, match=f"port {free_port}"):
            NativeBackend().start(native_options(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_locked_port_is_refused_with_its_holder_before_anything_listens(free_port: int):
    lock = lock_port(free_port, "run first (pid 1)")
    try:
        with pytest.raises(EnvironmentError_) as caught:
            check_port_free(free_port)
        assert f"port {free_port} is in use by run first (pid 1)" in str(caught.value)
        assert caught.value.exit_code == 3
    finally:
        lock.release()
    check_port_free(free_port)


def test_a_lock_ends_with_the_process_that_held_it(free_port: int):
    take = f"from harness.serve import lock_port; import os, time; lock_port({free_port}, 'x')\n"
    command = [sys.executable, "-c", take + "print(1, flush=True); time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(EnvironmentError_, match="in use by x"):
            lock_port(free_port, "y")
        holder.kill()
    lock_port(free_port, "y").release()


def test_a_supervisor_keeps_the_port_until_its_server_has_ended(
    native_options: Callable[..., LaunchOptions], tmp_path: Path, free_port: int
):
    server = NativeBackend().start(native_options(), tmp_path / "run")
    try:
        server._lock.release()  # as a kill of the harness does
        with pytest.raises(EnvironmentError_, match="in use by run test-run"):
            lock_port(free_port, "another")
    finally:
        server.stop()
    lock_port(free_port, "another").release()


def test_a_port_that_is_bound_and_does_not_listen_is_found(free_port: int):
    """As vLLM holds its port while it loads a model, with both options of reuse."""
    with socket.socket() as starting:
        starting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        starting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        starting.bind(("127.0.0.1", free_port))
        with pytest.raises(EnvironmentError_, match="does not listen yet"):
            check_port_free(free_port)


def test_a_port_that_somebody_has_at_another_address_is_not_free(free_port: int):
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.2", free_port))
        elsewhere.listen()
        with pytest.raises(EnvironmentError_, match=f"pid {os.getpid()}"):
            check_port_free(free_port)


def sharing(port: int, count: int) -> list[socket.socket]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        each.bind(("127.0.0.1", port))
        each.listen()
    return sockets


@pytest.mark.parametrize(
    ("count", "ours", "reason"),
    [
        (1, True, ""),
        (1, False, "does not belong to this server"),
        (2, True, "2 sockets listen"),
    ],
)
def test_one_listener_of_ours_alone_is_no_stranger(
    free_port: int, count: int, ours: bool, reason: str
):
    sockets = sharing(free_port, count)
    try:
        found = strange_listener(free_port, lambda owner: ours and owner.pid == os.getpid())
    finally:
        for each in sockets:
            each.close()
    assert reason in found
    assert bool(found) is bool(reason)


def test_a_native_server_is_alone_until_somebody_shares_its_port(
    start_native: Callable[..., NativeServer], free_port: int, until: Callable[..., None]
):
    server = start_native(STAND_IN_REUSEPORT="1")
    until(lambda: bool(listening(free_port)))
    assert server.strange_listener() == ""
    (stranger,) = sharing(free_port, 1)
    try:
        assert f"(pid {os.getpid()}) listens on port {free_port} too" in server.strange_listener()
    finally:
        stranger.close()
