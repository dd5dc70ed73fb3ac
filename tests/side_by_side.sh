#!/usr/bin/env bash
# Every test, in seven parts side by side, since tests of servers and containers wait for much of
# their time: those that need neither; of these, in two parts, the two folders that start the whole
# harness over stand-ins; two parts of real servers when the CPU engine is installed, where files
# that ask the same servers stay together; and two parts in containers when there is an image of it.
# What these six said follows the report of the others.
set -m # each part is a process group: when this script ends, whatever ends it, nothing of them stays
python=.venv/bin/python
neither="not vllm_cpu and not docker"
whole="tests/cause tests/chaos" # each waits for most of its time, and would be the last to end
certified=$(ls tests/cause/test_[a-m]*.py)
clusters="$(ls tests/cause/test_[n-z]*.py) tests/chaos"
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

TIMEFORMAT='what this part took: %R s, of which %U s of a core and %S s of the system'
naming() { grep -rl --include='test_*.py' "mark\.$1" tests | sort; } # no other file need be read
marked() {
    # shellcheck disable=SC2086
    time "$python" -m pytest -p no:cacheprovider -m "$1" $2
    case $? in 0 | 5) ;; *) return 1 ;; esac # 5: none can run here
}
beside() { # a part, and what it says under a name
    part=$1
    shift
    "$@" >"$told/$part" 2>&1 & parts="$parts $!"
}
image() { [ -z "$CI" ] || docker/cpu/build.sh; }

{
    bad=0 parts=
    beside certified marked "$neither" "$certified"
    PORTS_FROM=19300 beside clusters marked "$neither" "$clusters" # both would take the same
    renice -n 3 -p $BASHPID >/dev/null # those that start no real server are the longest
    beside image image
    built=$!
    make -s engine || bad=3
    beside own marked "vllm_cpu and not docker" "$(naming vllm_cpu | grep -vxF "$together")"
    beside shared marked vllm_cpu "$together"
    wait "$built" || bad=3
    beside containers marked "docker and vllm_cpu" "$(naming docker)"
    beside stand_ins marked "docker and not vllm_cpu" "$(naming docker | sort -r)" # each begins elsewhere
    for part in $parts; do
        wait "$part" || bad=1
    done
    exit $bad
} >"$told/a_engine" 2>&1 </dev/null &
real=$!
# shellcheck disable=SC2046
time "$python" -m pytest -m "$neither" $(printf -- '--ignore=%s ' $whole) </dev/null &
wait $!  # and not in the foreground: a signal would wait for its end
others=$?
wait "$real"
real=$?
cat "$told"/*
[ "$others" -eq 0 ] && [ "$real" -eq 0 ]
