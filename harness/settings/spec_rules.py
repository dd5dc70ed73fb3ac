"""Everything that can be wrong with a run spec, as the path of the key at fault and the reason.

pydantic's complaints are told in this project's words and with a suggestion; what a well-formed
spec must not say, rules between keys and secrets, comes after. `harness.settings.loaded_spec`
turns the path into a file and line or a flag.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from pydantic_core import ErrorDetails

from harness.errors import nearest, shown
from harness.secrets import names_a_secret
from harness.settings.run_spec import (
    ExternalServer,
    RunSpec,
    ServerSettings,
    dotted,
    keys_at,
    suggest_key,
)
from harness.settings.yaml_lines import KeyPath
from harness.vllm_arguments import each_argument, read_arguments
from harness.words import LONGEST_IN_FILE_NAME, Asking, BackendName, DispatchMode, safe_name

Complaint = tuple[KeyPath, str, str | None]
"""Path of the key, what is wrong, and what to do."""

_WORDS = (
    ("Input should be", "must be"),
    ("Tuple should", "must"),
    (" after validation, not 0", ""),
    ("a valid string", "text"),
    ("a valid integer", "a whole number"),
    ("a valid number", "a number"),
    ("a valid array", "a list"),
    ("a valid boolean", "true or false"),
    ("an object", "a section with keys"),
)
_SIZES = ("tensor_parallel_size", "pipeline_parallel_size")
_MODE_VARIABLE = "VLLM_BATCH_INVARIANT"
_OWNED_ARGUMENTS = {
    "model": "models",
    "served_model_name": "models",
    "revision": "models",
    "port": "server.port",
    "max_model_len": "server.max_model_len",
    "dtype": "server.dtype",
    "gpu_memory_utilization": "server.gpu_memory_utilization",
    "attention_backend": "server.attention_backend",
    "enable_prefix_caching": "controls.prefix_caching",
    "async_scheduling": "controls.async_scheduling",
    "enable_logging_iteration_details": "controls.iteration_log",
}


def complaint_of(details: ErrorDetails) -> Complaint:
    """One of pydantic's complaints."""
    key: KeyPath = tuple(part for part in details["loc"] if part != "[key]")
    kind, value = details["type"], details["input"]
    if key[0] == "dispatch_modes":
        # a union complains twice, once for each of its forms; both are told as one
        word = value[0] if isinstance(value, list) and len(value) == 1 else value
        ways = ", ".join(["original", *DispatchMode])
        rule = f"must be 'original' or a list of {ways}, not {shown(word)}"
        return key[:1], f"dispatch_modes: {rule}", nearest(word, ["original", *DispatchMode])
    if kind == "missing":
        hint = "models: [{name: …, hf_id: …}]" if key == ("models",) else None
        return key, f"key '{dotted(key)}' is missing", hint
    if kind == "extra_forbidden" or "[key]" in details["loc"]:
        return key, f"unknown key '{dotted(key)}'", suggest_key(key)
    if kind == "model_type":
        message = f"{dotted(key)}: must be a section with keys, not {shown(value)}"
        return key, message, f"keys: {', '.join(keys_at(key))}"
    rule = details["msg"]
    for theirs, ours in _WORDS:
        rule = rule.replace(theirs, ours)
    seen = "" if "env" in key else f", not {shown(value)}"
    # where a few words would have been right, pydantic lists them: 'a', 'b' or 'c'
    expected = str((details.get("ctx") or {}).get("expected", ""))
    words = expected.replace(" or ", ", ").replace("'", "").split(", ")
    return key, f"{dotted(key)}: {rule}{seen}", nearest(value, filter(None, words))


def complaints_about(spec: RunSpec) -> Iterator[Complaint]:
    """Everything wrong between the keys of ``spec``."""
    names = [model.name for model in spec.models]
    for key, values, what in (("models", names, "model name"), ("modes", spec.modes, "mode")):
        for index, value in enumerate(values):
            if value in values[:index]:
                yield (key, index), f"{what} '{value}' is given twice", None
    yield from _about_file_names(names)
    for index, asking in enumerate(spec.controls.askings):
        if asking in spec.controls.askings[:index]:
            yield ("controls", "askings", index), f"asking '{asking}' is given twice", None
    for asking in (Asking.S0, Asking.B):
        if asking not in spec.controls.askings:
            hint = "S0 and B make a record; S1, S2 and B2 may be left out"
            yield ("controls", "askings"), f"asking {asking} is missing", hint
    yield from _about_server(spec.server)
    if spec.server.workers > 1 and spec.backend is not BackendName.EXTERNAL:
        yield from _about_ranks(spec)
    if spec.server.overlap > 1:
        yield from _about_overlap(spec)
    longest, room = spec.request.max_tokens, spec.server.max_model_len
    if longest >= room:
        message = f"{longest} leaves no room for a prompt in server.max_model_len {room}"
        yield ("request", "max_tokens"), message, "lower it, or raise --max-model-len"
    for mode, external in spec.external.items():
        yield from _about_external(("external", str(mode)), external)
    for mode in spec.modes if spec.backend is BackendName.EXTERNAL else ():
        if mode not in spec.external:
            hint = f"--external {mode}=http://host:port"
            yield ("backend",), f"backend external needs the URL of mode {mode}", hint


