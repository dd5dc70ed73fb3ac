"""What a run is known by: one hash over its settings, its weights and all that it asks, in order.

The run writes it before its first record; whoever reads the run makes it again from the files
beside the records (`made_again`), so that none of these can be edited alone.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from harness.errors import UsageError
from harness.records.record import RecordKey, record_id
from harness.words import Mode

_ELSEWHERE: Mapping[str, Sequence[str]] = {
    "": (
        *("schema_version", "name", "expect", "external"),
        *("candidates", "candidate_source", "tasks"),
    ),
    "server": ("port", "startup_timeout_s", "stop_timeout_s", "overlap"),
    "request": ("timeout_s",),
}
"""By section, the settings that change nothing of what is asked, or stand in the plan itself."""


class Asked(NamedTuple):
    """One record of a plan: its batch by the keys of its prompts, their hashes, its own place."""

    record_id: str
    keys: tuple[str, ...]
    hashes: tuple[str, ...]
    target_index: int


def experiment_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's settings, as JSON has them, without those that change nothing of what is asked."""
    found = {name: value for name, value in settings.items() if name not in _ELSEWHERE[""]}
    for section, names in _ELSEWHERE.items():
        if isinstance(inner := found.get(section), Mapping):
            found[section] = {name: value for name, value in inner.items() if name not in names}
    return found


def fingerprint(
    settings: Mapping[str, Any],
    weights: Mapping[str, str],
    asked: Iterable[tuple[str, Iterable[str]]],
) -> str:
    """SHA-256 of settings, weights, and of every record its id and the hashes of its prompts.

    Args:
        settings: of the spec, as JSON has them.
        weights: SHA-256 of each model that is a local folder.
        asked: of each planned record, in order.
    """
    mark = hashlib.sha256(json.dumps([experiment_of(settings), weights], sort_keys=True).encode())
    for name, hashes in asked:
        mark.update("".join((name, *hashes)).encode())
    return mark.hexdigest()


def batch_places(position: int, batch_size: int, of: int) -> list[int]:
    """The places of a population of ``of`` prompts that share a batch with one (DESIGN 4.4).

    Raises:
        UsageError: the batch is larger than the population.
    """
    if not 1 <= batch_size <= of:
        raise UsageError(f"batch size {batch_size} of a population of {of} prompts")
    start = position - position % batch_size
    return [place % of for place in range(start, start + batch_size)]


def made_again(
    models: Iterable[str],
    modes: Iterable[str],
    candidates: Sequence[RecordKey],
    prompts: Sequence[tuple[str, str]],
) -> list[Asked]:
    """The records of a plan, in order, from what a run's folder holds of it.

    Args:
        models, modes: names, in the order of the spec.
        candidates: in the order of their file.
        prompts: key and hash of each prompt of the population, in order.

    Raises:
        UsageError: a candidate is none of the prompts, or its batch is larger than they are many.
    """
    index = {key: place for place, (key, _) in enumerate(prompts)}
    found = []
    for model, mode in product(models, modes):
        for key in candidates:
            _, task, sample, size, _ = key
            own = f"{task}/{sample}"
            if own not in index:
                raise UsageError(f"{own} is none of the run's prompts")
            places = batch_places(index[own], size, len(prompts))
            if key[0] == model:
                keys, hashes = zip(*(prompts[place] for place in places), strict=True)
                found.append(Asked(record_id(key, Mode(mode)), keys, hashes, keys.index(own)))
    return found
