"""Launch options: what a server is started with, computed before anything acts.

One pure function turns a run spec, a model and a mode into every argument, variable, mount and
label. The two modes of a run differ in ``VLLM_BATCH_INVARIANT`` and in the compile cache, and in
nothing else; a golden test holds that.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.machine import Host, this_host
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
from harness.serve.log_files import safe_name
from harness.settings import ModelSpec, RunSpec, ServerSettings
from harness.words import BackendName, Mode

_MODE_VARIABLE = "VLLM_BATCH_INVARIANT"
_CLEARED = ("PYTHONWARNINGS", "TORCH_CPP_LOG_LEVEL")
"""Each hides one of the two activation lines, so neither may reach a server."""
_PASSED_ON = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_NOT_IN_ENV = {
    _MODE_VARIABLE: "the mode sets it; choose with modes:",
    "VLLM_CACHE_ROOT": "each mode has a compile cache of its own",
    **dict.fromkeys(_CLEARED, "it hides the activation evidence"),
}
_OUR_FLAGS = (
    "--model",
    "--served-model-name",
    "--host",
    "--port",
    "--max-model-len",
    "--dtype",
    "--gpu-memory-utilization",
    "--attention-backend",
    "--revision",
)
_REFUSED_FLAGS = {
    "--disable-log-stats": "it removes the metrics that the batch witness is read from",
    "--uds": "the harness talks to the server over a port",
    "--api-key": "a secret on a command line is readable by everyone on the machine",
}
# Set explicitly: images before and after the switch to ``vllm serve`` then behave alike.
_ENTRYPOINT = ("python3", "-m", "vllm.entrypoints.openai.api_server")
_PATH_STARTS = ("/", "./", "../", "~")


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
    server = spec.server
    folder = _model_folder(model, host.working_directory)
    external = spec.external.get(mode) if spec.backend is BackendName.EXTERNAL else None
    in_container = spec.backend is BackendName.DOCKER
    cache = host.cache_for(mode, in_container=in_container)
    weights = Mount(str(folder), f"/models/{safe_name(model.name)}", read_only=True)
    seen = weights.target if in_container else weights.source
    seen = seen if folder else model.hf_id
    command: tuple[str, ...] = _ENTRYPOINT if in_container else ()
    if spec.backend is BackendName.NATIVE:
        command = tuple(shlex.split(server.native_command))
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
        served_model_name=model.name,
        port=server.port,
        command=command,
        arguments=tuple(_arguments(spec, model, seen, in_container=in_container)),
        environment=_environment(server, mode, cache=None if in_container else cache),
        cleared_variables=_CLEARED,
        secret_variables=_PASSED_ON,
        cache=cache,
        startup_timeout_s=server.startup_timeout_s,
        stop_timeout_s=server.stop_timeout_s,
        container=container,
        base_url=external.url.rstrip("/") if external else f"http://127.0.0.1:{server.port}",
        external_log=external.log if external else None,
        run_id=run_id,
    )


def _model_folder(model: ModelSpec, working_directory: Path) -> Path | None:
    """What ``hf_id`` means: an existing folder wins, as it does in vLLM; ``None`` is the hub."""
    folder = (working_directory / Path(model.hf_id).expanduser()).resolve()
    if folder.is_dir():
        return folder
    if model.hf_id.startswith(_PATH_STARTS):
        raise UsageError(
            f"model {model.name}: there is no folder {folder}",
            hint="give a hub id such as org/name, or the path of a folder with config.json",
        )
    return None


def _arguments(
    spec: RunSpec, model: ModelSpec, weights: str, *, in_container: bool
) -> Iterator[str]:
    """The study's command, then what the spec adds.

    ``--model`` is a flag and comes first: every release takes it, whatever an image's entrypoint
    does with a positional model.
    """
    server, controls = spec.server, spec.controls
    for argument in server.extra_args:
        flag = argument.split("=", 1)[0].replace("_", "-")
        if flag in _OUR_FLAGS:
            raise UsageError(
                f"server.extra_args repeats {flag}, which the harness sets itself",
                hint="use the spec's own key for it",
            )
        if flag in _REFUSED_FLAGS:
            raise UsageError(f"server.extra_args holds {flag}: {_REFUSED_FLAGS[flag]}")
    yield from ("--model", weights, "--host", "0.0.0.0" if in_container else "127.0.0.1")
    yield from ("--port", str(server.port), "--max-model-len", str(server.max_model_len))
    yield from ("--dtype", server.dtype)
    fraction = server.gpu_memory_utilization
    if fraction is not None:
        text = f"{fraction:.2f}"  # as the study writes it: 0.80
        yield from ("--gpu-memory-utilization", text if float(text) == fraction else repr(fraction))
    if server.attention_backend is not None:
        yield from ("--attention-backend", server.attention_backend)
    yield from ("--served-model-name", model.name)
    if model.revision is not None:
        yield from ("--revision", model.revision)
    for name, choice in (
        ("enable-prefix-caching", controls.prefix_caching),
        ("async-scheduling", controls.async_scheduling),
    ):
        if choice != "server_default":
            yield f"--{name}" if choice == "on" else f"--no-{name}"
    if controls.iteration_log:
        yield "--enable-logging-iteration-details"
    yield from server.extra_args


def _environment(server: ServerSettings, mode: Mode, *, cache: str | None) -> dict[str, str]:
    """Variables to set; the spec's own may override the quiet-log defaults.

    ``cache`` is ``None`` in a container, which has a volume for it and a GPU request.
    """
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
    if cache is not None:
        environment["VLLM_CACHE_ROOT"] = cache
        if server.gpu_device_ids is not None:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(server.gpu_device_ids)
    return environment
