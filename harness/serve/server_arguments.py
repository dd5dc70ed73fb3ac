"""The arguments that vLLM is started with: the study's own, then what spec and release add."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from harness.errors import UsageError
from harness.prove import WORKER_EXTENSION, beyond_read, parse_version
from harness.settings import ModelSpec, RunSpec
from harness.vllm_arguments import each_argument, read_arguments
from harness.words import BackendName, CachePolicy, DispatchMode

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
    "--no-enable-prompt-tokens-details": "it hides how much of a prompt came from the cache",
    "--api-key": "a secret on a command line is readable by everyone on the machine",
}
_STEP_LOG = "--enable-logging-iteration-details"
DEV_MODE = "VLLM_SERVER_DEV_MODE"
TELLS_CACHED = "--enable-prompt-tokens-details"
_CASCADE = "--disable-cascade-attn"
_CASCADE_GONE = (0, 32)
"""From here on vLLM has no cascade attention; 0.32 and 0.33 still take the flag, with a warning."""
_EXTENSION_FLAG = "--worker-extension-cls"


def server_arguments(
    spec: RunSpec,
    model: ModelSpec,
    *,
    weights: str,
    served: str,
    in_container: bool,
    schedules: Collection[DispatchMode],
    release: str | None,
) -> Iterator[str]:
    """The study's command, then what the spec adds.

    ``--model`` is a flag and comes first: every release takes it, whatever an image's entrypoint
    does with a positional model.

    Args:
        weights: the hub id, or the model's folder as the server sees it.
        served: the served model name.
        in_container: whether the server listens inside a container of its own.
        schedules: how the run's batches are sent.
        release: the server's vLLM version; ``None`` where it is not known.

    Raises:
        UsageError: an extra argument repeats one of ours, or breaks the experiment.
    """
    _refuse_extra_arguments(spec)
    server, controls = spec.server, spec.controls
    yield from ("--model", weights, "--host", "0.0.0.0" if in_container else "127.0.0.1")
    yield from ("--port", str(server.port), "--max-model-len", str(server.max_model_len))
    yield from ("--dtype", server.dtype)
    fraction = server.gpu_memory_utilization
    if fraction is not None:
        text = f"{fraction:.2f}"  # as the study writes it: 0.80
        yield from ("--gpu-memory-utilization", text if float(text) == fraction else repr(fraction))
    if server.attention_backend is not None:
        yield from ("--attention-backend", server.attention_backend)
    for name, size in (("tensor", server.tensor_parallel), ("pipeline", server.pipeline_parallel)):
        if size > 1:
            yield from (f"--{name}-parallel-size", str(size))
    yield from ("--served-model-name", served)
    if model.revision is not None:
        yield from ("--revision", model.revision)
    for name, choice in (
        ("enable-prefix-caching", controls.prefix_caching),
        ("async-scheduling", controls.async_scheduling),
    ):
        if choice in ("on", "off"):
            yield f"--{name}" if choice == "on" else f"--no-{name}"
    if cascade(spec, release).off_by_flag:
        yield _CASCADE
    yield TELLS_CACHED
    if controls.iteration_log or DispatchMode.GATED in schedules:
        yield _STEP_LOG
    if controls.worker_proof:
        yield from (_EXTENSION_FLAG, f"{WORKER_EXTENSION.stem}.WorkerProof")
    yield from server.extra_args


def _refuse_extra_arguments(spec: RunSpec) -> None:
    ours = (*_OUR_FLAGS, *((_EXTENSION_FLAG,) if spec.controls.worker_proof else ()))
    for argument in each_argument(spec.server.extra_args):
        flag = argument.flag
        if flag in ours:
            raise UsageError(
                f"server.extra_args repeats {flag}, which the harness sets itself",
                hint="use the spec's own key for it",
            )
        if flag in _REFUSED_FLAGS:
            raise UsageError(f"server.extra_args holds {flag}: {_REFUSED_FLAGS[flag]}")


def added(spec: RunSpec, schedules: Collection[DispatchMode]) -> tuple[str, ...]:
    """What the harness adds to a server's command by itself: a closed list, alike in both modes."""
    if spec.backend is BackendName.EXTERNAL:
        return ()
    extras = {
        "--served-model-name": True,
        TELLS_CACHED: True,
        _STEP_LOG: spec.controls.iteration_log or DispatchMode.GATED in schedules,
        _EXTENSION_FLAG: spec.controls.worker_proof,
        f"{DEV_MODE}=1": needs_development_endpoints(spec, schedules),
    }
    return tuple(name for name, is_added in extras.items() if is_added)


def needs_development_endpoints(spec: RunSpec, schedules: Collection[DispatchMode]) -> bool:
    """Whether one is asked for: for the worker proof, to hold a batch, or to empty the cache."""
    controls = spec.controls
    resets = controls.prefix_caching == CachePolicy.RESET
    return controls.worker_proof or resets or DispatchMode.GATED in schedules


class Cascade(NamedTuple):
    """What is done about cascade attention.

    Attributes:
        off_by_flag: whether the server is told to leave it off.
        note: where it was to be off and no flag says so: why.
    """

    off_by_flag: bool = False
    note: str = ""


def cascade(spec: RunSpec, release: str | None) -> Cascade:
    """Whether a server of this release takes the flag that turns cascade attention off."""
    if spec.controls.cascade_attention == "server_default":
        return Cascade()
    given = read_arguments(spec.server.extra_args)
    if given.get("disable_cascade_attn") is True or spec.backend is BackendName.EXTERNAL:
        return Cascade()
    version = parse_version(release)
    if version is not None and version[:2] < _CASCADE_GONE:
        return Cascade(off_by_flag=True)
    unknown = beyond_read(release) if version else "the release of vLLM is not known"
    if not unknown:
        return Cascade(note=f"vLLM {release} has no cascade attention: {_CASCADE} is not passed")
    return Cascade(
        note=f"{unknown}: {_CASCADE} is not passed, and whether the server has cascade attention "
        "is not known"
    )
