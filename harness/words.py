"""The project's words as types: modes, conditions, dispatch modes and verdicts."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["BackendName", "Condition", "DispatchMode", "Domain", "Mode", "Status", "Verdict"]


class Mode(StrEnum):
    """The kernel path that a server runs."""

    STANDARD = "standard"
    BATCH_INVARIANT = "batch_invariant"


class Condition(StrEnum):
    """How one prompt met the server."""

    SOLO = "solo"
    BATCHED = "batched"
    SOLO_REPEAT = "solo_repeat"
    BATCHED_REPEAT = "batched_repeat"


class DispatchMode(StrEnum):
    """How a batch is sent: N concurrent requests, one list, or held and admitted in one step."""

    SYNCHRONIZED = "synchronized"
    PROMPT_LIST = "prompt_list"
    GATED = "gated"


class Domain(StrEnum):
    """What a task measures."""

    SAFETY = "safety"
    CAPABILITY = "capability"


class Status(StrEnum):
    """Whether a record can be counted."""

    OK = "ok"
    ERROR = "error"


class Verdict(StrEnum):
    """What the evidence says about the kernel path of one server lifetime.

    ``active``: the batch-invariant path was asked for and ran. ``clean``: the standard path was
    asked for and nothing of the other was seen. ``contaminated``: the standard path was asked for
    and the invariant override was seen. ``inconclusive``: the evidence that this version must
    show is missing, so nothing is claimed.
    """

    ACTIVE = "active"
    CLEAN = "clean"
    CONTAMINATED = "contaminated"
    INCONCLUSIVE = "inconclusive"


class BackendName(StrEnum):
    """Who runs the server."""

    DOCKER = "docker"
    NATIVE = "native"
    EXTERNAL = "external"
