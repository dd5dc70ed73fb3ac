"""Servers that someone else runs are used and proven, never started or stopped."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from hostile_server import REFUSALS, UNREADABLE, HostileServer, answer

from harness.errors import EnvironmentError_, UsageError
from harness.machine import Host
from harness.serve import LaunchOptions, launch_options, make_backend, server_evidence
from harness.serve.external import ExternalBackend
from harness.settings.run_spec import ExternalServer, ModelSpec, RunSpec
from harness.settings.spec_rules import complaints_about
from harness.words import BackendName, Mode, Verdict

LOGS = Path(__file__).parent.parent / "data" / "vllm_logs"
Options = Callable[..., LaunchOptions]


@pytest.fixture
def external(host: Host) -> Options:
    def build(mode: Mode = Mode.BATCH_INVARIANT, log: Path | str | None = None) -> LaunchOptions:
        server = ExternalServer(url="http://there:8000", log=str(log) if log else None)
        spec = RunSpec(
            backend=BackendName.EXTERNAL,
            models=(ModelSpec(name="tiny", hf_id="org/tiny"),),
            tasks="t",
            external={mode: server},
        )
        return launch_options(spec, spec.models[0], mode, host=host)

    return build


def server_info(value: object = None, model: str = "tiny") -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": model}]})
        if request.url.path == "/server_info":
            if value is None:
                return httpx.Response(404)
            environment = {"VLLM_BATCH_INVARIANT": value, "HF_TOKEN": "hf_canary"}
            return httpx.Response(200, json={"vllm_env": environment})
        return httpx.Response(200)

    return httpx.MockTransport(handle)


def test_a_log_that_the_spec_names_proves_the_mode(external: Options, tmp_path: Path):
    log = LOGS / "vllm-0.20.2-h200-batch_invariant.log"
    server = ExternalBackend(server_info()).start(external(log=log), tmp_path)
    assert server_evidence(server).verdict is Verdict.ACTIVE
    assert server.log_path.read_bytes() == log.read_bytes()


@pytest.mark.parametrize(
    ("mode", "value", "verdict"),
    [
        (Mode.BATCH_INVARIANT, True, Verdict.ACTIVE),
        (Mode.BATCH_INVARIANT, "0", Verdict.INCONCLUSIVE),
        (Mode.BATCH_INVARIANT, None, Verdict.INCONCLUSIVE),
        (Mode.STANDARD, False, Verdict.CLEAN),
        (Mode.STANDARD, "1", Verdict.CONTAMINATED),
        (Mode.STANDARD, None, Verdict.INCONCLUSIVE),
    ],
)
def test_without_a_log_server_info_decides(
    external: Options, tmp_path: Path, mode: Mode, value: object, verdict: Verdict
):
    server = ExternalBackend(server_info(value)).start(external(mode), tmp_path)
    assert server_evidence(server).verdict is verdict


def test_a_log_of_the_other_mode_is_not_overruled_by_server_info(external: Options, tmp_path: Path):
    log = LOGS / "vllm-0.20.2-h200-batch_invariant.log"
    options = external(Mode.STANDARD, log=log)
    server = ExternalBackend(server_info(False)).start(options, tmp_path)
    assert server_evidence(server).verdict is Verdict.CONTAMINATED


def test_a_secret_in_server_info_is_not_kept(external: Options, tmp_path: Path):
    server = ExternalBackend(server_info(True)).start(external(), tmp_path)
    assert "hf_canary" not in json.dumps(server.describe())


@pytest.mark.parametrize("listed", ["tiny", "org/tiny"])
def test_the_name_that_the_server_uses_for_our_model_is_taken(
    external: Options, tmp_path: Path, listed: str
):
    server = ExternalBackend(server_info(model=listed)).start(external(), tmp_path)
    assert server.options.served_model_name == listed


def test_a_url_that_does_not_answer_is_an_environment_error(external: Options):
    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(EnvironmentError_, match="nothing answers at http://there:8000"):
        ExternalBackend(httpx.MockTransport(refused)).check(external())


def test_a_log_that_is_not_there_is_a_usage_error(external: Options, tmp_path: Path):
    with pytest.raises(UsageError, match="there is no file"):
        ExternalBackend(server_info()).check(external(log=tmp_path / "no.log"))


def test_stopping_keeps_the_log_as_it_is_by_then(external: Options, tmp_path: Path):
    log = tmp_path / "theirs.log"
    log.write_text("one\n")
    server = ExternalBackend(server_info()).start(external(log=log), tmp_path / "run")
    log.write_text("one\ntwo\n")
    server.stop()
    assert server.log_path.read_text() == "one\ntwo\n"
    assert server.state().running


def test_the_spec_chooses_the_backend(external: Options):
    spec = RunSpec(backend=BackendName.NATIVE, models=(), tasks="t")
    assert make_backend(spec).name is BackendName.NATIVE
    spec = spec.model_copy(update={"backend": BackendName.EXTERNAL})
    assert make_backend(spec).name is BackendName.EXTERNAL


def metrics(started: float, cpu: tuple[float, ...]) -> Callable[[httpx.Request], httpx.Response]:
    """A stand-in for one process's ``/metrics``, whose processor time grows from call to call."""
    times = iter(cpu)

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/metrics":
            return httpx.Response(200)
        text = f"process_start_time_seconds {started}\nprocess_cpu_seconds_total {next(times)}\n"
        return httpx.Response(200, text=text)

    return handle


