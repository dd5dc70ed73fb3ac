"""An answer that the server gave up is none: it fails its asking, which is sent again whole."""

from __future__ import annotations

from collections.abc import Sequence

from harness.records import FINISHED, Answer
from harness.replay.completion import RequestFailed


class Unfinished(RequestFailed):
    """An answer of the asking ended in anything but ``stop`` or ``length``.

    Attributes:
        endings: place among the asking's prompts, and the finish reason, of each such answer.
        of: prompts of the asking.
    """

    def __init__(self, endings: Sequence[tuple[int, str | None]], of: int) -> None:
        self.endings = tuple(endings)
        self.of = of
        super().__init__(self.naming([f"answer {n + 1}" for n in range(of)]), retryable=True)

    def naming(self, prompts: Sequence[str]) -> str:
        """The message, with the ids of the asking's prompts."""
        told = (
            f"{prompts[place]} ended in {reason or 'no reason'}" for place, reason in self.endings
        )
        return (
            f"{', '.join(told)}, not in {' or '.join(sorted(FINISHED))} ({self.of} in the asking)"
        )


def insist_finished(answers: Sequence[Answer]) -> None:
    """Refuse the answers of an asking unless all are whole.

    Raises:
        Unfinished: some are not; it may be sent again.
    """
    endings = [(place, answer.finish_reason) for place, answer in enumerate(answers)]
    if given_up := [ending for ending in endings if ending[1] not in FINISHED]:
        raise Unfinished(given_up, len(answers))
