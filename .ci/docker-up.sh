#!/usr/bin/env bash
# A Docker engine for this machine (the one that answers, else Debian's) and a registry for the tests.
#
#   pid=$(.ci/docker-up.sh)     prints the pid of the dockerd that it started, nothing when one was up
#   [ -z "$pid" ] || kill "$pid"   ends exactly that one
#
# DOCKERD_LOG names the log file (default: dockerd.log in the temporary folder). Messages go to stderr.
set -euo pipefail

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

packages=()
command -v docker-registry >/dev/null || packages+=(docker-registry)
answers || command -v dockerd >/dev/null || packages+=(docker.io)
if [ ${#packages[@]} -gt 0 ]; then
    echo "docker-up: installing ${packages[*]}" >&2
    {
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${packages[@]}"
    } >&2
fi

if answers; then
    echo "docker-up: an engine answers" >&2
    exit 0
fi

log=${DOCKERD_LOG:-${TMPDIR:-/tmp}/dockerd.log}
setsid dockerd >"$log" 2>&1 </dev/null &
pid=$!
trap 'kill "$pid"; exit 143' INT TERM HUP # nobody was told of it yet
for _ in $(seq 60); do
    if answers; then
        echo "docker-up: dockerd $pid is up, its log is $log" >&2
        echo "$pid"
        exit 0
    fi
    if ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.5
done
echo "docker-up: dockerd did not come up; the end of $log:" >&2
tail -n 20 "$log" >&2
kill "$pid" 2>/dev/null || true
exit 3
