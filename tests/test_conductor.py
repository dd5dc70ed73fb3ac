"""The conductor's parts that need no server: signals, estimates, fingerprints, what stays open."""

import asyncio
import gc
import io
import itertools
import json
import re
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import structlog
from rich.console import Console
from sealing import seal

from harness.analyse.validate import Mend
from harness.conduct import (
    ConsoleProgress,
    RunOptions,
    RunProgress,
    prepare,
    run,
    without_flags,
)
from harness.conduct.conductor import _work
from harness.conduct.lifetime import (
    _side_by_side,
    ended_by_a_signal,
    signals_deferred,
    sigterm_is_interrupt,
)
from harness.conduct.logbook import open_logbook
from harness.conduct.plan_files import mend_plan, plan_files
from harness.conduct.progress import Estimate
from harness.conduct.run_facts import Metadata, RunFacts, not_controlled
from harness.conduct.site import find_site
from harness.conduct.startups import seal_logs
from harness.conduct.stream import ServerTold
from harness.doctor import Facts, ModelFacts, NativeFacts
from harness.errors import EnvironmentError_, IncompleteRun, ServerDied, UsageError
from harness.files import sha256_of
from harness.findings import Status
from harness.jobs.ablation_steps import _done, ablate, plan_ablation, run_ablation
from harness.jobs.runs import population_rows
from harness.jobs.this_machine import check_machine
from harness.records import NEVER_ANEW, RECORDS, RunFolder, find_unfinished, iter_records
from harness.records.run_files import RUN_FIELDS
from harness.secrets import redact_command
from harness.settings import Expect, ModelSpec, load_spec
from harness.words import DispatchMode

A_RUN = Path(__file__).parents[1] / "results/reference/h100-vllm-0.19.1-random-1b"
TASK = """\
name: tiny
task_type: classification
prompt_template: |
  {{ question }}
samples:
"""


@pytest.fixture
def spec(tmp_path):
    rows = "".join(f'  - {{id: s{i}, question: "q{i}", reference: A, option_a: a, option_b: b, '
                   f'option_c: c, option_d: d}}\n' for i in range(6))  # fmt: skip
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/tiny.yaml").write_text(TASK + rows)
    return load_spec("demo-tiny", {"tasks": str(tmp_path / "tasks")})


def prepared(spec, **changes):
    changed = replace(spec, spec=spec.spec.model_copy(update=changes))
    return prepare(changed, source=population_rows((2, 4)))


@pytest.mark.parametrize("sigint", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_ends_a_run_as_an_interrupt_does_also_in_a_background_job(sigint):
    before = signal.signal(signal.SIGINT, sigint)
    try:
        _terminated_in_a_run()
        assert signal.getsignal(signal.SIGINT) is sigint
    finally:
        signal.signal(signal.SIGINT, before)


def _terminated_in_a_run():
    with pytest.raises(KeyboardInterrupt), sigterm_is_interrupt():
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_ends_a_run_also_where_what_goes_on_takes_no_notice_of_it(monkeypatch):
    monkeypatch.setattr("harness.conduct.lifetime._CANCEL_AGAIN_S", 0.02)
    heard = []

    async def work():
        while True:
            try:
                if not heard:
                    signal.raise_signal(signal.SIGTERM)
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                heard.append("cancelled")
                if len(heard) > 2:
                    raise

    with pytest.raises(KeyboardInterrupt), sigterm_is_interrupt():
        asyncio.run(ended_by_a_signal(work()))
    assert len(heard) == 3


def test_what_a_server_died_of_is_told_by_the_work_that_met_it():
    async def work():
        raise ServerDied("it died")

    with pytest.raises(ServerDied, match="it died"):
        asyncio.run(ended_by_a_signal(work()))


def test_two_servers_that_fail_at_once_are_told_of_by_one_error(caplog):
    async def work(name):
        await asyncio.sleep(0)
        raise ServerDied(name)

    with pytest.raises(ServerDied, match="first"):
        asyncio.run(_side_by_side([work("first"), work("second")]))
    gc.collect()
    assert not caplog.messages  # asyncio tells of an error that nobody fetched


def test_a_second_interrupt_in_the_middle_of_a_step_is_told_of_once(caplog):
    async def asked():
        try:
            await asyncio.sleep(60)
        finally:
            signal.raise_signal(signal.SIGINT)

    async def interrupted():
        await asyncio.sleep(0)
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)

    with pytest.raises(KeyboardInterrupt), sigterm_is_interrupt():
        asyncio.run(_side_by_side([asked(), interrupted()]))
    gc.collect()
    assert not caplog.messages


def test_a_hangup_that_nohup_had_ignored_ends_no_run():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with sigterm_is_interrupt(), signals_deferred():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_while_a_server_is_being_stopped_is_delivered_afterwards():
    steps = []

    def stop():
        with signals_deferred():
            signal.raise_signal(signal.SIGINT)
            steps.append("stopped")
        steps.append("not reached")

    with pytest.raises(KeyboardInterrupt), sigterm_is_interrupt():
        stop()
    assert steps == ["stopped"]


