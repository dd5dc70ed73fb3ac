#!/usr/bin/env bash
# Every test, in four parts side by side, since tests of servers and containers wait for much of
# their time: those that need neither; and when the CPU engine is installed, which takes minutes of
# a bare machine, those in containers, once there is an image of it, and two parts of real servers,
# in which files that ask the same servers stay together. What these three said follows the report
# of the others.
set -m # each part is a process group: when this script ends, whatever ends it, nothing of them stays
python=.venv/bin/python
together=$(ls tests/invalid/test_real_*.py tests/test_{identity,schedules,cause,experiments}_end_to_end.py)
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

naming() { grep -rl --include='test_*.py' "mark\.$1" tests; } # to read no other file takes less time
marked() {
    # shellcheck disable=SC2086
    "$python" -m pytest -p no:cacheprovider -m "$1" $2
    case $? in 0 | 5) ;; *) return 1 ;; esac # 5: none can run here
}
in_containers() {
    { [ -z "$CI" ] || docker/cpu/build.sh; } && marked docker "$(naming docker)"
}
own() { marked "vllm_cpu and not docker" "$(naming vllm_cpu | grep -vxF "$together")"; }

{
    bad=0
    make -s engine || bad=3
    in_containers >"$told/containers" 2>&1 & parts=$!
    own >"$told/own" 2>&1 & parts="$parts $!"
    marked vllm_cpu "$together" >"$told/shared" 2>&1 & parts="$parts $!"
    for part in $parts; do
        wait "$part" || bad=1
    done
    exit $bad
} >"$told/a_engine" 2>&1 </dev/null &
real=$!
"$python" -m pytest -m "not vllm_cpu and not docker" </dev/null &
wait $!  # and not in the foreground: a signal would wait for its end
others=$?
wait "$real"
real=$?
cat "$told"/*
[ "$others" -eq 0 ] && [ "$real" -eq 0 ]
