"""A workplace for one trial: a folder, a port, a spec over the stand-in server, and what must hold.

The harness is started as a fork of this process, which has its modules loaded already: a trial then
costs a second and not five. ``real=True`` starts a fresh interpreter, as a shell does.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("stand_in_vllm.py")
LOGS = ROOT / "tests/data/vllm_logs"
MODELS = ("tiny", "other")
IMAGE = "harness-stand-in:test"
PROMPTS = 6
MODES = ("standard", "batch_invariant")
SCHEDULES = ("gated", "prompt_list", "synchronized")
DEADLINE_S = 240.0
"""No command may take longer; thirty times what it takes on an idle machine."""
FINE, GATE, USAGE, ENVIRONMENT, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 4, 130
TASK = """\
name: letters
task_type: safety_refusal
prompt_template: |
  Q: {{ question }}
  A:
samples:
"""
ENGINE = f"""\
#!/bin/sh
# a stand-in for the CPU engine's interpreter: it names its versions, and runs the stand-in server
[ "$1" = -c ] && exec echo '{{"packages": {{"vllm": "0.32.0", "torch": "2.11.0+cpu"}}}}'
exec {sys.executable} -S -E "$@"
"""
Json = dict[str, Any]


_AGAIN = "the same command asks again"
"""What an experiment says that does not count by chance."""


class Broken(AssertionError):
    """An invariant does not hold: what a trial found."""


RUN_ID = f"r{os.getpid()}"
"""The run of a trial: a name that no other worker's processes and containers carry."""


def insist(holds: object, message: str) -> None:
    """Raise `Broken` where something does not hold."""
    if not holds:
        raise Broken(message)


@dataclass
class Said:
    """What a command ended with and said."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        told = (self.err or self.out).strip()[-600:]
        return f"`harness {' '.join(self.words)}` ended with {self.code}: {told}"

    def insist_on(self, *codes: int) -> Said:
        """Check the exit code, and that no stream holds a traceback."""
        for stream in (self.out, self.err):
            for sign in ("Exception ignored", "Traceback (most recent"):
                at = stream.find(sign)
                if self.code == -signal.SIGINT and "harness/__main__.py" not in stream:
                    continue  # Python itself was still loading: no line of the command had run
                insist(at < 0, f"{self.code}, and a traceback: {stream[at:][-1500:]}")
        insist(self.code in codes, f"exit code not in {codes}: {self}")
        return self


@dataclass
class Running:
    """A harness that works: a process with its streams in files."""

    words: tuple[str, ...]
    pid: int
    folder: Path
    ended: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or ``None`` while it runs."""
        if self.ended is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.ended = os.waitstatus_to_exitcode(status)
        return self.ended

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def said(self, during: Callable[[], object] = lambda: None) -> Said:
        """Wait for its end; ``during`` is called over and over."""
        deadline = time.monotonic() + DEADLINE_S
        while self.poll() is None:
            during()
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                self.ended = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                raise Broken(f"stuck for {DEADLINE_S:.0f} s: harness {' '.join(self.words)}")
            time.sleep(0.02)
        texts = [
            path.read_text(errors="replace") if path.exists() else ""
            for path in (self.folder / f"{self.pid}.out", self.folder / f"{self.pid}.err")
        ]
        return Said(self.words, self.ended or 0, *texts)


