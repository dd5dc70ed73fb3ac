"""A case file is closed under arithmetic: what is changed in it by one byte is told."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from harness.cause import Case, CaseAnswer, CasePrompt, CaseStack, check_case, write_case
from harness.cli import main
from harness.errors import UsageError
from harness.findings import Status
from harness.jobs.replaying import TASK, quoted
from harness.records import Answer, Likely, diverged, text_hash
from harness.tasks import load_tasks
from harness.words import Mode

ALONE = Answer(
    text="a b c",
    token_ids=(1, 2, 3),
    likely=tuple((Likely(n, -0.1), Likely(n + 9, -2.5)) for n in (1, 2, 3)),
)
BATCHED = Answer(
    text="a x c",
    token_ids=(1, 11, 3),
    likely=tuple((Likely(n, -0.6), Likely(n + 1, -0.85)) for n in (1, 11, 3)),
)
SPEC = {
    "tasks": "tasks",
    "models": [{"name": "m", "hf_id": "example/m"}],
    "modes": ["batch_invariant"],
    "backend": "native",
    "server": {"dtype": "bfloat16", "extra_args": ["--max-num-seqs", "8", "--enforce_eager"]},
}


@pytest.fixture
def case(tmp_path):
    parted = diverged(ALONE, BATCHED)
    made = Case(
        source={"run": "r", "record": "1"},
        mode=Mode.BATCH_INVARIANT,
        stack=CaseStack("0.32.0", "cpu", "a CPU", None, None, {}),
        spec=SPEC,
        schedule="gated",
        prompts=tuple(CasePrompt(t, text_hash(t), (7,)) for t in ("one\U0001f600", "two")),
        target=1,
        alone=CaseAnswer.of(ALONE),
        batched=CaseAnswer.of(BATCHED),
        divergence=parted,
        closeness=parted.closeness,
        witness=None,
        trials={"changed": 3, "same": 0, "vacuous": 0},
        asked={"trials": 9, "companions": 7},
    )
    write_case(made, tmp_path / "case.json")
    return tmp_path / "case.json"


def failed(path):
    return [one.check for one in check_case(path) if one.status is Status.FAILED]


def test_a_case_as_it_was_written_has_nothing_wrong(case):
    assert failed(case) == []


def test_one_changed_byte_is_always_told(case):
    data, rng = case.read_bytes(), random.Random(5)
    value = json.loads(data)
    for _ in range(400):
        place, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        case.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
        try:
            told = failed(case)
        except UsageError:
            continue
        assert told or json.loads(case.read_bytes()) == value  # white space alone


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda c: c["divergence"].update(token=2), "divergence"),
        (lambda c: c.update(closeness="tie"), "closeness"),
        (lambda c: c["alone"].update(text="other"), "alone"),
        (lambda c: c["prompts"][0].update(text="three"), "prompts"),
        (lambda c: c.update(target=5), "target"),
        (lambda c: c["batched"]["likely"][0].reverse(), "batched order"),
        (lambda c: c["trials"].update(changed=0), "trials"),
        (lambda c: c["divergence"]["alone"][0].__setitem__(0, 5), "divergence"),
        (lambda c: c.update(schedule="at once; rm -rf /"), "schedule"),
        (lambda c: c.update(spec={}), "spec"),
        (lambda c: c["spec"].update(models=[]), "spec"),
        (lambda c: c["spec"].update(modes=["standard"]), "spec"),
        (lambda c: c["spec"].update(extra=1), "spec"),
        (lambda c: c["spec"]["server"].update(port=99999), "spec"),
        (lambda c: c["prompts"].append(c["prompts"][0]), "unique"),
        (
            lambda c: c["prompts"][0].update(text="\ud83d", sha256=text_hash("\ud83d")),
            "sendable",
        ),
        (lambda c: c["trials"].update(same=-1), "trials"),
        (lambda c: c["trials"].update(more=1), "trials"),
        (lambda c: c["trials"].pop("changed"), "trials"),
        (lambda c: c["asked"].update(companions=0), "asked"),
        (lambda c: c["asked"].update(trials=0), "asked"),
        (lambda c: c["asked"].clear(), "asked"),
        (lambda c: c.update(witness={"steps": 3, "source": "log"}), "witness"),
    ],
)
def test_each_number_that_does_not_follow_is_named(case, change, check):
    value = json.loads(case.read_text())
    change(value)
    case.write_text(json.dumps(value))
    assert {check, "sum"} <= set(failed(case))


def resealed(path, change):
    """The case as somebody who knows the file's form would change it."""
    value = json.loads(path.read_text())
    change(value)
    write_case(msgspec.convert(value, Case), path)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda c: c["trials"].update(changed=500), "asked"),
        (lambda c: c["batched"]["likely"][0][0].__setitem__(1, -0.01), "batched order"),
        (lambda c: c["alone"]["likely"][2][1].__setitem__(0, 3), "alone order"),
        (lambda c: c["alone"]["likely"][2][0].__setitem__(0, 77), "alone chosen"),
        (lambda c: c["alone"]["likely"][2][0].__setitem__(1, 0.5), "alone order"),
        (lambda c: c["alone"]["token_ids"].__setitem__(2, -3), "alone ids"),
        (lambda c: c["prompts"][0].update(token_ids=[-7]), "prompt ids"),
        (lambda c: c["prompts"][0].update(token_ids=[]), "prompt ids"),
        (lambda c: c["prompts"][0].update(text="", sha256=text_hash("")), "sendable"),
        (lambda c: c["stack"].update(capability="ninety"), "stack"),
        (lambda c: c["stack"].update(image="vllm/vllm-openai:latest"), "stack"),
        (lambda c: c["stack"].update(weights={"m": "zz"}), "stack"),
    ],
)
def test_a_number_that_cannot_be_is_told_where_the_sum_was_made_again(case, change, check):
    resealed(case, change)
    assert check in failed(case)


