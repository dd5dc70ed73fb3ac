"""Rows of a data set on the Hugging Face hub, through the optional ``datasets`` package."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.errors import EnvironmentError_, UsageError
from harness.tasks.importing import Hub

__all__ = ["hub_rows", "load_dataset"]

Rows = Iterable[Mapping[str, Any]]


def load_dataset() -> Callable[..., Any]:
    """``datasets.load_dataset``.

    Raises:
        EnvironmentError_: the package is not installed.
    """
    try:
        module = importlib.import_module("datasets")
    except ImportError as error:
        raise EnvironmentError_(
            "--hub needs the package datasets, which is not installed",
            hint="pip install 'harness[datasets]', or download the file and give it instead",
        ) from error
    loader: Callable[..., Any] = module.load_dataset
    return loader


def hub_rows(
    place: Hub, revision: str | None, load: Callable[..., Any]
) -> tuple[Rows, dict[str, Any]]:
    """The rows of one split, and what says which rows they are.

    Args:
        place: id, configuration and split.
        revision: commit, tag or branch of the hub's repository.
        load: ``datasets.load_dataset``.

    Raises:
        UsageError: no data set or no split is named.
        EnvironmentError_: the hub does not give it.
    """
    if not place.dataset_id or not place.split:
        raise UsageError(
            "--hub: which data set and which split?",
            hint="give --hub-id ORG/NAME and --split; for this one none is known to fit",
        )
    try:
        rows = load(place.dataset_id, place.config or None, split=place.split, revision=revision)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EnvironmentError_(
            f"the hub does not give {place.dataset_id}: {reason}",
            hint="check id, --config, --split and the network",
        ) from error
    return rows, {
        "hub": place.dataset_id,
        "config": place.config,
        "split": place.split,
        "revision": revision,
        "fingerprint": getattr(rows, "_fingerprint", None),
    }
