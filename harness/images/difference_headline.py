"""The difference of two images in one line: ``torch 2.10.0 → 2.11.0, 14 packages changed``."""

from __future__ import annotations

from collections.abc import Iterator

from harness.images.difference_model import Change, ImageDifference

__all__ = ["headline"]

_FIRST = ("vLLM", "torch", "CUDA", "Python")
_SOURCE = "vLLM source"


def headline(difference: ImageDifference, *, readable: bool) -> str:
    """What a reader wants to know first.

    Args:
        difference: its own headline is not looked at.
        readable: whether both images' contents could be read.
    """
    if difference.same_image:
        return "the same image"
    versions = {change.name: change for change in difference.versions}
    parts = [_step(versions[name]) for name in _FIRST if name in versions]
    if not readable:
        return ", ".join([*parts, "what is inside could not be compared"])
    parts += [f"{text} changed" for text in _changed(difference)]
    if "vLLM" not in versions and any(name.startswith(_SOURCE) for name in versions):
        parts.append("vLLM's own code changed under the same version")
    if not parts and difference.labels:
        return "only labels changed"
    return ", ".join(parts) or "no difference in what was read"


def _changed(difference: ImageDifference) -> Iterator[str]:
    counts = {
        "package": len(difference.python_packages),
        "system package": len(difference.os_packages),
        "server default": sum(change.default_changed for change in difference.arguments),
        "environment variable": len(difference.environment),
    }
    yield from (_count(number, word) for word, number in counts.items() if number)
    yield from (change.name for change in difference.configuration if change.name == "entrypoint")
    if difference.batch_invariant.is_changed:
        yield "batch-invariant module"
    if other := sum(kernel.change != "same" for kernel in difference.kernels):
        yield _count(other, "kernel file")


def _step(change: Change) -> str:
    if change.a is None or change.b is None:
        return f"{change.name} {change.b or change.a} {change.kind}"
    return f"{change.name} {change.a} → {change.b}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