def test_the_time_left_follows_what_was_measured():
    estimate = Estimate()
    estimate.starts.append(20)
    estimate.records += [2, 4]
    assert estimate.seconds_left(records=10, starts=1) == 50
    assert estimate.seconds_left(records=1, starts=0) == 3


def test_a_scan_asks_every_prompt_at_every_size_in_whole_slices(spec):
    plan = prepared(spec).plan
    standard = plan.lifetimes[0].records
    assert len(standard) == 6 * 2 * 2
    slices = [record.group.ids for record in standard]
    changes = sum(a != b for a, b in itertools.pairwise(slices))
    assert changes + 1 == len({(r.candidate.dispatch_mode, r.group.ids) for r in standard})


@pytest.mark.parametrize("size", [1, 7])
def test_a_scan_refuses_a_batch_that_is_none_or_larger_than_the_population(spec, size):
    with pytest.raises(UsageError, match=str(size)):
        prepare(spec, source=population_rows((size,)))


def test_the_fingerprint_is_of_the_questions_and_not_of_the_port(spec):
    here = prepared(spec)
    server = spec.spec.server
    elsewhere = prepared(spec, server=server.model_copy(update={"port": 19999}))
    other = prepared(spec, server=server.model_copy(update={"dtype": "float32"}))
    assert here.fingerprint == elsewhere.fingerprint
    assert here.fingerprint != other.fingerprint


def test_what_the_spec_pins_is_not_listed_as_open(spec):
    pinned = spec.spec.model_copy(
        update={"controls": spec.spec.controls.model_copy(update={"prefix_caching": "on"})}
    )
    assert "prefix caching is on" in not_controlled(pinned)
    assert "prefix caching is on" not in not_controlled(spec.spec)


def test_a_command_line_is_kept_without_what_could_be_a_secret():
    line = redact_command(["harness", "run", "--env", "MY_TOKEN=abc", "--port", "1"])
    assert line == ["harness", "run", "--env", "MY_TOKEN=[redacted]", "--port", "1"]


def test_a_command_line_keeps_its_token_counts():
    line = ["harness", "run", "--max-tokens", "64", "--extra-arg=--max-num-batched-tokens=2048"]
    assert redact_command(line) == line


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "..", "."])
def test_a_run_id_that_is_no_name_of_a_folder_is_refused(spec, tmp_path, name):
    with pytest.raises(UsageError, match="no name of a run folder"):
        run(prepared(spec), RunOptions(tmp_path, name), ConsoleProgress())
    assert not (tmp_path.parent / "elsewhere").exists()


def test_a_candidate_file_that_is_not_there_is_no_reason_to_scan(spec, tmp_path):
    named = replace(spec, spec=spec.spec.model_copy(update={"candidates": ("typo.csv",)}))
    with pytest.raises(UsageError, match=r"typo.csv: no such file"):
        plan_ablation(named, results=tmp_path, batch_sizes="2")


def test_the_ablation_scans_where_only_a_profile_names_candidates(spec, tmp_path):
    shipped = load_spec("study-d").spec.candidates
    named = replace(spec, spec=spec.spec.model_copy(update={"candidates": shipped}))
    assert plan_ablation(named, results=tmp_path, batch_sizes="2").scans


def test_a_count_that_the_validation_would_refuse_is_refused_before_the_run(spec):
    size = len(prepared(spec).plan.records) // 2
    assert prepared(spec, expect=Expect(rows_per_mode=size)).plan.records
    with pytest.raises(
        UsageError, match=rf"make {size} rows .* expects 55.*--rows-per-mode {size}"
    ):
        prepared(spec, expect=Expect(rows_per_mode=55))


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        ((), "needs to know how many requests the server runs at once"),
        (("--max-num-seqs", "32"), "a batch of 2 does not fill the server's 32 slots"),
        (("--max-num-seqs=2",), "a batch of 2 does not fill the server's 2 slots"),
        (("--max-num-seqs", "1", "--max-num-seqs=2"), "does not fill the server's 2 slots"),
    ],
)
def test_a_wide_batch_that_would_not_wait_is_refused_before_the_run(spec, slots, said):
    server = spec.spec.server.model_copy(update={"extra_args": slots})
    with pytest.raises(UsageError, match=re.escape(said)):
        prepared(spec, dispatch_modes=(DispatchMode.WIDE,), server=server)


def test_a_wide_batch_of_more_requests_than_slots_is_planned(spec):
    server = spec.spec.server.model_copy(update={"extra_args": ("--max-num-seqs", "1")})
    assert prepared(spec, dispatch_modes=(DispatchMode.WIDE,), server=server).plan.records


def test_an_edited_task_file_is_another_ablation(spec, tmp_path):
    shipped = load_spec("study-d").spec.candidates
    named = replace(spec, spec=spec.spec.model_copy(update={"candidates": shipped}))

    def folders():
        planned = plan_ablation(named, results=tmp_path, batch_sizes="2")
        return [step.run_id for step in planned.steps]

    before = folders()
    assert before == folders()
    tasks = tmp_path / "tasks/tiny.yaml"
    tasks.write_text(tasks.read_text().replace("q0", "another question"))
    assert not set(before) & set(folders())


