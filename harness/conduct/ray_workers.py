"""Workers on the nodes of a Ray cluster: the same worker, below an actor that is polled.

An actor cannot call back whoever made it, so it starts the worker as a child of its own, keeps what
it says, and gives it away when it is asked for `more`. Node, actor or worker that is lost is a
worker that is lost: Ray starts none of them again, since only the driver knows what is written.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import shutil
import signal
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from harness.conduct.asking import ON_A_CPU, with_room
from harness.conduct.lifetime import Bench, signals_deferred
from harness.conduct.stream import Ack, Request
from harness.conduct.workers import LOCAL, PipeWorker, Workers
from harness.errors import EnvironmentError_
from harness.numbers import count_of, gigabytes_text
from harness.serve import make_backend, marks_of
from harness.settings import RunSpec

_POLL_S = 1.0
"""How long an actor waits for its worker to say something before it answers with nothing."""
_CALLS = 4
"""Of one actor at once: what it is told, and that it ends, waits for no poll."""
_STORE = 80 << 20
"""Bytes of Ray's object store, which nothing of ours goes through; the least that it takes."""
_STARTS_WITHIN_S, _ANSWERS_WITHIN_S = 180, 10
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # of this machine only: its ports bind to 127.0.0.1
    "RAY_raylet_start_wait_time_s": str(_STARTS_WITHIN_S),
    "RAY_agent_register_timeout_ms": str(1000 * _STARTS_WITHIN_S),
}
_START = (
    "start one with `ray start --head`, or give --on local; "
    "one that asks for a token takes RAY_AUTH_MODE=token"
)
_AGAIN = Retrying(
    retry=retry_if_exception_type(ConnectionAbortedError),
    stop=stop_after_attempt(3),
    wait=wait_fixed(2),
    reraise=True,
)
"""A head node that has just begun, or is busy, may fail to start a ``ray://`` client's process."""
_FRAMES = re.compile(r"^ +.*\n", re.MULTILINE)
_MESSAGES: dict[str, type[Request | Ack]] = {"Request": Request, "Ack": Ack}


class _Host:
    """The actor: one worker on the node that it runs on.

    Args:
        run_id: of the run.
        where: the driver's working folder, from which its paths go; used where the node has it.
    """

    def __init__(self, run_id: str, where: Path) -> None:
        self._run_id = run_id
        self._folder = Path(tempfile.mkdtemp(prefix="harness-worker-"))
        self._worker = PipeWorker(self._folder / "own", run_id, where if where.is_dir() else None)
        self._spec: RunSpec | None = None
        self._said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for frame in self._worker.frames():
            self._said.put(frame)
        self._said.put(None)

    def more(self) -> Sequence[bytes | None]:
        """What it said since it was asked last, which may be nothing; ``None`` at its end."""
        found: list[bytes | None] = []
        with suppress(queue.Empty):
            found.append(self._said.get(timeout=_POLL_S))
            while True:
                found.append(self._said.get_nowait())
        return found

    def tell(self, message: bytes, kind: str) -> None:
        """Tell the worker; of what it has to ask, on the cards that Ray has given this actor."""
        told = msgspec.msgpack.decode(message, type=_MESSAGES[kind])
        if isinstance(told, Request):
            told = msgspec.structs.replace(told, spec=_with_own_cards(told.spec))
            self._spec = RunSpec.model_validate(told.spec)
            self._sweep()  # a container of an actor that was killed here has its card still
        self._worker.tell(told)

    def interrupt(self) -> None:
        """Have it stop its server and end."""
        self._worker.interrupt()

    def ended(self) -> Sequence[str]:
        """Wait until it is gone, and its server with it; its last words."""
        last = self._worker.ended()
        self._sweep()
        shutil.rmtree(self._folder, ignore_errors=True)
        return last

    def _sweep(self) -> None:
        if self._spec is not None:
            with suppress(EnvironmentError_):  # what cannot be looked at fails at its own start
                make_backend(self._spec).sweep(self._folder / "own" / self._run_id)


