"""A stand-in for vLLM's server whose answers change by a script: routes and log of the chaos one.

``causes.json`` in its working folder (or ``STAND_IN_CAUSES``) is a list of causes. An answer is
another one where all that a cause names holds: ``mode``; ``arguments`` and ``environment`` of this
server (by value; ``null`` where it must be missing); ``width``, requests that it shared a step with
(2 where not given); ``mixed``, a prefill that joined its decode; ``with``, a word of the prompt of
another request in one of its steps; ``of``, the share of prompts that have it; ``flaky``, the
share of a prompt's askings (with ``width`` 1 alone too: noise). Nothing is computed.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from http.server import ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "chaos"))
import stand_in_vllm as base

CAUSES = json.loads(Path(os.environ.get("STAND_IN_CAUSES", "causes.json")).read_text())
ASKED = Counter()
TOKENS, STEP_S = 10, float(os.environ.get("STAND_IN_STEP_S", "0.006"))


class Engine(base.Engine):
    """Remembers what each request shared its steps with."""

    def _step(self, admitted, decoding):
        for request in self.running:
            request.width = max(request.width, len(self.running))
            request.mixed |= bool(admitted) and request in decoding
            request.others |= {one.prompt for one in self.running if one is not request}
        super()._step(admitted, decoding)


class Request(base.Request):
    """A prompt whose answer is scripted."""

    def __init__(self, prompt, batched, body):
        super().__init__(prompt, batched, body)
        self.left, self.width, self.mixed, self.others = TOKENS, 1, False, set()
        ASKED[prompt] += 1
        turn = hashlib.sha256(f"{ASKED[prompt]} {prompt}".encode()).digest()[0]
        self.turn = turn / 256

    def choice(self, index):
        number = int(hashlib.sha256(self.prompt.encode()).hexdigest(), 16)
        own = [number // 7**place % 500 + 10 for place in range(TOKENS)]
        changed = any(self._has(cause, number) for cause in CAUSES)
        ids = [*own[:4], *(one + 1000 for one in own[4:])] if changed else own
        tops = [{f"token_id:{one}": -0.70, f"token_id:{one + 7}": -0.71} for one in ids]
        return {
            "index": index,
            "text": " ".join(map(str, ids)),
            "token_ids": ids,
            "prompt_token_ids": list(self.prompt.encode()[:8]),
            "finish_reason": "length",
            "logprobs": {"top_logprobs": tops},
        }

    def _has(self, cause, number):
        mode = "batch_invariant" if base.INVARIANT else "standard"
        return (
            cause.get("mode", mode) == mode
            and all(argument(k) == v for k, v in cause.get("arguments", {}).items())
            and all(os.environ.get(k) == v for k, v in cause.get("environment", {}).items())
            and self.width >= cause.get("width", 2)
            and (not cause.get("mixed") or self.mixed)
            and ("with" not in cause or any(cause["with"] in other for other in self.others))
            and number % 97 < 97 * cause.get("of", 1.0)
            and self.turn < cause.get("flaky", 1.0)
        )


def argument(name):
    """The last value of an argument of this server, ``""`` for a flag, ``None`` where it is not."""
    words = sys.argv
    places = [place for place, word in enumerate(words) if word == name]
    if not places:
        return None
    value = words[places[-1] + 1] if places[-1] + 1 < len(words) else ""
    return "" if value.startswith("--") else value


def main():
    """As the chaos one, with this engine."""
    base.TOKENS, base.STEP_S, base.Request = TOKENS, STEP_S, Request
    base.say(base.start_up_text())
    base.started, base.dead = time.time(), threading.Event()
    server = ThreadingHTTPServer((base.known.host, base.known.port), base.Handler)
    server.daemon_threads = True
    base.engine_pid, base.engine = base.engine_process(), Engine()
    signal.signal(signal.SIGTERM, base.end)
    for work in (base.engine.loop, base.watch_engine, server.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    base.say("INFO:     Application startup complete.")
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