def test_an_ablation_whose_scan_asks_otherwise_is_another(spec, tmp_path):
    """A finished one of other batch sizes was told as done already, with its verdict."""
    template = tmp_path / "chat.jinja"
    template.write_text("one")
    server = spec.spec.server.model_copy(update={"extra_args": (f"--chat-template={template}",)})
    scanned = load_spec("study-d").spec.candidates
    loaded = replace(
        spec, spec=spec.spec.model_copy(update={"candidates": scanned, "server": server})
    )

    def folders(sizes):
        return {s.run_id for s in plan_ablation(loaded, results=tmp_path, batch_sizes=sizes).steps}

    assert folders("3") == folders(" 3,3")
    asked = [folders("3"), folders("2"), folders("2,3")]
    template.write_text("another")
    asked.append(folders("3"))
    assert len(set().union(*asked)) == sum(map(len, asked))


def test_batch_sizes_that_no_scan_would_ask_are_refused(spec, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "model,task_name,sample_id,batch_size,dispatch_mode\n"
        f"{spec.spec.models[0].name},tiny,s1,2,synchronized\n"
    )
    changes = {"candidates": (str(rows),), "expect": Expect()}
    named = replace(spec, spec=spec.spec.model_copy(update=changes), given={"candidates": 1})
    assert not plan_ablation(named, results=tmp_path, batch_sizes=None).scans
    with pytest.raises(UsageError, match=r"rows.csv: --batch-sizes 2: nothing is scanned"):
        plan_ablation(named, results=tmp_path, batch_sizes="2")
    with pytest.raises(UsageError, match="is no whole number"):
        plan_ablation(named, results=tmp_path, batch_sizes="")


def noted(spec, folder):
    return Metadata(folder, prepared(spec), find_site(spec.spec, RunProgress()), kind="run")


def test_a_run_keeps_what_its_models_are_when_a_start_has_fetched_them(spec, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    models = (ModelSpec(name=spec.spec.models[0].name, hf_id="org/fetched"),)
    asked = replace(spec, spec=spec.spec.model_copy(update={"models": models}))
    with RunFolder(tmp_path / "r") as folder:
        facts = noted(asked, folder)
        assert "model_configs" not in json.loads((folder.path / "metadata.json").read_text())
        fetched = tmp_path / "home/hub/models--org--fetched/snapshots/a"
        fetched.mkdir(parents=True)
        (fetched / "config.json").write_text('{"model_type": "mixtral", "hidden_size": 64}')
        facts.learn_from_server(ServerTold("0.32.0", None, {}))
        kept = json.loads((folder.path / "metadata.json").read_text())["model_configs"]
    assert kept == {models[0].name: {"model_type": "mixtral"}}


def test_a_resumed_run_keeps_its_first_facts_and_its_earlier_sessions(spec, tmp_path):
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder).close(exit_code=4, error="the server died")
        first = json.loads((folder.path / "metadata.json").read_text())
        noted(spec, folder).complete({})
        again = json.loads((folder.path / "metadata.json").read_text())
    assert [session["exit"] for session in again["sessions"]] == [4, None]
    assert again["sessions"][0] == first["sessions"][0]
    assert again["complete"]
    assert not first["complete"]
    own = ("sessions", "complete", "mode_parity", "sum")
    assert {k: v for k, v in again.items() if k not in own} == {
        k: v for k, v in first.items() if k not in own
    }


def test_metadata_of_another_form_is_no_run_to_go_on_with(spec, tmp_path):
    with RunFolder(tmp_path / "r") as folder:
        (folder.path / "metadata.json").write_text('{"sessions": 1}')
        with pytest.raises(UsageError, match=r"metadata.json: written by another version: .*"):
            noted(spec, folder)


def test_the_logbook_hides_secrets_and_keeps_counts(tmp_path, capsys):
    file = tmp_path / "harness.jsonl"
    open_logbook(file)
    structlog.get_logger().warning("asked", hf_token="hf_abc", max_tokens=64, token_ids=[1, 2])
    (line,) = file.read_text().splitlines()
    kept = json.loads(line)
    assert (kept["hf_token"], kept["max_tokens"]) == ("[redacted]", 64)
    assert kept["token_ids"] == [1, 2]
    assert capsys.readouterr().err == (
        "asked, hf token [redacted], max tokens 64, token ids [1, 2]\n"
    )
    structlog.reset_defaults()


def test_what_is_logged_stands_as_a_line_of_progress_beside_the_others(tmp_path, capsys):
    open_logbook(tmp_path / "harness.jsonl")
    of = {"run_id": "r", "model": "small", "mode": "standard"}
    structlog.get_logger().warning("request_retried", **of, attempt=1, error="503 from\x1b[1m it")
    told = "small / standard: request retried, attempt 1, error 503 from"
    said = capsys.readouterr().err
    assert said.startswith(told)
    assert said.count("\n") == 1
    assert "\x1b" not in said
    structlog.reset_defaults()


def refused(spec, folder, site=None):
    """What a later session is told of a run that is there."""
    with pytest.raises(UsageError) as caught:
        Metadata(folder, spec, site or find_site(spec.spec, RunProgress()), kind="run")
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 7}, "request.seed: 42, now 7"),
        ({"max_tokens": 9}, "request.max_tokens: 64, now 9"),
        ({"temperature": 0.5}, "request.temperature: 0.0, now 0.5"),
    ],
)
def test_another_request_is_refused_with_the_difference(spec, tmp_path, changes, said):
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder)
        request = spec.spec.request.model_copy(update=changes)
        assert said in refused(prepared(spec, request=request), folder)


