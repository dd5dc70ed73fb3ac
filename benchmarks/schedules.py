"""What each schedule and each cache policy really does, on the real CPU server.

One server with blocks of 32 tokens and 8 slots is sent ``--batches`` batches of 8 (12 for wide, so
that requests wait) under every dispatch mode; the witness says how many requests the first engine
step admitted and how many steps mixed prefill and decode, and lines of the log are quoted. Then
prompts of several blocks are asked again under every cache policy, ``off`` on a second server.

    python benchmarks/schedules.py [--batches 50] [--quote LINES] [--modes gated …]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.replay import (
    Answer,
    CompletionsClient,
    Dispatcher,
    Gate,
    LoggedAdmission,
    PrefixCache,
    StepWatch,
)
from harness.serve import Server, free_port, launch_options, make_backend, wait_until_ready
from harness.settings import RunSpec, load_spec
from harness.words import CachePolicy, DispatchMode, Mode

BATCH, WIDE = 8, 12
BEGINNING = "A kettle boils water when heat reaches it, and nobody has to be asked why. " * 4


def main() -> None:
    """Run both and print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--batches", type=int, default=50)
    flags.add_argument("--quote", type=int, default=6, help="lines of the log shown of a schedule")
    flags.add_argument("--modes", nargs="*", choices=list(DispatchMode), default=list(DispatchMode))
    given = flags.parse_args()
    with running("server_default") as (spec, server):
        say("schedule      batches  admitted in the first step (requests: batches)  mixed steps")
        for mode in map(DispatchMode, given.modes):
            for line in asyncio.run(schedule(spec, server, mode, given.batches, given.quote)):
                say(line)
        say("\nprompt tokens from the cache, and those of an earlier asking")
        say("policy          alone, first  alone again   synchronized  prompt_list")
        for policy in (CachePolicy.SERVER_DEFAULT, CachePolicy.SALTED, CachePolicy.RESET):
            say(asyncio.run(cached_line(spec, server, policy)))
    with running("off") as (spec, server):
        say(asyncio.run(cached_line(spec, server, CachePolicy.OFF)))


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def running(policy: str) -> Iterator[tuple[RunSpec, Server]]:
    """A server of the demo's model with small blocks, 8 slots and development endpoints."""
    arguments = ["--enforce-eager", "--block-size", "32", "--max-num-seqs", str(BATCH)]
    changes = {
        "server.port": free_port(18300 + os.getpid() % 90),
        "server.extra_args": [*arguments, "--max-num-batched-tokens", "2048"],
        "controls.prefix_caching": policy,
        "request.max_tokens": 16,
    }
    spec = load_spec("demo-tiny", changes).spec
    backend = make_backend(spec)
    with tempfile.TemporaryDirectory() as folder:
        options = launch_options(
            spec, spec.models[0], Mode.STANDARD, schedules=(DispatchMode.GATED,)
        )
        server = backend.start(options, Path(folder))
        try:
            wait_until_ready(server, timeout_s=180, served_model=options.served_model_name)
            yield spec, server
        finally:
            server.stop()


@contextlib.asynccontextmanager
async def dispatching(spec: RunSpec, server: Server, policy: CachePolicy):  # type: ignore[no-untyped-def]
    """A dispatcher as a run makes it."""

    async def alive() -> None:
        return None

    async with CompletionsClient(
        server.base_url, server.options.served_model_name, spec.request, tells_cached=True
    ) as client:
        gate = Gate(client, LoggedAdmission(server.log_path))
        cache = PrefixCache(client, policy, salted_with=f"schedules/{policy}")
        watch = StepWatch(server.log_path, client.metrics)
        yield Dispatcher(client, max_attempts=4, probe=alive, cache=cache, gate=gate, watch=watch)


def prompts(count: int, turn: int) -> list[str]:
    """Different prompts of several blocks, of which no two of a turn begin alike."""
    return [f"{turn}.{place}: {BEGINNING}" for place in range(count)]


async def schedule(
    spec: RunSpec, server: Server, mode: DispatchMode, batches: int, quote: int
) -> Sequence[str]:
    """What the log says of ``batches`` batches under one schedule."""
    firsts: Counter[int] = Counter()
    mixed: list[int] = []
    retried = 0
    async with dispatching(spec, server, CachePolicy.SERVER_DEFAULT) as dispatcher:
        size = WIDE if mode is DispatchMode.WIDE else BATCH
        for turn in range(batches):
            since = server.log_path.stat().st_size
            given = [f"{mode} {prompt}" for prompt in prompts(size, turn)]
            answers = await dispatcher.batch(given, mode)
            if (seen := dispatcher.witness) is None or seen.admitted_first_step is None:
                raise SystemExit(f"{mode}, batch {turn}: the log does not show all of its steps")
            text = server.log_path.read_bytes()[since:].decode(errors="replace")
            retried += answers[0].attempts != 1
            firsts[seen.admitted_first_step] += 1
            mixed.append(seen.mixed_steps or 0)
    told = ", ".join(f"{admitted}: {count}" for admitted, count in sorted(firsts.items()))
    line = f"{mode:<14}{batches:>7}  {told:<48}{sum(mixed) / batches:>6.1f} a batch"
    quoted = [line for line in text.splitlines() if "Iteration(" in line][:quote]
    return [line + (f", {retried} sent again" if retried else ""), *(f"    {q}" for q in quoted)]


async def cached_line(spec: RunSpec, server: Server, policy: CachePolicy) -> str:
    """Tokens from the cache, and of an earlier asking, in four askings of the same prompts."""
    async with dispatching(spec, server, policy) as dispatcher:
        given = [f"{policy} {prompt}" for prompt in prompts(2, 0)]
        askings = [
            (await dispatcher.solo(given[0]),),
            (await dispatcher.solo(given[0]),),
            await dispatcher.batch(given, DispatchMode.SYNCHRONIZED),
            await dispatcher.batch([given[0], f"{given[0]} Why?"], DispatchMode.PROMPT_LIST),
        ]
    return f"{policy:<16}" + "".join(f"{_cached(answers):<14}" for answers in askings)


def _cached(answers: Sequence[Answer]) -> str:
    told = "+".join(dict.fromkeys(str(answer.cached_tokens) for answer in answers))
    return f"{told}, {answers[0].cached_earlier}"


if __name__ == "__main__":
    main()
