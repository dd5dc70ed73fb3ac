"""The server program's arguments: the study's command, then what the contract adds."""

from __future__ import annotations

from harness.errors import UsageError
from harness.serve.model_source import ModelSource
from harness.settings import Controls, ModelSpec, RunSpec, ServerSettings

__all__ = ["server_arguments"]

_OURS = (
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
_REFUSED = {
    "--disable-log-stats": "it removes the metrics that the batch witness is read from",
    "--uds": "the harness talks to the server over a port",
    "--api-key": "a secret on a command line is readable by everyone on the machine",
}


def server_arguments(
    spec: RunSpec,
    model: ModelSpec,
    source: ModelSource,
    *,
    in_container: bool,
) -> tuple[str, ...]:
    """Arguments for ``vllm.entrypoints.openai.api_server``, the same in both modes.

    ``--model`` is a flag and comes first: every release takes it, whatever an image's entrypoint
    does with a positional model.

    Raises:
        UsageError: an extra argument repeats one of ours or breaks the experiment.
    """
    settings = spec.server
    _check_extra(settings.extra_args)
    return (
        *("--model", source.seen_by(in_container=in_container)),
        *("--host", "0.0.0.0" if in_container else "127.0.0.1"),
        *("--port", str(settings.port)),
        *("--max-model-len", str(settings.max_model_len)),
        *("--dtype", settings.dtype),
        *_optional("--gpu-memory-utilization", _fraction(settings)),
        *_optional("--attention-backend", settings.attention_backend),
        *("--served-model-name", model.name),
        *_optional("--revision", model.revision),
        *_control_flags(spec.controls),
        *(("--enable-logging-iteration-details",) if spec.controls.iteration_log else ()),
        *settings.extra_args,
    )


def _control_flags(controls: Controls) -> tuple[str, ...]:
    flags = []
    for flag, choice in (
        ("enable-prefix-caching", controls.prefix_caching),
        ("async-scheduling", controls.async_scheduling),
    ):
        if choice != "server_default":
            flags.append(f"--{flag}" if choice == "on" else f"--no-{flag}")
    return tuple(flags)


def _optional(flag: str, value: str | None) -> tuple[str, ...]:
    return () if value is None else (flag, value)


def _fraction(settings: ServerSettings) -> str | None:
    """Two decimals as the study writes them (``0.80``), more where the value has more."""
    value = settings.gpu_memory_utilization
    if value is None:
        return None
    short = f"{value:.2f}"
    return short if float(short) == value else repr(value)


def _check_extra(extra: tuple[str, ...]) -> None:
    for argument in extra:
        flag = argument.split("=", 1)[0].replace("_", "-")
        if flag in _OURS:
            raise UsageError(
                f"server.extra_args repeats {flag}, which the harness sets itself",
                hint="use the spec's own key for it",
            )
        if flag in _REFUSED:
            raise UsageError(f"server.extra_args holds {flag}: {_REFUSED[flag]}")
