"""The conductor's parts that need no server: signals, estimates, fingerprints, what stays open."""

import itertools
import json
import re
import signal
from dataclasses import replace

import pytest
import structlog

from harness.conduct import ConsoleProgress, RunOptions, RunProgress, prepare, run
from harness.conduct.lifetime import signals_deferred, sigterm_is_interrupt
from harness.conduct.logbook import open_logbook
from harness.conduct.progress import Estimate
from harness.conduct.run_facts import Metadata, not_controlled
from harness.conduct.site import find_site
from harness.errors import UsageError
from harness.jobs.ablation_steps import plan_ablation
from harness.jobs.runs import population_rows
from harness.records import RunFolder
from harness.secrets import redact_command
from harness.settings import Expect, load_spec
from harness.words import DispatchMode

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
    return load_spec("demo", {"tasks": str(tmp_path / "tasks")})


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
    estimate = Estimate(start_guess_s=40, record_guess_s=1)
    assert estimate.seconds_left(records=10, starts=1) == 50
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


def noted(spec, folder):
    return Metadata(folder, prepared(spec), find_site(spec.spec, RunProgress()), kind="run")


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
    own = ("sessions", "complete", "mode_parity")
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
    assert "hf_abc" not in capsys.readouterr().err
    structlog.reset_defaults()
