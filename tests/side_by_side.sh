#!/bin/sh
# Every test, side by side: those that start real vLLM servers on the CPU wait for much of their
# time. They begin when the CPU engine is installed and its image is there, which takes minutes of a
# bare machine and which most of the others do not need; files that ask the same servers stay
# together. What they said follows the report of the others.
python=.venv/bin/python
together="tests/invalid tests/test_identity_end_to_end.py tests/test_schedules_end_to_end.py"
apart=$(printf -- '--ignore=%s ' $together)
told=$(mktemp -d)
trap 'kill "$servers" 2>/dev/null; rm -rf "$told"' EXIT
trap 'exit 130' INT TERM

real() { "$python" -m pytest -p no:cacheprovider -m "$@"; }

own_servers() {
    real "vllm_cpu and docker" >"$told/containers" 2>&1
    contained=$?
    # shellcheck disable=SC2086
    real "vllm_cpu and not docker" tests $apart >"$told/own" 2>&1
    case $? in 0 | 5) ;; *) return 1 ;; esac  # 5: none can run here
    case $contained in 0 | 5) ;; *) return 1 ;; esac
}

{
    make -s engine && { [ -z "$CI" ] || docker/cpu/build.sh; } || { touch "$told/ready"; exit 3; }
    touch "$told/ready"
    own_servers & parts=$!
    # shellcheck disable=SC2086
    real "vllm_cpu and not docker" $together >"$told/shared" 2>&1 & parts="$parts $!"
    trap 'kill $parts' TERM
    bad=0
    for part in $parts; do
        wait "$part"
        case $? in 0 | 5) ;; *) bad=1 ;; esac
    done
    exit $bad
} >"$told/a_engine" 2>&1 &
servers=$!
"$python" -m pytest -m "not vllm_cpu and not docker"
others=$?
until [ -e "$told/ready" ]; do sleep 1; done  # containers are of the engine's image
"$python" -m pytest -m "docker and not vllm_cpu" || [ $? -eq 5 ] || others=1
wait "$servers"
real=$?
cat "$told"/*
[ "$others" -eq 0 ] && [ "$real" -eq 0 ]
