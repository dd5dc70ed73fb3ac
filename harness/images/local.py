"""Images as the local engine has them: looked up, pulled, and their digests read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import docker
from docker.errors import DockerException, ImageNotFound
from requests.exceptions import RequestException

from harness.errors import EnvironmentError_
from harness.images.reference import ImageReference

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LocalImage:
    """What ``docker image inspect`` says, reduced to what the harness needs.

    Attributes:
        id: the engine's own id. Its meaning changed with Docker 29 (configuration digest before,
            manifest digest since), so it is compared on one engine only, never across machines.
        repo_digests: ``name@sha256:...`` for every repository that it was pulled from or pushed to.
        platform: such as ``linux/amd64``.
        environment: the image's own variables.
        size_bytes: unpacked size.
    """

    id: str
    repo_digests: tuple[str, ...]
    platform: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    entrypoint: tuple[str, ...]
    size_bytes: int

    def digests_in(self, reference: ImageReference) -> tuple[str, ...]:
        """The digests under which the image is known in the repository of ``reference``."""
        name = reference.familiar_name
        pairs = (entry.partition("@") for entry in self.repo_digests)
        return tuple(digest for repository, _, digest in pairs if repository == name)

    @property
    def needs_gpu(self) -> bool:
        """Whether the image is for GPUs: all are, but those that say that they are for a CPU."""
        says_cpu = (
            self.labels.get("harness.device") == "cpu"
            or self.environment.get("VLLM_TARGET_DEVICE") == "cpu"
        )
        return not says_cpu


def find_image(client: docker.DockerClient, reference: str) -> LocalImage | None:
    """The image by name, digest or id; ``None`` if the engine does not have it.

    Raises:
        EnvironmentError_: the engine does not answer.
    """
    try:
        attrs = client.images.get(reference).attrs
    except ImageNotFound:
        return None
    except (DockerException, RequestException) as error:
        raise EnvironmentError_(
            f"the Docker engine could not look up {reference}: {error}",
            hint="see that it runs: docker info",
        ) from error
    config = attrs.get("Config") or {}
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return LocalImage(
        id=str(attrs["Id"]),
        repo_digests=tuple(attrs.get("RepoDigests") or ()),
        platform=f"{attrs.get('Os') or 'linux'}/{attrs.get('Architecture') or 'unknown'}",
        labels=dict(config.get("Labels") or {}),
        environment={name: value for name, _, value in pairs},
        entrypoint=tuple(config.get("Entrypoint") or ()),
        size_bytes=int(attrs.get("Size") or 0),
    )


def find_or_pull(
    client: docker.DockerClient, reference: ImageReference, progress: Progress
) -> LocalImage:
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
    """Pull by tag or by digest.

    Returns:
        The digest that the registry gave, from the engine's own words.

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
