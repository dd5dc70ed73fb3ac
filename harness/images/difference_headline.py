"""The difference of two images in one line: ``torch 2.10.0 → 2.11.0, 14 packages changed``."""

from __future__ import annotations

from collections.abc import Sequence

from harness.images.difference_model import ArgumentChange, Change, KernelChange, ModuleChange

__all__ = ["headline"]

_FIRST = ("vLLM", "torch", "CUDA", "Python")


def headline(
    *,
    versions: Sequence[Change],
    python_packages: Sequence[Change],
    arguments: Sequence[ArgumentChange],
    module: ModuleChange,
    kernels: Sequence[KernelChange],
    same_image: bool,
    readable: bool,
) -> str:
    """What a reader wants to know first.

    Args:
        readable: whether both images' contents could be read.
    """
    if same_image:
        return "the same image"
    by_name = {change.name: change for change in versions}
    parts = [_step(by_name[name]) for name in _FIRST if name in by_name]
    if not readable:
        return ", ".join([*parts, "what is inside could not be compared"])
    if python_packages:
        parts.append(_count(len(python_packages), "package") + " changed")
    if defaults := sum(change.default_changed for change in arguments):
        parts.append(_count(defaults, "server default") + " changed")
    if module.is_changed:
        parts.append("batch-invariant module changed")
    if other := sum(kernel.change != "same" for kernel in kernels):
        parts.append(_count(other, "kernel file") + " changed")
    if "vLLM" not in by_name and any(name.startswith("vLLM source") for name in by_name):
        parts.append("vLLM's own code changed under the same version")
    return ", ".join(parts) or "no difference in what was read"


def _step(change: Change) -> str:
    if change.a is None or change.b is None:
        return f"{change.name} {change.b or change.a} {change.kind}"
    return f"{change.name} {change.a} → {change.b}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
