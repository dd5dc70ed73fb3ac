"""Whether several runs asked one stack, as far as their files say: a certificate is of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.analyse import StackDifference, stack_differences
from harness.records import RunFiles, object_in
from harness.vllm_arguments import kept_arguments
from harness.words import MODES

_SHOWN = 3
_BUDGET = "max_num_batched_tokens"
_PIECES = re.compile(r"'compile_ranges_endpoints': \[[^]]*\]")
"""What follows from the tokens of a step, among what the engine says of its compilation."""
_ON_PURPOSE = re.compile(
    r"(?:arguments\.)?max_num_batched_tokens|(?:arguments|engine)\.(?:model|model_tag|tokenizer)"
    r"|server\.(?:overlap|gpu_device_ids)|controls\.askings|score_profile"
    r"|gpus\[\d+\]\.uuid|host\.processor|environment\.VLLM_SERVER_DEV_MODE"
)
"""Tokens of a step differ on purpose; the others change no computation. What ``arguments.model``
is a path of, the weights and the settings say; a CPU's name is the device's.
"""
_CARD = "environment.CUDA_VISIBLE_DEVICES"
_KIND = ("name", "compute_cap", "memory.total")
_MODEL = re.compile(r"models\[(.*)\]\.hf_id")


def other_stack(files: Sequence[RunFiles]) -> str:
    """How a run's stack differs from the first one's, mode by mode, in words; empty if none does.

    What one run records and another does not is a difference: nobody knows that it is the same.
    """
    for number, other in enumerate(files[1:], start=2):
        found = list(_differing(files[0], other))
        if found:
            told = [
                f"{one.name}{f' ({one.where})' if one.where else ''} is {one.a} in lifetime 1 and "
                f"{one.b} in lifetime {number}"
                for one in found[:_SHOWN]
            ]
            more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
            return f"lifetime {number} is of another stack: {'; '.join(told + more)}"
    return ""


def _differing(first: RunFiles, other: RunFiles) -> Iterator[StackDifference]:
    """What differs, but for what differs on purpose."""
    weighed = set.intersection(
        *(set(object_in(run.metadata, "model_files")) for run in (first, other))
    )
    alike = len(_kinds(first, other)) == 1
    for one in stack_differences(first, other, [(mode, mode) for mode in MODES]):
        path = _MODEL.fullmatch(one.name)
        if _ON_PURPOSE.fullmatch(one.name) or (path and path[1] in weighed):
            continue
        if one.name == _CARD and alike:  # servers at once share out the GPUs of a machine
            continue
        if one.part == "harness" and one.name != "harness":
            continue
        if one.name == "server.extra_args" and _arguments(first) == _arguments(other):
            continue
        if _PIECES.sub("", one.a) != _PIECES.sub("", one.b):
            yield one


def _kinds(*runs: RunFiles) -> set[tuple[str, ...]]:
    """The kinds of GPU on the machines of runs."""
    every = (gpu for run in runs for gpu in run.metadata.get("gpus") or ())
    return {tuple(str(gpu.get(name)) for name in _KIND) for gpu in every}


def _arguments(files: RunFiles) -> dict[str, object]:
    """A server's further arguments, without the tokens of a step."""
    told = kept_arguments(files.spec)
    return {name: value for name, value in told.items() if name != _BUDGET}