def test_another_score_profile_and_another_dtype_are_refused_with_the_difference(spec, tmp_path):
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder)
        server = spec.spec.server.model_copy(update={"dtype": "float32"})
        said = refused(prepared(spec, server=server, score_profile="paper"), folder)
    assert "server.dtype: 'bfloat16', now 'float32'" in said
    assert "score_profile: 'strict', now 'paper'" in said


def rewritten(folder, **changes):
    path = getattr(folder, "path", folder) / "metadata.json"
    seal(path, {**json.loads(path.read_text()), **changes})


def test_other_weights_and_another_scorer_are_refused_with_the_difference(spec, tmp_path):
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder)
        rewritten(folder, fingerprint="old", model_files={"demo-llama": "old"})
        assert "weights of demo-llama: 'old', now " in refused(prepared(spec), folder)
        rewritten(
            folder.path, fingerprint=prepared(spec).fingerprint, scorers={"refusal/strict": 0}
        )
        assert "refusal/strict: 0, now " in refused(prepared(spec), folder)


def test_a_setting_that_was_left_open_is_named_when_it_is_set(spec, tmp_path):
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder)
        server = spec.spec.server.model_copy(update={"attention_backend": "TORCH_SDPA"})
        said = refused(prepared(spec, server=server), folder)
    assert "server.attention_backend: None, now 'TORCH_SDPA'" in said


@pytest.mark.parametrize(
    ("named", "changed"),
    [
        ({"extra_args": ("--chat-template", "{}/t.jinja")}, "t.jinja"),
        ({"extra_args": ("--chat-template={}/t.jinja",)}, "t.jinja"),
        ({"extra_args": ("--enable-lora", "--lora-modules", "a={}/adapter")}, "adapter/a.json"),
        ({"extra_args": ("--speculative-config", '{{"model": "{}/adapter"}}')}, "adapter/a.json"),
        ({"env": {"VLLM_TUNED_CONFIG_FOLDER": "{}/adapter"}}, "adapter/a.json"),
        ({"native_command": "python {}/t.jinja"}, "t.jinja"),
    ],
)
def test_a_file_that_the_servers_settings_name_is_a_part_of_them(spec, tmp_path, named, changed):
    (tmp_path / "adapter").mkdir()
    for name in ("t.jinja", "adapter/a.json"):
        (tmp_path / name).write_text("A")

    def filled(value):
        if isinstance(value, str):
            return value.format(tmp_path)
        if isinstance(value, dict):
            return {name: filled(one) for name, one in value.items()}
        return tuple(map(filled, value))

    server = spec.spec.server.model_copy(update={key: filled(one) for key, one in named.items()})
    with RunFolder(tmp_path / "r") as folder:
        for _ in range(2):
            noted(replace(spec, spec=spec.spec.model_copy(update={"server": server})), folder)
        (tmp_path / changed).write_text("B")
        said = refused(prepared(spec, server=server), folder)
    path = tmp_path / changed
    assert f"the server's {path.parent if path.parent.name == 'adapter' else path}: '" in said


def test_what_a_server_writes_and_what_only_a_container_has_is_no_part(spec, tmp_path):
    folder = str(tmp_path)
    server = {
        "extra_args": ("--download-dir", folder),
        "env": {"HF_HOME": folder, "NO": "x" * 5000},
    }
    server = spec.spec.server.model_copy(update=server)
    assert not prepared(spec, server=server).server_files
    (tmp_path / "t.jinja").write_text("A")
    server = {
        "extra_args": ("--chat-template", "/here/t.jinja", "--config", f"{tmp_path}/t.jinja"),
        "volumes": (f"{tmp_path}:/here:ro", f"{tmp_path}/t.jinja:/opt/one.py"),
    }
    server = spec.spec.server.model_copy(update=server)
    found = prepared(spec, server=server, backend="docker").server_files
    assert set(found) == {"/here/t.jinja", "/opt/one.py"}


def test_another_image_and_other_packages_are_refused_and_the_first_are_kept(
    spec, tmp_path, monkeypatch
):
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder)
        device = {"kind": "cpu", "name": "x"}
        image = {"reference": "a", "image_id": "sha256:1", "versions": {}}
        rewritten(
            folder.path, device=device, image=image, versions={"torch": "1", "vllm": "0.32.0+cpu"}
        )
        before = (folder.path / "metadata.json").read_bytes()
        site = find_site(spec.spec, RunProgress())
        packages = {"torch": "2", "vllm": "0.32.0"}
        monkeypatch.setattr(type(site), "server_packages", lambda *_: packages)
        now = SimpleNamespace(to_json=lambda: {"reference": "b", "image_id": "sha256:2"})
        said = refused(prepared(spec), folder, replace(site, image=now))
        assert (folder.path / "metadata.json").read_bytes() == before
    assert "image reference: 'a', now 'b'" in said
    assert "image image_id: 'sha256:1', now 'sha256:2'" in said
    assert "torch: '1', now '2'" in said
    assert "vllm" not in said.partition("\n")[2]


