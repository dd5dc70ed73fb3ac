"""A command below the supervisor, which is ended with this process, however that ends."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

from harness.serve import supervisor

_GRACE_S = 10.0
_FAILED = 1


@contextmanager
def supervised(
    command: Sequence[str], environment: Mapping[str, str], stdout: IO[str]
) -> Iterator[Callable[[], int]]:
    """Run a command while the block does something else; what it started is ended with the block.

    Yields:
        What waits for its end and gives its exit code.
    """
    told, status = os.pipe()
    with os.fdopen(told) as said:
        try:
            work = subprocess.Popen(
                [
                    *(sys.executable, "-I", supervisor.__file__, str(status), str(_GRACE_S), "--"),
                    *command,
                ],
                stdin=subprocess.PIPE,
                stdout=stdout,
                env=environment,
                pass_fds=(status,),
                start_new_session=True,
            )
        finally:
            os.close(status)

        def ended() -> int:
            words = (line.split() for line in said)
            return next((int(word[1]) for word in words if word[0] == "ended"), _FAILED)

        try:
            yield ended
        finally:
            work.communicate()
