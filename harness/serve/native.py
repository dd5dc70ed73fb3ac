"""A vLLM server as processes of this machine: RunPod, CI, the CPU demo.

The server runs below a small supervisor (`harness.serve.supervisor`) in a session of its own.
The supervisor ends it when the harness asks for it and when the harness is gone, even by
``kill -9``. An owner file in the run folder lets a later run or ``harness clean`` find what is
left should the supervisor be killed as well.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from harness.errors import EnvironmentError_, StartupFailed
from harness.locks import Lock
from harness.machine import ProcessId, marked_processes, this_space
from harness.places import is_of_engine
from harness.secrets import redact_environment
from harness.serve import supervisor
from harness.serve.launch import LaunchOptions
from harness.serve.leftovers import (
    OWNER_SUFFIX,
    SERVER_MARK,
    OwnerFile,
    marks_of,
    sweep_folder,
)
from harness.serve.log_files import last_lines, new_log
from harness.serve.ports import PortOwner, check_port_free, lock_port, strange_listener
from harness.serve.protocol import Server, ServerState
from harness.words import BackendName

_RECORDED_PREFIXES = ("VLLM_", "CUDA", "NCCL_", "TORCH", "OMP_", "HF_", "LD_", "NVIDIA_")
_NEVER_INHERITED = ("VLLM_API_KEY",)
_START_S = 30.0
_NO_ENGINE = "`harness demo` installs the CPU engine and runs; `harness engine` only installs it"
_NO_COMMAND = (
    "set server.native_command, e.g. "
    '--native-command "python -m vllm.entrypoints.openai.api_server"'
)


class NativeBackend:
    """Starts servers with the spec's native command."""

    name = BackendName.NATIVE

    def check(self, options: LaunchOptions) -> None:
        """Make sure that the port is free and the command exists.

        Raises:
            EnvironmentError_: what is wrong and what to do.
        """
        program = options.command[0] if options.command else ""
        if shutil.which(program) is None:
            raise EnvironmentError_(
                f"the server command {program!r} is not an executable file here",
                hint=_NO_ENGINE if is_of_engine(program) else _NO_COMMAND,
            )
        check_port_free(options.port)

    def sweep(self, run_folder: Path) -> tuple[str, ...]:
        """End servers that a killed run of this folder left behind."""
        swept = sweep_folder(run_folder)
        return (*swept.lines, *swept.kept, *swept.failed, *swept.notes)

    def start(self, options: LaunchOptions, run_folder: Path) -> NativeServer:
        """Start a server below a supervisor and return once its process exists.

        Raises:
            EnvironmentError_: the port is taken or the command cannot be run.
        """
        self.check(options)
        lock = lock_port(options.port, f"run {options.run_id} (pid {os.getpid()})")
        server = NativeServer(options, run_folder, lock)
        try:
            server.launch()
        except BaseException:
            server.stop()
            raise
        return server


