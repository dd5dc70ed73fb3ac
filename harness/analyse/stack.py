"""The serving stack and the design of a run, as far as its files say: what a claim is bound to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.analyse.summary import Stack
from harness.records import RunFiles

Json = Mapping[str, Any]


def stack_of(files: RunFiles | None) -> Stack:
    """Read the stack off a run's files; everything is unknown without them."""
    if files is None:
        return Stack()
    metadata, spec = files.metadata, files.spec
    controls, request = _object(spec, "controls"), _object(spec, "request")
    device = _object(metadata, "device")
    unproven = tuple(
        f"{startup.file}: start {number} is {verdict}"
        for startup in files.startups
        for number, verdict in startup.unproven()
    )
    versions = _object(metadata, "versions")
    planned = metadata.get("planned_records")
    return Stack(
        kind=metadata.get("kind"),
        device=device.get("kind"),
        device_name=device.get("name") or _first_gpu(metadata),
        vllm=versions.get("vllm") or versions.get("server_vllm"),
        temperature=request.get("temperature"),
        prefix_caching=controls.get("prefix_caching"),
        async_scheduling=controls.get("async_scheduling"),
        order=controls.get("order"),
        prefix_cache_hits=_counter(files, "prefix_cache_hits"),
        preemptions=_counter(files, "preemptions"),
        iteration_log=controls.get("iteration_log"),
        modes_proven=not unproven and not files.startup_errors if files.startups else None,
        unproven=unproven,
        lifetimes=max((startup.answered() for startup in files.startups), default=None),
        planned_records=planned if isinstance(planned, int) else None,
        not_controlled=tuple(map(str, metadata.get("not_controlled") or ())),
    )


def _counter(files: RunFiles, name: str) -> float | None:
    """The sum over all servers, ``None`` unless every server that answered was read."""
    read = [startup.counter(name) for startup in files.startups if startup.answered()]
    known = [value for value in read if value is not None]
    return sum(known) if known and len(known) == len(read) else None


def _object(value: Json, key: str) -> Json:
    inner = value.get(key)
    return inner if isinstance(inner, Mapping) else {}


def _first_gpu(metadata: Json) -> str | None:
    gpus = metadata.get("gpus")
    if _object(metadata, "device").get("kind") == "cpu" or not isinstance(gpus, list) or not gpus:
        return None
    first = gpus[0]
    return str(first.get("name")) if isinstance(first, Mapping) and first.get("name") else None
