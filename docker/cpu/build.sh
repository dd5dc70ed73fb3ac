#!/usr/bin/env bash
# Builds the CPU engine's image with what this machine needs for it.
#
#   docker/cpu/build.sh [TAG] [DOCKER BUILD ARGUMENTS...]     default: harness-vllm-cpu:0.32.0
#
#   BASE_IMAGE      default python:3.11-slim; where no registry answers, one made from the
#                   machine's Debian sources (.ci/base-image.sh)
#   HARNESS_TORCH_INDEX   index for PyTorch's CPU build; default PyTorch's own
# A CA bundle (PIP_CERT or SSL_CERT_FILE) and PIP_CONFIG_FILE are passed in as build secrets.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tag=${1:-harness-vllm-cpu:0.32.0}
shift || true
say() { echo "build: $*" >&2; }

# A client with BuildKit: one with buildx, else one before 23 that has it built in.
client=
while read -r candidate; do
    if "$candidate" buildx version >/dev/null 2>&1; then client=$candidate; break; fi
    version=$("$candidate" version --format '{{.Client.Version}}' 2>/dev/null || true)
    if [ -n "$version" ] && [ "${version%%.*}" -lt 23 ]; then client=$candidate; break; fi
done < <(type -aP docker)
[ -n "$client" ] || { say "no docker client with BuildKit: install docker-buildx"; exit 3; }
"$client" info >/dev/null 2>&1 || { say "no Docker engine answers"; exit 3; }

if [ -z "${BASE_IMAGE:-}" ]; then
    BASE_IMAGE=python:3.11-slim
    if ! "$client" image inspect "$BASE_IMAGE" >/dev/null 2>&1 \
        && ! "$client" pull -q "$BASE_IMAGE" >/dev/null 2>&1; then
        say "$BASE_IMAGE cannot be pulled here, so the base is made from Debian's packages"
        BASE_IMAGE=harness-base:bookworm
        "$here/../../.ci/base-image.sh" "$BASE_IMAGE"
    fi
fi

arguments=(--build-arg "BASE_IMAGE=$BASE_IMAGE" --network host)

# A PyTorch wheel that pip finds in a local folder is handed in, since a build sees no such folder.
wheels=$here/wheels
remove_wheels() { find "$wheels" -name '*.whl' -delete; }
trap remove_wheels EXIT
for folder in ${PIP_FIND_LINKS:-}; do
    for wheel in "$folder"/torch-*+cpu-cp311-*"$(uname -m)".whl; do
        [ -f "$wheel" ] || continue
        say "taking $(basename "$wheel") from $folder"
        ln -f "$wheel" "$wheels/" 2>/dev/null || cp "$wheel" "$wheels/"
    done
done
if compgen -G "$wheels/torch-*.whl" >/dev/null; then
    arguments+=(--build-arg TORCH_INDEX=)
elif [ -n "${HARNESS_TORCH_INDEX+set}" ]; then
    arguments+=(--build-arg "TORCH_INDEX=$HARNESS_TORCH_INDEX")
fi

ca=${PIP_CERT:-${SSL_CERT_FILE:-}}
[ -z "$ca" ] || arguments+=(--secret "id=ca,src=$ca")
[ -z "${PIP_CONFIG_FILE:-}" ] || arguments+=(--secret "id=pip,src=$PIP_CONFIG_FILE")

say "building $tag on $BASE_IMAGE"
DOCKER_BUILDKIT=1 "$client" build "${arguments[@]}" -t "$tag" "$@" "$here"
