"""The project's words as types, each with the facts that go with it.

``words`` is how a member reads for people; ``title`` would hide a method of ``str``.
"""

from enum import StrEnum


class Mode(StrEnum):
    """The kernel path that a server runs."""

    STANDARD = "standard"
    BATCH_INVARIANT = "batch_invariant"

    @property
    def words(self) -> str:
        """``standard`` or ``batch-invariant``, to stand before "kernels"."""
        return self.value.replace("_", "-")


MODES = tuple(Mode)
"""Both modes, the standard one first: the order of every pair, table and test."""


class Condition(StrEnum):
    """How one prompt met the server."""

    SOLO = "solo"
    BATCHED = "batched"
    SOLO_REPEAT = "solo_repeat"
    BATCHED_REPEAT = "batched_repeat"


class DispatchMode(StrEnum):
    """How a batch is sent: the schedule under which its requests meet in the engine."""

    SYNCHRONIZED = "synchronized"
    PROMPT_LIST = "prompt_list"
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
            DispatchMode.STAGGERED: "N one-prompt requests to /v1/completions, one after the other "
            "at a fixed interval (controls.stagger_ms), so that prefills join running decodes",
            DispatchMode.WIDE: "N concurrent one-prompt requests to /v1/completions, more than the "
            "server has slots (--max-num-seqs), so that waiting ones join running ones",
        }[self]

    def requests(self, batch_size: int) -> int:
        """HTTP requests that one batch of this size takes, without retries."""
        return 1 if self is DispatchMode.PROMPT_LIST else batch_size


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
    and the invariant override was seen. ``inconclusive``: the evidence that this version must
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
