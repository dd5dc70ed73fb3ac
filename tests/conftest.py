"""What this machine can run: marked tests that it cannot are left out and named at the end.

Under ``CI`` only ``gpu`` may be left out; anything else that is missing fails the run.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# an oracle's first import, or a busy machine, takes longer than any example
settings.register_profile("here", deadline=None)
settings.register_profile("ci", settings.get_profile("here"), max_examples=30)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def _ended(*_: object) -> None:
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, _ended)  # as Ctrl-C: fixtures end the servers that they started
ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(Path(__file__).parent))  # the modules beside this file, by name
pytest_plugins = ["real_servers"]
ENGINE = ROOT / ".venv-cpu/bin/python"


def _docker_missing() -> str | None:
    if shutil.which("docker") is None:
        return "no docker command: install Docker"
    done = subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False)
    return None if done.returncode == 0 else "no Docker engine answers: start one"


def _engine_missing() -> str | None:
    return None if ENGINE.exists() else "the CPU engine is not installed: run `make engine`"


def _gpu_missing() -> str | None:
    return None if shutil.which("nvidia-smi") else "no NVIDIA GPU here"


NEEDS = {"docker": _docker_missing, "vllm_cpu": _engine_missing, "gpu": _gpu_missing}
LEFT_OUT = pytest.StashKey[dict[str, tuple[int, str]]]()


def pytest_itemcollected(item):
    """`side_by_side.sh` finds a marked test by the words of its file."""
    for mark in NEEDS:
        if item.get_closest_marker(mark) and f"mark.{mark}" not in item.path.read_text("utf-8"):
            raise pytest.UsageError(f"{item.path}: marked {mark}, and it does not say mark.{mark}")


@pytest.hookimpl(trylast=True)  # what -m leaves out needs nothing
def pytest_collection_modifyitems(config, items):
    missing = {}
    for mark, probe in NEEDS.items():
        if any(item.get_closest_marker(mark) for item in items) and (why := probe()):
            missing[mark] = why
    if os.environ.get("CI") and (needed := set(missing) - {"gpu"}):
        raise pytest.UsageError("; ".join(f"{mark}: {missing[mark]}" for mark in sorted(needed)))
    out = {item: mark for item in items for mark in missing if item.get_closest_marker(mark)}
    counts = {mark: sum(m == mark for m in out.values()) for mark in missing}
    config.stash[LEFT_OUT] = {mark: (counts[mark], missing[mark]) for mark in missing}
    config.hook.pytest_deselected(items=list(out))
    items[:] = [item for item in items if item not in out]


def pytest_terminal_summary(terminalreporter, config):
    for mark, (count, why) in config.stash.get(LEFT_OUT, {}).items():
        terminalreporter.write_line(f"left out: {count} marked {mark}: {why}")
