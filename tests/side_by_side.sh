#!/bin/sh
# Every test, side by side: those that start real vLLM servers on the CPU wait for much of their
# time. They begin when the CPU engine is installed, which takes minutes of a bare machine and which
# the others do not need, and they are shared out so that files that ask the same servers stay
# together. What they said follows the report of the others.
python=.venv/bin/python
together="tests/invalid tests/test_identity_end_to_end.py tests/test_schedules_end_to_end.py"
apart=$(printf -- '--ignore=%s ' $together)
told=$(mktemp -d)
trap 'kill "$servers" 2>/dev/null; rm -rf "$told"' EXIT
trap 'exit 130' INT TERM

real() { exec "$python" -m pytest -p no:cacheprovider -m "$@"; }

{
    make -s engine && { [ -z "$CI" ] || docker/cpu/build.sh; } || exit 3
    real "vllm_cpu and docker" >"$told/containers" 2>&1 & parts=$!
    # shellcheck disable=SC2086
    real "vllm_cpu and not docker" $together >"$told/shared" 2>&1 & parts="$parts $!"
    # shellcheck disable=SC2086
    real "vllm_cpu and not docker" tests $apart >"$told/own" 2>&1 & parts="$parts $!"
    trap 'kill $parts' TERM
    bad=0
    for part in $parts; do
        wait "$part"
        case $? in 0 | 5) ;; *) bad=1 ;; esac  # 5: none can run here
    done
    exit $bad
} >"$told/a_engine" 2>&1 &
servers=$!
"$python" -m pytest -m "not vllm_cpu"
others=$?
wait "$servers"
real=$?
cat "$told"/*
[ "$others" -eq 0 ] && [ "$real" -eq 0 ]
