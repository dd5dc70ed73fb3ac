"""Digests from a registry's answers, over httpx's mock transport."""

from __future__ import annotations

import json
from hashlib import sha256

import httpx
import pytest
from hostile_server import UNREADABLE, WRONG, HostileServer

from harness.errors import EnvironmentError_
from harness.images import ImageReference, read_digests

INDEX = json.dumps(
    {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {"digest": "sha256:a", "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": "sha256:b", "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": "sha256:c", "platform": {"os": "unknown", "architecture": "unknown"}},
        ],
    }
).encode()
REFERENCE = ImageReference.parse("vllm/vllm-openai:v0.19.1")


def _hub(request: httpx.Request) -> httpx.Response:
    """Answers as Docker Hub does: a challenge, an anonymous token, then the index."""
    if request.url.path == "/token":
        assert request.url.params["scope"] == "repository:vllm/vllm-openai:pull"
        return httpx.Response(200, json={"token": "t"})
    if request.headers.get("Authorization") != "Bearer t":
        challenge = (
            'Bearer realm="https://auth.example/token",service="registry.example",'
            'scope="repository:vllm/vllm-openai:pull"'
        )
        return httpx.Response(401, headers={"WWW-Authenticate": challenge})
    return httpx.Response(200, content=INDEX)


def test_an_index_gives_its_own_digest_and_the_platforms():
    found = read_digests(REFERENCE, "linux/arm64", transport=httpx.MockTransport(_hub))
    assert found.digest == f"sha256:{sha256(INDEX).hexdigest()}"
    assert found.platform_digest == "sha256:b"


def test_an_index_without_the_platform_says_so():
    found = read_digests(REFERENCE, "linux/s390x", transport=httpx.MockTransport(_hub))
    assert found.platform_digest is None


def test_a_single_manifest_is_its_own_platform():
    body = b'{"mediaType": "application/vnd.oci.image.manifest.v1+json"}'
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    found = read_digests(REFERENCE, transport=transport)
    assert found.digest == found.platform_digest == f"sha256:{sha256(body).hexdigest()}"


def test_an_unknown_tag_is_an_environment_error():
    transport = httpx.MockTransport(lambda _: httpx.Response(404))
    with pytest.raises(EnvironmentError_, match="404"):
        read_digests(REFERENCE, transport=transport)


@pytest.mark.parametrize(
    "says", [*UNREADABLE.values(), *WRONG.values()], ids=[*UNREADABLE.keys(), *WRONG.keys()]
)
def test_whatever_a_registry_says_is_digests_or_one_message(says: bytes):
    with HostileServer({"*": says}) as server:
        reference = ImageReference.parse(f"{server.url.removeprefix('http://')}/org/name:tag")
        try:
            found = read_digests(reference)
        except EnvironmentError_ as error:
            told = str(error)
        else:
            told = found.digest
    assert told.startswith(("sha256:", "the registry"))