def _about_file_names(names: Sequence[str]) -> Iterator[Complaint]:
    """The files of a model's servers are called by it: so each has to be, and in time."""
    for index, name in enumerate(names):
        path: KeyPath = ("models", index)
        if (size := len(safe_name(name).encode())) > LONGEST_IN_FILE_NAME:
            what = f"a model name of {size} bytes is too long for the names of its servers' files"
            yield path, f"{what}: {shown(name)}", f"at most {LONGEST_IN_FILE_NAME} bytes"
        for other in names[:index]:
            if safe_name(other) == safe_name(name) and other != name:
                what = f"models '{other}' and '{name}' would share the files of their servers"
                hint = f"both become {safe_name(name)} in file names: rename one"
                yield path, what, hint


def _about_ranks(spec: RunSpec) -> Iterator[Complaint]:
    """Several ranks: each has to say which kernels it runs, and one place how many there are."""
    if not spec.controls.worker_proof:
        what = (
            f"{spec.server.workers} ranks run the model, and each has to say which kernels it runs"
        )
        yield ("controls", "worker_proof"), what, "--worker-proof on"
    given = spec.server.extra_args
    for one in each_argument(given):
        if one.name in _SIZES:
            hint = "use server.tensor_parallel and server.pipeline_parallel"
            yield ("server", "extra_args", one.at), f"{given[one.at]} is said twice", hint


def _about_overlap(spec: RunSpec) -> Iterator[Complaint]:
    """Several servers on one GPU measure each other's memory unless each is told its own."""
    path: KeyPath = ("server", "overlap")
    server, overlap = spec.server, spec.server.overlap
    if not server.on_cpu and "kv_cache_memory_bytes" not in read_arguments(server.extra_args):
        yield (
            path,
            f"{overlap} servers at once: each would take the memory that the others leave",
            "--extra-args '--kv-cache-memory-bytes 6000000000' and "
            f"--gpu-memory-utilization {0.9 / overlap:.2f} give each its own",
        )


def _about_external(path: KeyPath, server: ExternalServer) -> Iterator[Complaint]:
    """The URL of a server, and the name of the variable with its key."""
    name, root = server.api_key_env, (*path, "url")
    try:
        parts = urlsplit(server.url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        parts, good = urlsplit(""), False
    if not good:
        yield root, "not the URL of a server", "write http://host:port"
    if parts.username or parts.password:
        yield root, "a URL with a password does not belong here", "leave user and password out"
    if parts.query or parts.fragment:
        yield root, "a URL with a query is not the root of a server", "write http://host:port"
    # names are upper case, so that a key that was put here in its variable's place is refused
    if name is not None and not (re.fullmatch("[A-Z_][A-Z0-9_]*", name) and len(name) <= 64):
        hint = "write the variable's name, such as VLLM_KEY, and export VLLM_KEY=… in the shell"
        yield (*path, "api_key_env"), "not the name of an environment variable", hint


def _about_server(server: ServerSettings) -> Iterator[Complaint]:
    """Variables and arguments that are a secret, or that another key sets."""
    for name in server.env:
        path: KeyPath = ("server", "env", name)
        if names_a_secret(name):
            yield path, f"{name} is a secret and does not belong here", f"export {name}=… instead"
        elif name == _MODE_VARIABLE:
            yield path, f"{name} is set by the mode", "choose with modes"
    try:
        shlex.split(server.native_command)
    except ValueError as error:
        what = f"no command as a shell would read it: {str(error).lower()}"
        yield ("server", "native_command"), what, "close the quotation"
    for one in each_argument(server.extra_args):
        path = ("server", "extra_args", one.at)
        if one.name in _OWNED_ARGUMENTS:
            yield path, f"{one.flag} has a key of its own", f"use {_OWNED_ARGUMENTS[one.name]}"
        elif names_a_secret(one.name):
            yield path, f"{one.flag} is a secret and does not belong here", "export it instead"
