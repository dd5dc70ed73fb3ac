"""A real registry on loopback and tiny images that differ by a label."""

from __future__ import annotations

import io
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import httpx
import pytest

from harness.images.inventory.contents import Inventory
from harness.images.inventory.taking import ContentsCache, take_inventory

VLLM = "harness-vllm-cpu:0.32.0"


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=60)
    yield client
    client.close()


@pytest.fixture(scope="session")
def vllm_inventory(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Inventory:
    """Of the real engine's image, which takes ten seconds to read."""
    return take_inventory(VLLM, engine, cache=ContentsCache(tmp_path_factory.mktemp("cache")))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of Debian's docker-registry, started for the session."""
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{_free_port()}"
    (folder / "config.yml").write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log
        )
    try:
        _wait_for(f"http://{address}/v2/", folder / "registry.log")
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(url, timeout=2)
        except httpx.TransportError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def build(engine: docker.DockerClient) -> Iterator[Callable[[str, str], str]]:
    """Builds a tiny image with a label under a tag; returns its id and removes the tag later."""
    tags: list[str] = []

    def make(tag: str, label: str) -> str:
        context = io.BytesIO()
        text = f'FROM scratch\nCOPY Dockerfile /\nLABEL planted="{label}"\n'
        with tarfile.open(fileobj=context, mode="w") as archive:
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        context.seek(0)
        built, _ = engine.images.build(
            fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True
        )
        tags.append(tag)
        return str(built.id)

    yield make
    for tag in tags:
        try:
            engine.images.remove(tag, force=True)
        except docker.errors.ImageNotFound:
            continue


@pytest.fixture
def push(engine: docker.DockerClient, build: Callable[[str, str], str]) -> Callable[..., str]:
    """Builds and pushes; returns the digest that the registry gave."""

    def make(tag: str, label: str) -> str:
        build(tag, label)
        name, _, version = tag.rpartition(":")
        for event in engine.api.push(name, version, stream=True, decode=True):
            assert "error" not in event, event
            if "Digest" in event.get("aux", {}):
                return str(event["aux"]["Digest"])
        raise AssertionError("the registry gave no digest")

    return make


@pytest.fixture
def name(
    registry: str, request: pytest.FixtureRequest, engine: docker.DockerClient
) -> Iterator[str]:
    """A repository of this test's own in the registry; its images are removed afterwards."""
    repository = f"{registry}/{request.node.name.replace('_', '-')[:60].strip('-')}"
    yield repository
    for image in engine.images.list():
        for digest in image.attrs.get("RepoDigests") or ():
            if digest.startswith(f"{repository}@"):
                engine.images.remove(digest, force=True)
