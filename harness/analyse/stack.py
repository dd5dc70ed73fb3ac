"""The serving stack and the design of a run, as far as its files say: what a claim is bound to."""

import json
import re
from collections.abc import Mapping
from math import inf
from typing import Any

from msgspec import Struct

from harness.records import Records, RunFiles
from harness.vllm_arguments import kept_arguments
from harness.words import BackendName

Json = Mapping[str, Any]
_GREEDY = {"temperature": (0,), "n": (1,), "best_of": (1,), "use_beam_search": (False,)}
"""Values under which every token is the likeliest one."""
_NEUTRAL = {"top_p": (1,), "top_k": (0, -1), "min_p": (0,), "repetition_penalty": (1,)}
_NO_MATTER = {"endpoint", "max_tokens", "seed", "timeout_s", "max_attempts", "logprobs"}
_A_STEP = re.compile(r"num_spec\w*_tokens\W+(\d+)")


class Stack(Struct, frozen=True):
    """What a result holds for. ``None`` means that the files do not say.

    Attributes:
        kind: ``run`` or ``scan`` (a scan's rows are a whole population, not a selection).
        device: ``cpu`` or ``cuda``.
        device_name: the device's own name.
        vllm: the server's version.
        temperature: of every request.
        sampled: what makes the answers other than the likeliest tokens, such as ``temperature
            0.9``, as the settings or any record say.
        prefix_caching, async_scheduling: ``server_default``, ``off`` or ``on``.
        order: which of solo and batched comes first, or the askings of a row in their order.
        prefix_cache_hits: prompt tokens that the servers took from their prefix caches.
        preemptions: requests that a server put back and computed anew.
        iteration_log: whether the server wrote down each engine step.
        modes_proven: whether every server lifetime's kernel path is proven; ``None`` where there
            are no start-up files.
        unproven: what is not proven, in words.
        lifetimes: the largest number of server lifetimes that any (model, mode) had.
        planned_records: records that the plan asked for.
        not_controlled: what the run itself says that it left open.
        sampling_defaults: what the models' own files set for every request, such as
            ``llama: repetition_penalty 1.1``; a request's own settings win.
    """

    kind: str | None = None
    device: str | None = None
    device_name: str | None = None
    vllm: str | None = None
    temperature: float | None = None
    sampled: tuple[str, ...] = ()
    prefix_caching: str | None = None
    async_scheduling: str | None = None
    order: str | None = None
    prefix_cache_hits: float | None = None
    preemptions: float | None = None
    iteration_log: bool | None = None
    modes_proven: bool | None = None
    unproven: tuple[str, ...] = ()
    lifetimes: int | None = None
    planned_records: int | None = None
    not_controlled: tuple[str, ...] = ()
    sampling_defaults: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Device and version in a few words."""
        names = {"cpu": "vLLM's CPU engine", "cuda": "a GPU"}
        where = self.device_name or names.get(self.device or "", "an unrecorded device")
        if self.device == "cpu" and self.device_name:
            where = f"vLLM's CPU engine on {self.device_name}"
        return f"{where}, vLLM {self.vllm}" if self.vllm else f"{where}, vLLM version not recorded"


def sampled_by(records: Records, request: Json) -> tuple[str, ...]:
    """What makes answers other than greedy: of the settings of a request, and of the records."""
    told = [json.loads(one)["sampling"] for one in records.frame["settings"].cat.categories]
    found = [
        f"{name} {value}"
        for sampling in (request, *(one for one in told if isinstance(one, Mapping)))
        for name, value in sampling.items()
        if value is not None and name not in _NO_MATTER
        if value not in (_GREEDY | _NEUTRAL).get(name, ((0,) if name.endswith("penalty") else ()))
    ]
    return tuple(dict.fromkeys(found))


def tokens_a_step(files: RunFiles) -> float:
    """Tokens that one engine step may give a request: 1, or more under speculative decoding.

    Infinite where it is not known how many: a server of ours was started with what its settings
    name, and somebody else's log may not be at hand.
    """
    most = inf if any("speculative" in name for name in kept_arguments(files.spec)) else 1.0
    told = [start.speculation for s in files.startups for _, start in s.answering()]
    if None in told and files.spec.get("backend") == BackendName.EXTERNAL:
        return inf
    counts = [_A_STEP.search(one) for one in told if one]
    if counts and all(counts):
        most = 1.0 + max(int(one[1]) for one in counts if one)
    return most if counts or not any(told) else inf


def stack_of(files: RunFiles | None, records: Records) -> Stack:
    """Read the stack off a run's files; of records alone only how they were sampled is known."""
    if files is None:
        return Stack(sampled=sampled_by(records, {}))
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
        sampled=sampled_by(records, request),
        prefix_caching=controls.get("prefix_caching"),
        async_scheduling=controls.get("async_scheduling"),
        order=_order(controls),
        prefix_cache_hits=_counter(files, "prefix_cache_hits"),
        preemptions=_counter(files, "preemptions"),
        iteration_log=controls.get("iteration_log"),
        modes_proven=not unproven and not files.startup_errors if files.startups else None,
        unproven=unproven,
        lifetimes=max((startup.answered() for startup in files.startups), default=None),
        planned_records=planned if isinstance(planned, int) else None,
        not_controlled=tuple(map(str, metadata.get("not_controlled") or ())),
        sampling_defaults=_sampling_defaults(files),
    )


def _order(controls: Json) -> str | None:
    asked = controls.get("askings")
    return ", ".join(map(str, asked)) if isinstance(asked, list) else controls.get("order")


def _sampling_defaults(files: RunFiles) -> tuple[str, ...]:
    """Each model's own sampling defaults once, as its servers logged them."""
    found = []
    for startup in files.startups:
        for _, start in startup.answering():
            if (defaults := start.sampling_defaults) is not None:
                told = ", ".join(f"{key} {value}" for key, value in defaults.items())
                found.append(f"{startup.model}: {told or 'not told'}")
    return tuple(dict.fromkeys(found))


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
