#!/usr/bin/env bash
# Every test, side by side: those that start real vLLM servers on the CPU wait for much of their
# time. They begin when the CPU engine is installed and its image is there, which takes minutes of a
# bare machine and which most of the others do not need; files that ask the same servers stay
# together. What they said follows the report of the others.
set -m # each part is a process group: when this script ends, whatever ends it, nothing of them stays
python=.venv/bin/python
together="tests/invalid tests/test_identity_end_to_end.py tests/test_schedules_end_to_end.py tests/test_cause_end_to_end.py"
apart=$(printf -- '--ignore=%s ' $together)
told=$(mktemp -d)

end() {
    trap '' INT TERM HUP
    parts=$(jobs -p)
    each() { for part in $parts; do kill "$1" -- "-$part" 2>/dev/null && echo alive; done; true; }
    each -TERM >/dev/null
    # a test that catches the signal for a run of its own goes on to the next test
    for _ in $(seq 50); do [ -n "$(each -0)" ] || break; sleep 0.1; done
    each -KILL >/dev/null
    wait
    rm -rf "$told"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

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
    bad=0
    for part in $parts; do
        wait "$part"
        case $? in 0 | 5) ;; *) bad=1 ;; esac
    done
    exit $bad
} >"$told/a_engine" 2>&1 </dev/null &
servers=$!
"$python" -m pytest -m "not vllm_cpu and not docker" </dev/null &
wait $!  # and not in the foreground: a signal would wait for its end
others=$?
until [ -e "$told/ready" ]; do sleep 1; done  # containers are of the engine's image
"$python" -m pytest -m "docker and not vllm_cpu" </dev/null &
wait $! || [ $? -eq 5 ] || others=1
wait "$servers"
real=$?
cat "$told"/*
[ "$others" -eq 0 ] && [ "$real" -eq 0 ]
