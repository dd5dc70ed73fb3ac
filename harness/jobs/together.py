"""Several runs at once, each in a process of its own: servers that share one machine's GPUs.

What a run leaves is the same as one after the other; whoever asked for it then takes each run up,
finds all records there and concludes. A signal ends all of them, and their servers.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

from harness import conduct
from harness.errors import HarnessError, Interrupted, ServerDied

Work = tuple[conduct.Prepared, conduct.RunOptions]
_FORK = multiprocessing.get_context("fork")
_LOOK_AGAIN_S = 0.05


def at_once(works: Sequence[Work]) -> None:
    """Do runs side by side, as many as have room for their servers; each ends in its own folder.

    A run that fails beside others is the caller's to take up alone: what it lacked may have been
    the room.

    Raises:
        Interrupted: a signal came; every run was ended first.
    """
    spec = works[0][0].spec
    runs = spec.server.overlap // len(spec.modes)
    if runs > 1:
        side_by_side([partial(_run, work) for work in works], runs)


def _run(work: Work, place: int) -> None:
    prepared, options = work
    conduct.run(prepared, replace(options, place=place), conduct.RunProgress())


def side_by_side(works: Sequence[Callable[[int], object]], most: int) -> None:
    """Do each in a process of its own, at most so many at a time; each is told its place.

    Raises:
        Interrupted: a signal came; all were ended first.
    """
    waiting, running, free = list(works), list[tuple[Any, int]](), list(range(most))
    with _passed_on(running):
        while waiting or running:
            while waiting and free:
                place = free.pop(0)
                child = _FORK.Process(target=_alone, args=(waiting.pop(0), place))
                child.start()
                running.append((child, place))
            running[0][0].join(0.2)
            for one in [one for one in running if not one[0].is_alive()]:
                running.remove(one)
                free.append(one[1])


def _alone(work: Callable[[int], object], place: int) -> None:
    """Work in a process of its own, on ports of its own; its messages stay in its folder."""
    code = 0
    try:
        work(place)
    except HarnessError as error:  # the parent meets it again where it takes the work up
        sys.stderr.write(f"{error.message}\n")
        code = error.exit_code
    sys.stderr.flush()
    os._exit(code)


class Turns:
    """Processes that wait until all are ready, and then work one after the other.

    Args:
        of: how many; the first one's number is 0.
    """

    def __init__(self, of: int) -> None:
        self._of = of
        self._ready, self._turn = _FORK.Value("i", 0), _FORK.Value("i", 0)
        self._failed = _FORK.Value("b", 0)

    async def wait(self, number: int) -> None:
        """Wait for one's turn.

        Raises:
            ServerDied: another one failed before it.
        """
        with self._ready.get_lock():
            self._ready.value += 1
        while self._ready.value < self._of or self._turn.value != number:
            if self._failed.value:
                raise ServerDied("a server that was to run beside this one failed")
            await asyncio.sleep(_LOOK_AGAIN_S)

    @contextmanager
    def failing_for_all(self) -> Iterator[None]:
        """Tell the others where the block fails, so that none waits for ever."""
        try:
            yield
        except BaseException:
            self._failed.value = 1
            raise

    def over(self, number: int) -> None:
        """It is the next one's turn."""
        self._turn.value = number + 1


@contextmanager
def _passed_on(running: Sequence[tuple[Any, int]]) -> Iterator[None]:
    """Send SIGINT and SIGTERM on to the runs, wait for them, then be interrupted."""

    def pass_on(number: int, _: FrameType | None) -> None:
        for child, _place in running:
            if child.pid and child.is_alive():
                os.kill(child.pid, signal.SIGINT)
        for child, _place in running:
            child.join()
        raise Interrupted("stopped by a signal", hint="the same command goes on from there")

    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, pass_on) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