def test_what_does_not_count_is_written_where_the_next_session_reads_it(spec, tmp_path):
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder).count_no_more("image x changed during the run")
        said = refused(prepared(spec), folder)
    assert "does not count: image x changed during the run" in said
    assert "move its folder away" in said  # not every verb has a flag for a new one
    assert find_unfinished(tmp_path, prepared(spec).fingerprint, "run") is None


def test_a_log_gets_its_hash_at_the_end_where_the_harness_was_killed_before(tmp_path):
    told = {"schema_version": 1, "model": "m", "mode": "standard", "verdict": "clean"}
    ours, theirs = {"backend": "native"}, {"backend": "external"}
    starts = [
        {"server": ours, "log": "a.log", "records": 0, "ended_at": None, "log_sha256": None},
        {"server": ours, "log": "b.log", "records": 3, "ended_at": "t", "log_sha256": "b"},
        {"server": ours, "log": "gone.log", "records": 0},
        {"server": theirs, "log": "a.log", "records": 0},
    ]
    with RunFolder(tmp_path / "r") as folder:
        for name in "ab":
            (folder.path / f"{name}.log").write_text(name)
        folder.write("startup_standard_m.json", {**told, "attempts": starts})
        seal_logs(folder)
        first, *others = folder.read("startup_standard_m.json")["attempts"]
    assert first == {**starts[0], "log_sha256": sha256_of(tmp_path / "r/a.log")}
    assert others == starts[1:]


def test_a_run_that_was_killed_while_it_concluded_is_taken_up_again(spec, tmp_path):
    mark = prepared(spec).fingerprint
    with RunFolder(tmp_path / "r") as folder:
        known = noted(spec, folder)
        known.complete({})
        assert find_unfinished(tmp_path, mark, "run") == "r"
        known.close(exit_code=1)  # the reports, which tell it, are not written yet
        assert find_unfinished(tmp_path, mark, "run") == "r"
        (tmp_path / "r/report.html").touch()
    assert find_unfinished(tmp_path, mark, "run") is None


def test_records_without_metadata_are_no_fresh_run(spec, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r/vllm_records.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match=r"records and no metadata\.json"):
        run(prepared(spec), RunOptions(tmp_path, "r"), RunProgress())
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [".lock", "vllm_records.jsonl"]


@pytest.mark.parametrize("kept", ["renamed", "copied"])
def test_a_folder_of_another_name_than_its_run_is_refused_before_it_is_touched(
    spec, tmp_path, kept
):
    with RunFolder(tmp_path / "a") as folder:
        noted(spec, folder)
        (folder.path / "vllm_records.jsonl").write_text('{"half a li')
    if kept == "renamed":
        (tmp_path / "a").rename(tmp_path / "b")
    else:
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    before = {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    with pytest.raises(UsageError) as found:
        run(prepared(spec), RunOptions(tmp_path, "b"), RunProgress())
    assert "folder of the run 'a', and its name is 'b'" in str(found.value)
    assert "rename it back, or go on in the run's own folder: --run-id 'a'" in str(found.value)
    after = {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert {**before, ".lock": b""} == {**after, ".lock": b""}


@pytest.mark.parametrize("text", ["[]", "{", '{"sessions": 3}', '{"complete": "no"}', "\x00"])
def test_a_bad_run_folder_stands_in_nobodys_way(spec, tmp_path, text):
    for name in ("a", "z"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.json").write_text(text)
    with RunFolder(tmp_path / "m") as folder:
        noted(spec, folder)
    assert find_unfinished(tmp_path, prepared(spec).fingerprint, "run") == "m"


@pytest.mark.parametrize("by", [-600.0, 3600.0])
def test_a_session_says_by_how_much_the_clock_was_set_while_it_worked(
    spec, tmp_path, monkeypatch, by
):
    clock = time.time
    with RunFolder(tmp_path / "r") as folder:
        known = noted(spec, folder)
        known.save()
        assert (
            "clock_moved_s"
            not in json.loads((tmp_path / "r/metadata.json").read_text())["sessions"][0]
        )
        monkeypatch.setattr("time.time", lambda: clock() + by)
        known.save()
        monkeypatch.setattr("time.time", clock)  # it stays, whatever the clock is set to
        known.close(exit_code=0)
        (session,) = json.loads((tmp_path / "r/metadata.json").read_text())["sessions"]
    assert session["clock_moved_s"] == pytest.approx(abs(by), abs=1)


def test_two_settings_of_the_clock_are_told_by_how_far_they_are_apart(spec, tmp_path, monkeypatch):
    clock = time.time
    with RunFolder(tmp_path / "r") as folder:
        known = noted(spec, folder)
        for by in (230.0, -990.0, 0.0):
            monkeypatch.setattr("time.time", lambda by=by: clock() + by)
            known.save()
        (session,) = json.loads((tmp_path / "r/metadata.json").read_text())["sessions"]
    assert session["clock_moved_s"] == pytest.approx(1220, abs=1)


def test_a_session_says_that_the_clock_is_behind_the_one_before(spec, tmp_path, monkeypatch):
    clock = time.time
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder).close(exit_code=130)
        monkeypatch.setattr("time.time", lambda: clock() - 600.0)
        noted(spec, folder)
        told = json.loads((tmp_path / "r/metadata.json").read_text())["sessions"]
    assert "clock_moved_s" not in told[0]
    assert told[1]["clock_moved_s"] == pytest.approx(600, abs=2)


@pytest.mark.parametrize(
    ("run_id", "says"),
    [
        *(("a/b", "is no name of a run folder"), ("..", "is no name"), ("a\0b", "is no name")),
        *(("a\nb", "is no name"), ("n" * 201, "a name of 201 bytes is too long")),
    ],
)
def test_a_name_that_no_folder_can_have_is_refused_before_one_is_made(spec, tmp_path, run_id, says):
    with pytest.raises(UsageError, match=says):
        run(prepared(spec), RunOptions(tmp_path / "results", run_id), RunProgress())
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["prompt_hashes.jsonl", "selected_candidates.jsonl"])
@pytest.mark.parametrize("damage", ["half", "empty", "altered"])
def test_a_file_of_the_plan_that_tells_another_is_kept_aside_and_written_anew(
    spec, tmp_path, name, damage
):
    ready, said = prepared(spec), []
    progress = RunProgress()
    progress.note = said.append
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder)
        for file, rows in plan_files(ready).items():
            folder.write_rows(file, rows)
        whole = (folder.path / name).read_bytes()
        harm = {"half": whole[:20], "empty": b"", "altered": whole.replace(b"1", b"2")}[damage]
        (folder.path / name).write_bytes(harm)
        mend_plan(ready, folder, progress)
        assert (folder.path / name).read_bytes() == whole
        assert (folder.path / f"{name}.damaged").read_bytes() == harm
        assert f"{name} told another plan and was written anew" in said.pop()
        mend_plan(ready, folder, progress)
    assert not said


