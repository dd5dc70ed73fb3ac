"""Where the servers run: this machine, and for containers the exact image and the GPU access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import to_builtins

from harness.conduct.progress import RunProgress
from harness.machine import Host, Versions, interpreter_versions, this_host
from harness.serve import Backend, make_backend
from harness.settings import RunSpec
from harness.words import BackendName

if TYPE_CHECKING:
    from harness.images import ResolvedImage


@dataclass(frozen=True, slots=True)
class Site:
    """What launch options need to know beyond the spec.

    Attributes:
        backend: who starts the servers.
        host: this machine, with its way to the GPUs.
        image: the image that the spec's name means, checked against the lock; ``None`` without
            containers.
        native: of a native server's interpreter, asked once: an answer takes it a second.
    """

    backend: Backend
    host: Host
    image: ResolvedImage | None = None
    native: Versions = field(default_factory=Versions)

    @property
    def image_reference(self) -> str | None:
        """What a container is started from: by digest, or a local image's id."""
        return self.image.reference if self.image else None

    def versions(self) -> dict[str, str]:
        """Versions read from inside the image."""
        found = to_builtins(self.image.entry.versions) if self.image else {}
        return {name: value for name, value in found.items() if value and name != "python"}

    def vllm_release(self, spec: RunSpec) -> str | None:
        """The vLLM that a server of ours will run; ``None`` where it cannot be told beforehand."""
        if spec.backend is BackendName.NATIVE:
            return self.native.vllm
        return self.versions().get("vllm")

    def server_packages(self, spec: RunSpec) -> Mapping[str, str]:
        """Versions of what a server of ours will run, as far as they can be told beforehand."""
        if spec.backend is BackendName.NATIVE:
            return self.native.packages
        return self.versions()

    def verify_unchanged(self) -> None:
        """Check that the image is still what it was.

        Raises:
            ImageMismatch: it was retagged, rebuilt or removed while the run worked.
        """
        if self.image is not None:
            from harness.images import verify_unchanged
            from harness.serve.docker import connect

            verify_unchanged(self.image, connect())


def find_site(spec: RunSpec, progress: RunProgress) -> Site:
    """Find out where the servers will run; pulls the image if it is not here.

    Raises:
        EnvironmentError_: no engine, no image, or no way to the GPU that the image needs.
        ImageMismatch: the image is not the one that the lock names.
    """
    backend = make_backend(spec)
    if spec.backend is BackendName.NATIVE:
        native = interpreter_versions(spec.server.native_argv[0])
        return Site(backend, this_host(), native=native)
    if spec.backend is BackendName.EXTERNAL:
        return Site(backend, this_host())
    from harness.images import resolve_and_pin
    from harness.serve.docker import connect_for_servers, docker_host

    client = connect_for_servers()
    image = resolve_and_pin(spec.image, client, progress=progress.note)
    return Site(backend, docker_host(client, needs_gpu=image.needs_gpu), image)
