"""Launch options: what a server is started with, computed before anything acts.

One pure function turns a run spec, a model and a mode into every argument, variable, mount and
label. The two modes of a run differ in ``VLLM_BATCH_INVARIANT`` and in the compile cache, and in
nothing else; a golden test holds that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.machine import Host, this_host
from harness.models import weights_folder
from harness.prove import WORKER_EXTENSION
from harness.secrets import (
    names_a_secret,
    redact_command,
    redact_environment,
    without_url_password,
)
from harness.serve.container_options import (
    LABEL_PREFIX,
    ContainerOptions,
    GpuRequest,
    Mount,
    read_mount,
)
from harness.serve.server_arguments import (
    DEV_MODE,
    TELLS_CACHED,
    cascade,
    needs_development_endpoints,
    server_arguments,
)
from harness.settings import ModelSpec, RunSpec
from harness.wire import authorization
from harness.words import BackendName, DispatchMode, Mode, safe_name, served_name

_MODE_VARIABLE = "VLLM_BATCH_INVARIANT"
_HIDES = "it hides the activation evidence"
_CLEARED = {
    "PYTHONWARNINGS": _HIDES,
    "TORCH_CPP_LOG_LEVEL": _HIDES,
    "VLLM_USE_RUST_FRONTEND": "how the Rust front end answers a prompt list was not studied",
}
"""What may not reach a server, from the spec, the shell or the image, and why."""
_PASSED_ON = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_NOT_IN_ENV = {
    _MODE_VARIABLE: "the mode sets it; choose with modes:",
    "VLLM_CACHE_ROOT": "each mode has a compile cache of its own",
    **_CLEARED,
}
_EXTENSION_IN_CONTAINER = "/harness-worker-proof"
# Set explicitly: images before and after the switch to ``vllm serve`` then behave alike.
_ENTRYPOINT = ("python3", "-m", "vllm.entrypoints.openai.api_server")
_RELEASE_TAG = re.compile(r":v?(\d+\.\d+\.\d+)")
_PATH_STARTS = ("/", "./", "../", "~")


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """Everything that a backend needs to start one server.

    Attributes:
        backend: who starts it.
        model: the candidates' name of the model.
        hf_id: where the weights come from, as the spec says.
        mode: the kernel path asked for.
        served_model_name: what ``/v1/models`` must name and a request must ask for: the model's
            name with the lifetime's nonce, so that no other server answers for this one.
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
        key_variable: the environment variable with an external server's key, by name only.
        run_id: the run that this server belongs to.
        notes: what the spec asks for and the server is not given, and why.
        python_path: a folder to put before whatever ``PYTHONPATH`` is there; empty for none.
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
    key_variable: str | None = None
    run_id: str = ""
    python_path: str = ""
    notes: tuple[str, ...] = ()

    def python_path_before(self, variables: Mapping[str, str]) -> dict[str, str]:
        """``PYTHONPATH`` with ours in front, where there is one to add.

        Args:
            variables: what the server would get otherwise; the spec's own win over them.
        """
        if not self.python_path:
            return {}
        theirs = self.environment.get("PYTHONPATH") or variables.get("PYTHONPATH")
        return {"PYTHONPATH": f"{self.python_path}:{theirs}" if theirs else self.python_path}

    @property
    def headers(self) -> dict[str, str]:
        """Sent with every request to it; never written down.

        Raises:
            UsageError: the variable with its key is not set.
        """
        return authorization(self.key_variable)

    @property
    def has_development_endpoints(self) -> bool:
        """Whether the server is started with them."""
        return self.environment.get(DEV_MODE) == "1"

    @property
    def tells_cached_tokens(self) -> bool:
        """Whether we know that a usage tells the prompt tokens that came from the cache."""
        return self.backend is not BackendName.EXTERNAL and TELLS_CACHED in self.arguments

    @property
    def command_line(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return (*self.command, *self.arguments)

    @property
    def log_stem(self) -> str:
        """``<backend>_<mode>_<model>``: how the names of this server's files begin."""
        return f"{self.backend.value}_{self.mode.value}_{safe_name(self.model)}"

    def to_json(self) -> dict[str, object]:
        """The options as JSON values for the run folder, with secrets by name only."""
        return {
            "backend": self.backend.value,
            "model": self.model,
            "hf_id": self.hf_id,
            "mode": self.mode.value,
            "served_model_name": self.served_model_name,
            **({"python_path": self.python_path} if self.python_path else {}),
            **({"notes": list(self.notes)} if self.notes else {}),
            "port": self.port,
            "command": redact_command(self.command_line),
            "environment": redact_environment(self.environment),
            "cleared_variables": list(self.cleared_variables),
            "secret_variables": list(self.secret_variables),
            "cache": self.cache,
            "startup_timeout_s": self.startup_timeout_s,
            "stop_timeout_s": self.stop_timeout_s,
            "container": self.container.to_json() if self.container else None,
            "base_url": without_url_password(self.base_url),
        }


def launch_options(
    spec: RunSpec,
    model: ModelSpec,
    mode: Mode,
    *,
    run_id: str = "",
    host: Host | None = None,
    image: str | None = None,
    nonce: str = "",
    schedules: Collection[DispatchMode] | None = None,
    release: str | None = None,
) -> LaunchOptions:
    """Compute what one server lifetime is started with.

    Args:
        spec: the run; only ``server``, ``controls``, ``backend``, ``image`` and ``external`` count.
        model: one of ``spec.models``.
        mode: the kernel path; it changes ``VLLM_BATCH_INVARIANT`` and the cache only.
        run_id: put into labels and into the native process's marker variable.
        host: what of this machine enters (paths, GPU access); read from it when ``None``.
        image: the resolved image reference (``name@sha256:...``) instead of ``spec.image``.
        nonce: eight hexadecimal digits of this lifetime, put into the served name; a server that
            someone else runs has none.
        schedules: how the batches of the run are sent; what the spec says where it is not given.
        release: the server's vLLM version; an image's is read from its tag where it is not given.

    Raises:
        UsageError: the spec's extra arguments or variables break the experiment or hold a secret,
            or a local model folder does not exist.
    """
    host = host or this_host()
    if schedules is None:
        schedules = spec.schedules(())
    if release is None and (tag := _RELEASE_TAG.search(spec.image)):
        release = tag[1] if spec.backend is BackendName.DOCKER else None
    server = spec.server
    folder = _model_folder(model, host.working_directory)
    external = spec.external.get(mode) if spec.backend is BackendName.EXTERNAL else None
    in_container = spec.backend is BackendName.DOCKER
    cache = host.cache_for(mode, in_container=in_container)
    weights = Mount(str(folder), f"/models/{safe_name(model.name)}", read_only=True)
    seen = weights.target if in_container else weights.source
    seen = seen if folder else model.hf_id
    served = served_name(model.name, "" if external else nonce)
    proof = spec.controls.worker_proof and spec.backend is not BackendName.EXTERNAL
    extension = Mount(str(WORKER_EXTENSION.parent), _EXTENSION_IN_CONTAINER, read_only=True)
    command: tuple[str, ...] = _ENTRYPOINT if in_container else ()
    if spec.backend is BackendName.NATIVE:
        command = server.native_argv
        if any(part.startswith("-W") for part in command[1:]):
            raise UsageError(
                f"server.native_command holds -W: {_HIDES}", hint="take it out of the command"
            )
    container = None
    if in_container:
        container = ContainerOptions(
            image=image or spec.image,
            publish=("127.0.0.1", server.port, server.port),
            labels={
                f"{LABEL_PREFIX}run-id": run_id,
                f"{LABEL_PREFIX}mode": mode.value,
                f"{LABEL_PREFIX}model": model.name,
                f"{LABEL_PREFIX}pid": str(host.pid),
                f"{LABEL_PREFIX}host": host.name,
            },
            mounts=(
                Mount(str(host.huggingface_home), "/root/.cache/huggingface"),
                Mount(cache, "/root/.cache/vllm"),
                *((weights,) if folder else ()),
                *((extension,) if proof else ()),
                *(read_mount(text, host) for text in server.volumes),
            ),
            gpu=GpuRequest(host.gpu, server.gpu_device_ids),
            shm_size=server.shm_size,
        )
    return LaunchOptions(
        backend=spec.backend,
        model=model.name,
        hf_id=model.hf_id,
        mode=mode,
        served_model_name=served,
        port=server.port,
        command=command,
        arguments=tuple(
            server_arguments(
                spec,
                model,
                weights=seen,
                served=served,
                in_container=in_container,
                schedules=schedules,
                release=release,
            )
        ),
        notes=tuple(filter(None, [cascade(spec, release).note])),
        environment=_environment(
            spec, mode, cache=None if in_container else cache, schedules=schedules
        ),
        cleared_variables=tuple(_CLEARED),
        secret_variables=_PASSED_ON,
        cache=cache,
        startup_timeout_s=server.startup_timeout_s,
        stop_timeout_s=server.stop_timeout_s,
        container=container,
        base_url=external.url.rstrip("/") if external else f"http://127.0.0.1:{server.port}",
        external_log=external.log if external else None,
        key_variable=external.api_key_env if external else None,
        run_id=run_id,
        python_path=(extension.target if in_container else extension.source) if proof else "",
    )


def _model_folder(model: ModelSpec, working_directory: Path) -> Path | None:
    """What ``hf_id`` means, as `weights_folder` says; a path that is no folder is no model."""
    folder = weights_folder(model.hf_id, working_directory)
    if folder is not None:
        return folder
    if model.hf_id.startswith(_PATH_STARTS):
        raise UsageError(
            f"model {model.name}: there is no folder {model.hf_id}",
            hint="give a hub id such as org/name, or the path of a folder with config.json",
        )
    return None


def _environment(
    spec: RunSpec, mode: Mode, *, cache: str | None, schedules: Collection[DispatchMode]
) -> dict[str, str]:
    """Variables to set; the spec's own may override the quiet-log defaults.

    ``cache`` is ``None`` in a container, which has a volume for it and a GPU request.
    """
    server = spec.server
    for name in server.env:
        reason = _NOT_IN_ENV.get(name)
        if reason is None and names_a_secret(name):
            reason = "a secret does not belong into a spec; export it in the shell, it is passed on"
        if reason is not None:
            hint = f"remove {name} from server.env"
            raise UsageError(f"server.env sets {name}: {reason}", hint=hint)
    environment = {
        "NO_COLOR": "1",
        "VLLM_LOGGING_COLOR": "0",
        "VLLM_NO_USAGE_STATS": "1",
        **server.env,
        _MODE_VARIABLE: "1" if mode is Mode.BATCH_INVARIANT else "0",
    }
    if needs_development_endpoints(spec, schedules):
        environment[DEV_MODE] = "1"
    if cache is not None:
        environment["VLLM_CACHE_ROOT"] = cache
        if server.gpu_device_ids is not None:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(server.gpu_device_ids)
    return environment
