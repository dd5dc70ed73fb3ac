"""A server built for GPUs, read where there is none: its parser is told what it was built for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.images.inventory.contents import VllmFacts
from harness.images.inventory.locked_container import script_text
from harness.images.inventory.said import read_contents

from .inventories import inventory

# As vLLM 0.19.1 and 0.20.2 for CUDA do it: no device without a GPU, a parser that refuses then,
# and a platform whose kernels need the driver's library.
FILES = {
    "vllm/__init__.py": "",
    "vllm/_C.abi3.so": "not loadable without the driver",
    "vllm/_C_stable_libtorch.abi3.so": "nor this",
    "vllm/platforms/__init__.py": """
class Unspecified:
    device_type = ""
_current_platform = None
def __getattr__(name):
    global _current_platform
    if name != "current_platform":
        raise AttributeError(name)
    _current_platform = _current_platform or Unspecified()
    return _current_platform
""",
    "vllm/platforms/cuda.py": """
import vllm._C
import vllm._C_stable_libtorch
class CudaPlatform:
    device_type = "cuda"
""",
    "vllm/entrypoints/openai/cli_args.py": """
import argparse
from vllm.platforms import current_platform
def make_arg_parser(parser):
    if not current_platform.device_type:
        raise RuntimeError("Failed to infer device type")
    parser.add_argument("--device", default=current_platform.device_type)
    return parser
FlexibleArgumentParser = argparse.ArgumentParser
""",
    "torch/__init__.py": "",
}


def _read(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    for name, text in {**FILES, "torch/version.py": version}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = [sys.executable, "-c", script_text()]
    environment = {"PYTHONPATH": str(folder), "PATH": "/nowhere"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def test_the_parser_is_told_the_device_that_pytorch_was_built_for(tmp_path: Path):
    done = _read(tmp_path, "__version__, cuda, hip, xpu = '2.11.0+cu130', '13.0', None, None\n")
    found = read_contents(done.stdout).arguments
    assert (found.source, found.told_device) == ("parser", "cuda")
    assert {one.name: one.default for one in found.arguments} == {"--device": "cuda"}


def test_what_was_built_for_no_known_device_is_told_none(tmp_path: Path):
    done = _read(tmp_path, "__version__, cuda, hip, xpu = '2.11.0', None, None, None\n")
    found = read_contents(done.stdout).arguments
    assert (found.source, found.told_device) == (None, None)
    assert "Failed to infer device type" in found.reasons[0]


@pytest.mark.parametrize(
    ("kept", "shown"), [("gb1388b1fb", "b1388b1fb"), ("good", "good"), ("c0ffee1", "c0ffee1")]
)
def test_a_wheels_commit_is_shown_without_the_g_of_git_describe(kept: str, shown: str):
    read = inventory(vllm=VllmFacts("0.19.1", "vllm", commit=kept))
    assert read.versions.vllm_commit == shown
