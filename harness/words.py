"""The project's words as types, each with the facts that go with it.

``words`` is how a member reads for people; ``title`` would hide a method of ``str``.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from enum import StrEnum

_NONCE = re.compile(r"@[0-9a-f]{8}$")


class Mode(StrEnum):
    """The kernel path that a server runs."""

    STANDARD = "standard"
    BATCH_INVARIANT = "batch_invariant"

    @property
    def words(self) -> str:
        """``standard`` or ``batch-invariant``, to stand before "kernels"."""
        return self.value.replace("_", "-")


class RequestEndpoint(StrEnum):
    """Where prompts are sent: as they are, or as a user's turn in the model's own template."""

    COMPLETIONS = "completions"
    CHAT = "chat"

    @property
    def path(self) -> str:
        """Of the server's OpenAI-compatible API."""
        return "/v1/chat/completions" if self is RequestEndpoint.CHAT else "/v1/completions"


LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts at which a server's development endpoints are asked, and no other."""

MODES = tuple(Mode)
"""Both modes, the standard one first: the order of every pair, table and test."""


class Condition(StrEnum):
    """How one prompt met the server."""

    SOLO = "solo"
    BATCHED = "batched"

    @property
    def words(self) -> str:
        """``alone`` or ``in its batch``."""
        return "alone" if self is Condition.SOLO else "in its batch"


class Asking(StrEnum):
    """One time that a prompt is sent under one mode, in the order in which a row's are sent.

    ``S0`` alone, the first time in a server's lifetime; ``S1`` alone again; ``B`` in its batch;
    ``B2`` in the same batch once more, where asked for; ``S2`` alone once more.
    """

    S0 = "S0"
    S1 = "S1"
    B = "B"
    B2 = "B2"
    S2 = "S2"


class Effect(StrEnum):
    """What two askings of one prompt show where they differ."""

    BATCH = "batch_effect"
    CACHE = "cache_effect"
    NOISE = "noise"

    @property
    def askings(self) -> tuple[Asking, Asking]:
        """The two that are compared: of which the second is the one that may be moved."""
        return {
            Effect.BATCH: (Asking.S1, Asking.B),
            Effect.CACHE: (Asking.S0, Asking.S1),
            Effect.NOISE: (Asking.S1, Asking.S2),
        }[self]

    @property
    def words(self) -> str:
        """``batch effect``, ``cache effect`` or ``noise``."""
        return self.value.replace("_", " ")


class Pattern(StrEnum):
    """What the texts of S0, S1, B and S2 say together.

    ``same``: all equal. ``batch``: only B is another. ``cache``: S0 is another, B equals S1.
    ``masked``: B equals S0 and differs from S1, so a comparison with the first asking sees nothing.
    ``both``: S0, S1 and B are three texts. ``unstable``: S1 and S2 differ, though nothing but time
    is between them, so the rest says nothing.
    """

    SAME = "same"
    BATCH = "batch"
    CACHE = "cache"
    MASKED = "masked"
    BOTH = "both"
    UNSTABLE = "unstable"

    @property
    def effect(self) -> Effect | None:
        """What a row of the pattern shows; ``None`` where nothing moved, or all is noise."""
        if self in (Pattern.SAME, Pattern.UNSTABLE):
            return None
        return Effect.CACHE if self is Pattern.CACHE else Effect.BATCH


def pattern_of(s0: Hashable, s1: Hashable, b: Hashable, s2: Hashable) -> Pattern:
    """The pattern of four texts, or of what stands for them (their hashes)."""
    if s1 != s2:
        return Pattern.UNSTABLE
    if s1 == b:
        return Pattern.SAME if s0 == b else Pattern.CACHE
    if s0 == s1:
        return Pattern.BATCH
    return Pattern.MASKED if s0 == b else Pattern.BOTH


class DispatchMode(StrEnum):
    """How a batch is sent: the schedule under which its requests meet in the engine."""

    SYNCHRONIZED = "synchronized"
    PROMPT_LIST = "prompt_list"
    GATED = "gated"
    STAGGERED = "staggered"
    WIDE = "wide"

    @property
    def note(self) -> str:
        """How the requests of one batch reach the server."""
        return {
            DispatchMode.SYNCHRONIZED: "N concurrent one-prompt requests to /v1/completions, each "
            "on a connection of its own that was warmed just before",
            DispatchMode.PROMPT_LIST: "one request to /v1/completions with a list of N prompts; "
            "answers matched by choices[].index",
            DispatchMode.GATED: "N one-prompt requests to /v1/completions, held by the server "
            "(POST /pause?mode=keep) until all are there and admitted in one engine step (POST "
            "/resume); a batch of which the log does not show that is no batch",
            DispatchMode.STAGGERED: "N one-prompt requests to /v1/completions, one after the other "
            "at a fixed interval (controls.stagger_ms), so that prefills join running decodes",
            DispatchMode.WIDE: "N concurrent one-prompt requests to /v1/completions, more than the "
            "server has slots (--max-num-seqs), so that waiting ones join running ones",
        }[self]

    def requests(self, batch_size: int) -> int:
        """HTTP requests that one batch of this size takes, without retries."""
        return 1 if self is DispatchMode.PROMPT_LIST else batch_size


MIXING = frozenset({DispatchMode.STAGGERED, DispatchMode.WIDE})
"""Schedules in which prefills join running decodes."""


class CachePolicy(StrEnum):
    """What a request may find in the server's prefix cache."""

    SERVER_DEFAULT = "server_default"
    OFF = "off"
    ON = "on"
    SALTED = "salted"
    RESET = "reset"

    @property
    def forbids_earlier(self) -> bool:
        """Whether no token of an earlier asking may come from the cache."""
        return self in (CachePolicy.OFF, CachePolicy.SALTED, CachePolicy.RESET)


class Endpoint(StrEnum):
    """What is counted on a pair of answers to one prompt, alone and in its batch."""

    LABEL_FLIPS = "label_flips"
    TEXT_CHANGES = "text_changes"

    @property
    def column(self) -> str:
        """Of one record: ``label_flip`` or ``text_change``."""
        return self.value.removesuffix("s")

    @property
    def words(self) -> str:
        """``Label flips`` or ``Text changes``."""
        return self.value.replace("_", " ").capitalize()


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
    and the invariant override was seen, or two kinds of evidence contradict each other, or another
    server may have answered. ``inconclusive``: the evidence that this version must
    show is missing, so nothing is claimed.
    """

    ACTIVE = "active"
    CLEAN = "clean"
    CONTAMINATED = "contaminated"
    INCONCLUSIVE = "inconclusive"


PROVEN = {Mode.STANDARD: Verdict.CLEAN, Mode.BATCH_INVARIANT: Verdict.ACTIVE}
"""The one verdict under which a server's answers count for a mode."""


class BackendName(StrEnum):
    """Who runs the server."""

    DOCKER = "docker"
    NATIVE = "native"
    EXTERNAL = "external"


def served_name(model: str, nonce: str) -> str:
    """The name under which a server of one lifetime serves ``model``; its own where no nonce is.

    Args:
        model: the candidates' name.
        nonce: eight hexadecimal digits that no other lifetime has; empty for none.
    """
    return f"{model}@{nonce}" if nonce else model


def without_nonce(name: str) -> str:
    """The model's name in a served name."""
    return _NONCE.sub("", name)


LONGEST_IN_FILE_NAME = 200
"""Bytes of a name within that of a file, which may have 255 on most disks: room for the rest."""


def safe_name(text: str) -> str:
    """The text with every character that may trouble a file name replaced by a dash."""
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in text)
