"""Watching the log while a server is asked; the log is written here, as an engine would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from harness.records import Answer, Witness
from harness.replay import StepWatch

HEAD = "(EngineCore pid=1) INFO 11-23 17:00:00 [core.py:1] "
COUNTERS = """vllm:iteration_tokens_total_count{{engine="0"}} {steps}
vllm:iteration_tokens_total_bucket{{engine="0",le="1.0"}} {alone}
vllm:generation_tokens_total{{engine="0"}} {tokens}
"""


def lines(*widths: tuple[int, int]) -> str:
    return "".join(
        f"{HEAD}Iteration({number}): {context} context requests, {context * 8} context tokens, "
        f"{decode} generation requests, {decode} generation tokens\n"
        for number, (context, decode) in enumerate(widths)
    )


def answers(*lengths: int) -> list[Answer]:
    return [Answer("x", tuple(range(length)), "length") for length in lengths]


class Engine:
    """A server's log and counters, and a clock that only counts the waiting."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.waited = 0.0
        self.late: list[str] = []
        self.counters = ""
        self.metrics_read = 0
        log.write_text("INFO the server is up\n", encoding="utf-8")

    def write(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(text)

    async def metrics(self) -> str:
        self.metrics_read += 1
        return self.counters

    async def sleep(self, seconds: float) -> None:
        self.waited += seconds
        if self.late:
            self.write(self.late.pop(0))

    def watch(self) -> StepWatch:
        return StepWatch(self.log, self.metrics, sleep=self.sleep)


async def asked(watch: StepWatch, said: list[Answer], work: Callable[[], object]) -> Witness:
    since = await watch.mark()
    work()
    return await watch.witness(since, said)


def test_each_asking_has_the_steps_between_its_own_quiet_moments(tmp_path: Path):
    async def ask() -> list[Witness]:
        engine = Engine(tmp_path / "log")
        watch = engine.watch()
        return [
            await asked(watch, answers(2), lambda: engine.write(lines((1, 0), (0, 1)))),
            await asked(watch, answers(2, 2), lambda: engine.write(lines((2, 0), (0, 2)))),
        ]

    solo, batch = asyncio.run(ask())
    assert solo.alone
    assert batch.shared
    assert batch.admitted_first_step == 2


def test_lines_that_come_late_are_waited_for(tmp_path: Path):
    async def ask() -> tuple[Witness, float]:
        engine = Engine(tmp_path / "log")
        watch = engine.watch()
        engine.late = ["", *lines((1, 0), (0, 1)).splitlines(keepends=True)]
        return await asked(watch, answers(2), lambda: None), engine.waited

    found, waited = asyncio.run(ask())
    assert found.steps == 2
    assert waited < 0.05


def test_a_log_without_steps_is_judged_once_and_the_metrics_serve(tmp_path: Path):
    async def ask() -> tuple[list[Witness], float]:
        engine = Engine(tmp_path / "log")
        watch = engine.watch()

        def solo(n: int) -> None:
            engine.counters = COUNTERS.format(steps=8 * n, alone=7 * n, tokens=8 * n)

        solo(0)
        first = await asked(watch, answers(8), lambda: solo(1))
        waited = engine.waited
        second = await asked(watch, answers(8), lambda: solo(2))
        assert engine.waited == waited
        return [first, second], waited

    found, waited = asyncio.run(ask())
    assert found == [Witness(steps=8, shared_decode_share=0.0, source="metrics")] * 2
    assert waited < 0.5


def test_a_log_with_steps_needs_no_metrics_and_is_never_replaced_by_them(tmp_path: Path):
    async def ask() -> tuple[Witness, int]:
        engine = Engine(tmp_path / "log")
        watch = engine.watch()
        await asked(watch, answers(2), lambda: engine.write(lines((1, 0), (0, 1))))
        read = engine.metrics_read
        strange = await asked(watch, answers(2), lambda: engine.write(lines((1, 0), (0, 5))))
        return strange, engine.metrics_read - read

    strange, read = asyncio.run(ask())
    assert strange == Witness()
    assert read == 0


def test_a_server_that_tells_nothing_gives_no_witness(tmp_path: Path):
    async def ask() -> Witness:
        engine = Engine(tmp_path / "log")
        engine.log.unlink()
        return await asked(engine.watch(), answers(3), lambda: None)

    assert asyncio.run(ask()) == Witness()
