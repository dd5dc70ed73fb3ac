"""Gated batches and emptied caches on servers that someone else runs: refused, or fallen back."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.conduct import RunProgress, prepare
from harness.conduct.run_facts import Metadata
from harness.conduct.schedules import settled
from harness.conduct.site import find_site
from harness.errors import EnvironmentError_, UsageError
from harness.records import RunFolder
from harness.serve import let_go
from harness.settings import load_spec
from harness.words import DispatchMode


class SomeoneElses(BaseHTTPRequestHandler):
    """A stand-in for a vLLM server with or without development endpoints."""

    answer: tuple[int, object]
    resumed: list[str]

    def do_GET(self):
        self._send(*self.answer)

    def do_POST(self):
        self.resumed.append(self.path)
        self._send(200, {})

    def _send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        return


@pytest.fixture
def someone():
    handler = type("Handler", (SomeoneElses,), {"answer": (404, {}), "resumed": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    handler.url = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    server.server_close()


def prepared(url, log=None, **changes):
    """The demo's first candidates gated, as they are, and on external servers."""
    overrides = {
        "backend": "external",
        "modes": ["standard"],
        "external": {"standard": {"url": url, **({"log": log} if log else {})}},
        "dispatch_modes": ["original", "gated"],
        "limit": 4,
        **changes,
    }
    return prepare(load_spec("demo-tiny", overrides))


PAUSED, READY, WITHOUT = (200, {"is_paused": True}), (200, {"is_paused": False}), (404, {})


@pytest.mark.parametrize(
    ("answer", "log", "said"),
    [
        (WITHOUT, "a.log", "it has no development endpoints: it runs without VLLM_SERVER_DEV_MODE"),
        (PAUSED, "a.log", "it is paused: POST /resume lets it go on"),
        ((500, {}), "a.log", "/is_paused: HTTP 500"),
        (READY, None, "the standard server's log is not given (--external-log standard=FILE)"),
    ],
    ids=["no dev mode", "left paused", "broken", "no log"],
)
def test_a_server_that_cannot_hold_a_batch_is_refused_before_anything_starts(
    someone, answer, log, said
):
    someone.answer = answer
    with pytest.raises(EnvironmentError_) as caught:
        settled(prepared(someone.url, log), RunProgress())
    assert "dispatch mode gated: the standard server" in str(caught.value)
    assert said in str(caught.value)
    assert "--gated-fallback synchronized" in str(caught.value)


def test_a_server_on_another_machine_is_not_asked_for_development_endpoints():
    with pytest.raises(EnvironmentError_, match="asked over loopback only, not at http://10"):
        settled(prepared("http://10.0.0.1:8000", "a.log"), RunProgress())


def test_a_server_that_can_hold_a_batch_is_taken_as_it_is(someone):
    someone.answer = READY
    ready = prepared(someone.url, "a.log")
    assert settled(ready, RunProgress()) is ready


def test_a_fall_back_sends_each_gated_batch_once_and_the_run_says_so(someone, tmp_path):
    gated = prepared(someone.url, **{"controls.gated_fallback": "synchronized"})
    assert DispatchMode.GATED in gated.schedules
    fallen = settled(gated, RunProgress())
    assert DispatchMode.GATED not in fallen.schedules
    keys = [candidate.key for candidate in fallen.candidates]
    assert len(keys) == len(set(keys)) == len(fallen.plan.records)
    assert fallen.fingerprint != gated.fingerprint
    site = find_site(fallen.spec, RunProgress())
    with RunFolder(tmp_path / "run") as folder:
        Metadata(folder, fallen, site, kind="run").save()
        note = folder.read("metadata.json")["dispatch_notes"]["gated"]
    assert note.startswith("sent as synchronized (controls.gated_fallback): the standard server at")


def test_an_emptied_cache_needs_the_endpoint_and_salts_do_not(someone):
    plain = {"dispatch_modes": "original"}
    with pytest.raises(EnvironmentError_, match="--prefix-caching salted, which needs no such"):
        settled(
            prepared(someone.url, **plain, **{"controls.prefix_caching": "reset"}), RunProgress()
        )
    salted = prepared(someone.url, **plain, **{"controls.prefix_caching": "salted"})
    assert settled(salted, RunProgress()) is salted


def test_a_server_of_ours_is_asked_for_nothing_beforehand():
    ours = prepared("http://127.0.0.1:1", backend="native")
    assert settled(ours, RunProgress()) is ours


@pytest.mark.parametrize(("answer", "resumed"), [(PAUSED, ["/resume"]), (READY, []), (WITHOUT, [])])
def test_only_a_server_that_was_left_paused_is_let_go(someone, answer, resumed):
    someone.answer = answer
    let_go(someone.url)
    assert someone.resumed == resumed
    let_go("http://127.0.0.1:1")  # gone: nothing to do, and no error on the way out


def test_a_gated_batch_wider_than_the_server_is_refused_before_the_run():
    with pytest.raises(UsageError, match="2 slots cannot admit a batch of"):
        prepared(
            "http://127.0.0.1:1",
            backend="native",
            **{"server.extra_args": ["--max-num-seqs", "2"]},
        )