def test_every_damaged_file_of_the_plan_is_kept_a_link_and_what_is_in_the_way_too(spec, tmp_path):
    ready, name = prepared(spec), "selected_candidates.jsonl"
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder)
        for file, rows in plan_files(ready).items():
            folder.write_rows(file, rows)
        path = folder.path / name
        whole = path.read_bytes()
        path.unlink()
        path.symlink_to("gone")
        (folder.path / f"{name}.damaged").mkdir()
        mend_plan(ready, folder, RunProgress())
        path.write_bytes(b"{half")
        mend_plan(ready, folder, RunProgress())
        assert path.read_bytes() == whole
        assert not path.is_symlink()
        assert (folder.path / f"{name}.damaged").is_dir()
        assert (folder.path / f"{name}.damaged-2").readlink() == Path("gone")
        assert (folder.path / f"{name}.damaged-3").read_bytes() == b"{half"


def test_the_plan_of_another_command_is_not_written_over(spec, tmp_path):
    ready = prepared(spec)
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder)
        for file, rows in plan_files(ready).items():
            folder.write_rows(file, [*rows, rows[0]])
        before = {path: path.read_bytes() for path in folder.path.iterdir()}
        mend_plan(replace(ready, fingerprint="another"), folder, RunProgress())
        assert {path: path.read_bytes() for path in folder.path.iterdir()} == before


@pytest.mark.parametrize("name", ["prompt_hashes.jsonl", "selected_candidates.jsonl"])
def test_a_damaged_file_of_the_plan_of_another_command_is_not_said_to_be_written_anew(
    spec, tmp_path, name
):
    ready = prepared(spec)
    with RunFolder(tmp_path / "r") as folder:
        noted(spec, folder)
        (folder.path / name).write_text("{half")
        with pytest.raises(UsageError, match="give what it was started with, which does") as told:
            mend_plan(replace(ready, fingerprint="another"), folder, RunProgress())
        assert told.value.file == str(folder.path / name)
        assert (folder.path / name).read_text() == "{half"


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("harm", ["other settings", "damaged metadata", "does not count"])
def test_fresh_is_no_next_step_where_it_was_given_beside_the_id_of_a_run(
    spec, tmp_path, harm, fresh
):
    with RunFolder(tmp_path / "r") as folder:
        known = noted(spec, folder)
        if harm == "does not count":
            known.count_no_more("the image was moved")
        if harm == "damaged metadata":
            (folder.path / "metadata.json").write_text("{")
    asked = prepared(spec, score_profile="paper" if harm == "other settings" else "strict")
    with pytest.raises(UsageError) as told:
        run(asked, RunOptions(tmp_path, "r", fresh=fresh), RunProgress())
    assert "--fresh" in told.value.hint
    assert ("another --run-id, or --fresh without one" in told.value.hint) == fresh
    assert told.value.hint.count("another --run-id") == (harm != "damaged metadata" or fresh)


