"""docker/cpu/engine/packages.sh: packages by uv, told what pip is told, else by pip.

Pip and uv are stand-ins here: what they would be asked is what is looked at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.places import user_cache

SCRIPT = Path(__file__).parents[1] / "docker/cpu/engine/packages.sh"
CONFIG = """\
:env:.cert='/ca.crt'
:env:.find-links='/wheels /more'
global.index-url='https://mirror.example/simple'
global.timeout='60'
install.extra-index-url='https://other.example/simple'"""
PIP = """#!/usr/bin/env bash
[ "$2" != -c ] || exec python3 "$@"
echo "pip ${*:4}${PYTHONPATH:+ with $PYTHONPATH}" >> "$SAID"
case "$*" in
    *"config list") echo "$CONFIG" ;;
    *--target*) [ "$UV" != none ] || exit 1
        while [ "$1" != --target ]; do shift; done
        mkdir -p "$2/bin"
        printf '#!/bin/sh\\necho "uv $* ($SSL_CERT_FILE)" >> "$SAID"\\n' > "$2/bin/uv"
        echo "exit $UV" >> "$2/bin/uv"
        chmod +x "$2/bin/uv" ;;
esac
"""


@pytest.fixture
def installed(tmp_path):
    def install(uv: str, **more: str) -> list[str]:
        said, python = tmp_path / "said", tmp_path / "python"
        python.write_text(PIP)
        python.chmod(0o755)
        told = {"SAID": str(said), "CONFIG": CONFIG, "UV": uv, "XDG_CACHE_HOME": str(tmp_path)}
        command = ["bash", str(SCRIPT), str(python), "--no-deps", "-r", "a.lock"]
        left = {key: value for key, value in os.environ.items() if key != "SSL_CERT_FILE"}
        subprocess.run(command, env={**left, **told, **more}, check=True, timeout=60)
        return [line for line in said.read_text().splitlines() if "config list" not in line]

    return install


def test_uv_is_told_of_the_indexes_and_certificates_that_pip_is_told_of(installed):
    fetched, asked = installed("0")
    assert "--require-hashes --only-binary :all: --target" in fetched
    assert asked.startswith("uv pip install ")
    assert asked.endswith("(/ca.crt)")
    for told in (
        "--no-deps -r a.lock",
        "--no-config",
        "--default-index https://mirror.example/simple",
        "--index https://other.example/simple",
        "--find-links /wheels --find-links /more",
        "--compile-bytecode",
    ):
        assert told in asked


def test_nothing_is_compiled_where_pip_is_told_to_compile_nothing(installed):
    assert "--compile-bytecode" not in installed("0", CONFIG=":env:.no-compile='0'")[-1]


@pytest.mark.parametrize(
    ("uv", "more"), [("1", {}), ("none", {}), ("0", {"HARNESS_INSTALLER": "pip"})]
)
def test_where_uv_fails_cannot_be_had_or_is_not_wanted_pip_installs(installed, uv, more):
    said = installed(uv, **more)
    assert said[-1].endswith("install -q --no-deps -r a.lock")
    assert not more or len(said) == 1


def test_uv_is_fetched_once_and_nothing_half_fetched_stays(installed, tmp_path):
    installed("0")
    assert [line.split()[0] for line in installed("0")] == ["pip", "uv", "uv"]
    assert [path.name[:3] for path in (tmp_path / "harness").iterdir()] == ["uv-"]


def test_packages_that_pythonpath_shows_are_not_taken_for_installed(installed):
    assert not any("with" in line.split() for line in installed("1", PYTHONPATH="/elsewhere"))


def test_without_home_the_cache_is_the_one_of_the_harness(tmp_path, monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HARNESS_INSTALLER", "pip")
    command = ["bash", "-x", str(SCRIPT), str(shutil.which("true")), "a"]
    traced = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert f"cache={user_cache()}/harness\n" in traced.stderr
