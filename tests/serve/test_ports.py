"""A taken port is found before anything is started, with whoever holds it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import EnvironmentError_
from harness.serve import LaunchOptions, check_port_free, free_port, port_owner
from harness.serve.native import NativeBackend


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