def test_a_refusal_leaves_no_folder_that_was_made_for_it(spec, tmp_path, monkeypatch):
    """As of a server that is not the one of the answers beside it."""

    def refuse(*_: object, **__: object) -> None:
        raise UsageError("the answers of this folder are of another server")

    monkeypatch.setattr("harness.conduct.run_facts.insist_on_one_server", refuse)
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr("harness.serve.native.NativeBackend.check", lambda *_: None)
    for name in ("r", "mine"):
        with pytest.raises(UsageError, match="of another server"):
            run(prepared(spec), RunOptions(tmp_path, name, beside=(tmp_path,)), RunProgress())
    with pytest.raises(UsageError, match="of another server"):
        run(
            prepared(spec),
            RunOptions(tmp_path / "new/results", "r", beside=(tmp_path,)),
            RunProgress(),
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "tasks"]


def test_a_resumed_run_counts_what_its_earlier_sessions_found_too(spec, tmp_path, monkeypatch):
    changed = next(one for _, one in iter_records(A_RUN / RECORDS) if one.text_change)
    written = io.StringIO()

    def ask(_ready, _plan, bench, _place):
        bench.progress.begin(records=2, done=1, lifetimes=1)
        bench.progress.record_done(changed)

    monkeypatch.setattr("harness.conduct.conductor.ask_all", ask)
    site = SimpleNamespace(backend=SimpleNamespace(sweep=lambda _: ()))
    with RunFolder(tmp_path / "r") as folder:
        folder.append_record(changed)
        progress = ConsoleProgress(Console(file=written, width=200))
        bench = SimpleNamespace(folder=folder, progress=progress, site=site)
        _work(prepared(spec), RunOptions(tmp_path, "r"), bench)
    assert "2/2 records, 2 text changes" in written.getvalue()


def test_a_full_disk_does_not_hide_why_a_session_ended(spec, tmp_path, monkeypatch):
    with RunFolder(tmp_path / "r") as folder:
        known = noted(spec, folder)

        def full(*_, **__):
            raise EnvironmentError_("no space")

        monkeypatch.setattr(Metadata, "save", full)
        known.end(UsageError("the first reason"))


@pytest.fixture
def two_models(spec, tmp_path):
    """An ablation of one model's rows under a spec that names two, of which one is gated."""
    rows = "model,task_name,sample_id,batch_size,dispatch_mode\nopen,tiny,s1,2,synchronized\n"
    (tmp_path / "rows.csv").write_text(rows)
    models = (ModelSpec(name="open", hf_id=str(tmp_path)), ModelSpec(name="gated", hf_id="o/gated"))
    changes = {"models": models, "candidates": (str(tmp_path / "rows.csv"),), "expect": Expect()}
    loaded = replace(spec, spec=spec.spec.model_copy(update=changes), given={"candidates": 1})
    return plan_ablation(loaded, results=tmp_path / "results", batch_sizes=None)


def test_a_check_of_a_model_that_the_ablation_does_not_serve_stops_nothing(
    two_models, tmp_path, monkeypatch
):
    def looked(spec, *, lock, results):
        models = tuple(
            ModelFacts(m.name, m.hf_id, m.name == "open", cached=False, gated=True)
            for m in spec.models
        )
        return Facts(
            engine=None, image=None,
            native=NativeFacts("python", found=True, vllm="0.32.0", torch="+cpu"),
            gpus=(), models=models, weights_folder=tmp_path, weights_free_bytes=10**12,
            has_token=False, port=1, port_problem=None, leftovers=(),
        )  # fmt: skip

    monkeypatch.setattr("harness.jobs.this_machine.probe", looked)
    needs, served = two_models.needs
    assert served == {"open"}
    found = {one.check: one for one in check_machine(needs, tmp_path, tmp_path, served=served)}
    assert found["model gated"].status is Status.WARNING
    assert "this run does not need it" in found["model gated"].message
    assert Status.FAILED not in {one.status for one in found.values()}
    everything = check_machine(needs, tmp_path, tmp_path)
    assert Status.FAILED in {one.status for one in everything}