class NativeServer(Server):
    """One native server lifetime, from `launch` to `stop`, which may come at any moment.

    Its owner file is written before anything is started. Its supervisor holds the lock of the port
    too, so that nobody gets the port of a server whose harness was killed before it has ended.
    """

    def __init__(self, options: LaunchOptions, run_folder: Path, lock: Lock) -> None:
        super().__init__(options, new_log(run_folder, options.log_stem))
        self._lock = lock
        self._mark = uuid.uuid4().hex
        dropped = {*options.cleared_variables, *_NEVER_INHERITED}
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in dropped},
            # `python -m` would take a folder `vllm` beside a run or a case for the package
            "PYTHONSAFEPATH": "1",
            **options.environment,
            **marks_of(options.run_id, self._mark),
        }
        self._environment |= options.python_path_before(self._environment)
        self._ended: ServerState | None = None
        self._buffer = b""
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._status_fd = -1
        self.pid = 0
        # as the log, a file of its own for each start: none is written over
        self._owner_path = self.log_path.with_suffix(OWNER_SUFFIX)
        self._owner = OwnerFile(
            mark=self._mark,
            run_id=options.run_id,
            harness=ProcessId.of(os.getpid()),
            supervisor=None,
            server_pid=0,
            grace_s=options.stop_timeout_s,
            space=this_space(),
        )

    def launch(self) -> None:
        """Start it below a supervisor; returns once its process exists.

        Raises:
            EnvironmentError_: the command cannot be run.
            StartupFailed: the supervisor did not start.
        """
        self._owner.write(self._owner_path)
        atexit.register(self.stop)
        self._supervisor = supervised = self._spawn()
        self.pid = self._wait_started(supervised)
        known = ProcessId.of(supervised.pid)
        self._owner = structs.replace(self._owner, supervisor=known, server_pid=self.pid)
        self._owner.write(self._owner_path)

    def describe(self) -> Mapping[str, object]:
        """The launch, for the start-up file: secrets by name only."""
        inherited = {
            name: value
            for name, value in self._environment.items()
            if name.startswith(_RECORDED_PREFIXES) and name not in self.options.environment
        }
        return {
            **self.options.to_json(),
            "pid": self.pid,
            "working_directory": str(Path.cwd()),
            "inherited_environment": redact_environment(inherited),
        }

    def state(self) -> ServerState:
        """Whether the server process runs, as the supervisor reports it."""
        if self._ended is None:
            self._read_status()
        if self._ended is None and (
            self._supervisor is None or self._supervisor.poll() is not None
        ):
            self._ended = ServerState(running=False, detail="its supervisor was killed")
        return self._ended or ServerState(running=True)

    def strange_listener(self) -> str:
        """Who else than this server's processes listens on its port."""
        ours = {process.pid for process in marked_processes(SERVER_MARK, self._mark)}

        def is_ours(owner: PortOwner) -> bool:
            with contextlib.suppress(OSError):
                return owner.pid in ours or os.getsid(owner.pid) == self.pid
            return False

        return strange_listener(self.options.port, is_ours)

    def dismiss(self) -> None:
        """Let its supervisor begin to end it."""
        supervised = self._supervisor
        if supervised is not None and supervised.stdin is not None and not supervised.stdin.closed:
            with contextlib.suppress(OSError):
                supervised.stdin.close()

    def stop(self) -> None:
        """End the server and all that it started; returns when they are gone."""
        atexit.unregister(self.stop)
        if self._supervisor is not None:
            self._end(self._supervisor)
        self.state()
        self._owner.sweep(self._owner_path)
        self._close_status()
        self._lock.release()

    def __enter__(self) -> NativeServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end(self, supervised: subprocess.Popen[bytes]) -> None:
        self.dismiss()
        try:
            supervised.wait(self.options.stop_timeout_s + 15.0)
        except subprocess.TimeoutExpired:
            supervised.kill()
            supervised.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._status_fd, status_write = os.pipe()
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-I", supervisor.__file__),
                    *(str(status_write), str(self.options.stop_timeout_s), "--"),
                    *self.options.command_line,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                pass_fds=(status_write, self._lock.fileno()),
                start_new_session=True,
            )
        os.close(status_write)
        return process

    def _wait_started(self, supervised: subprocess.Popen[bytes]) -> int:
        """The server's process id, as soon as the supervisor reports it."""
        problem = ""
        deadline = time.monotonic() + _START_S
        while not problem and time.monotonic() < deadline:
            for line in self._read_status(timeout_s=0.5):
                word, _, rest = line.partition(" ")
                if word == "started":
                    return int(rest)
                problem = rest if word == "failed" else problem
            if supervised.poll() is not None:
                break
        supervised.kill()
        supervised.wait()
        if problem:
            raise EnvironmentError_(
                f"the server command cannot be run: {problem}",
                hint="correct server.native_command",
            )
        raise StartupFailed(
            "the server's supervisor did not start",
            hint="look into the log",
            file=self.log_path,
            detail=last_lines(self.log_path),
        )

    def _close_status(self) -> None:
        if self._status_fd >= 0:
            os.close(self._status_fd)
            self._status_fd = -1

    def _read_status(self, timeout_s: float = 0.0) -> list[str]:
        """New status lines of the supervisor; an ``ended`` line is kept as the final state."""
        if self._status_fd < 0:
            return []
        waiting = select.poll()  # select() takes no descriptor over 1,023
        waiting.register(self._status_fd, select.POLLIN)
        if not waiting.poll(timeout_s * 1000):
            return []
        self._buffer += os.read(self._status_fd, 4096)
        *lines, self._buffer = self._buffer.split(b"\n")
        texts = [line.decode(errors="replace") for line in lines]
        for text in texts:
            if text.startswith("ended "):
                code = int(text.split()[1])
                names = {member.value: member.name for member in signal.Signals}
                by = names.get(-code, f"signal {-code}")
                detail = f"exit code {code}" if code >= 0 else f"ended by {by}"
                self._ended = ServerState(running=False, exit_code=code, detail=detail)
        return texts