def _with_own_cards(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run spec whose server has the cards of this actor, where it has any."""
    import ray

    cards = ray.get_runtime_context().get_accelerator_ids().get("GPU") or []
    if not cards:
        return spec
    return {**spec, "server": {**spec["server"], "gpu_device_ids": list(map(str, cards))}}


class _RayWorker:
    """A worker on some node of a cluster: a `harness.conduct.workers.Worker`.

    Args:
        ray: the package, connected to a cluster.
        run_id: of the run.
        needs: what Ray keeps for its server.
    """

    def __init__(self, ray: Any, run_id: str, needs: Mapping[str, float]) -> None:
        self._ray = ray
        actor = ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=_CALLS, **needs)
        self._host = actor(_Host).remote(run_id, Path.cwd())
        self._there = threading.Event()

    def frames(self) -> Iterator[bytes]:
        """As `Worker.frames`; where actor or node is lost, that is its end."""
        with suppress(self._ray.exceptions.RayError):
            while True:
                for frame in self._ray.get(self._host.more.remote()):
                    if frame is None:
                        return
                    yield frame
                self._there.set()

    def tell(self, message: Request | Ack) -> None:
        """As `Worker.tell`."""
        encoded = msgspec.msgpack.encode(message)
        with suppress(self._ray.exceptions.RayError):
            self._host.tell.remote(encoded, type(message).__name__)

    def interrupt(self) -> None:
        """As `Worker.interrupt`; one that the cluster has no room for yet is never made."""
        with suppress(self._ray.exceptions.RayError):
            if self._there.is_set():
                self._host.interrupt.remote()
            else:
                self._ray.kill(self._host)

    def ended(self) -> tuple[str, ...]:
        """As `Worker.ended`."""
        try:
            last = tuple(self._ray.get(self._host.ended.remote()))
        except self._ray.exceptions.RayError as error:
            last = (f"its actor: {type(error).__name__}",)
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._host)
        return last


@contextmanager
def of_a_cluster(address: str, bench: Bench) -> Iterator[Workers]:
    """Workers of a Ray cluster, as many as it has room for.

    Args:
        address: ``local`` starts a cluster on this machine and ends it with the run; else where one
            is, as ``ray.init`` takes it.
        bench: of the run.

    Raises:
        EnvironmentError_: the cluster does not answer, or no node of it has what a server needs.
    """
    here, spec = address == LOCAL, bench.spec
    wanted = with_room(bench) if here else spec.server.overlap
    needs: dict[str, float] = {"num_cpus": 1}
    if not spec.server.on_cpu:
        needs["num_gpus"] = spec.server.workers
    elif not here:
        needs["memory"] = ON_A_CPU
    with _connected(address, wanted, bench.folder.run_id) as ray:
        room = _room(ray.nodes(), needs)
        if not room:
            raise EnvironmentError_(
                f"no node of the Ray cluster at {address} has room for a server",
                hint=f"a server needs {_text(needs)} of one node: see `ray status`",
            )
        if room < wanted:
            bench.progress.note(f"servers at once: {room} of {wanted}, as the cluster has room")
        run_id = bench.folder.run_id
        yield Workers(lambda: _RayWorker(ray, run_id, needs), min(wanted, room), here=here)


@contextmanager
def _connected(address: str, servers: int, run_id: str) -> Iterator[Any]:
    if address != LOCAL:
        _insist_on_listener(address)
    given: dict[str, Any] = {"address": address}
    own = tempfile.mkdtemp(prefix="harness-ray-")
    if address == LOCAL:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        given |= {"num_cpus": servers, "include_dashboard": False, "_temp_dir": own}
        given["object_store_memory"] = _STORE
    import ray  # which reads the variables above

    _say_nothing(ray)
    ours = signal.getsignal(signal.SIGTERM)
    try:
        # of a cluster that starts, half would be left; and Ray lets its processes take modules from
        # the working folder, where a run that somebody else made may lie
        with ExitStack() as held:
            for one in (signals_deferred(), _marked(run_id)) if address == LOCAL else ():
                held.enter_context(one)
            held.enter_context(chdir(own))
            for attempt in _AGAIN:
                with attempt:
                    ray.init(**given, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray has no kind of its own for this
        shutil.rmtree(own, ignore_errors=True)
        raise EnvironmentError_(
            f"no Ray cluster at {address}: {_why(error)}", hint=_START
        ) from error
    except SystemExit as ended:  # of Ray's own handler of SIGTERM, which is there by then
        with signals_deferred():
            ray.shutdown()
            shutil.rmtree(own, ignore_errors=True)
        raise KeyboardInterrupt from ended
    finally:
        signal.signal(signal.SIGTERM, ours)  # Ray's own would end this process at once
    try:
        yield ray
    finally:
        with signals_deferred():
            ray.shutdown()
            shutil.rmtree(own, ignore_errors=True)


@contextmanager
def _marked(run_id: str) -> Iterator[None]:
    """Mark what is started meanwhile: some of Ray's outlive a driver that is killed by a minute."""
    marks = marks_of(run_id, uuid.uuid4().hex)
    before = {name: os.environ.get(name) for name in marks}
    os.environ.update(marks)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _insist_on_listener(address: str) -> None:
    """Refuse an address at which nobody listens at once: Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:  # ``auto`` is in a file of Ray's
        return
    try:
        socket.create_connection((host, int(port)), _ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise EnvironmentError_(f"no Ray cluster at {address}: {error}", hint=_START) from error


def _why(error: Exception) -> str:
    """What an error says, in one line, without the frames of a traceback on the head node."""
    *_, last = _FRAMES.split(str(error))
    return " ".join(last.split())[:200]


def _say_nothing(ray: Any) -> None:
    """Ray tells of each process that it lost on stdout, where results stand; we tell it too."""
    ray._private.worker.print_to_stdstream = lambda *_, **__: None


def _room(nodes: Sequence[Mapping[str, Any]], needs: Mapping[str, float]) -> int:
    """How many servers the nodes that are alive can hold at once."""
    names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return sum(
        min(int(has.get(names[need], 0) // amount) for need, amount in needs.items())
        for has in alive
    )


def _text(needs: Mapping[str, float]) -> str:
    if "num_gpus" in needs:
        return count_of(int(needs["num_gpus"]), "GPU")
    memory = f" and {gigabytes_text(ON_A_CPU)} of memory" if "memory" in needs else ""
    return f"one CPU{memory}"
