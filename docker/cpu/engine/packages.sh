#!/usr/bin/env bash
# Installs packages into a Python environment: with uv, which needs a tenth of pip's time for the engine's
# 140 packages, and where uv cannot be had or fails, with pip.
#
#   packages.sh PYTHON ARGUMENTS      PYTHON: of the environment; ARGUMENTS: as for `pip install`
#
#   HARNESS_INSTALLER=pip             pip only
# The bash of macOS (3.2) has to understand it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$1
shift
unset PYTHONPATH PYTHONHOME # what lies there is in no environment
case ${XDG_CACHE_HOME:-} in
    /*) cache=$XDG_CACHE_HOME/harness ;;
    *) cache=${HOME:-$(cd ~ && pwd)}/.cache/harness ;; # without HOME, ~ is the user's of this machine
esac
uv=$cache/uv-$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' "$here/uv.lock")
pip() { "$python" -I -m pip --disable-pip-version-check "$@"; }

# uv lies in the user's cache, whole or not at all, and in no environment.
get_uv() {
    [ ! -x "$uv/bin/uv" ] || return 0
    local new
    mkdir -p "$cache" && new=$(mktemp -d "$cache/.uv-XXXXXX") || return 1
    pip install -q --no-compile --require-hashes --only-binary :all: --target "$new" -r "$here/uv.lock" \
        && "$python" -I -c 'import os, sys; os.rename(*sys.argv[1:])' "$new" "$uv" 2>/dev/null || rm -rf "$new"
    [ -x "$uv/bin/uv" ]
}

# What pip is told by its files and variables about indexes and certificates, uv has to be told; a file of the working folder tells neither.
by_uv() {
    get_uv || return 1
    set -- install -q --no-config --python "$python" --index-strategy unsafe-best-match "$@"
    local name value word compile=--compile-bytecode
    while IFS== read -r name value; do
        value=${value#\'} value=${value%\'}
        for word in $value; do
            case $name in
                *.index-url) set -- "$@" --default-index "$word" ;;
                *.extra-index-url) set -- "$@" --index "$word" ;;
                *.find-links) set -- "$@" --find-links "$word" ;;
                *.no-index) set -- "$@" --no-index ;;
                *.trusted-host) set -- "$@" --allow-insecure-host "$word" ;;
                *.no-compile) compile= ;; # set at all, as 0 too
                *.cert) export SSL_CERT_FILE=${SSL_CERT_FILE:-$word} ;;
            esac
        done
    done < <(pip config list)
    "$uv/bin/uv" pip "$@" $compile
}

[ "${HARNESS_INSTALLER:-uv}" = pip ] || { by_uv "$@" >/dev/null 2>&1 && exit 0; }
pip install -q "$@"