@dataclass
class Bench:
    """One trial's workplace.

    Attributes:
        folder: holds spec, tasks, candidates and results; the commands' working folder.
        port: of its servers.
        backend: ``native`` or ``docker``.
        rng: what the trial draws its choices from.
        models: how many models its run is of; of two, each has half of the candidates.
    """

    folder: Path
    port: int
    backend: str
    rng: random.Random
    models: int = 1
    streams: Path = field(default_factory=Path)
    started: list[Running] = field(default_factory=list)
    run_ids: set[str] = field(default_factory=set)
    looked_at: dict[Path, tuple[int, int, int]] = field(default_factory=dict)

    def lay_out(self) -> None:
        """Fresh inputs, and no results."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "tasks").mkdir(parents=True)
        self.streams = self.folder / "streams"
        self.streams.mkdir()
        names = [f"s{number}" for number in range(PROMPTS)]
        samples = (f'  - {{id: {name}, question: "{name}?", reference: A}}\n' for name in names)
        (self.folder / "tasks/letters.yaml").write_text(TASK + "".join(samples))
        rows = (
            f"{MODELS[number * self.models // PROMPTS]},letters,{name},3,{SCHEDULES[number % 3]}\n"
            for number, name in enumerate(names)
        )
        engine = self.folder / ".venv-cpu/bin/python"
        engine.parent.mkdir(parents=True)
        engine.write_text(ENGINE)
        engine.chmod(0o755)
        header = "model,task_name,sample_id,batch_size,dispatch_mode\n"
        (self.folder / "candidates.csv").write_text(header + "".join(rows))
        self.write_spec(self.spec())

    def spec(self) -> Json:
        """The settings of an undisturbed run.

        A worker's image is its own: what its trials retag and leave is nobody else's.
        """
        server: Json = {"port": self.port, "startup_timeout_s": 90, "stop_timeout_s": 5}
        server |= {"dtype": "bfloat16", "attention_backend": None}
        server["env"] = {"VLLM_CPU_KVCACHE_SPACE": "1"}  # on a CPU several may be up at once
        if self.backend == "docker":
            server["shm_size"] = "64m"
            target = "/stand_in/vllm/entrypoints/openai/api_server.py"
            server["volumes"] = [f"{LOGS}:/logs:ro", f"{STAND_IN}:{target}:ro"]
            server["env"]["CHAOS_LOGS"] = "/logs"
        else:
            server["native_command"] = f".venv-cpu/bin/python {STAND_IN}"
        return {
            "schema_version": 1,
            "name": f"chaos{os.getpid()}",
            "backend": self.backend,
            **({"image": own_image()} if self.backend == "docker" else {}),
            "models": [
                {"name": name, "hf_id": f"example/{name}"} for name in MODELS[: self.models]
            ],
            "modes": list(MODES),
            "candidates": "candidates.csv",
            "tasks": "tasks",
            "server": server,
            "request": {"max_attempts": 2, "timeout_s": 30, "max_tokens": 16},
            "controls": {"warmup_requests": 1, "prefix_caching": "off"},
        }

    def write_spec(self, spec: Json, name: str = "spec.yaml") -> None:
        """Write settings beside the others."""
        (self.folder / name).write_text(yaml.safe_dump(spec))

    def start(
        self,
        *words: str,
        real: bool = False,
        limits: Mapping[int, int] | None = None,
        closed: tuple[int, ...] = (),
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        removed: bool = False,
    ) -> Running:
        """Start ``harness WORDS`` in the trial's folder.

        Args:
            real: in a fresh interpreter.
            limits: soft and hard resource limits.
            closed: descriptors that are closed.
            cwd: another working folder; ``removed`` takes it away before the harness begins.
        """
        pid = os.fork()
        if pid == 0:
            try:
                self._become(words, real, limits or {}, closed, environment or {}, cwd, removed)
            finally:
                os._exit(99)
        running = Running(words, pid, self.streams)
        self.started.append(running)
        if "--run-id" in words:
            self.run_ids.add(words[words.index("--run-id") + 1])
        return running

    def _become(
        self,
        words: tuple[str, ...],
        real: bool,
        limits: Mapping[int, int],
        closed: tuple[int, ...],
        environment: Mapping[str, str],
        cwd: Path | None,
        removed: bool,
    ) -> None:
        """What a forked child does: turn into the harness. Does not return."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)  # whatever the campaign was started under
        os.setsid()
        os.chdir(cwd or self.folder)
        os.environ.update(environment, COLUMNS="80", PYTHONPATH=str(ROOT))
        streams = (self.streams / f"{os.getpid()}.{kind}" for kind in ("out", "err"))
        null = os.open(os.devnull, os.O_RDONLY)
        files = [null, *(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644) for path in streams)]
        for target, descriptor in enumerate(files):
            os.dup2(descriptor, target)
        os.closerange(3, 64)
        if removed and cwd is not None:
            shutil.rmtree(cwd)
        for kind, value in limits.items():
            resource.setrlimit(kind, (value, value))
        for descriptor in closed:
            os.close(descriptor)
        if real or closed or removed:
            os.execv(sys.executable, [sys.executable, "-m", "harness", *words])
        code = 1
        try:
            _play(words)
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
        except BaseException:  # noqa: BLE001 - as the interpreter does
            import traceback

            traceback.print_exc()
        _leave(code)

    def run(self, *words: str, **how: Any) -> Said:
        """`start`, and wait for the end."""
        return self.start(*words, **how).said()

    # ---- the run of a trial -------------------------------------------------------------

    def command(self, run_id: str | None = RUN_ID) -> tuple[str, ...]:
        """The one command that every interruption is followed by."""
        named = ("--run-id", run_id) if run_id else ()
        return ("run", "-c", "spec.yaml", *named)

    def path(self, run_id: str = RUN_ID) -> Path:
        """A run's folder."""
        return self.folder / "results" / run_id

    def lines(self, run_id: str = RUN_ID) -> list[Json]:
        """Its whole records."""
        path = self.path(run_id) / "vllm_records.jsonl"
        data = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in data.split(b"\n")[:-1] if line]

    def complete(self, command: tuple[str, ...], *, tries: int = 4) -> list[Said]:
        """Repeat the same command until it ends well; what each time it said.

        ``--retry-errors`` is added once the harness has named it.
        """
        told: list[Said] = []
        for _ in range(tries):
            again = ("--retry-errors",) if told and "--retry-errors" in told[-1].err else ()
            said = self.run(*command, *again).insist_on(FINE, GATE, ENVIRONMENT, INCOMPLETE)
            told.append(said)
            if said.code == FINE or (said.code == GATE and _AGAIN not in said.err):
                break
        insist(told[-1].code == FINE, f"the same command does not complete the run: {told[-1]}")
        return told

    def insist_whole(self) -> None:
        """Every JSON file is whole, and every line but a last one that is being written.

        A file that has not changed since it was looked at last is not read again, and what was set
        aside is as it was: a damaged line too.
        """
        results = self.folder / "results"
        for path in (*results.rglob("*.json"), *results.rglob("vllm_records.jsonl")):
            with contextlib.suppress(FileNotFoundError):
                about = path.stat()
                mark = (about.st_mtime_ns, about.st_size, about.st_ino)
                if self.looked_at.get(path) == mark or not path.is_file():
                    continue
                data = path.read_bytes()
                parts = [data] if path.suffix == ".json" else data.split(b"\n")[:-1]
                try:
                    for part in parts:
                        json.loads(part)
                except ValueError as error:
                    raise Broken(f"{path.name} is not whole JSON: {error}") from error
                self.looked_at[path] = mark

    def insist_equal(self, undisturbed: Mapping[str, Json], run_id: str = RUN_ID) -> None:
        """Its records are those of an undisturbed run: none lost, doubled or changed."""
        found = self.lines(run_id)
        ids = [row["record_id"] for row in found]
        insist(len(set(ids)) == len(ids), f"records are doubled: {len(ids)} of {len(set(ids))}")
        insist(set(ids) == set(undisturbed), f"{len(ids)} records, not {len(undisturbed)}")
        for row in found:
            try:
                wanted, got = undisturbed[row["record_id"]], content(row)
            except (KeyError, TypeError, AttributeError) as error:
                raise Broken(f"record {row['record_id']} has lost a part: {error!r}") from error
            differing = [key for key in wanted if wanted[key] != got[key]]
            insist(not differing, f"record {row['record_id']} differs in {differing}")

    def insist_concluded(self, undisturbed: Mapping[str, Json], run_id: str = RUN_ID) -> None:
        """The run is complete, validated, reported, and equal to an undisturbed one."""
        self.insist_whole()
        self.insist_equal(undisturbed, run_id)
        facts = json.loads((self.path(run_id) / "metadata.json").read_text())
        insist(facts["complete"] is True, "the run ended well and metadata.json denies it")
        for name in ("summary.json", "validation.json", "report.md", "report.html"):
            insist((self.path(run_id) / name).exists(), f"no {name} after a run that ended well")
        left = [p.name for p in self.folder.joinpath("results").rglob("*.tmp")]
        insist(not left, f"temporary files are left: {left}")

    def concluded(self, run_id: str = RUN_ID) -> bool:
        """Whether the last session of the run says that it ended well."""
        path = self.path(run_id) / "metadata.json"
        sessions = json.loads(path.read_text()).get("sessions") if path.exists() else None
        return bool(sessions) and sessions[-1].get("exit") == FINE

    def insist_not_wrongly_complete(self, run_id: str = RUN_ID) -> None:
        """A run that says it is complete has every record."""
        path = self.path(run_id) / "metadata.json"
        if path.exists() and json.loads(path.read_text()).get("complete"):
            count = len(self.lines(run_id))
            insist(count == PROMPTS * len(MODES), f"complete with {count} records")

    def clean(self) -> Said:
        """``harness clean``; afterwards nothing of this trial's runs is left."""
        said = self.run("clean").insist_on(FINE)
        deadline = time.monotonic() + 20
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        insist(not left, f"left after `harness clean`: {left}; it said {said.out + said.err}")
        return said

    def left(self) -> list[str]:
        """Processes and containers that belong to a run of this folder."""
        names = self.run_ids | {path.name for path in (self.folder / "results").glob("*")}
        ended = {one.pid for one in self.started if one.ended is not None}
        found = [f"process {pid}" for pid in marked(names)]
        found += [
            f"process {pid} of a harness that ended{named(pid)}" for pid in of_sessions(ended)
        ]
        if self.backend == "docker":
            found += [f"container {name}" for name, run in containers() if run in names]
        return found

    def tidy(self) -> None:
        """End whatever a failed trial left, by its ids; for the next trial's sake."""
        for running in self.started:
            if running.poll() is None:
                os.kill(running.pid, signal.SIGKILL)
                running.ended = os.waitstatus_to_exitcode(os.waitpid(running.pid, 0)[1])
        names = self.run_ids | {path.name for path in (self.folder / "results").glob("*")}
        for pid in (*marked(names), *of_sessions({running.pid for running in self.started})):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.backend == "docker":
            for name, run in containers():
                if run in names:
                    docker("rm", "-f", name)
        self.started.clear()


