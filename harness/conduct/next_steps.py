"""What a refusal names as the next step, in the words of the verb that was typed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import HarnessError, UsageError

_BEGINS_ANEW = re.compile(
    r"--fresh,(?: or)? another --run-id|another --run-id,(?: or)? --fresh for a new run|--fresh"
)
_WITHOUT_ID = "another --run-id, or --fresh without one"
_ANY_ANEW = re.compile(rf"{_BEGINS_ANEW.pattern}|another --run-id")
_RUN = re.compile(r"the same `harness run`(?: with --run-id \S+)?")
_ASKS_AGAIN = "the same command with --retry-errors"
_ITS_OWN = re.compile(r", or go on in the run's own folder: --run-id .*")


@contextmanager
def naming_another(*, beside_an_id: bool) -> Iterator[None]:
    """Say how a new run is begun where ``--fresh`` was given beside the id of one that is there."""
    try:
        yield
    except UsageError as error:
        if beside_an_id:
            error.hint = _BEGINS_ANEW.sub(_WITHOUT_ID, error.hint or "")
        raise


def without_flags(error: HarnessError, *, retries: bool) -> None:
    """Have an error name neither ``--fresh`` nor ``--run-id``: the verb names its folders itself.

    Args:
        error: its hint and its details are put otherwise.
        retries: whether it asks again what failed of its own accord, and not with a flag.
    """
    again = "the same command" if retries else _ASKS_AGAIN

    def told(text: str) -> str:
        text = _RUN.sub("the same command", _ITS_OWN.sub("", text)).replace(_ASKS_AGAIN, again)
        return _ANY_ANEW.sub("another --results", text)

    error.hint = error.hint and told(error.hint)
    error.detail = tuple(map(told, error.detail))
