"""A pod's files on their way here: cut, killed, and gone on with.

RunPod stands in; the server in the pod and the fetch are the real ones. Whatever broke off before,
the same command makes the copy whole, and no file has its name before it is.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.runpod_stand_in import KEY, account

from .bench import FINE, INCOMPLETE, INTERRUPTED, insist
from .campaign import Play, row

_ENDS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


@row("cut-fetch", share=0.6)
def cut_fetch(play: Play) -> None:
    """`runpod fetch` is cut by the proxy or killed, once or more; the next one completes."""
    rng, bench = play.rng, play.bench()
    given = bench.folder / "in_the_pod"
    for number in range(rng.randrange(1, 6)):
        file = given / f"run-{number % 2}" / f"{number}.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(rng.randbytes(rng.choice((0, 1, 70_000, 9 << 20, 17 << 20))))
    (given / "runpod_exit_code").write_text("0\n")
    with account(given) as pods:
        pods.add()
        environment = {
            "RUNPOD_API_KEY": KEY,
            "HARNESS_RUNPOD_API": pods.url,
            "HARNESS_RUNPOD_PROXY": f"{pods.url}/door",
        }
        words = ("runpod", "fetch", "pod0")
        for _ in range(rng.randrange(1, 4)):
            pods.cuts = rng.choice((0, 1, 2, 4))
            running = bench.start(*words, real=True, environment=environment)
            if rng.random() < 0.7:
                time.sleep(rng.uniform(0.5, 2.0))
                running.send(rng.choice(_ENDS))
            said = running.said()
            play.note(f"ended with {said.code}")
            said.insist_on(FINE, INCOMPLETE, INTERRUPTED, *(-number for number in _ENDS))
            _insist_same(given, bench.folder / "results/runpod-pod0", whole=False)
        pods.cuts = 0
        bench.run(*words, real=True, environment=environment).insist_on(FINE)
        _insist_same(given, bench.folder / "results/runpod-pod0", whole=True)


def _insist_same(given: Path, here: Path, *, whole: bool) -> None:
    for file in (path for path in given.rglob("*") if path.is_file()):
        copy = here / file.relative_to(given)
        insist(copy.exists() or not whole, f"{copy} was not fetched")
        insist(not copy.exists() or copy.read_bytes() == file.read_bytes(), f"{copy} differs")
    left = [path.name for path in here.rglob("*.part")]
    insist(not whole or not left, f"parts are left: {left}")