def two(one: str, other: str, transport: httpx.BaseTransport | None = None) -> ExternalBackend:
    urls = zip(Mode, (one, other), strict=True)
    servers = {mode: ExternalServer(url=url) for mode, url in urls}
    return ExternalBackend(transport or server_info(), servers=servers)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("http://127.0.0.1:8000", "http://localhost:8000"),
        ("http://127.0.0.1:8000", "http://[::1]:8000"),
        ("http://LOCALHOST:8000", "http://127.0.0.2:8000"),
        ("http://127.0.0.1:8000", "http://0.0.0.0:8000"),
        ("http://127.0.0.1", "http://localhost:80"),
        ("http://localhost:8000", f"http://{socket.gethostname()}:8000"),
        ("http://there.invalid:8000", "http://there.invalid:8000/"),
    ],
)
def test_two_modes_never_share_a_server(external: Options, one: str, other: str):
    with pytest.raises(UsageError, match="are one server: both URLs are port"):
        two(one, other).check(external())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001"),
        ("http://there.invalid:8000", "http://elsewhere.invalid:8000"),
        ("http://127.0.0.1:8000", "http://elsewhere.invalid:8000"),
    ],
)
def test_two_addresses_are_two_servers(external: Options, one: str, other: str):
    two(one, other).check(external())


def test_one_process_behind_two_addresses_is_found_by_its_start_and_clock(external: Options):
    same = httpx.MockTransport(metrics(1795831124.41, (9.5, 9.51, 9.52)))
    with pytest.raises(UsageError, match=r"the process behind both started at 1795831124\.41"):
        two("http://a.invalid:1", "http://b.invalid:2", same).check(external())


def test_two_servers_that_started_together_are_two(external: Options):
    """Their start times may agree to the hundredth of a second; what they did since does not."""
    together = httpx.MockTransport(metrics(1795831124.41, (9.5, 8.2, 9.51)))
    two("http://a.invalid:1", "http://b.invalid:2", together).check(external())


def test_a_backend_of_one_mode_has_nothing_to_share(external: Options):
    servers = {Mode.STANDARD: ExternalServer(url="http://127.0.0.1:8000")}
    ExternalBackend(server_info(), servers=servers).check(external())


@pytest.mark.parametrize(
    "given",
    ["/", "/v1", "/v1/", "//", "/v1/completions", "/v1/chat/completions", "/v1/models/", "/health"],
)
def test_a_url_of_the_api_stands_for_the_server(given: str):
    assert ExternalServer(url=f"http://there:8000/team{given}").url == "http://there:8000/team"


@pytest.mark.parametrize(
    ("url", "key", "at", "told"),
    [
        ("http://there:many", None, "url", "not the URL of a server"),
        ("http://[::1", None, "url", "not the URL of a server"),
        ("there:8000", None, "url", "not the URL of a server"),
        ("http://there/?key=1", None, "url", "a URL with a query"),
        ("http://there", "sk-0123456789abcdef", "api_key_env", "not the name of an environment"),
        ("http://there", "", "api_key_env", "not the name of an environment"),
    ],
)
def test_what_is_no_server_is_refused_before_anything_is_asked(url, key, at, told):
    server = ExternalServer(url=url, api_key_env=key)
    spec = RunSpec(models=(), tasks="t", external={Mode.STANDARD: server})
    (complaint,) = [one for one in complaints_about(spec) if one[0][0] == "external"]
    assert complaint[0] == ("external", "standard", at)
    assert told in complaint[1]
    assert "sk-" not in str(complaint)


