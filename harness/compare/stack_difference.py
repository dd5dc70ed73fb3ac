"""What differs between the stacks of two runs, as far as their files say.

Left out is what cannot change an answer: ports, time limits, paths of the run's own files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.compare.side import Side
from harness.records import Startup
from harness.words import Mode

__all__ = ["StackDifference", "stack_differences", "stack_gaps"]

Json = Mapping[str, Any]
Flat = dict[str, str]
ABSENT = "(not recorded)"
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
_SERVER_PACKAGES = ("vllm", "torch", "triton", "transformers", "flashinfer", "cuda")
_IMAGE_KEYS = ("requested", "image", "digest", "platform_digest", "image_id", "status")


@dataclass(frozen=True, slots=True)
class StackDifference:
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

    def as_json(self) -> dict[str, str]:
        """The fields as JSON values."""
        return asdict(self)


def stack_differences(
    a: Side, b: Side, modes: Sequence[tuple[Mode, Mode]]
) -> tuple[StackDifference, ...]:
    """Everything that differs, the server's versions and image first.

    Args:
        a, b: the runs; the same run may stand on both sides.
        modes: the pairs of modes that are compared; only their servers count.
    """
    one, other = a.files.metadata, b.files.metadata
    if not one or not other:
        return tuple(_server_differences(a, b, modes))
    found = [
        *_differences("versions", _server_versions(a), _server_versions(b)),
        *_differences("weights", _flat(one.get("model_files")), _flat(other.get("model_files"))),
        *_differences("image", _image(one), _image(other)),
        *_differences("device", _device(one), _device(other)),
        *_differences("settings", _settings(a), _settings(b)),
        *_server_differences(a, b, modes),
        *_differences("harness", _harness(one), _harness(other)),
    ]
    return tuple(found)


def stack_gaps(a: Side, b: Side) -> tuple[str, ...]:
    """What the stacks could not be compared on, in words."""
    sides = {"A": a, "B": b}
    gaps = []
    without = [name for name, side in sides.items() if not side.files.metadata]
    if without:
        gaps.append(f"stack and settings: no metadata.json beside {' and '.join(without)}")
    without = [name for name, side in sides.items() if not side.files.startups]
    if without:
        gaps.append(f"which kernels ran: no startup_*.json beside {' and '.join(without)}")
    return tuple(gaps)


def _differences(part: str, one: Flat, other: Flat, where: str = "") -> Iterator[StackDifference]:
    for name in dict.fromkeys([*one, *other]):
        a, b = one.get(name, ABSENT), other.get(name, ABSENT)
        if a != b:
            yield StackDifference(part, name, *_differing_parts(a, b), where)


def _differing_parts(a: str, b: str, limit: int = 160) -> tuple[str, str]:
    """Long values are cut to the comma-separated pieces that the other one lacks."""
    if max(len(a), len(b)) <= limit or ABSENT in (a, b):
        return a, b
    pieces = [text.split(", ") for text in (a, b)]
    only_a = [piece for piece in pieces[0] if piece not in set(pieces[1])]
    only_b = [piece for piece in pieces[1] if piece not in set(pieces[0])]
    return f"… {', '.join(only_a)} …", f"… {', '.join(only_b)} …"


def _server_versions(side: Side) -> Flat:
    """As the run recorded them; vLLM's also from the servers' own logs."""
    versions = _flat(side.files.metadata.get("versions"))
    if "vllm" not in versions:
        logged = (_flat(s.attempts[-1].get("facts")) for s in side.files.startups if s.attempts)
        found = next((f["vllm_version"] for f in logged if "vllm_version" in f), None)
        versions |= {"vllm": found} if found else {}
    ours = {k: v for k, v in versions.items() if k.startswith(_SERVER_PACKAGES)}
    first = [key for key in ("vllm", "torch") if key in ours]
    return {key: ours[key] for key in (*first, *ours)}


def _harness(metadata: Json) -> Flat:
    versions = _flat(metadata.get("versions"))
    theirs = {k: v for k, v in versions.items() if not k.startswith(_SERVER_PACKAGES)}
    commit = metadata.get("git_commit")
    return {**theirs, "git_commit": str(commit)} if commit else theirs


def _image(metadata: Json) -> Flat:
    image = _flat(metadata.get("image"))
    return {key: image[key] for key in _IMAGE_KEYS if key in image}


def _device(metadata: Json) -> Flat:
    host = metadata.get("host")
    processor = host.get("processor") if isinstance(host, Mapping) else None
    return {
        **_flat(metadata.get("device"), "device"),
        **_flat(metadata.get("gpus"), "gpus"),
        **({"host.processor": str(processor)} if processor else {}),
    }


def _settings(side: Side) -> Flat:
    settings = _flat(side.files.spec)
    return {k: v for k, v in settings.items() if not _SETTINGS_LEFT_OUT.fullmatch(k)}


def _server_differences(
    a: Side, b: Side, modes: Sequence[tuple[Mode, Mode]]
) -> list[StackDifference]:
    """What the servers logged and were given; equal differences of several servers are one."""
    found: dict[tuple[str, str, str], list[str]] = {}
    served = 0
    for mode_a, mode_b in modes:
        servers = _servers(a, mode_a), _servers(b, mode_b)
        for model in sorted(servers[0].keys() & servers[1].keys()):
            served += 1
            mode = str(mode_a) if mode_a == mode_b else f"{mode_a} against {mode_b}"
            for d in _differences("server", servers[0][model], servers[1][model]):
                if mode_a != mode_b and d.name == _THE_MODE:
                    continue
                found.setdefault((d.name, d.a, d.b), []).append(f"{model}, {mode}")
    return [
        StackDifference("server", *difference, "" if len(where) == served else "; ".join(where))
        for difference, where in found.items()
    ]


def _servers(side: Side, mode: Mode) -> dict[str, Flat]:
    return {
        startup.model: _server(startup) for startup in side.files.startups if startup.mode == mode
    }


def _server(startup: Startup) -> Flat:
    """The last start: what it was given and what it said of itself."""
    if not startup.attempts:
        return {}
    last = startup.attempts[-1]
    server = last.get("server")
    given = server.get("environment") if isinstance(server, Mapping) else None
    flat = {**_flat(last.get("facts")), **_flat(given, "environment")}
    docker = server.get("docker") if isinstance(server, Mapping) else None
    if isinstance(docker, Mapping) and docker.get("image_id"):
        flat["image_id"] = str(docker["image_id"])
    return {k: v for k, v in flat.items() if not _SERVER_LEFT_OUT.fullmatch(k)}


def _flat(value: Any, prefix: str = "") -> Flat:
    return dict(_walk(value, prefix))


def _walk(value: Any, prefix: str) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value, start=1):
            name = item.get("name") if prefix == "models" else number
            yield from _walk(item, f"{prefix}[{name}]")
    elif isinstance(value, list) and value:
        yield prefix, ", ".join(map(str, value))
    elif value is not None and not isinstance(value, list):
        yield prefix, str(value)
