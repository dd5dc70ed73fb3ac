"""What differs between the stacks of two runs, as far as their files say.

The files are read as flat names and texts (``versions.vllm``: ``0.19.1``), so that what another
version writes is compared too. Left out is what cannot change an answer: ports, time limits, paths
of the run's own files.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from msgspec import Struct

from harness.records import RunFiles, Startup
from harness.vllm_arguments import kept_arguments
from harness.words import Mode

Flat = dict[str, str]
_ABSENT = "(not recorded)"
_LONG = 160
_SETTINGS_LEFT_OUT = re.compile(
    r"schema_version|name|modes|candidates|candidate_source|tasks|limit|dispatch_modes|image"
    r"|expect\..*|external\..*|server\.(port|startup_timeout_s|stop_timeout_s)"
    r"|request\.(timeout_s|max_attempts)|models\[.*\]\.name"
)
_SERVER_LEFT_OUT = re.compile(
    r"arguments\.(host|port)|compile_cache|vllm_version"
    r"|environment\.(VLLM_CACHE_ROOT|NO_COLOR|VLLM_LOGGING_COLOR|VLLM_NO_USAGE_STATS|VLLM_PORT)"
)
_THE_MODE = "environment.VLLM_BATCH_INVARIANT"
_LOGGED_VLLM = "facts.vllm_version"
_SERVER_PACKAGES = ("vllm", "torch", "triton", "transformers", "flashinfer", "nvidia-nccl", "cuda")
_IMAGE_KEYS = ("requested", "image", "digest", "platform_digest", "image_id", "status")


class StackDifference(Struct, frozen=True):
    """One thing that the two runs' files say differently.

    Attributes:
        part: ``versions``, ``weights``, ``image``, ``device``, ``settings``, ``server`` or
            ``harness``.
        a, b: the values, as text; ``(not recorded)`` where a side says nothing.
        where: the (model, mode) servers it holds for; empty for all of them.
    """

    part: str
    name: str
    a: str
    b: str
    where: str = ""


def stack_differences(
    a: RunFiles, b: RunFiles, modes: Sequence[tuple[Mode, Mode]]
) -> tuple[StackDifference, ...]:
    """Everything that differs, versions and image first; one run may stand on both sides.

    Of servers only those of ``modes`` count, the pairs that are compared.
    """
    found: dict[tuple[str, str, str], list[str]] = {}  # equal ones of several servers are one
    served = 0
    for mode_a, mode_b in modes:
        given, other_given = _servers(a, mode_a), _servers(b, mode_b)
        for model in sorted(given.keys() & other_given.keys()):
            served += 1
            mode = str(mode_a) if mode_a == mode_b else f"{mode_a} against {mode_b}"
            for d in _differences("server", given[model], other_given[model]):
                if mode_a == mode_b or d.name != _THE_MODE:
                    found.setdefault((d.name, d.a, d.b), []).append(f"{model}, {mode}")
    servers = [
        StackDifference("server", *difference, "" if len(where) == served else "; ".join(where))
        for difference, where in found.items()
    ]
    if not a.metadata or not b.metadata:
        return tuple(servers)
    one, other = _parts(a), _parts(b)
    *parts, harness = (_differences(part, one[part], other[part]) for part in one)
    spelt = kept_arguments(a.spec) == kept_arguments(b.spec)  # two spellings of one are the same
    told = (d for d in chain.from_iterable(parts) if d.name != "server.extra_args" or not spelt)
    return (*told, *servers, *harness)


def stack_gaps(a: RunFiles, b: RunFiles) -> Iterator[str]:
    """What the stacks could not be compared on, in words."""
    files = {
        "stack and settings: no metadata.json": (a.metadata, b.metadata),
        "which kernels ran: no startup_*.json": (a.startups, b.startups),
    }
    for what, found in files.items():
        without = [name for name, file in zip("AB", found, strict=True) if not file]
        if without:
            yield f"{what} beside {' and '.join(without)}"


def _parts(files: RunFiles) -> dict[str, Flat]:
    """What the metadata says, by part; vLLM's version also from the servers' own logs."""
    known = _flat(files.metadata)
    versions = _under(known, "versions")
    starts = map(_last, files.startups)
    logged = [start[_LOGGED_VLLM] for start in starts if _LOGGED_VLLM in start]
    if logged:
        versions = {"vllm": logged[0]} | versions
    of_server = {k: v for k, v in versions.items() if k.startswith(_SERVER_PACKAGES)}
    first = [key for key in ("vllm", "torch") if key in of_server]
    image, settings = _under(known, "image"), _flat(files.spec)
    return {
        "versions": {key: of_server[key] for key in (*first, *of_server)},
        "weights": _under(known, "model_files"),
        "image": {key: image[key] for key in _IMAGE_KEYS if key in image},
        "device": {
            name: value
            for part in ("device", "gpus", "host.processor")
            for name, value in _under(known, part, part).items()
        },
        "settings": {k: v for k, v in settings.items() if not _SETTINGS_LEFT_OUT.fullmatch(k)},
        "harness": {k: v for k, v in versions.items() if k not in of_server}
        | _under(known, "git_commit", "git_commit"),
    }


def _servers(files: RunFiles, mode: Mode) -> dict[str, Flat]:
    """By model, what a server was given and what it said of itself."""
    found = {}
    for startup in (startup for startup in files.startups if startup.mode == mode):
        last = _last(startup)
        said = (
            _under(last, "facts")
            | _under(last, "server.environment", "environment")
            | _under(last, "server.docker.image_id", "image_id")
        )
        found[startup.model] = {k: v for k, v in said.items() if not _SERVER_LEFT_OUT.fullmatch(k)}
    return found


def _last(startup: Startup) -> Flat:
    """Of the starts that may have answered the last; where none may, the last of all."""
    answered = [number - 1 for number, _ in startup.answering()]
    last = startup.attempts[(answered or [-1])[-1]] if startup.attempts else {}
    return _flat(last)


def _differences(part: str, one: Flat, other: Flat) -> Iterator[StackDifference]:
    """What is not the same; of two long values only the comma-separated pieces that are not."""
    for name in dict.fromkeys([*one, *other]):
        a, b = one.get(name, _ABSENT), other.get(name, _ABSENT)
        if a == b:
            continue
        if max(len(a), len(b)) > _LONG and _ABSENT not in (a, b):
            pieces = a.split(", "), b.split(", ")
            only_a = ", ".join(piece for piece in pieces[0] if piece not in set(pieces[1]))
            only_b = ", ".join(piece for piece in pieces[1] if piece not in set(pieces[0]))
            a, b = f"… {only_a} …", f"… {only_b} …"
        yield StackDifference(part, name, a, b)


def _flat(value: Any, prefix: str = "") -> Flat:
    """Every leaf as text, by its dotted path; a list of texts is one leaf, and nothing is none."""
    if isinstance(value, Mapping):
        inner = {f"{prefix}.{k}" if prefix else str(k): item for k, item in value.items()}
    elif isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        numbered = enumerate(value, start=1)
        inner = {
            f"{prefix}[{item.get('name') if prefix == 'models' else number}]": item
            for number, item in numbered
        }
    elif isinstance(value, list):
        return {prefix: ", ".join(map(str, value))}
    else:
        return {} if value is None else {prefix: str(value)}
    return {name: text for path, item in inner.items() for name, text in _flat(item, path).items()}


def _under(flat: Flat, prefix: str, name: str = "") -> Flat:
    """What stands under a name, which is replaced by another one."""
    return {
        f"{name}{key.removeprefix(prefix)}".removeprefix("."): value
        for key, value in flat.items()
        if key == prefix or key.startswith((f"{prefix}.", f"{prefix}["))
    }
