"""A registry asked over HTTP: what a tag means now, as index digest and as platform digest.

The engine tells only the digest of what it pulled, which is the index of a multi-platform image.
A record of what really ran needs the platform's manifest too (OCI distribution specification 1.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx

from harness.errors import EnvironmentError_
from harness.images.reference import DOCKER_HUB, ImageReference

__all__ = ["RegistryDigests", "read_digests"]

_HUB_ADDRESS = "https://registry-1.docker.io"
_TIMEOUT_S = 20.0
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){3})(:\d+)?")


@dataclass(frozen=True, slots=True)
class RegistryDigests:
    """What a reference means in its registry.

    Attributes:
        digest: of the index, or of the manifest where there is no index.
        platform_digest: of the manifest for the platform asked for; equal to ``digest`` without an
            index, ``None`` if the index has no such platform.
    """

    digest: str
    platform_digest: str | None


def read_digests(
    reference: ImageReference,
    platform: str = "linux/amd64",
    *,
    transport: httpx.BaseTransport | None = None,
) -> RegistryDigests:
    """Ask the registry, anonymously.

    Args:
        reference: by tag or by digest.
        platform: ``os/architecture``.
        transport: replaces the network, for tests.

    Raises:
        EnvironmentError_: no answer, no such image, or it needs a login.
    """
    with httpx.Client(
        base_url=_address(reference.registry), timeout=_TIMEOUT_S, transport=transport
    ) as client:
        try:
            answer = _manifest(client, reference)
        except httpx.HTTPError as error:
            raise EnvironmentError_(
                f"the registry of {reference} does not answer: {error}",
                hint="check the network; a local image is pinned by its id instead",
            ) from error
    if answer.status_code != httpx.codes.OK:
        raise EnvironmentError_(
            f"the registry refused {reference}: HTTP {answer.status_code}",
            hint="check the name and tag; a private image needs docker login and a pull first",
        )
    digest = f"sha256:{sha256(answer.content).hexdigest()}"
    return RegistryDigests(digest, _platform_digest(answer.json(), digest, platform))


def _address(registry: str) -> str:
    if registry == DOCKER_HUB:
        return _HUB_ADDRESS
    scheme = "http" if _LOOPBACK.fullmatch(registry) else "https"
    return f"{scheme}://{registry}"


def _manifest(client: httpx.Client, reference: ImageReference) -> httpx.Response:
    path = f"/v2/{reference.repository}/manifests/{reference.digest or reference.tag}"
    headers = {"Accept": ", ".join((*_INDEXES, *_MANIFESTS))}
    answer = client.get(path, headers=headers)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        token = _token(client, answer.headers.get("WWW-Authenticate", ""))
        if token is not None:
            answer = client.get(path, headers={**headers, "Authorization": f"Bearer {token}"})
    return answer


def _token(client: httpx.Client, challenge: str) -> str | None:
    """An anonymous pull token, as the registry's challenge says where to get one."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.pop("realm", None)
    if realm is None:
        return None
    answer = client.get(realm, params=fields)
    if answer.status_code != httpx.codes.OK:
        return None
    body: Mapping[str, Any] = answer.json()
    token = body.get("token") or body.get("access_token")
    return str(token) if token else None


def _platform_digest(body: Mapping[str, Any], digest: str, platform: str) -> str | None:
    if body.get("mediaType") not in _INDEXES and "manifests" not in body:
        return digest
    wanted_os, _, wanted_architecture = platform.partition("/")
    for entry in body.get("manifests", ()):
        found = entry.get("platform") or {}
        if (found.get("os"), found.get("architecture")) == (wanted_os, wanted_architecture):
            return str(entry["digest"])
    return None
