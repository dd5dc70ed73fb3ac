"""Image references: taken apart, and what one means in its registry and to the local engine now.

The engine tells only the digest of what it pulled, which is the index of a multi-platform image.
A record of what really ran needs the platform's manifest too (OCI distribution specification 1.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

import docker
import httpx
from docker.errors import DockerException, ImageNotFound
from requests.exceptions import RequestException

from harness.errors import EnvironmentError_, UsageError
from harness.images.inventory.contents import ImageConfig, Layer
from harness.secrets import redact_command, redact_environment, redact_text

Progress = Callable[[str], None]

DOCKER_HUB = "docker.io"
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
_MOST_STEP = 2000
_METADATA = re.compile(
    r"(?:/bin/sh -c #\(nop\) +)?(?:ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER"
    r"|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME)\b"
)
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){3})(:\d+)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``[registry/]repository[:tag][@digest]``.

    Attributes:
        registry: ``docker.io`` where the reference names none.
        repository: without the registry; an official image's has ``library/`` in front.
        tag: ``None`` when only a digest is given; ``latest`` when neither is.
        digest: ``sha256:`` and 64 hex digits, of an index or of one platform's manifest.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read a reference as the ``docker`` command does.

        Raises:
            UsageError: it is none.
        """
        rest, at, digest = text.strip().partition("@")
        head, slash, tail = rest.partition("/")
        names_registry = bool(slash) and ("." in head or ":" in head or head == "localhost")
        registry, path = (head, tail) if names_registry else (DOCKER_HUB, rest)
        repository, colon, tag = path.partition(":")
        good_tag = not colon or _TAG.fullmatch(tag)
        good_digest = not at or _DIGEST.fullmatch(digest)
        if not (_REPOSITORY.fullmatch(repository) and good_tag and good_digest):
            hint = "write it as name:tag or name@sha256:<64 hex digits>"
            raise UsageError(f"{text!r} is not an image reference", hint=hint)
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        return cls(registry, repository, tag or (None if at else "latest"), digest or None)

    @property
    def familiar_name(self) -> str:
        """The repository as the engine shows it: without Docker Hub's name and ``library/``."""
        if self.registry != DOCKER_HUB:
            return f"{self.registry}/{self.repository}"
        return self.repository.removeprefix("library/")

    @property
    def key(self) -> str:
        """What the lock file knows it by: the name with its tag."""
        return f"{self.familiar_name}:{self.tag}" if self.tag else self.familiar_name

    def with_digest(self, digest: str) -> ImageReference:
        """The same repository at ``digest``."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.familiar_name}{tag}{digest}"


class RegistryDigests(NamedTuple):
    """What a reference means in its registry.

    Attributes:
        digest: of the index, or of the manifest where there is no index.
        platform_digest: of the manifest for the platform asked for; equal to ``digest`` without an
            index, ``None`` if the index has no such platform.
    """

    digest: str
    platform_digest: str | None


_NO_MANIFEST = (
    httpx.InvalidURL, ValueError, RecursionError, AttributeError, TypeError, KeyError,
)  # fmt: skip
"""What reading an answer raises that is no JSON, or JSON of another shape."""


def read_digests(
    reference: ImageReference,
    platform: str = "linux/amd64",
    *,
    transport: httpx.BaseTransport | None = None,
) -> RegistryDigests:
    """Ask the registry, anonymously; ``transport`` replaces the network, for tests.

    Raises:
        EnvironmentError_: no answer, no such image, or it needs a login.
    """
    scheme = "http" if _LOOPBACK.fullmatch(reference.registry) else "https"
    is_hub = reference.registry == DOCKER_HUB
    address = _HUB_ADDRESS if is_hub else f"{scheme}://{reference.registry}"
    hint = "check the network; a local image is pinned by its id instead"
    with httpx.Client(base_url=address, timeout=_TIMEOUT_S, transport=transport) as client:
        try:
            answer = _manifest(client, reference)
            body = answer.json() if answer.status_code == httpx.codes.OK else {}
            entries = [(entry, entry.get("platform") or {}) for entry in body.get("manifests", ())]
            platforms = {
                (found.get("os"), found.get("architecture")): str(entry["digest"])
                for entry, found in reversed(entries)
            }
        except httpx.HTTPError as error:
            problem = f"the registry of {reference} does not answer: {error}"
            raise EnvironmentError_(problem, hint=hint) from error
        except _NO_MANIFEST as error:
            problem = f"the registry's answer for {reference} is no manifest: {error!r}"
            raise EnvironmentError_(problem[:300], hint=hint) from error
    if answer.status_code != httpx.codes.OK:
        hint = "check the name and tag; a private image needs docker login and a pull first"
        problem = f"the registry refused {reference}: HTTP {answer.status_code}"
        raise EnvironmentError_(problem, hint=hint)
    digest = f"sha256:{sha256(answer.content).hexdigest()}"
    if body.get("mediaType") not in _INDEXES and "manifests" not in body:
        return RegistryDigests(digest, digest)
    system, _, processor = platform.partition("/")
    return RegistryDigests(digest, platforms.get((system, processor)))


def _manifest(client: httpx.Client, reference: ImageReference) -> httpx.Response:
    """Asked again with an anonymous pull token, where the registry's challenge wants one."""
    path = f"/v2/{reference.repository}/manifests/{reference.digest or reference.tag}"
    headers = {"Accept": ", ".join((*_INDEXES, *_MANIFESTS))}
    answer = client.get(path, headers=headers)
    if answer.status_code != httpx.codes.UNAUTHORIZED:
        return answer
    fields = dict(re.findall(r'(\w+)="([^"]*)"', answer.headers.get("WWW-Authenticate", "")))
    realm = fields.pop("realm", None)
    given = client.get(realm, params=fields) if realm else answer
    if given.status_code != httpx.codes.OK:
        return answer
    body: Mapping[str, Any] = given.json()
    token = body.get("token") or body.get("access_token")
    bearer = {**headers, "Authorization": f"Bearer {token}"}
    return client.get(path, headers=bearer) if token else answer