@pytest.mark.parametrize("says", REFUSALS.values(), ids=REFUSALS.keys())
def test_who_refuses_is_not_waited_for(external: Options, says: bytes):
    with HostileServer({"/health": answer(b""), "/v1/models": says}) as server:
        options = replace(external(), base_url=server.url)
        with pytest.raises(EnvironmentError_, match="refuses /v1/models: HTTP"):
            ExternalBackend().check(options)


@pytest.mark.parametrize(
    "page",
    [
        b"<html>Sign in</html>",
        b"\n<!DOCTYPE html><p>nginx</p>",
        b"\xef\xbb\xbf<!doctype html><p>a byte order mark first</p>",
        "<html>sixteen bits</html>".encode("utf-16"),
    ],
)
def test_a_web_page_is_no_list_of_models_and_ends_the_run_at_once(external: Options, page: bytes):
    with HostileServer({"*": answer(page)}) as server:
        options = replace(external(), base_url=server.url)
        with pytest.raises(EnvironmentError_, match="with a web page"):
            ExternalBackend().check(options)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("402 Payment Required", "credit"),
        ("407 Proxy Authentication Required", "NO_PROXY"),
        ("451 Unavailable For Legal Reasons", "legal"),
        ("501 Not Implemented", "no vLLM"),
        ("511 Network Authentication Required", "portal"),
        ("403 Forbidden", "api_key_env"),
        ("404 Not Found", "without /v1"),
    ],
)
def test_each_refusal_has_its_advice(external: Options, status: str, advice: str):
    says = {"/health": answer(b""), "/v1/models": answer(b"", status)}
    with HostileServer(says) as server, pytest.raises(EnvironmentError_) as caught:
        ExternalBackend().check(replace(external(), base_url=server.url))
    assert advice in str(caught.value.hint)


@pytest.mark.parametrize("path", ["/health", "/v1/models"])
def test_who_is_slow_or_loads_is_waited_for(external: Options, path: str):
    with HostileServer({"*": answer(b""), path: answer(b"", "503 Service Unavailable")}) as server:
        ExternalBackend().check(replace(external(), base_url=server.url))


NO_PAGE = {name: says for name, says in UNREADABLE.items() if name != "a page"}


@pytest.mark.parametrize("says", NO_PAGE.values(), ids=NO_PAGE.keys())
def test_whatever_a_server_says_of_itself_it_is_taken_as_it_is(
    external: Options, tmp_path: Path, says: bytes
):
    with HostileServer({"/health": answer(b""), "*": says}) as server:
        taken = ExternalBackend().start(replace(external(), base_url=server.url), tmp_path)
        assert taken.describe()["server_info"] is None
        assert taken.state().running
    assert not taken.state().running


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_log_that_a_windows_shell_wrote_is_read(external: Options, tmp_path: Path, encoding: str):
    text = (LOGS / "vllm-0.20.2-h200-batch_invariant.log").read_text()
    (tmp_path / "theirs.log").write_text(text, encoding=encoding)
    server = ExternalBackend(server_info()).start(external(log=tmp_path / "theirs.log"), tmp_path)
    assert server_evidence(server).verdict is Verdict.ACTIVE


@pytest.mark.parametrize(
    ("says", "advice"),
    [
        (b'{"error": "invalid api key"}', "api_key_env"),
        (b'{"error": {"message": "Incorrect API key provided", "code": 401}}', "api_key_env"),
        (b'{"success": false, "errors": [{"message": "Authentication error"}]}', "api_key_env"),
        (b'{"detail": "no route to that upstream"}', "without /v1"),
    ],
)
def test_an_error_under_a_200_is_a_refusal_too(external: Options, says: bytes, advice: str):
    with HostileServer({"/health": answer(b""), "/v1/models": answer(says)}) as server:
        options = replace(external(), base_url=server.url)
        with pytest.raises(EnvironmentError_, match="refuses /v1/models: HTTP 200") as raised:
            ExternalBackend().check(options)
    assert advice in raised.value.hint


@pytest.mark.parametrize("says", [b'{"error": {"message": "Loading model"}}', b'{"data": []}'])
def test_who_still_loads_under_a_200_is_waited_for(external: Options, says: bytes):
    with HostileServer({"/health": answer(b""), "/v1/models": answer(says)}) as server:
        ExternalBackend().check(replace(external(), base_url=server.url))