def test_what_nobody_saw_is_not_called_seen(case):
    resealed(case, lambda c: c.update(known=["no-such-defect"]))
    open_ = {one.check: one.message for one in check_case(case) if one.status is Status.NOT_CHECKED}
    assert "nobody saw" in open_["witness"]
    assert "no-such-defect" in open_["known"]
    assert failed(case) == []


def test_where_no_ids_tell_the_place_is_a_character(case):
    def without_ids(value):
        for side in ("alone", "batched"):
            value[side].update(token_ids=None, likely=None)
        value["divergence"].update(token=None, of=None, alone=None, batched=None)
        value["closeness"] = "unknown"

    resealed(case, without_ids)
    assert failed(case) == []
    assert "first at character 2" in msgspec.convert(json.loads(case.read_text()), Case).told


def asked(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(["replay", *map(str, words), "--results", "results", "--quiet"])
    said = capsys.readouterr()
    return ended.value.code or 0, said.out, said.err


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(schedule="soon"),
        lambda c: c["spec"].update(models=[]),
        lambda c: c["spec"].pop("tasks"),
        lambda c: c.update(target=-1),
        lambda c: c["prompts"].pop(),
        lambda c: c.update(prompts=[]),
        lambda c: c["spec"]["server"].update(extra_args=["--max-num-seqs", "1"]),  # gated: no room
        lambda c: c["spec"]["server"].update(native_command="sh -c 'touch owned' vllm"),
        lambda c: c["spec"]["server"].update(extra_args=["--port", "1"]),
    ],
)
def test_a_case_that_cannot_be_asked_leaves_nothing_behind(
    case, tmp_path, monkeypatch, capsys, change
):
    monkeypatch.chdir(tmp_path)
    resealed(case, change)
    before = set(tmp_path.rglob("*"))
    code, out, err = asked(capsys, case)
    assert (code, out) == (2, ""), err
    assert err.count("error: ") == 1
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"server": {"native_command": "sh -c 'touch owned'"}}, "sh -c"),
        (
            {"server": {"native_command": "python -c 'import os' -m vllm.x"}},
            "server.native_command",
        ),
        ({"server": {"native_command": "python -m vllm.entrypoints.openai.api_server; x"}}, "; x"),
        (
            {"server": {"native_command": "their/python -m vllm.entrypoints.openai.api_server"}},
            "their/",
        ),
        ({"server": {"native_command": "./vllm serve"}}, "./vllm"),
        ({"server": {"native_command": "engine:../../x/vllm serve"}}, "engine:.."),
        (
            {
                "server": {
                    "native_command": ".venv-cpu/../x/python -m vllm.entrypoints.openai.api_server"
                }
            },
            "/x/",
        ),
        ({"server": {"env": {"LD_PRELOAD": "/tmp/x.so"}}}, "LD_PRELOAD=/tmp/x.so"),
        ({"server": {"env": {"PYTHONPATH": "x"}}}, "PYTHONPATH=x"),
        (
            {"server": {"env": {"VLLM_USAGE_STATS_SERVER": "http://evil"}}},
            "VLLM_USAGE_STATS_SERVER",
        ),
        ({"server": {"env": {"VLLM_NO_USAGE_STATS": "0"}}}, "VLLM_NO_USAGE_STATS=0"),
        ({"server": {"env": {"NCCL_NET_PLUGIN": "x.so"}}}, "NCCL_NET_PLUGIN"),
        ({"server": {"env": {"NCCL_DEBUG_FILE": "x"}}}, "NCCL_DEBUG_FILE"),
        ({"server": {"env": {"OMP_TOOL_LIBRARIES": "x.so"}}}, "OMP_TOOL_LIBRARIES"),
        ({"server": {"env": {"VLLM_TORCH_PROFILER_DIR": "x"}}}, "VLLM_TORCH_PROFILER_DIR"),
        ({"server": {"env": {"VLLM_ALLOW_INSECURE_SERIALIZATION": "1"}}}, "SERIALIZATION"),
        ({"server": {"env": {"VLLM_CONFIG_ROOT": "x"}}}, "VLLM_CONFIG_ROOT"),
        ({"server": {"env": {"VLLM_TUNED_CONFIG_FOLDER": "x"}}}, "VLLM_TUNED_CONFIG_FOLDER"),
        ({"server": {"env": {"VLLM_ATTENTION_BACKEND": "../x"}}}, "VLLM_ATTENTION_BACKEND"),
        ({"server": {"extra_args": ["--generation-config=evil/repo"]}}, "evil/repo"),
        ({"server": {"extra_args": ["--generation-config", "evil/repo"]}}, "evil/repo"),
        ({"server": {"extra_args": ["--seed", "0", "evil"]}}, "'evil'"),
        ({"server": {"extra_args": ["--enforce-eager", "evil"]}}, "'evil'"),
        ({"server": {"extra_args": ["@args"]}}, "@args"),
        ({"server": {"extra_args": ["--seed", "--trust-remote-code"]}}, "--trust-remote-code"),
        ({"server": {"extra_args": ["--enforce-eager=x"]}}, "--enforce-eager=x"),
        ({"server": {"attention_backend": "--worker-cls=x"}}, "--worker-cls=x"),
        ({"server": {"dtype": "@x"}}, "server.dtype"),
        ({"models": [{"name": "m", "hf_id": "--trust-remote-code"}]}, "models.hf_id"),
        ({"models": [{"name": "m", "hf_id": "a/b", "revision": "-x"}]}, "models.revision"),
        ({"server": {"extra_args": ["--trust-remote-code"]}}, "--trust-remote-code"),
        ({"server": {"extra_args": ["--trust-remote"]}}, "--trust-remote"),
        ({"server": {"extra_args": ["--middleware=evil.run"]}}, "--middleware=evil.run"),
        ({"server": {"extra_args": ["--host", "0.0.0.0"]}}, "--host"),
        ({"backend": "docker", "image": "evil/vllm-openai:v0.19.1"}, "image: 'evil/"),
        ({"backend": "docker", "server": {"volumes": ["/:/host"]}}, "server.volumes: '/:/host'"),
        (
            {
                "backend": "external",
                "external": {"batch_invariant": {"url": "http://evil", "api_key_env": "MY_KEY"}},
            },
            "a server of the author's: 'http://evil'",
        ),
    ],
)
def test_what_a_case_would_run_beside_vllm_is_named_and_not_run(
    case, tmp_path, monkeypatch, capsys, keys, said
):
    monkeypatch.chdir(tmp_path)
    resealed(case, lambda c: c["spec"].update(keys))
    code, out, err = asked(capsys, case)
    assert (code, out) == (2, "")
    assert "what its author wrote" in err
    assert said in err
    assert "--trust" in err
    assert not (tmp_path / "results").exists()
    assert asked(capsys, case, "--check")[0] == 0  # reading it is harmless


