"""The demo from nothing: the CPU engine and the model made ready side by side, then the run."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.conduct import sigterm_is_interrupt
from harness.errors import EnvironmentError_, UsageError, shown
from harness.jobs import Done
from harness.jobs.runs import run
from harness.models import PREFIX, fetch, insist_on_room
from harness.places import engine_folder, shipped
from harness.refused import insist_writable
from harness.serve import supervised
from harness.settings import load_spec

PROFILES = ("demo", "demo-tiny")
"""Those that the CPU engine serves with what is fetched here."""
Say = Callable[[str], object]
_SCRIPTS = shipped("docker/cpu/engine")


def demo(profile: str, results: Path, port: int | None, say: Say, *, quiet: bool) -> Done:
    """Make ready what a profile of the CPU engine needs, and run it.

    Raises:
        UsageError: it is none of the demo's two.
        EnvironmentError_: this machine cannot take the engine, or it or a model cannot be had.
        HarnessError: as `harness.jobs.runs.run`.
    """
    if profile not in PROFILES:
        message = f"--profile: {shown(profile)} is no demo"
        raise UsageError(message, hint=f"{' or '.join(PROFILES)}; `harness run` takes the others")
    loaded = load_spec(profile, {} if port is None else {"server.port": port})
    models = [
        m.hf_id.removeprefix(PREFIX) for m in loaded.spec.models if m.hf_id.startswith(PREFIX)
    ]
    environment = _looked()
    insist_on_room(models)
    made = [place for place in (results, *results.parents) if not place.exists()]
    try:
        insist_writable(results, "name another with --results, or work in another folder")
        with sigterm_is_interrupt(), _engine(environment):
            for model in models:
                fetch(model, say)
        return run(loaded, results, None, fresh=False, retry_errors=False, quiet=quiet)
    finally:
        with suppress(OSError):  # what a run is in stays
            for place in made:
                place.rmdir()


def install_engine() -> Done:
    """Install the CPU engine, unless it is there.

    Raises:
        EnvironmentError_: this machine cannot take it, or a part of it cannot be had.
    """
    with sigterm_is_interrupt(), _engine(_looked()):
        pass
    return Done([f"CPU engine: {engine_folder()}"])


def _looked() -> dict[str, str]:
    """Whether this machine takes the engine, before anything is fetched; the scripts' variables."""
    # this Python first, unless PYTHON names another
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path}
    looked = ["bash", str(_SCRIPTS / "preflight.sh"), "engine", str(engine_folder())]
    said = subprocess.run(looked, env=environment, capture_output=True, text=True, check=False)
    if said.returncode:
        raise EnvironmentError_(said.stderr.strip().removeprefix("preflight: "))
    return environment


@contextmanager
def _engine(environment: Mapping[str, str]) -> Iterator[None]:
    """The engine is installed while the caller works; a failure of either ends both."""
    command = ["bash", str(_SCRIPTS / "install.sh"), str(engine_folder())]
    with supervised(command, environment, sys.stderr) as ended:
        yield
        if ended():
            hint = "what it said is above; the same command goes on"
            raise EnvironmentError_("the CPU engine was not installed", hint=hint)
