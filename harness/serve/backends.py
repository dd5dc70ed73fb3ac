"""From the spec's word to a backend; Docker's SDK is imported only where it is used."""

from __future__ import annotations

from harness.serve.external import ExternalBackend
from harness.serve.native import NativeBackend
from harness.serve.protocol import Backend
from harness.settings import RunSpec
from harness.words import BackendName

__all__ = ["make_backend"]


def make_backend(spec: RunSpec) -> Backend:
    """The backend that the spec names.

    Raises:
        EnvironmentError_: the Docker engine cannot be reached.
    """
    if spec.backend is BackendName.NATIVE:
        return NativeBackend()
    if spec.backend is BackendName.EXTERNAL:
        return ExternalBackend()
    from harness.serve.docker import DockerBackend

    return DockerBackend()
