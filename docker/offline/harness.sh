#!/usr/bin/env bash
# Runs the harness out of a folder that bundle.sh made; no index, no registry and no hub is asked.
#
#   harness.sh FOLDER VERB [FLAGS...]        `make ablation OFFLINE=FOLDER` calls it
#
# Every file is checked against SHA256SUMS first. The harness gets an environment beside the current
# folder's files (.venv-offline-SUM), the image is loaded by its id, and model, tasks and candidates are
# the folder's unless a flag names others.
#   PYTHON    a Python of the folder's version; unset: python3 or python3.N on PATH
set -euo pipefail

say() { echo "offline: $*" >&2; }
fail() { local code=$1; shift; say "$*"; exit "$code"; }
[ $# -ge 2 ] || fail 2 "usage: harness.sh FOLDER VERB [FLAGS...]"
folder=$(cd "$1" 2>/dev/null && pwd) || fail 2 "$1: no such folder; it is made by make bundle"
verb=$2
shift 2
args=("$@")

check_sums() {
    local wrong
    cd "$folder"
    [ -f SHA256SUMS ] || fail 2 "$folder: no SHA256SUMS, so it is not whole; copy it again, or make it with make bundle"
    wrong=$(LC_ALL=C sha256sum --quiet --check SHA256SUMS 2>&1) \
        || fail 2 "$folder is not as it was made; copy it again:"$'\n'"$wrong"
    wrong=$(LC_ALL=C comm -13 <(sed 's/^[0-9a-f]* [ *]//' SHA256SUMS | LC_ALL=C sort) \
        <(find . ! -type d ! -path ./SHA256SUMS | LC_ALL=C sort))
    [ -z "$wrong" ] || fail 2 "$folder has files that SHA256SUMS does not name; take them out:"$'\n'"$wrong"
    cd "$OLDPWD"
}
given() { local arg; for arg in "${args[@]}"; do [ "${arg%%=*}" != "$1" ] || return 0; done; return 1; }
of_flag() { # FLAG DEFAULT: what follows it
    local i
    for i in "${!args[@]}"; do
        case ${args[i]} in
        "$1") echo "${args[i + 1]:-}" && return ;;
        "$1="*) echo "${args[i]#*=}" && return ;;
        esac
    done
    echo "$2"
}

find_python() {
    local candidate version
    version=$(cat "$folder/python")
    for candidate in ${PYTHON:-python3 "python$version"}; do
        if [ "$("$candidate" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
            echo "$candidate"
            return
        fi
    done
    fail 3 "the folder's wheels are for Python $version, and ${PYTHON:-PATH} has none: name one in PYTHON, or make the folder with another (PYTHON=)"
}

# Without ensurepip too: pip is among the wheels, and runs out of its own.
install() { # ENVIRONMENT WHEELS
    [ ! -f "$1/.ready" ] || return 0
    local python
    python=$(find_python) || exit 3
    ( # one install at a time: a second caller waits, then finds the work done
        if command -v flock >/dev/null; then flock 9; fi
        [ ! -f "$1/.ready" ] || exit 0
        say "installing into $1 from $2"
        rm -rf "$1"
        "$python" -I -m venv --without-pip "$1" || fail 3 "no environment could be made in $1"
        env -u PYTHONPATH "$1/bin/python" "$(echo "$folder"/harness/pip-*.whl)/pip" --isolated \
            install -q --no-index --no-deps "$2"/*.whl || fail 3 "the wheels of $2 could not be installed here"
        touch "$1/.ready"
    ) 9>"$1.lock" || exit
}

# Into `image`: what a container starts from, by its id on this machine.
load_image() {
    local name id
    read -r name id < "$folder/image"
    image=$id
    ! given --dry-run || return 0
    if ! docker image inspect "$id" >/dev/null 2>&1; then
        say "loading $name from image.tar"
        docker load -q -i "$folder/image.tar" >/dev/null || fail 3 "Docker could not load $folder/image.tar"
        image=$(docker image inspect --format '{{.Id}}' "$name")
    fi
}

check_sums
sum=$(sha256sum "$folder/SHA256SUMS" | cut -c1-64)
say "$folder is whole; its SHA256SUMS: $sum"
environment=$PWD/.venv-offline-${sum:0:8}
install "$environment" "$folder/harness"

flags=(--env HF_HUB_OFFLINE=1 --env VLLM_NO_USAGE_STATS=1)
backend=$(of_flag --backend "$([ -f "$folder/image" ] && echo docker || echo native)")
given --backend || flags+=(--backend "$backend")
if [ "$backend" = docker ] && ! given --image; then
    [ -f "$folder/image" ] || fail 2 "$folder holds no image: BACKEND=native, IMAGE=, or make it with IMAGE="
    load_image
    say "image $image, by its id on this machine: that it is a registry's was not checked here"
    flags+=(--image "$image")
fi
if [ "$backend" = native ] && ! given --native-command && [ -d "$folder/engine" ]; then
    install "$environment/engine" "$folder/engine"
    flags+=(--native-command "$environment/engine/bin/python -m vllm.entrypoints.openai.api_server")
fi
if ! given --model; then
    for model in "$folder"/models/*/; do flags+=(--model "$(basename "$model")=${model%/}"); done
fi
given --tasks || flags+=(--tasks "$folder/tasks")
if ! given --candidates; then
    for rows in "$folder"/candidates.*; do
        [ ! -f "$rows" ] || flags+=(--candidates "$rows" --rows-per-mode none)
    done
fi
export HF_HUB_OFFLINE=1
exec "$environment/bin/harness" "$verb" "${flags[@]}" "${args[@]}"