def image_config(
    inspected: Mapping[str, Any], history: Sequence[Mapping[str, Any]] = ()
) -> ImageConfig:
    """``docker inspect`` and ``docker history`` of an image, without secrets.

    The history is newest first, as the engine gives it.
    """
    config = inspected.get("Config") or {}
    labels = dict(config.get("Labels") or {})
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    environment = {name: value for name, _, value in pairs}
    entrypoint, command = (
        (words,) if isinstance(words, str) else tuple(words or ())
        for words in (config.get("Entrypoint"), config.get("Cmd"))
    )
    devices = labels.get("harness.device"), environment.get("VLLM_TARGET_DEVICE")
    started = tuple(redact_command((*entrypoint, *command)))
    system, machine = inspected.get("Os") or "linux", inspected.get("Architecture") or "unknown"
    return ImageConfig(
        id=str(inspected["Id"]),
        digests=tuple(inspected.get("RepoDigests") or ()),
        platform=f"{system}/{machine}",
        created=str(inspected.get("Created") or ""),
        size_bytes=int(inspected.get("Size") or 0),
        layers=_layers((inspected.get("RootFS") or {}).get("Layers") or (), history),
        labels=redact_environment(labels),
        environment=redact_environment(environment),
        entrypoint=started[: len(entrypoint)],
        command=started[len(entrypoint) :],
        user=str(config.get("User") or "root"),
        working_directory=str(config.get("WorkingDir") or "/"),
        ports=tuple(sorted(config.get("ExposedPorts") or ())),
        needs_gpu="cpu" not in devices,
    )


def _layers(diff_ids: Sequence[str], history: Sequence[Mapping[str, Any]]) -> tuple[Layer, ...]:
    """Layers with the step that made each, where as many steps as layers can have made one.

    An engine does not say which step made which layer; steps that only set metadata make none.
    """
    made = [
        (int(step.get("Size") or 0), words)
        for step in reversed(history)
        for words in [" ".join(str(step.get("CreatedBy") or "").split())]
        if not _METADATA.match(words)
    ]
    if len(made) != len(diff_ids):
        return tuple(Layer(str(diff_id)) for diff_id in diff_ids)
    return tuple(
        Layer(str(diff_id), size, redact_text(words)[:_MOST_STEP])
        for diff_id, (size, words) in zip(diff_ids, made, strict=True)
    )


def find_image(client: docker.DockerClient, reference: str) -> ImageConfig | None:
    """The image by name, digest or id; ``None`` if the engine does not have it.

    Raises:
        EnvironmentError_: the engine does not answer.
    """
    try:
        attrs = client.images.get(reference).attrs
    except ImageNotFound:
        return None
    except (DockerException, RequestException) as error:
        problem = f"the Docker engine could not look up {reference}: {error}"
        raise EnvironmentError_(problem, hint="see that it runs: docker info") from error
    return image_config(attrs)


def find_or_pull(
    client: docker.DockerClient, reference: ImageReference, progress: Progress
) -> ImageConfig:
    """The image that is here, or is once it was pulled.

    Raises:
        EnvironmentError_: it cannot be pulled, or the engine does not answer.
    """
    found = find_image(client, str(reference))
    if found is None:
        pull_image(client, reference, progress)
        found = find_image(client, str(reference))
    if found is None:
        raise EnvironmentError_(f"image {reference} was pulled and is not there")
    return found


def pull_image(
    client: docker.DockerClient, reference: ImageReference, progress: Progress
) -> str | None:
    """Pull by tag or by digest; the digest that the registry gave, from the engine's own words.

    Raises:
        EnvironmentError_: it cannot be pulled, with the engine's reason.
    """
    progress(f"pulling {reference}")
    target = reference.digest or reference.tag
    digest = None
    try:
        for event in client.api.pull(reference.familiar_name, tag=target, stream=True, decode=True):
            if "error" in event:
                raise _cannot_pull(reference, str(event["error"]))
            status = str(event.get("status", ""))
            if status.startswith("Digest: "):
                digest = status.removeprefix("Digest: ")
    except (DockerException, RequestException) as error:
        reason = getattr(error, "explanation", None) or error
        raise _cannot_pull(reference, str(reason)) from error
    return digest


def _cannot_pull(reference: ImageReference, reason: str) -> EnvironmentError_:
    return EnvironmentError_(
        f"image {reference} is not on this machine and cannot be pulled",
        hint="check the name and the network, log in (docker login) if it is private, or build or "
        "load it (docker load)",
        detail=(f"Docker: {' '.join(reason.split())}",),
    )
