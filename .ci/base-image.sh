#!/usr/bin/env bash
# A Python base image where no registry can be reached: Debian bookworm, from this machine's own
# package sources, as harness-base:bookworm. Elsewhere the Dockerfiles start from python:3.11-slim.
#
#   .ci/base-image.sh [NAME:TAG]    does nothing when the image is there
set -euo pipefail

image=${1:-harness-base:bookworm}
if docker image inspect "$image" >/dev/null 2>&1; then
    echo "base-image: $image is there" >&2
    exit 0
fi
if ! command -v mmdebstrap >/dev/null; then
    {
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mmdebstrap
    } >&2
fi
# shellcheck disable=SC2016 # apt's own variable
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
echo "base-image: making $image" >&2
mmdebstrap --variant=minbase --quiet \
    --include=ca-certificates,python3,python3-pip,python3-venv,libgomp1,libnuma1 \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    bookworm - ${mirror:+"$mirror"} |
    docker import --change 'CMD ["python3"]' - "$image"