def test_a_command_is_shown_to_its_end_before_it_is_trusted(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = f"python -m vllm.entrypoints.openai.api_server {'--x ' * 100}; touch owned"
    resealed(case, lambda c: c["spec"]["server"].update(native_command=command))
    assert command in asked(capsys, case)[2]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--port", "99999"), "server.port: must be less than or equal to 65535"),
        (("--native-command", 'python "x'), "no closing quotation"),
        (("--server", "nonsense"), "--server: 'nonsense'"),
        (("--server", "http://"), "not the URL of a server"),
    ],
)
def test_what_is_this_machines_own_is_held_to_a_specs_rules(
    case, tmp_path, monkeypatch, capsys, flags, said
):
    monkeypatch.chdir(tmp_path)
    code, _, err = asked(capsys, case, "--trust", *flags)
    assert code == 2
    assert said in err
    assert not (tmp_path / "results").exists()


def test_markup_and_shell_in_a_case_are_told_as_text(case, capsys):
    def change(value):
        value["source"]["run"] = "<script>alert(1)</script>"
        value["prompts"][0].update(text="$(id)\x1b[31m", sha256=text_hash("$(id)\x1b[31m"))
        value["schedule"] = "\x1b[2J`id`" + "x" * 9000

    resealed(case, change)
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(case), "--check"])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "\x1b" not in said.out + said.err
    assert len(said.out + said.err) < 4000


def test_a_prompt_of_any_letters_is_asked_as_it_is(tmp_path):
    texts = ('\U0001f600 "q" \\ {{ prompt }}', " a\n\n\ttrail \n", "\u2028\x85\ufeff\x00\x7f\xe4")
    samples = "".join(f"  - {{id: p{n}, prompt: {quoted(t)}}}\n" for n, t in enumerate(texts))
    (tmp_path / "case.yaml").write_text(TASK + samples)
    assert tuple(prompt.text for prompt in load_tasks(tmp_path).prompts) == texts


def test_what_is_no_case_file_is_refused(case):
    case.write_text('{"schema_version": 1}')
    with pytest.raises(UsageError, match="is no case file"):
        check_case(case)