def test_a_done_ablation_asks_nothing_of_the_machine(two_models, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.jobs.ablation_steps.check_machine", lambda *_, **__: 1 / 0)
    full = two_models.steps[-1]
    folder = tmp_path / "results" / full.run_id
    shutil.copytree(Path(__file__).parent / "golden/runs/demo", folder)
    (folder / "report.html").touch()
    rewritten(folder, fingerprint="of other settings")
    with pytest.raises(ZeroDivisionError):
        run_ablation(two_models, tmp_path / "results")
    rewritten(folder, fingerprint=full.prepared.fingerprint)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert run_ablation(two_models, tmp_path / "results").summary.mode("standard").records
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_every_field_that_a_session_needs_is_one_without_which_a_run_is_damaged():
    needed = {field.name for field in msgspec.structs.fields(RunFacts) if field.required}
    assert needed == RUN_FIELDS


DAMAGED = (b"", b"\0\0\0", b"model,\xff\n", b"s1,2,synchronized\n", b"model,task_name\n")


@pytest.fixture
def scanned(spec, tmp_path, monkeypatch):
    """An ablation whose scan is done, with a function that plays its scan step."""
    shipped = load_spec("study-d").spec.candidates
    named = replace(spec, spec=spec.spec.model_copy(update={"candidates": shipped}))
    results = tmp_path / "results"
    ablation = plan_ablation(named, results=results, batch_sizes="2")
    folder = ablation.candidates.parent
    shutil.copytree(Path(__file__).parent / "golden/runs/demo", folder)
    monkeypatch.setattr("harness.jobs.ablation_steps.check_machine", lambda *_, **__: [])
    came_to = SimpleNamespace(folder=folder, failure=None)
    monkeypatch.setattr("harness.conduct.run", lambda *_: came_to)

    def scan():
        with pytest.raises(IncompleteRun, match="no prompt of the population changed its score"):
            run_ablation(ablation.only("scan"), results)

    return ablation, scan


@pytest.mark.parametrize("held", [*DAMAGED, b"whole,rows\n"])
def test_a_damaged_candidate_file_of_the_ablation_is_made_again_of_the_scans_records(
    scanned, tmp_path, held, capsys
):
    ablation, scan = scanned
    scan()
    whole, kept = ablation.candidates.read_bytes(), Path(f"{ablation.candidates}.damaged")
    assert whole.startswith(b"model,")
    scan()
    assert not kept.exists()
    ablation.candidates.write_bytes(held)
    capsys.readouterr()
    scan()
    assert (ablation.candidates.read_bytes(), kept.read_bytes()) == (whole, held)
    told = "candidates.csv does not hold what the scan found and was written anew; what it was is "
    assert f"{told}in {kept}\n" in capsys.readouterr().err


@pytest.mark.parametrize("held", DAMAGED)
def test_a_damaged_candidate_file_is_no_reason_not_to_play_the_scan(scanned, tmp_path, held):
    ablation, _ = scanned
    ablation.candidates.write_bytes(held)
    assert _done(ablation, tmp_path / "results") is None
    with pytest.raises(UsageError, match="without --only run the same command makes it again"):
        _done(ablation.only("run"), tmp_path / "results")


def test_a_damaged_line_of_a_finished_ablation_is_left_to_its_run(two_models, tmp_path):
    """The same command was exit 2 for ever: a finished run was only read."""
    full = two_models.steps[-1]
    folder = tmp_path / "results" / full.run_id
    shutil.copytree(Path(__file__).parent / "golden/runs/demo", folder)
    (folder / "report.html").touch()
    rewritten(folder, fingerprint=full.prepared.fingerprint)
    assert _done(two_models, tmp_path / "results")
    records = folder / RECORDS
    records.write_bytes(records.read_bytes().replace(b'"ok"', b'"0k"', 1))
    assert _done(two_models, tmp_path / "results") is None


@pytest.mark.parametrize(("ok", "hopeless"), [(True, ()), (False, ("why",)), (False, ())])
def test_a_finished_ablation_goes_on_where_asking_again_mends_it(
    scanned, tmp_path, monkeypatch, ok, hopeless
):
    ablation, scan = scanned
    scan()
    validation = SimpleNamespace(ok=ok, only_unproven=False)
    done = SimpleNamespace(validation=validation, folder=tmp_path)
    monkeypatch.setattr("harness.conduct.prepare", lambda *_: None)
    monkeypatch.setattr("harness.conduct.concluded", lambda *_: done)
    monkeypatch.setattr(
        "harness.jobs.ablation_steps.standing", lambda _: SimpleNamespace(hopeless=hopeless)
    )
    assert _done(ablation, tmp_path / "results") is (done if ok or hopeless else None)


@pytest.mark.parametrize(
    ("hint", "own"),
    [
        (NEVER_ANEW, NEVER_ANEW.replace("--fresh", "another --results")),
        (
            Mend.START_ANEW.remedy,
            "no command mends it: a new run (another --results; this moved away)",
        ),
        (Mend.GO_ON.remedy, "the same command goes on with it"),
        (Mend.ASK_AGAIN.remedy, "the same command asks again"),
        (
            "choose another --run-id, --fresh for a new run, or move its folder away",
            "choose another --results, or move its folder away",
        ),
        ("begin a new run (--fresh, or another --run-id)", "begin a new run (another --results)"),
        (
            "rename it back, or go on in the run's own folder: --run-id 'a'",
            "rename it back",
        ),
        (
            "the same `harness run` with --run-id a-b writes it, and asks only once",
            "the same command writes it, and asks only once",
        ),
    ],
)
def test_a_verb_that_names_its_folders_itself_is_told_of_no_flag_that_it_lacks(hint, own):
    error = UsageError("no", hint=hint, detail=(f"check: why ({hint})",))
    without_flags(error, retries=True)
    assert error.hint == own
    assert own in error.detail[0]
    for flag in ("--run-id", "--fresh", "--retry-errors"):
        assert flag not in str(error)
    kept = UsageError("no", hint="the same command with --retry-errors asks again")
    without_flags(kept, retries=False)
    assert kept.hint == "the same command with --retry-errors asks again"


def test_every_refusal_of_an_ablation_is_in_its_words(two_models, tmp_path, monkeypatch):
    def refused(*_):
        raise UsageError("it asks otherwise", hint="--fresh, or another --run-id")

    monkeypatch.setattr("harness.jobs.ablation_steps.check_machine", lambda *_, **__: [])
    monkeypatch.setattr("harness.conduct.run", refused)
    with pytest.raises(UsageError, match=r"it asks otherwise \(another --results\)"):
        ablate(two_models, tmp_path / "results")
