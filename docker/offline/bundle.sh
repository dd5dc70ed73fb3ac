#!/usr/bin/env bash
# Packs what an ablation needs into one folder, for a machine without a network (docs/offline.md).
#
#   docker/offline/bundle.sh FOLDER         `make bundle` calls it
#
#   PYTHON      of the version (and platform) that the other machine has; default python3
#   IMAGE       an image of this machine's Docker, with vLLM inside: goes in as image.tar
#   ENGINE      a server for --backend native instead, in the words of `pip wheel`: vllm==0.19.1
#   MODELS      NAME=FOLDER or NAME=models:NAME, separated by spaces; default the demo's model
#   TASKS       a folder of task files; default the everyday prompts
#   CANDIDATES  a candidate file, if there is one
#
# The folder is there whole or not at all; SHA256SUMS in it names every file.
set -euo pipefail
export PYTHONSAFEPATH=1 # what lies in the working folder is no module of pip's

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
python=${PYTHON:-python3}
say() { echo "bundle: $*" >&2; }
fail() { local code=$1; shift; say "$*"; exit "$code"; }

[ $# = 1 ] && [ -n "$1" ] || fail 2 "name the folder to be made: make bundle BUNDLE=DIR"
folder=$(cd "$(dirname "$1")" 2>/dev/null && pwd)/$(basename "$1") || fail 2 "$(dirname "$1"): no such folder"
[ ! -e "$folder" ] || fail 2 "$folder: there already; name another, or remove it"
tasks=${TASKS:-$root/harness/everyday/tasks}
compgen -G "$tasks/*.yaml" >/dev/null || fail 2 "$tasks: no task files (*.yaml); name their folder in TASKS"
[ -z "${CANDIDATES:-}" ] || [ -f "$CANDIDATES" ] || fail 2 "$CANDIDATES: no such file; correct CANDIDATES"
model_folder() { # NAME=WHERE
    local name=${1%%=*} where=${1#*=}
    [[ $1 == ?*=?* && $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || fail 2 "MODELS: $1 is not NAME=FOLDER"
    if [[ $where == models:* ]]; then
        where=$("$root/.venv/bin/harness" models fetch "${where#models:}") || exit
        where=${where#*: }
    fi
    [ -f "$where/config.json" ] || fail 2 "$where: no folder of a model (config.json); a bundle downloads none from a hub"
    echo "$where"
}
read -ra models <<<"${MODELS:-smollm2-135m=models:smollm2-135m-instruct-q4_1}"
folders=()
for model in "${models[@]}"; do folders+=("$(model_folder "$model")"); done
image_id=
if [ -n "${IMAGE:-}" ]; then
    image_id=$(docker image inspect --format '{{.Id}}' "$IMAGE" 2>/dev/null) \
        || fail 3 "the Docker here has no image $IMAGE: pull or build it first (docker info, docker images)"
elif [ -z "${ENGINE:-}" ]; then
    say "no IMAGE and no ENGINE: the other machine's own vLLM will be asked (BACKEND=native NATIVE_COMMAND=...)"
fi

new=$(mktemp -d "$folder.new-XXXXXX")
trap 'rm -rf "$new"' EXIT
pip() { "$python" -m pip --disable-pip-version-check "$@"; }
version=$("$python" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail 3 "$python does not start; set PYTHON"
say "the harness and its packages, for Python $version"
pip download -qq --no-deps --only-binary=:all: --require-hashes -r "$root/requirements.lock" -d "$new/harness"
pip download -qq --no-deps --only-binary=:all: pip -d "$new/harness"
pip wheel -qq --no-deps -w "$new/harness" "$root"
if [ -n "${ENGINE:-}" ]; then
    say "the server's packages: $ENGINE"
    # shellcheck disable=SC2086 # several words, as pip takes them
    (cd "$root" && pip wheel -qq -w "$new/engine" $ENGINE)
fi
if [ -n "$image_id" ]; then
    say "image $IMAGE ($image_id)"
    docker save -o "$new/image.tar" "$IMAGE"
    echo "$IMAGE $image_id" > "$new/image"
fi
say "models, tasks"
for i in "${!models[@]}"; do
    mkdir -p "$new/models/${models[i]%%=*}"
    cp -RL "${folders[i]}/." "$new/models/${models[i]%%=*}/"
done
mkdir "$new/tasks"
cp "$tasks"/*.yaml "$new/tasks/"
[ -z "${CANDIDATES:-}" ] || cp "$CANDIDATES" "$new/candidates.${CANDIDATES##*.}"
cp "$here/harness.sh" "$new/"
echo "$version" > "$new/python"
(cd "$new" && find . ! -type d ! -name SHA256SUMS -print0 | LC_ALL=C sort -z | xargs -0 sha256sum > ../"$(basename "$new").sums")
mv "$new.sums" "$new/SHA256SUMS"
chmod 755 "$new"
mv "$new" "$folder"
say "$folder, $(du -sh "$folder" | cut -f1); note its sum elsewhere:"
sha256sum "$folder/SHA256SUMS"
