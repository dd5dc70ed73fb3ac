"""Several runs at once, each in a process of its own: servers that share one machine's GPUs.

What a run leaves is the same as one after the other; whoever asked for it then takes each run up,
finds all records there and concludes. A signal ends all of them, and their servers; should whoever
started them be killed, the kernel kills them too, and their servers end as after any ``kill -9``.
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
from typing import Any

from harness import conduct
from harness.errors import HarnessError, Interrupted, ServerDied
from harness.hostile import visible
from harness.machine import end_with_parent
from harness.refused import trouble

Work = tuple[conduct.Prepared, conduct.RunOptions]
_FORK = multiprocessing.get_context("fork")
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_AGAIN_S = 0.05
_CHILDS_END_S = 0.2


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


def side_by_side(
    works: Sequence[Callable[[int], object]],
    most: int,
    failed: Callable[[], object] = lambda: None,
) -> None:
    """Do each in a process of its own, at most so many at a time; each is told its place.

    Args:
        failed: called where one ended otherwise than well, be it that it was killed.

    Raises:
        Interrupted: a signal came; all were ended first.
    """
    waiting, running, free = list(works), list[tuple[Any, int]](), list(range(most))
    with _heard() as signals, _ended(running):
        while (waiting or running) and not signals:
            while waiting and free:
                place = free.pop(0)
                running.append((_started(waiting.pop(0), place), place))
            running[0][0].join(_CHILDS_END_S)
            for one in [one for one in running if not one[0].is_alive()]:
                running.remove(one)
                free.append(one[1])
                if one[0].exitcode:
                    failed()
        if signals:
            raise Interrupted("stopped by a signal", hint="the same command goes on from there")


def _started(work: Callable[[int], object], place: int) -> Any:
    """A child, in which a signal waits until it can be heard there."""
    child = _FORK.Process(target=_alone, args=(work, place, os.getpid()))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child


def _alone(work: Callable[[int], object], place: int, parent: int) -> None:
    """Work in a process of its own, on ports of its own; its messages stay in its folder."""
    code = 0
    os.setpgid(0, 0)  # a terminal's Ctrl-C comes from the parent, and once
    end_with_parent(parent)
    with conduct.sigterm_is_interrupt():
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
            work(place)
        except KeyboardInterrupt:
            code = Interrupted.exit_code
        except (HarnessError, OSError) as error:  # the parent meets it again in taking the work up
            told = error if isinstance(error, HarnessError) else trouble(error, ".")
            sys.stderr.write(f"{visible(told.message)}\n")
            code = told.exit_code
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def _ended(running: Sequence[tuple[Any, int]]) -> Iterator[None]:
    """Interrupt those that are left at the end, and wait until they and their servers are gone."""
    try:
        yield
    finally:
        left = [child for child, _ in running if child.is_alive()]
        for child in left:
            os.kill(child.pid, signal.SIGINT)
        for child in left:
            child.join()


class Turns:
    """Processes that wait until all are ready, and then work one after the other.

    Nothing is locked: whoever is killed leaves the others nothing to wait for.

    Args:
        of: how many; the first one's number is 0.
    """

    def __init__(self, of: int) -> None:
        self._ready = _FORK.RawArray("b", of)
        self._turn, self._failed = _FORK.RawValue("i", 0), _FORK.RawValue("b", 0)

    async def wait(self, number: int) -> None:
        """Wait for one's turn.

        Raises:
            ServerDied: another one failed before it.
        """
        self._ready[number] = 1
        while not all(self._ready) or self._turn.value != number:
            if self._failed.value:
                raise ServerDied("a server that was to run beside this one failed")
            await asyncio.sleep(_LOOK_AGAIN_S)

    def fail(self) -> None:
        """Tell all that one has ended before its turn was over, so that none waits for ever."""
        self._failed.value = 1

    def over(self, number: int) -> None:
        """It is the next one's turn."""
        self._turn.value = number + 1


@contextmanager
def _heard() -> Iterator[list[int]]:
    """The signals that came so far and would have ended this process."""
    came = list[int]()
    heard = [number for number in _ENDS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in heard}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
