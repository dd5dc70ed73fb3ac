"""``docker inspect`` and ``docker history`` of an image as `ImageConfig`, without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.images.inventory_model import ImageConfig, Layer
from harness.images.inventory_redaction import redacted_pairs, redacted_text

__all__ = ["image_config"]

_MOST_STEP = 2000
_METADATA = re.compile(
    r"(?:/bin/sh -c #\(nop\) +)?(?:ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER"
    r"|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME)\b"
)


def image_config(
    inspected: Mapping[str, Any], history: Sequence[Mapping[str, Any]], *, needs_gpu: bool
) -> ImageConfig:
    """Reduce what the engine says.

    Args:
        inspected: ``docker image inspect``.
        history: ``docker history``, newest first as the engine gives it.
        needs_gpu: as `LocalImage.needs_gpu`.
    """
    config = inspected.get("Config") or {}
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return ImageConfig(
        id=str(inspected["Id"]),
        digests=tuple(inspected.get("RepoDigests") or ()),
        platform=f"{inspected.get('Os') or 'linux'}/{inspected.get('Architecture') or 'unknown'}",
        created=str(inspected.get("Created") or ""),
        size_bytes=int(inspected.get("Size") or 0),
        layers=_layers((inspected.get("RootFS") or {}).get("Layers") or (), history),
        labels=redacted_pairs(config.get("Labels") or {}),
        environment=redacted_pairs({name: value for name, _, value in pairs}),
        entrypoint=_words(config.get("Entrypoint")),
        command=_words(config.get("Cmd")),
        user=str(config.get("User") or "root"),
        working_directory=str(config.get("WorkingDir") or "/"),
        ports=tuple(sorted(config.get("ExposedPorts") or ())),
        needs_gpu=needs_gpu,
    )


def _words(value: Sequence[str] | str | None) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else list(value or ())
    return tuple(redacted_text(word) for word in words)


def _layers(diff_ids: Sequence[str], history: Sequence[Mapping[str, Any]]) -> tuple[Layer, ...]:
    """Layers with the step that made each, where as many steps as layers can have made one.

    An engine does not say which step made which layer; steps that only set metadata make none.
    """
    steps = [step for step in reversed(history) if not _METADATA.match(_step(step))]
    if len(steps) != len(diff_ids):
        return tuple(Layer(str(diff_id)) for diff_id in diff_ids)
    return tuple(
        Layer(str(diff_id), int(step.get("Size") or 0), redacted_text(_step(step))[:_MOST_STEP])
        for diff_id, step in zip(diff_ids, steps, strict=True)
    )


def _step(step: Mapping[str, Any]) -> str:
    return " ".join(str(step.get("CreatedBy") or "").split())
