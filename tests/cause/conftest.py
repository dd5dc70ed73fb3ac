"""A workplace over the scripted stand-in: a folder, a spec, and the command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml

from harness.cli import main
from harness.serve import free_port

# read when Ray is imported: its ports bind to 127.0.0.1
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
_PORTS = int(os.environ.get("PORTS_FROM", "18700"))
"""Where servers' ports begin; of tests that run side by side, each in a range of its own."""
STAND_IN = Path(__file__).with_name("stand_in_stack.py")
ENGINE = """\
#!/bin/sh
[ "$1" = -c ] && exec echo '{{"packages": {{"vllm": "0.32.0", "torch": "2.11.0+cpu"}}}}'
exec {python} -S -E "$@"
"""
TASK = """\
name: letters
task_type: safety_refusal
prompt_template: |
  Q: {{ question }}
  A:
samples:
"""
WORDS = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord"),
    *("grove", "haven", "inlet", "jetty", "knoll", "larch"),
)


class Place:
    """A folder with tasks and a spec over the stand-in; the causes are written by a test."""

    def __init__(self, folder, monkeypatch, capsys):
        self.folder, self._capsys = folder, capsys
        (folder / "tasks").mkdir()
        samples = (f'  - {{id: {word}, question: "{word}?", reference: A}}\n' for word in WORDS)
        (folder / "tasks/letters.yaml").write_text(TASK + "".join(samples))
        engine = folder / ".venv-cpu/bin/python"
        engine.parent.mkdir(parents=True)
        engine.write_text(ENGINE.format(python=sys.executable))
        engine.chmod(0o755)
        server = {
            "port": free_port(_PORTS),
            "dtype": "bfloat16",
            "attention_backend": None,
            "startup_timeout_s": 240,
            "native_command": f".venv-cpu/bin/python {STAND_IN}",
            "extra_args": ["--max-num-seqs", "4"],
            "env": {"STAND_IN_CAUSES": str(folder / "causes.json"), "VLLM_CPU_KVCACHE_SPACE": "1"},
        }
        spec = {
            "schema_version": 1,
            "name": "stack",
            "backend": "native",
            "models": [{"name": "tiny", "hf_id": "example/tiny"}],
            "candidates": "candidates.csv",
            "tasks": "tasks",
            "server": server,
            "request": {"max_attempts": 2, "timeout_s": 60, "max_tokens": 10, "logprobs": 2},
            "controls": {"warmup_requests": 1, "prefix_caching": "off", "stagger_ms": 3},
        }
        (folder / "spec.yaml").write_text(yaml.safe_dump(spec))
        monkeypatch.chdir(folder)

    def causes(self, *causes):
        """What makes the stand-in's answers change."""
        (self.folder / "causes.json").write_text(json.dumps(causes))

    def harness(self, *words):
        """Exit code, output and messages of a command."""
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, words)))
        said = self._capsys.readouterr()
        return ended.value.code or 0, said.out, said.err


@pytest.fixture
def slow():
    """Flags with which a batch is one on a busy machine too, and its prompts come a step apart.

    Who asks waits for a core as long as others do, so a step takes that much longer.
    """
    step = 0.04 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    return ("--env", f"STAND_IN_STEP_S={step:.3f}", "--stagger-ms", f"{1000 * step:.0f}")


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    return Place(tmp_path, monkeypatch, capsys)
