"""``harness runpod`` against a stand-in for RunPod: what it starts, says, fetches and ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runpod_stand_in import H100, HTML, KEY, RunPod, account, problem

from harness.cli import main
from harness.runpod import TOKEN, Account, Order, PodWatch, read_template

ROOT = Path(__file__).parents[2]
LAUNCH = ["launch", "--image", "you/pod@sha256:1", "--yes"]
Play = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunPod]:
    results = tmp_path / "in_the_pod"
    run = results / "20261128_120000-study-d"
    run.mkdir(parents=True)
    (run / "vllm_records.jsonl").write_text('{"a": 1}\n' * 3)
    (run / "metadata.json").write_text('{"planned_records": 4}')
    (run / "report.md").write_text("# é\n")
    (run / "empty.log").touch()
    (run / "docker_standard_m.log").write_bytes(os.urandom(9 << 20))
    (results / "runpod_launch.log").write_text("runpod: 12:00:00 started\n")
    (results / ".hidden").write_text("not given")
    with account(results) as made:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("RUNPOD_API_KEY", KEY)
        monkeypatch.setenv("HARNESS_RUNPOD_API", made.url)
        monkeypatch.setenv("HARNESS_RUNPOD_PROXY", f"{made.url}/door")
        monkeypatch.setattr(time, "sleep", lambda _: None)
        yield made


@pytest.fixture
def play(capsys: pytest.CaptureFixture[str]) -> Play:
    def played(*words: str, signs: str = "") -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["runpod", *words])
        said = capsys.readouterr()
        for text in (said.out, said.err):
            assert KEY not in text
            assert "\x1b" not in text
            assert "Traceback" not in text
        lines = [] if "--json" in words else said.out.splitlines()
        assert all(len(line) <= 80 for line in lines), said.out
        return int(left.value.code or 0), said.out, said.err

    return played


def ended(pods: RunPod, code: int = 0) -> None:
    (pods.results / "runpod_exit_code").write_text(f"{code}\n")


def copied(pods: RunPod, folder: Path) -> None:
    """Everything that was in the pod is in the folder, to the byte, and nothing else."""
    there = {p.relative_to(pods.results): p for p in pods.results.rglob("*") if p.is_file()}
    here = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    assert {str(path) for path in there} - {".hidden"} == {str(path) for path in here}
    assert all(here[path].read_bytes() == there[path].read_bytes() for path in here)


def test_the_price_is_shown_and_nothing_is_started_without_agreement(pods, play):
    code, _, said = play("launch", "--image", "you/pod@sha256:1")
    assert (code, pods.pods) == (2, {})
    assert "nobody is there to agree" in said
    assert "--yes" in said
    assert H100 in said
    assert "$2.99 an hour; $13.46 for 4.5 h" in said
    assert [call for call in pods.asked if call[0] == "POST"] == []


def test_a_dry_run_shows_the_price_and_starts_nothing(pods, play):
    code, out, _ = play("launch", "--image", "you/pod@sha256:1", "--dry-run")
    assert (code, pods.pods) == (0, {})
    assert "$2.99 an hour" in out
    assert "nothing was started" in out


def test_a_launch_watches_fetches_whole_and_deletes_the_pod(pods, play, tmp_path):
    ended(pods)
    code, out, said = play(*LAUNCH)
    assert code == 0, said
    assert pods.pods == {}
    copied(pods, tmp_path / "results/runpod-pod0")
    assert "each of the pod's SHA-256" in out
    assert "deleted with its volume" in out
    assert "harness runpod stop pod0" in said
    body = pods.bodies[0]
    assert body["gpu"] == {"id": H100, "count": 1}
    assert body["args"] == "bash /opt/harness/runpod_start.sh"
    assert body["ports"] == ["18900/http"]
    assert body["mounts"] == {"persistent": {"size": 50, "path": "/workspace"}}
    token = body["env"][TOKEN]
    assert len(token) > 30
    assert token not in out + said
    kept = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert [
        p for p in kept if (b := p.read_bytes()) and (token.encode() in b or KEY.encode() in b)
    ] == []


def test_a_run_that_failed_is_fetched_its_pod_ended_and_its_exit_code_kept(pods, play, tmp_path):
    for number in (1, 2, 3, 77):
        ended(pods, number)
        code, _, said = play(*LAUNCH)
        assert (code, pods.pods) == (number if number < 4 else 4, {})
        assert f"ended with exit code {number}" in said
        assert "runpod_launch.log" in said
        copied(pods, tmp_path / "results/runpod-pod0")
        pods.inner, pods.statuses = "", ["RUNNING"]


def test_a_run_that_can_go_on_keeps_its_volume_and_says_how(pods, play, tmp_path):
    ended(pods, 4)
    code, out, said = play(*LAUNCH)
    assert (code, pods.pods["pod0"]["status"]) == (4, "EXITED")
    assert "ended with exit code 4" in said
    assert "stopped; its volume stays and is billed" in out
    assert "harness runpod stop pod0 --delete" in out
    assert "harness runpod launch --resume pod0" in out
    copied(pods, tmp_path / "results/runpod-pod0")


def test_a_run_that_cannot_be_fetched_stops_its_pod_and_keeps_its_volume(pods, play):
    ended(pods)
    pods.cuts = 99
    code, _, said = play(*LAUNCH)
    assert (code, pods.pods["pod0"]["status"]) == (4, "EXITED")
    assert "ended with exit code 0 and was not fetched whole" in said
    assert "its volume stays and is billed" in said
    assert "harness runpod launch --resume pod0" in said


def test_a_pod_that_cannot_be_ended_is_told_loudly(pods, play):
    ended(pods)
    pods.answers["DELETE /pods/pod0"] = [(500, b"")]
    code, _, said = play(*LAUNCH)
    assert code == 4
    assert "fetched whole, and its pod could not be ended" in said
    assert "MAY STILL RUN" in said


def test_a_kept_pod_is_stopped_and_its_volume_named(pods, play):
    ended(pods)
    code, out, _ = play(*LAUNCH, "--keep")
    assert code == 0
    assert pods.pods["pod0"]["status"] == "EXITED"
    assert "its volume stays and is billed" in out


def test_a_detached_launch_says_every_command_for_later(pods, play):
    code, out, _ = play(*LAUNCH, "--detach")
    assert code == 0
    assert pods.pods["pod0"]["status"] == "PROVISIONING"
    assert {"status", "logs", "fetch", "stop"} <= set(re.findall(r"harness runpod (\w+) pod0", out))
    assert pods.bodies[0]["env"]["HARNESS_AT_END"] == "stop"


def test_no_capacity_in_the_catalogue_starts_nothing_and_names_what_is_free(pods, play):
    pods.gpus[0]["availability"] = "NONE"
    code, _, said = play(*LAUNCH)
    assert (code, pods.pods) == (3, {})
    assert "nothing was started" in said
    assert "NVIDIA GeForce RTX 4090: $0.69 an hour, stock LOW" in said


def test_no_capacity_at_the_start_is_told_in_runpods_words(pods, play):
    pods.answers["POST /pods"] = [problem(400, "There are no instances currently available")]
    code, _, said = play(*LAUNCH)
    assert (code, pods.pods) == (3, {})
    assert "no instances currently available" in said
    assert "another --gpu" in said


@pytest.mark.parametrize("price", [0, None, float("nan"), -1, 1e300])
def test_a_gpu_without_a_price_is_not_rented(pods, play, price):
    pods.gpus[0]["price"] = {"secure": price}
    code, _, said = play(*LAUNCH)
    assert (code, pods.pods) == (3, {})
    assert "no price" in said


def test_a_gpu_that_nobody_knows_gets_the_nearest_name(pods, play):
    code, _, said = play(*LAUNCH, "--gpu", "NVIDIA H100 80GB")
    assert code == 2
    assert f"did you mean '{H100}'?" in said


@pytest.mark.parametrize("lost", [(500, b"{}"), (201, HTML), (201, b'{"id": "po')])
def test_a_pod_whose_answer_was_lost_is_found_by_its_name_and_not_started_twice(pods, play, lost):
    ended(pods)
    pods.lost = lost
    code, _, said = play(*LAUNCH)
    assert code == 0, said
    assert "looking whether pod harness-" in said
    assert len([call for call in pods.asked if call == ("POST", "/pods")]) == 1


def test_a_pod_of_which_nobody_knows_is_told_with_the_command_that_ends_it(pods, play):
    pods.lost = (502, HTML)
    pods.answers["GET /pods"] = [(502, HTML)]
    code, _, said = play(*LAUNCH)
    assert code == 3
    assert "not known whether pod harness-" in said
    assert re.search(r"harness runpod stop harness-\d{8}-\d{6}-\w+", said)


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (401, problem(401, "x")[1], 3, "refused the key in RUNPOD_API_KEY (401)"),
        (402, problem(402, "no funds")[1], 3, "no credit (402)"),
        (403, problem(403, "access denied")[1], 3, "may not do this (403)"),
        (502, HTML, 3, "RunPod answered HTTP 502"),
        (200, HTML, 3, "none of its API"),
        (200, b"[1, 2]", 3, "none of its API"),
        (
            200,
            b'{"pods": [{"id": "../../x", "name": "a", "status": "RUNNING"}]}',
            3,
            "none of its API",
        ),
        (301, b"", 3, "HTTP 301"),
    ],
)
def test_what_runpod_refuses_is_one_message_with_the_next_step(
    pods, play, status, body, code, words
):
    pods.answers["GET /pods"] = [(status, body)]
    found, _, said = play("status")
    assert (found, words in said) == (code, True), said
    assert re.search(r"\(.*(export|add some|see|again).*\)", said.replace("\n", " ")), said


def test_a_pod_whose_variables_are_not_shown_is_fetched_all_the_same(pods, play):
    """By whoever launched it, who made the token."""
    ended(pods)
    pods.hides = True
    code, _, said = play(*LAUNCH)
    assert (code, pods.pods) == (0, {}), said


def test_a_tag_is_told_apart_from_a_digest(pods, play):
    assert "a tag can move" in play("launch", "--image", "you/pod:1", "--dry-run")[1]
    assert "a tag can move" not in play("launch", "--image", "you/p@sha256:1", "--dry-run")[1]


def test_a_wrong_key_is_refused_and_not_repeated(pods, play, monkeypatch):
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_another_canary")
    code, out, said = play("status")
    assert code == 3
    assert "rpa_another_canary" not in out + said


def test_without_a_key_the_variable_is_named(pods, play, monkeypatch):
    monkeypatch.delenv("RUNPOD_API_KEY")
    code, _, said = play(*LAUNCH)
    assert code == 2
    assert "export RUNPOD_API_KEY=" in said


def test_a_rate_limit_is_waited_out(pods, play, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    pods.answers["GET /pods"] = [problem(429, "slow down")] * 2
    code, out, _ = play("status")
    assert code == 0
    assert "nothing of ours costs" in out
    assert slept == [1.0, 1.0]


def test_a_rate_limit_that_stays_is_told(pods, play):
    pods.answers["GET /pods"] = [problem(429, "slow down")] * 9
    code, _, said = play("status")
    assert code == 3
    assert "limits the rate of requests (429): slow down" in said
    assert "wait 1 s" in said


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/v2",
        "https://",
        "https://[",
        "ftp://localhost",
        "no url",
        "http://localhost@x/",
    ],
)
def test_the_key_goes_to_no_address_in_the_clear(pods, play, monkeypatch, url):
    monkeypatch.setenv("HARNESS_RUNPOD_API", url)
    code, _, said = play("status")
    assert code == 2
    assert "no https address" in said


@pytest.mark.parametrize("status", ["EXITED", "TERMINATED"])
def test_a_pod_evicted_in_the_middle_ends_the_watch_and_says_what_costs(pods, play, status):
    pods.statuses = ["RUNNING", "RUNNING", status]
    code, _, said = play(*LAUNCH)
    assert code == 4
    if status == "EXITED":
        assert "its volume stays and is billed" in said
        assert "harness runpod launch --resume pod0" in said
        assert "harness runpod stop pod0 --delete" in said
    else:
        assert "nothing of it costs any more" in said


def test_a_pod_in_an_error_is_stopped(pods, play):
    pods.statuses = ["RUNNING", "ERROR"]
    code, _, said = play(*LAUNCH)
    assert code == 4
    assert ("POST", "/pods/pod0/action") in pods.asked
    assert "pod pod0 was stopped" in said


def test_a_stopped_pod_is_resumed_fetched_and_ended(pods, play, tmp_path):
    pods.add(status="EXITED")
    ended(pods)
    code, _, said = play("launch", "--resume", "pod0", "--yes")
    assert code == 0, said
    assert {"action": "start"} in pods.bodies
    assert pods.pods == {}
    copied(pods, tmp_path / "results/runpod-pod0")


def test_a_pod_that_runs_is_watched_again(pods, play):
    pods.add()
    ended(pods)
    code, _, said = play("launch", "--resume", "pod0", "--yes")
    assert (code, pods.pods) == (0, {}), said
    assert {"action": "start"} not in pods.bodies


def test_a_pod_that_runpod_does_not_list_yet_is_waited_for(pods, play):
    ended(pods)
    pods.answers["GET /pods/pod0"] = [problem(404, "pod not found"), problem(429, "slow")]
    code, _, said = play(*LAUNCH)
    assert (code, pods.pods) == (0, {}), said


def test_a_key_refused_in_the_middle_names_the_pod_that_still_costs(pods, play):
    pods.answers["GET /pods/pod0"] = [problem(401, "revoked")]
    code, _, said = play(*LAUNCH)
    assert code == 4
    assert "MAY STILL RUN and cost $2.99 an hour" in said
    assert "harness runpod stop pod0" in said


def test_runpod_silent_for_long_ends_the_watch_and_not_the_pod(pods):
    said: list[str] = []
    times = iter(range(0, 10**6, 300))
    offered = order().offer(Account().gpus("SECURE", 1))
    watch = PodWatch(Account(), offered, said.append, clock=lambda: float(next(times)))
    pod = watch.start()
    pods.answers["GET /pods/pod0"] = [(500, b"")]
    with pytest.raises(Exception, match="MAY STILL RUN"):
        watch.until_the_end(pod)


@pytest.mark.parametrize("status", ["PROVISIONING", "RUNNING"])
def test_a_pod_that_does_not_come_up_is_stopped(pods, status):
    pods.statuses = [status]
    times = iter(range(0, 10**6, 300))
    offered = order().offer(Account().gpus("SECURE", 1))
    watch = PodWatch(Account(), offered, print, clock=lambda: float(next(times)))
    pod = watch.start()
    pods.inner = "http://127.0.0.1:9"
    with pytest.raises(Exception, match="not up within 45 min"):
        watch.until_the_end(pod)
    assert pods.pods["pod0"]["status"] == "EXITED"


def order() -> Order:
    return Order(read_template(ROOT / "docker/runpod/template.json", "you/pod:1", {}), H100)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_watch_says_what_still_costs_and_what_ends_it(pods, number):
    pods.statuses = ["RUNNING"]
    command = [sys.executable, "-m", "harness", "runpod", *LAUNCH]
    watch = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ)
    assert watch.stderr is not None
    lines = []
    for line in watch.stderr:
        lines.append(line)
        if "records" in line:
            watch.send_signal(number)
            break
    said = "".join(lines) + watch.stderr.read()
    assert watch.wait(20) == 130, said
    assert "pod pod0 STILL RUNS and costs $2.99 an hour" in said
    assert "harness runpod stop pod0" in said
    assert pods.pods["pod0"]["status"] == "RUNNING"
    assert KEY not in said


def test_a_fetch_cut_in_the_middle_goes_on_where_it_stopped(pods, play, tmp_path):
    pods.add()
    ended(pods)
    pods.cuts = 4
    code, _, said = play("fetch", "pod0")
    assert code == 4
    assert "the fetch broke off" in said
    assert "harness runpod fetch pod0" in said
    pods.cuts, before = 0, pods.parts
    code, out, err = play("fetch", "pod0")
    assert code == 0
    assert (out + err).count("runs on and costs; end it: harness runpod stop pod0") == 1
    copied(pods, tmp_path / "results/runpod-pod0")
    again = pods.parts
    assert play("fetch", "pod0")[0] == 0
    assert pods.parts == again > before


def test_a_fetch_takes_up_the_part_that_is_there_and_not_the_whole_file(pods, play, tmp_path):
    pods.add()
    ended(pods)
    log = "20261128_120000-study-d/docker_standard_m.log"
    part = tmp_path / "results/runpod-pod0" / log.replace("/d", "/.d")
    part = part.with_name(part.name + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes((pods.results / log).read_bytes()[: 8 << 20])
    assert play("fetch", "pod0")[0] == 0
    assert pods.parts < 2 << 20
    copied(pods, tmp_path / "results/runpod-pod0")


@pytest.mark.parametrize("harm", ["the half here", "the file here", "in the pod"])
def test_a_file_that_differs_is_found_by_its_hash_and_fetched_anew(pods, play, tmp_path, harm):
    pods.add()
    ended(pods)
    folder = tmp_path / "results/runpod-pod0"
    report = folder / "20261128_120000-study-d/report.md"
    assert play("fetch", "pod0")[0] == 0
    if harm == "the half here":
        report.unlink()
        report.with_name(".report.md.part").write_text("no")
    elif harm == "the file here":
        report.write_text("# è\n")
    else:
        (pods.results / report.relative_to(folder)).write_text("# another\n")
    assert play("fetch", "pod0")[0] == 0
    copied(pods, folder)


def test_a_run_that_has_not_ended_is_a_part_and_says_so(pods, play, tmp_path):
    pods.add()
    code, _, said = play("fetch", "pod0")
    assert code == 4
    assert "has not ended" in said
    copied(pods, tmp_path / "results/runpod-pod0")


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "a/../../x", "a//b", "", ".ssh/x", "a\x1b[2Jb", "a\\b", "x" * 300]
)
def test_a_path_that_leads_elsewhere_is_refused_and_nothing_written(pods, play, tmp_path, path):
    pods.add(id="evil")
    manifest = {"items": [{"path": path, "size": 0, "sha256": "0" * 64}], "exit_code": 0}
    pods.answers["GET /door/manifest"] = [(200, json.dumps(manifest).encode())]
    code, _, said = play("fetch", "evil")
    assert code == 3
    assert "files that no run folder has" in said
    assert not (tmp_path / "results").exists()


def test_a_link_here_leads_no_file_out_of_the_folder(pods, play, tmp_path):
    pods.add()
    folder = tmp_path / "results/runpod-pod0"
    folder.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (folder / "20261128_120000-study-d").symlink_to(tmp_path / "outside")
    code, _, said = play("fetch", "pod0")
    assert code == 3
    assert "something else is there" in said
    assert list((tmp_path / "outside").iterdir()) == []


def test_the_pods_server_tells_nothing_without_the_token(pods, play):
    pods.add()
    pods.pods["pod0"]["env"][TOKEN] = "w" * 32
    code, _, said = play("fetch", "pod0")
    assert code == 3
    assert "refused its own token (401)" in said
    code, out, _ = play("status", "pod0")
    assert code == 0
    assert "not known: the pod's server refused its own token (401)" in out


@pytest.mark.parametrize("token", ["é" * 32, "a\nb: c" * 9, "", "\x00" * 20])
def test_a_token_that_is_none_is_no_more_than_a_fetch_that_fails(pods, play, token):
    pods.add()
    pods.pods["pod0"]["env"][TOKEN] = token
    code, _, said = play("fetch", "pod0")
    assert code in (3, 4), said
    assert play("status", "pod0")[0] == 0


def test_status_for_a_machine_has_numbers_and_no_variables(pods, play):
    pods.add()
    code, out, _ = play("status", "pod0", "--json")
    found = json.loads(out)
    assert (code, found["usd_per_hour"], found["run"]["records"]) == (0, 2.99, 3)
    assert "t" * 32 not in out
    assert json.loads(play("status", "--json")[1])[0]["id"] == "pod0"


def test_where_nothing_can_be_written_nothing_is_rented(pods, play, tmp_path):
    (tmp_path / "results").write_text("a file")
    code, _, said = play(*LAUNCH)
    assert (code, pods.pods) == (3, {})
    assert "results" in said


def test_a_pod_that_does_not_run_says_how_to_get_at_its_run(pods, play):
    pods.add(status="EXITED")
    code, _, said = play("fetch", "pod0")
    assert code == 4
    assert "harness runpod launch --resume pod0" in said


def test_status_of_all_lists_ours_page_by_page_and_of_one_its_run(pods, play):
    for number in range(5):
        pods.add(name=f"harness-{number}")
    pods.add(name="somebody's", env={})
    code, out, _ = play("status")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["pod", *(f"pod{n}" for n in range(5))]
    code, out, _ = play("status", "harness-3")
    assert code == 0
    assert "RUNNING, 20261128_120000-study-d: 3 of 4 records" in " ".join(out.split())
    assert "harness runpod stop pod3" in out


def test_hostile_names_and_logs_do_nothing_to_the_screen(pods, play):
    name = "harness-\x1b]0;gone\x07\x1b[2J\u202eevil\n" + "x" * 200
    pods.add(name=name)
    line = "\x1b[31mred\r\u202e HF_TOKEN=hf_abcdefghijklmnopqrstuvwx " + "y" * 300
    pods.log = [
        json.dumps({"line": line, "ts": "2026-06-01T12:02:03Z", "source": "container"}),
        "no json",
        json.dumps({"line": "pulling", "ts": "2026-06-01T12:02:04Z", "source": "system"}),
    ]
    assert play("status")[0] == 0
    assert play("status", "pod0")[0] == 0
    code, out, _ = play("logs", "pod0")
    assert code == 0
    assert "⟦U+001B⟧" in out
    assert "hf_abc" not in out
    assert "12:02:04  system: pulling" in out


def test_followed_logs_end_with_the_pod(pods, play):
    pods.add()
    pods.statuses = ["RUNNING", "RUNNING", "EXITED"]
    pods.answers["GET /pods/pod0/logs"] = [(200, b""), (502, HTML), (429, b"")]
    pods.log = [json.dumps({"line": "on", "ts": "2026-06-01T12:02:03Z", "source": "container"})]
    code, out, _ = play("logs", "pod0", "--follow")
    assert (code, out) == (0, "12:02:03  on\n")


def test_a_log_without_a_line_says_so(pods, play):
    pods.add()
    code, out, said = play("logs", "pod0")
    assert (code, out) == (0, "")
    assert "its log is empty" in said


def test_a_log_that_does_not_come_is_told(pods, play):
    pods.add()
    pods.answers["GET /pods/pod0/logs"] = [(502, HTML)]
    code, _, said = play("logs", "pod0")
    assert code == 3
    assert "HTTP 502" in said
    assert "again" in said


def test_stop_keeps_the_volume_and_delete_asks_first(pods, play):
    pods.add()
    code, out, _ = play("stop", "pod0")
    assert (code, pods.pods["pod0"]["status"]) == (0, "EXITED")
    assert "its volume stays and is billed" in out
    assert play("stop", "pod0")[0] == 0
    code, _, _ = play("stop", "pod0", "--delete")
    assert (code, len(pods.pods)) == (2, 1)
    code, out, _ = play("stop", "pod0", "--delete", "--yes")
    assert (code, pods.pods) == (0, {})
    assert "nothing of it costs any more" in out


def test_a_pod_of_somebody_else_is_not_ended(pods, play):
    pods.add(name="training", env={})
    code, _, said = play("stop", "pod0", "--delete", "--yes")
    assert (code, len(pods.pods)) == (2, 1)
    assert "none of the harness's" in said


def test_the_template_is_one_that_runpod_takes(pods, play):
    code, out, _ = play("template", "--image", "you/pod:1", "--register")
    assert code == 0, out
    assert "tpl1" in out
    assert pods.bodies[0]["image"] == "you/pod:1"
    code, out, _ = play("template", "--image", "you/pod:1")
    assert json.loads(out) == pods.bodies[0]


@pytest.mark.parametrize(
    ("words", "said_of"),
    [
        ("template", "names no image of yours"),
        ("template --image a/b -e HF_TOKEN=hf_x", "secret in the clear"),
        (f"template --image a/b -e NOTE=hf_{'x' * 30}", "secret in the clear"),
        ("template --image a/b -e nonsense", "NAME=VALUE"),
        ("launch --image a/b --yes -e HARNESS_MAX_HOURS=", "no limit"),
        ("launch --image a/b --yes -e HARNESS_MAX_HOURS=nan", "no limit"),
        ("launch --image a/b --yes -e HARNESS_AT_END=wait", "would never end"),
        ("template broken.json", "no RunPod template"),
        ("template missing.json", "no such file"),
        ("stop nobody", "there is none of ours"),
        ("launch --resume pod0 --image a/b --yes", "stays as it was made"),
    ],
)
def test_a_wrong_order_starts_nothing_and_says_what_to_do(pods, play, tmp_path, words, said_of):
    (tmp_path / "broken.json").write_text('{"name": "a", "imageName": "b"}')
    code, _, said = play(*words.split())
    assert (code, pods.pods) == (2, {})
    assert said_of in said
    assert "(" in said
    assert "hf_x" not in said


def test_a_secret_of_runpods_may_stand_in_a_variable(pods, play):
    code, out, _ = play("template", "--image", "a/b", "-e", "HF_TOKEN={{ RUNPOD_SECRET_hf }}")
    assert code == 0
    assert json.loads(out)["env"]["HF_TOKEN"] == "{{ RUNPOD_SECRET_hf }}"


def test_the_walk_through_of_the_docs_does_what_it_shows(pods, play, tmp_path):
    page = (ROOT / "docs/runpod.md").read_text("utf-8")
    walk = page[page.index("The price first") : page.index("## What costs")]
    commands = re.findall(r"^harness runpod (.*)$", walk, re.M)
    assert len(commands) == 9
    pods.first = "7h9k2m4n6p"
    for command in commands[:2]:
        code, _, said = play(*shlex.split(command))
    shown = walk[walk.index("GPU  ") : walk.index("start it for")]
    assert shown in said
    assert code == 2  # nobody is there to agree
    code, _, said = play(*shlex.split(commands[2]))
    assert code == 0, said
    ended(pods)
    pods.pods[pods.first]["status"] = "RUNNING"
    codes = [play(*shlex.split(command))[0] for command in commands[3:]]
    assert codes == [0] * 6
    assert pods.pods == {}
    copied(pods, tmp_path / "results/runpod-7h9k2m4n6p")