def _play(words: tuple[str, ...]) -> None:
    from harness.cli import main

    sys.argv = ["harness", *words]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    errors = "backslashreplace"  # as the interpreter opens it
    sys.stderr = open(2, "w", buffering=1, closefd=False, errors=errors)  # noqa: SIM115
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # last: what came before is not its
    main()


def _leave(code: int) -> None:
    """End as the interpreter does, without what this process has registered itself."""
    import atexit

    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def content(row: Json) -> Json:
    """What of a record two runs of the same questions must have in common."""
    keys = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode", "mode", "status")
    keys += ("prompt_sha256", "group", "target_index", "solo_score", "batch_score", "pattern")
    keys += ("solo_response_hash", "batch_response_hash", "solo_label", "batch_label")
    answers = {"solo": row["solo"], "batched": row["batched"], **row["askings"]}
    said = ("text", "token_ids", "finish_reason", "cached_tokens", "score", "label")
    told = {name: answer and {key: answer[key] for key in said} for name, answer in answers.items()}
    return {**{key: row[key] for key in keys}, **told, "companions": row["companions"]}


def marked(run_ids: set[str]) -> list[int]:
    """Processes that a harness of these runs started, by the mark in their environment."""
    marks = [f"HARNESS_RUN_ID={run_id}\0".encode() for run_id in run_ids]
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            data = path.read_bytes() + b"\0"
            if any(mark in data for mark in marks):
                found.append(int(path.parent.name))
    return found


