"""A whole run against a server that someone else runs and that does what the field reports."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from answering_server import AnsweringServer, completion

LOG = Path(__file__).parent / "data/vllm_logs/vllm-0.20.2-h200-standard.log"
KEY = "canary-key-0123456789"


def ablate(server: AnsweringServer, results: Path, *flags: str, log: Path = LOG, url: str = ""):
    command = [
        *(sys.executable, "-c", "from harness.cli import main; main()", "run"),
        *("--profile", "demo-tiny", "--backend", "external", "--modes", "standard", "--limit", "1"),
        *("--rows-per-mode", "none", "--results", str(results), "--run-id", "run"),
        *("--external", f"standard={url or server.url}", "--external-log", f"standard={log}"),
        *flags,
    ]
    environment = {**os.environ, "THEIR_KEY": KEY}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


class Faults:
    """Bad answers among the good ones, each once; after the 503 ``/health`` takes its time."""

    def __init__(self) -> None:
        self.asked, self.slow = 0, 0

    def completions(self, handler: Any, asked: Any) -> bool:
        self.asked += 1
        if self.asked == 2:
            handler.say(200, b'{"choices": []}', Content_Encoding="gzip")
        elif self.asked == 4:
            handler.say(200, b"[" * 200_000)
        elif self.asked == 6:
            self.slow = 2  # whoever looks, and who looks again
            handler.say(503, {"error": "too busy"})
        return self.asked in (2, 4, 6)

    def health(self, handler: Any, asked: Any) -> bool:
        if self.slow:
            self.slow -= 1
            time.sleep(6.5)
        return False


def test_bad_answers_and_a_busy_server_do_not_end_a_run(tmp_path):
    faults = Faults()
    with AnsweringServer(
        "demo-llama", v1__completions=faults.completions, health=faults.health
    ) as server:
        done = ablate(server, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("request retried, attempt 1, error") == 3
    assert "Traceback" not in done.stderr


def test_an_answer_that_is_bad_for_ever_fails_its_record_and_no_more(tmp_path):
    def cut(handler: Any, asked: Any) -> bool:
        if sum(path == "/v1/completions" for path, _ in server.seen) < 5:  # three to warm up
            return False
        handler.say(200, b"{}", Content_Encoding="deflate")
        return True

    with AnsweringServer("demo-llama", v1__completions=cut) as server:
        done = ablate(server, tmp_path, "--max-attempts", "2")
    assert done.returncode == 4, done.stderr
    assert "1 of 1 records failed" in done.stderr
    assert "Traceback" not in done.stderr


def wants_a_key(handler: Any, asked: Any) -> bool:
    if handler.headers.get("Authorization") == f"Bearer {KEY}":
        return False
    handler.say(401, {"error": f"not with {handler.headers.get('Authorization')}"})
    return True


def test_a_server_that_wants_a_key_gets_it_and_nobody_else_does(tmp_path):
    log = tmp_path / "server.log"
    log.write_text(f"(APIServer pid=567) a line with {KEY}\n{LOG.read_text()}")
    locked = {"v1__models": wants_a_key, "v1__completions": wants_a_key}
    flags = ("--external-api-key-env", "standard=THEIR_KEY")
    with AnsweringServer("demo-llama", **locked) as server:
        without = ablate(server, tmp_path / "without")
        assert len(server.seen) < 5  # nobody waits for a refusal to be taken back
        done = ablate(server, tmp_path / "with", *flags, log=log, url=f"{server.url}/v1/")
    assert (without.returncode, done.returncode) == (3, 0), done.stderr
    assert "refuses /v1/models: HTTP 401" in without.stderr
    assert "--external-api-key-env standard=VARIABLE" in without.stderr
    written = [path for path in (tmp_path / "with").rglob("*") if path.is_file()]
    assert len(written) > 5
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    assert KEY not in done.stdout + done.stderr


def test_a_completion_of_the_stand_in_is_one():
    """Or the tests above would claim nothing."""
    assert completion({"prompt": "a"})["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("standard=NOT_SET_ANYWHERE", "the environment variable NOT_SET_ANYWHERE holds no key"),
        (f"standard={KEY}", "not the name of an environment variable"),
    ],
)
def test_a_key_that_is_not_in_the_environment_is_bad_input(tmp_path, value, message):
    with AnsweringServer("demo-llama") as server:
        done = ablate(server, tmp_path, "--external-api-key-env", value)
    assert done.returncode == 2
    assert message in done.stderr
    assert KEY not in done.stderr
