#!/bin/sh
# Every test, in two halves at once: those that start real vLLM servers on the CPU wait for most of
# their time, so they run beside the others. They begin when the CPU engine is installed, which takes
# minutes of a bare machine; the others need none. Their report follows that of the others.
python=.venv/bin/python
told=$(mktemp)
trap 'kill "$servers" 2>/dev/null; rm -f "$told"' EXIT
trap 'exit 130' INT TERM
sh -c "make -s engine && { [ -z \"\$CI\" ] || docker/cpu/build.sh; } \
    && exec $python -m pytest -m vllm_cpu -p no:cacheprovider" >"$told" 2>&1 &
servers=$!
"$python" -m pytest -m "not vllm_cpu"
others=$?
wait "$servers"
real=$?
cat "$told"
[ "$others" -eq 0 ] && { [ "$real" -eq 0 ] || [ "$real" -eq 5 ]; }  # 5: none can run here
