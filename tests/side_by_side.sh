#!/bin/sh
# Every test, in two halves at once: those that start real vLLM servers on the CPU wait for most of
# their time, so they run beside the others. The report of the first half follows that of the second.
python=.venv/bin/python
told=$(mktemp)
trap 'kill "$servers" 2>/dev/null; rm -f "$told"' EXIT
trap 'exit 130' INT TERM
"$python" -m pytest -m vllm_cpu -p no:cacheprovider >"$told" 2>&1 &
servers=$!
"$python" -m pytest -m "not vllm_cpu"
others=$?
wait "$servers"
real=$?
cat "$told"
[ "$others" -eq 0 ] && { [ "$real" -eq 0 ] || [ "$real" -eq 5 ]; }  # 5: none can run here