def of_sessions(leaders: set[int]) -> list[int]:
    """Processes that a harness forked: of the session that it began, and not zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
            if int(session) in leaders and state != "Z":
                found.append(int(path.parent.name))
    return found


def named(pid: int) -> str:
    """What a process is, for a message."""
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")[:100]
        return f" ({command.decode(errors='replace').strip()})"
    return ""


def docker(*words: str, check: bool = False) -> str:
    """What the docker command says."""
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=check, timeout=120
    )
    return done.stdout.strip()


@functools.cache
def own_image(kind: str = "a") -> str:
    """This worker's image of the stand-in: the test image under a name and an id of its own."""
    tag = f"harness-chaos:{kind}{os.getpid()}"
    if docker("image", "inspect", "-f", "{{.Id}}", IMAGE) == "":
        base = "harness-base:bookworm"
        subprocess.run([ROOT / ".ci/base-image.sh", base], check=True, capture_output=True)
        text = (
            f"FROM {base}\nCOPY stand_in /stand_in\nENV PYTHONPATH=/stand_in\n"
            "LABEL harness.device=cpu\n"
        )
        _build(text, IMAGE)
    _build(f"FROM {IMAGE}\nLABEL chaos.worker={tag}\n", tag)
    return tag


def _build(dockerfile: str, tag: str) -> None:
    words = ["docker", "build", "-q", "-t", tag, "-f", "-", str(ROOT / "tests/serve")]
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    subprocess.run(
        words, input=dockerfile, text=True, check=True, capture_output=True, env=environment
    )


def remove_own_images() -> None:
    """Take this worker's images away again."""
    for tag in docker("images", "--format", "{{.Repository}}:{{.Tag}}", "harness-chaos").split():
        if tag.endswith(str(os.getpid())):
            docker("rmi", "-f", tag)


def containers() -> Iterator[tuple[str, str]]:
    """Names and run ids of every container of a harness, ended ones too."""
    form = '{{.Names}}\t{{.Label "harness.run-id"}}'
    for line in docker("ps", "-a", "--filter", "label=harness.run-id", "--format", form).split(
        "\n"
    ):
        name, _, run_id = line.partition("\t")
        if name:
            yield name, run_id


def free_port(first: int) -> int:
    """A port from ``first`` on that nobody has."""
    for port in range(first, first + 500):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port")
