"""Launch options: what a server is started with, computed before anything acts.

One pure function turns a run spec, a model and a mode into every argument, variable, mount and
label. The two modes of a run differ in ``VLLM_BATCH_INVARIANT`` and in the compile cache, and in
nothing else; a golden test holds that.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from harness.machine import Host, this_host
from harness.serve.arguments import server_arguments
from harness.serve.container_options import (
    CONTAINER_ENTRYPOINT,
    ContainerOptions,
    container_options,
)
from harness.serve.environment import (
    CLEARED_VARIABLES,
    SECRET_VARIABLES,
    redacted,
    server_environment,
)
from harness.serve.model_source import ModelSource, model_source
from harness.settings import ModelSpec, RunSpec
from harness.words import BackendName, Mode

__all__ = ["LaunchOptions", "launch_options"]


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """Everything that a backend needs to start one server.

    Attributes:
        backend: who starts it.
        model: the candidates' name of the model.
        hf_id: where the weights come from, as the spec says.
        mode: the kernel path asked for.
        served_model_name: what ``/v1/models`` must name and a request must ask for.
        port: the port on 127.0.0.1 that answers, for docker the published one.
        command: the program, without arguments: the native command or the image's entrypoint.
        arguments: what the program is given; ``--model X`` first, the spec's extras last.
        environment: variables to set; no secret is among them.
        cleared_variables: variables that must not reach the server from outside, because they
            hide the activation evidence.
        secret_variables: names (never values) passed through from the harness's environment.
        cache: the compile cache of this mode, a folder (native) or a volume name (docker).
        container: what only a container needs; ``None`` for other backends.
        base_url: where the server will answer.
        external_log: for an external server the file with its log, if there is one.
        run_id: the run that this server belongs to.
    """

    backend: BackendName
    model: str
    hf_id: str
    mode: Mode
    served_model_name: str
    port: int
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    cleared_variables: tuple[str, ...]
    secret_variables: tuple[str, ...]
    cache: str
    startup_timeout_s: float
    stop_timeout_s: float
    container: ContainerOptions | None
    base_url: str
    external_log: str | None = None
    run_id: str = ""

    @property
    def command_line(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return (*self.command, *self.arguments)

    def to_json(self) -> dict[str, object]:
        """The options as JSON values for the run folder, with secrets by name only."""
        return {
            "backend": self.backend.value,
            "model": self.model,
            "hf_id": self.hf_id,
            "mode": self.mode.value,
            "served_model_name": self.served_model_name,
            "port": self.port,
            "command": list(self.command_line),
            "environment": redacted(self.environment),
            "cleared_variables": list(self.cleared_variables),
            "secret_variables": list(self.secret_variables),
            "cache": self.cache,
            "startup_timeout_s": self.startup_timeout_s,
            "stop_timeout_s": self.stop_timeout_s,
            "container": self.container.to_json() if self.container else None,
            "base_url": self.base_url,
        }


def launch_options(
    spec: RunSpec,
    model: ModelSpec,
    mode: Mode,
    *,
    run_id: str = "",
    host: Host | None = None,
    image: str | None = None,
) -> LaunchOptions:
    """Compute what one server lifetime is started with.

    Args:
        spec: the run; only ``server``, ``controls``, ``backend``, ``image`` and ``external`` count.
        model: one of ``spec.models``.
        mode: the kernel path; it changes ``VLLM_BATCH_INVARIANT`` and the cache only.
        run_id: put into labels and into the native process's marker variable.
        host: what of this machine enters (paths, GPU access); read from it when ``None``.
        image: the resolved image reference (``name@sha256:...``) instead of ``spec.image``.

    Raises:
        UsageError: the spec's extra arguments or variables break the experiment or hold a secret,
            or a local model folder does not exist.
    """
    host = host or this_host()
    source = model_source(model, host.working_directory)
    external = spec.external.get(mode) if spec.backend is BackendName.EXTERNAL else None
    in_container = spec.backend is BackendName.DOCKER
    cache = host.cache_for(mode, in_container=in_container)
    return LaunchOptions(
        backend=spec.backend,
        model=model.name,
        hf_id=model.hf_id,
        mode=mode,
        served_model_name=model.name,
        port=spec.server.port,
        command=_command(spec),
        arguments=server_arguments(spec, model, source, in_container=in_container),
        environment=server_environment(
            spec.server.env,
            mode,
            native_cache=None if in_container else cache,
            native_gpus=None if in_container else spec.server.gpu_device_ids,
        ),
        cleared_variables=CLEARED_VARIABLES,
        secret_variables=SECRET_VARIABLES,
        cache=cache,
        startup_timeout_s=spec.server.startup_timeout_s,
        stop_timeout_s=spec.server.stop_timeout_s,
        container=_container(spec, model, mode, source, host, cache, image, run_id),
        base_url=external.url.rstrip("/") if external else f"http://127.0.0.1:{spec.server.port}",
        external_log=external.log if external else None,
        run_id=run_id,
    )


def _command(spec: RunSpec) -> tuple[str, ...]:
    if spec.backend is BackendName.DOCKER:
        return CONTAINER_ENTRYPOINT
    if spec.backend is BackendName.NATIVE:
        return tuple(shlex.split(spec.server.native_command))
    return ()


def _container(
    spec: RunSpec,
    model: ModelSpec,
    mode: Mode,
    source: ModelSource,
    host: Host,
    cache: str,
    image: str | None,
    run_id: str,
) -> ContainerOptions | None:
    if spec.backend is not BackendName.DOCKER:
        return None
    return container_options(
        spec.server,
        image=image or spec.image,
        model_name=model.name,
        mode=mode,
        source=source,
        host=host,
        cache_volume=cache,
        run_id=run_id,
    )
