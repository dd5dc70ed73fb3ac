"""From which vLLM release on a GPU's batch-invariant mode means something.

No release checks this itself: on a GPU that is too old or not supported yet, the mode starts and
is silently something else. Read from the sources of 24 releases, 0.11.0 to 0.32.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.doctor.checks import Check, failed, ok, warning
from harness.prove import parse_version

__all__ = ["capability_check"]

_NAME = "compute capability"


@dataclass(frozen=True, slots=True)
class _Rule:
    """From which release on the mode works, and from which also in compiled mode."""

    since: tuple[int, int, int]
    compiled_since: tuple[int, int, int]


_RULES = {
    (9, 0): _Rule((0, 11, 1), (0, 11, 1)),
    (10, 0): _Rule((0, 11, 1), (0, 11, 1)),
    (10, 3): _Rule((0, 13, 0), (0, 13, 0)),
    (8, 0): _Rule((0, 13, 0), (0, 21, 0)),
    (8, 9): _Rule((0, 13, 0), (0, 21, 0)),
    (8, 6): _Rule((0, 20, 0), (0, 21, 0)),
    (8, 7): _Rule((0, 20, 0), (0, 21, 0)),
}
_LOWEST = (8, 0)


def capability_check(
    capability: tuple[int, int], vllm: str | None, *, enforce_eager: bool
) -> Check:
    """Judge a GPU against a vLLM release for ``VLLM_BATCH_INVARIANT=1``.

    Args:
        capability: of the GPU.
        vllm: the release; ``None`` if it is not known.
        enforce_eager: whether the server is started with ``--enforce-eager``.
    """
    gpu = f"{capability[0]}.{capability[1]}"
    if capability < _LOWEST:
        return failed(
            _NAME,
            f"{gpu}: batch-invariant kernels need 8.0 or more",
            "use another GPU, or --modes standard",
        )
    version = parse_version(vllm)
    if version is None:
        return warning(
            _NAME,
            f"{gpu}; the vLLM release is not known, so it cannot be judged",
            "pin the image (harness pin), which reads the release",
        )
    rule = _RULES.get(capability)
    if rule is None:
        return warning(
            _NAME,
            f"{gpu} is in no list of vLLM {vllm}; it takes Hopper's kernels",
            "treat changed answers in batch_invariant mode as a finding about this GPU",
        )
    if version < rule.since:
        return failed(
            _NAME,
            f"{gpu}: the mode is batch-invariant from vLLM {_text(rule.since)} on, this is {vllm}",
            f"use an image of vLLM {_text(rule.since)} or later",
        )
    if version < rule.compiled_since and not enforce_eager:
        return failed(
            _NAME,
            f"{gpu}: compiled mode is batch-invariant from vLLM "
            f"{_text(rule.compiled_since)} on, this is {vllm}",
            "add --enforce-eager to server.extra_args (both modes get it), or use a later image",
        )
    return ok(_NAME, f"{gpu} is supported by vLLM {vllm}")


def _text(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
