"""What a well-formed run spec must not say: rules between keys, and secrets.

Each check yields the path of the key at fault and what is wrong with it; `harness.settings.load`
turns the path into a file and line or a flag.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from harness.secrets import names_a_secret
from harness.settings.run_spec import RunSpec
from harness.settings.yaml_file import KeyPath
from harness.words import BackendName

__all__ = ["Finding", "spec_findings"]

Finding = tuple[KeyPath, str, str | None]
"""Path of the key, what is wrong, and what to do."""

_MODE_VARIABLE = "VLLM_BATCH_INVARIANT"
_OWNED_ARGUMENTS = {
    "model": "models",
    "served-model-name": "models",
    "revision": "models",
    "port": "server.port",
    "max-model-len": "server.max_model_len",
    "dtype": "server.dtype",
    "gpu-memory-utilization": "server.gpu_memory_utilization",
    "attention-backend": "server.attention_backend",
    "enable-prefix-caching": "controls.prefix_caching",
    "no-enable-prefix-caching": "controls.prefix_caching",
    "async-scheduling": "controls.async_scheduling",
    "no-async-scheduling": "controls.async_scheduling",
    "enable-logging-iteration-details": "controls.iteration_log",
}


def spec_findings(spec: RunSpec) -> Iterator[Finding]:
    """Everything wrong between the keys of ``spec``."""
    yield from _doubles(("models",), [model.name for model in spec.models], "model name")
    yield from _doubles(("modes",), [str(mode) for mode in spec.modes], "mode")
    yield from _environment(spec)
    yield from _extra_arguments(spec.server.extra_args)
    yield from _answer_length(spec)
    yield from _external(spec)


def _doubles(path: KeyPath, values: Sequence[str], what: str) -> Iterator[Finding]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield (*path, index), f"{what} '{value}' is given twice", None


def _environment(spec: RunSpec) -> Iterator[Finding]:
    for name in spec.server.env:
        path = ("server", "env", name)
        if names_a_secret(name):
            yield path, f"{name} is a secret and does not belong here", f"export {name}=… instead"
        elif name == _MODE_VARIABLE:
            yield path, f"{name} is set by the mode", "choose with modes"


def _extra_arguments(arguments: Sequence[str]) -> Iterator[Finding]:
    for index, argument in enumerate(arguments):
        if not argument.startswith("--"):
            continue
        name = argument[2:].partition("=")[0].replace("_", "-")
        path = ("server", "extra_args", index)
        if name in _OWNED_ARGUMENTS:
            yield path, f"--{name} has a key of its own", f"use {_OWNED_ARGUMENTS[name]}"
        elif names_a_secret(name):
            yield path, f"--{name} is a secret and does not belong here", "export it instead"


def _answer_length(spec: RunSpec) -> Iterator[Finding]:
    longest, room = spec.request.max_tokens, spec.server.max_model_len
    if longest >= room:
        message = f"{longest} leaves no room for a prompt in server.max_model_len {room}"
        yield ("request", "max_tokens"), message, "lower it, or raise --max-model-len"


def _external(spec: RunSpec) -> Iterator[Finding]:
    for mode, server in spec.external.items():
        path = ("external", str(mode), "url")
        parts = urlsplit(server.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            yield path, "not the URL of a server", "write http://host:port"
        if parts.username or parts.password:
            yield path, "a URL with a password does not belong here", "leave user and password out"
    if spec.backend is not BackendName.EXTERNAL:
        return
    for mode in spec.modes:
        if mode not in spec.external:
            hint = f"--external {mode}=http://host:port"
            yield ("backend",), f"backend external needs the URL of mode {mode}", hint
