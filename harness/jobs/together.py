"""Several runs at once, each in a process of its own: servers that share one machine's GPU.

What a run leaves is the same as one after the other; whoever asked for it then takes each run up,
finds all records there and concludes. A signal ends all of them, and their servers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

from harness import conduct
from harness.errors import HarnessError, Interrupted, UsageError
from harness.settings import RunSpec
from harness.words import BackendName

Work = tuple[conduct.Prepared, conduct.RunOptions]
_APART = 10
"""Ports between two servers that run at once."""


def insist_they_fit(spec: RunSpec, overlap: int) -> None:
    """Several servers on one GPU measure each other's memory unless told theirs.

    Raises:
        UsageError: they were not.
    """
    if overlap < 2:
        return
    if spec.backend is BackendName.EXTERNAL:
        raise UsageError("--overlap: servers that someone else runs are not started here")
    on_cpu = any(name.startswith("VLLM_CPU_") for name in spec.server.env)
    if not on_cpu and "--kv-cache-memory-bytes" not in " ".join(spec.server.extra_args):
        share = f"{0.9 / overlap:.2f}"
        raise UsageError(
            f"--overlap {overlap}: each server would take the memory that the others leave",
            hint="--extra-args '--kv-cache-memory-bytes 6000000000' and "
            f"--gpu-memory-utilization {share} give each its own",
        )


def at_once(works: Sequence[Work], overlap: int) -> None:
    """Do runs side by side, at most ``overlap`` at a time; how each ended is in its folder.

    Raises:
        Interrupted: a signal came; every run was ended first.
    """
    if overlap < 2:
        return
    context = multiprocessing.get_context("fork")
    waiting, running = list(enumerate(works)), list[Any]()
    with _passed_on(running):
        while waiting or running:
            while waiting and len(running) < overlap:
                place, work = waiting.pop(0)
                child = context.Process(target=_alone, args=(work, place % overlap))
                child.start()
                running.append(child)
            running[0].join(0.2)
            for child in [one for one in running if not one.is_alive()]:
                running.remove(child)


def _alone(work: Work, place: int) -> None:
    """One run in a process of its own, on a port of its own; its messages stay in its folder."""
    prepared, options = work
    spec = prepared.spec
    port = {"port": spec.server.port + _APART * (place + 1)}
    server = spec.server.model_copy(update=port)
    moved = replace(prepared.loaded, spec=spec.model_copy(update={"server": server}))
    code = 0
    try:
        conduct.run(replace(prepared, loaded=moved), options, conduct.RunProgress())
    except HarnessError as error:  # the parent meets it again where it takes the run up
        sys.stderr.write(f"{options.run_id}: {error.message}\n")
        code = error.exit_code
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def _passed_on(running: Sequence[Any]) -> Iterator[None]:
    """Send SIGINT and SIGTERM on to the runs, wait for them, then be interrupted."""

    def pass_on(number: int, _: FrameType | None) -> None:
        for child in running:
            if child.pid and child.is_alive():
                os.kill(child.pid, signal.SIGINT)
        for child in running:
            child.join()
        raise Interrupted("stopped by a signal", hint="the same command goes on from there")

    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, pass_on) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
