from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.settings import apply_flags, load_spec, profile_names
from harness.words import Asking, BackendName, DispatchMode, Mode

from .conftest import SPEC, Write


def _lines(error: UsageError) -> list[str]:
    return [line.strip() for line in str(error).splitlines()]


def _error(write: Write, text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load_spec(write("spec.yaml", text))
    return caught.value


def test_the_shipped_profiles_are_these_and_each_loads() -> None:
    assert profile_names() == ("controlled", "demo", "demo-tiny", "smoke", "study-d")
    assert [load_spec(name).spec.name for name in profile_names()] == list(profile_names())


def test_the_study_profile_holds_the_settings_of_the_study() -> None:
    spec = load_spec("study-d").spec
    assert [(model.name, model.hf_id) for model in spec.models] == [
        ("llama3.2-1b", "unsloth/Llama-3.2-1B-Instruct"),
        ("llama3.2-3b", "unsloth/Llama-3.2-3B-Instruct"),
        ("qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B-Instruct"),
    ]
    assert spec.image == "vllm/vllm-openai:v0.19.1"
    assert spec.modes == (Mode.STANDARD, Mode.BATCH_INVARIANT)
    server, request = spec.server, spec.request
    assert (server.port, server.max_model_len, server.dtype) == (18000, 2048, "float16")
    assert (server.gpu_memory_utilization, server.attention_backend) == (0.80, "FLASH_ATTN")
    assert (server.startup_timeout_s, server.extra_args, server.env) == (900, (), {})
    assert (request.max_tokens, request.temperature, request.seed) == (256, 0.0, 42)
    assert (request.timeout_s, request.max_attempts) == (300, 4)
    assert spec.controls.prefix_caching == "server_default"
    assert spec.expect.rows_per_mode == 55


def test_the_smoke_profile_is_one_row_of_the_study_under_the_invariant_path() -> None:
    study, smoke = load_spec("study-d").spec, load_spec("smoke").spec
    assert (smoke.modes, smoke.limit) == ((Mode.BATCH_INVARIANT,), 1)
    assert (smoke.server, smoke.request, smoke.models) == (
        study.server,
        study.request,
        study.models,
    )


def test_the_controlled_profile_pins_the_confounds() -> None:
    spec = load_spec("controlled").spec
    assert (spec.controls.prefix_caching, spec.controls.async_scheduling) == ("off", "off")
    assert spec.controls.cascade_attention == "off"
    assert spec.dispatch_modes == ("original", DispatchMode.GATED, DispatchMode.STAGGERED)
    assert spec.expect.rows_per_mode is None
    assert spec.server.env == {"VLLM_USE_FLASHINFER_SAMPLER": "0"}
    names = {argument.partition("=")[0] for argument in spec.server.extra_args}
    assert names == {
        "--max-num-seqs",
        "--max-num-batched-tokens",
        "--generation-config",
    }


def test_the_demo_profile_runs_the_cpu_engine() -> None:
    spec = load_spec("demo-tiny").spec
    assert spec.backend is BackendName.NATIVE
    assert spec.server.dtype == "bfloat16"
    assert "--enforce-eager" in spec.server.extra_args
    assert spec.server.attention_backend is None


def test_the_demo_runs_a_real_model_of_the_shelf_and_what_ships_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # as an installed harness is called from anywhere
    spec = load_spec("demo").spec
    assert spec.models[0].hf_id.startswith("models:")
    assert all(Path(path).exists() for path in (spec.tasks, *spec.candidates))
    assert spec.dispatch_modes == ("synchronized", "prompt_list", "staggered")
    assert spec.controls.worker_proof
    assert len(spec.controls.askings) == 4


def test_a_file_needs_only_models_and_tasks(write: Write) -> None:
    loaded = load_spec(write("spec.yaml", SPEC))
    assert loaded.spec.server.port == 18000
    assert set(loaded.given) == {"name", "models", "tasks"}


def test_a_file_extends_a_profile_key_by_key(write: Write) -> None:
    text = "extends: study-d\nname: mine\nserver: {port: 18055}\n"
    spec = load_spec(write("spec.yaml", text)).spec
    assert (spec.name, spec.server.port, spec.server.max_model_len) == ("mine", 18055, 2048)


def test_extending_an_unknown_profile_is_an_error_at_its_line(write: Write) -> None:
    error = _error(write, "name: x\nextends: study\n")
    assert error.line == 2
    assert "did you mean 'study-d'?" in str(error)


def test_a_flag_wins_over_the_file_and_mappings_add_up(write: Write) -> None:
    path = write("spec.yaml", SPEC + "server: {port: 1, env: {A: x, B: y}}\n")
    flags = apply_flags([("--port", "18001"), ("--env", "B=z")])
    server = load_spec(path, flags).spec.server
    assert (server.port, server.env) == (18001, {"A": "x", "B": "z"})


def test_candidates_of_ones_own_are_not_expected_to_make_the_rows_of_the_profiles(
    write: Write,
) -> None:
    own: dict[str, object] = {"candidates": ["my_flips.csv"]}
    assert load_spec("study-d").spec.expect.rows_per_mode == 55
    assert load_spec("study-d", own).spec.expect.rows_per_mode is None
    assert load_spec("study-d", own | {"expect.rows_per_mode": 7}).spec.expect.rows_per_mode == 7
    extending = write("extending.yaml", "extends: study-d\ncandidates: my_flips.csv\n")
    assert load_spec(extending).spec.expect.rows_per_mode is None
    asking = write(
        "asking.yaml", "extends: study-d\ncandidates: my_flips.csv\nexpect: {rows_per_mode: 7}\n"
    )
    assert load_spec(asking).spec.expect.rows_per_mode == 7
    assert load_spec(asking, {"candidates": ["others.csv"]}).spec.expect.rows_per_mode is None


def test_the_same_candidates_named_again_keep_what_is_expected_of_them() -> None:
    shipped = list(load_spec("study-d").spec.candidates)
    assert load_spec("study-d", {"candidates": shipped}).spec.expect.rows_per_mode == 55


def test_an_unknown_key_names_file_line_and_the_nearest_known_key(write: Write) -> None:
    error = _error(write, SPEC + "server:\n  dtype: float16\n  max_modle_len: 5\n")
    assert str(error).endswith(
        "spec.yaml:8: unknown key 'server.max_modle_len' (did you mean 'max_model_len'?)"
    )


def test_a_key_of_another_section_is_told_where_it_belongs(write: Write) -> None:
    error = _error(write, SPEC + "max_tokens: 5\n")
    assert (error.line, error.hint) == (6, "it belongs under 'request'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backend: dokcer", "must be 'docker', 'native' or 'external', not 'dokcer'"),
        ("server: {port: true}", "server.port: must be a whole number, not True"),
        ('server: {port: "80"}', "server.port: must be a whole number, not '80'"),
        ("server: {port: 70000}", "server.port: must be less than or equal to 65535, not 70000"),
        ("server: [1]", "server: must be a section with keys, not [1]"),
        (
            "controls: {prefix_caching: false}",
            "must be 'server_default', 'off', 'on', 'salted' or 'reset', not False",
        ),
        ("modes: [standrd]", "modes[0]: must be 'standard' or 'batch_invariant', not 'standrd'"),
        ("modes: [standard, standard]", "mode 'standard' is given twice"),
        (
            "dispatch_modes: sync",
            "original, synchronized, prompt_list, gated, staggered, wide, not 'sync'",
        ),
        (
            "dispatch_modes: [held, prompt_list]",
            "synchronized, prompt_list, gated, staggered, wide, not ['held', 'prompt_list']",
        ),
        ("limit: 0", "limit: must be greater than 0, not 0"),
        (f"request: {{seed: {2**63}}}", f"request.seed: must be less than {2**63}, not {2**63}"),
        (
            f"request: {{seed: {-(2**63) - 1}}}",
            f"seed: must be greater than or equal to {-(2**63)}",
        ),
        ("schema_version: 2", "schema_version: must be 1, not 2"),
        ("external: {other: {url: x}}", "unknown key 'external.other'"),
        ("external: {standard: {url: x}}", "not the URL of a server"),
        ("external: {standard: {url: 'http://me:pw@host:1'}}", "a URL with a password"),
        ("backend: external", "backend external needs the URL of mode standard"),
        ("server: {env: {HF_TOKEN: x}}", "HF_TOKEN is a secret and does not belong here"),
        ("server: {env: {SSH_PRIVATE_KEY: x}}", "SSH_PRIVATE_KEY is a secret"),
        ("server: {extra_args: [--ssl-keyfile-password=x]}", "--ssl-keyfile-password is a secret"),
        ("server: {env: {VLLM_BATCH_INVARIANT: 1}}", "VLLM_BATCH_INVARIANT is set by the mode"),
        ("server: {extra_args: [--max_model_len=9]}", "--max-model-len has a key of its own"),
        ("server: {extra_args: [--api-key, abc]}", "--api-key is a secret"),
    ],
)
def test_a_wrong_value_names_its_line_and_what_is_allowed(
    write: Write, text: str, message: str
) -> None:
    error = _error(write, f"{SPEC}{text}\n")
    assert error.line == 6
    assert message in str(error)


def test_a_seed_has_64_bits_whether_in_the_file_or_a_flag(write: Write) -> None:
    path = write("spec.yaml", SPEC)
    for seed in (-(2**63), 2**63 - 1):
        assert load_spec(path, apply_flags([("--seed", str(seed))])).spec.request.seed == seed
    with pytest.raises(UsageError) as caught:
        load_spec(path, apply_flags([("--seed", "9" * 23)]))
    said = f"--seed: request.seed: must be less than {2**63}, not {'9' * 23}"
    assert _lines(caught.value) == [said]


def test_all_mistakes_of_a_file_are_told_at_once_one_line_each(write: Write) -> None:
    text = "name: x\nbackend: dokcer\nlimt: 3\n\n\n\n\n\nserver:\n  port: x\n"
    lines = _lines(_error(write, text))
    places = [line.split(": ")[0].rpartition(":")[2] for line in lines]
    assert places == ["1", "1", "2", "3", "10"]


def test_a_wrong_flag_is_named_and_not_the_file(write: Write) -> None:
    path = write("spec.yaml", SPEC + "request: {max_attempts: 3}\n")
    with pytest.raises(UsageError) as caught:
        load_spec(path, apply_flags([("--max-attempts", "0")]))
    message = "--max-attempts: request.max_attempts: must be greater than 0, not 0"
    assert str(caught.value) == message


def test_a_secret_value_is_never_shown(write: Write) -> None:
    error = _error(write, SPEC + "server: {env: {API_KEY: [canary]}}\n")
    assert "canary" not in str(error)


def test_models_of_the_same_name_are_an_error(write: Write) -> None:
    error = _error(write, SPEC.replace("name: other", "name: tiny"))
    assert (error.line, error.message) == (4, "model name 'tiny' is given twice")


def test_models_whose_servers_would_share_their_files_are_an_error(write: Write) -> None:
    error = _error(
        write, SPEC.replace("name: tiny", "name: t/a").replace("name: other", "name: t-a")
    )
    assert error.line == 4
    assert "models 't/a' and 't-a' would share the files of their servers" in str(error)
    assert "rename one" in str(error)


@pytest.mark.parametrize("name", ["m" * 201, "é" * 101])
def test_a_model_name_that_no_file_name_holds_is_an_error(write: Write, name: str) -> None:
    error = _error(write, SPEC.replace("name: other", f"name: {name}"))
    assert error.line == 4
    assert f"a model name of {len(name.encode())} bytes is too long" in error.message


def test_one_value_may_stand_for_a_list_of_one_and_numbers_for_text(write: Write) -> None:
    text = (
        "candidates: a.csv\nmodes: standard\ndispatch_modes: prompt_list\n"
        "server: {gpu_device_ids: [0, 1], extra_args: [--max-num-seqs, 4], env: {N: 3}}\n"
    )
    spec = load_spec(write("spec.yaml", SPEC + text)).spec
    assert (spec.candidates, spec.modes) == (("a.csv",), (Mode.STANDARD,))
    assert spec.dispatch_modes == (DispatchMode.PROMPT_LIST,)
    assert spec.server.gpu_device_ids == ("0", "1")
    assert spec.server.extra_args == ("--max-num-seqs", "4")
    assert spec.server.env == {"N": "3"}


def test_a_word_that_is_no_profile_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        load_spec("stdy-d")
    assert "no profile and no file named 'stdy-d' (did you mean 'study-d'?)" in str(caught.value)


def test_a_file_named_like_a_profile_is_read_only_when_given_as_a_path(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("demo", SPEC)
    monkeypatch.chdir(path.parent)
    assert load_spec("demo").spec.name == "demo"
    assert load_spec(Path("demo")).spec.name == "small"


def test_a_spec_that_is_no_mapping_is_an_error(write: Write) -> None:
    assert "a run spec is a mapping of keys" in str(_error(write, "- a\n"))


def test_an_empty_spec_file_is_an_error(write: Write) -> None:
    assert "a run spec is a mapping of keys" in str(_error(write, ""))


def test_an_answer_that_leaves_no_room_for_a_prompt_is_refused() -> None:
    with pytest.raises(UsageError, match=r"512 leaves no room for a prompt in .*max_model_len 512"):
        load_spec("demo-tiny", {"request.max_tokens": 512})


@pytest.mark.parametrize(
    ("old", "asked", "told"),
    [
        ("solo_repeats: 1", "S0 S1 B S2", "S1 and S2"),
        ("solo_repeats: 0", "S0 B", "solo_repeats"),
        ("batched_repeats: 2", "S0 S1 B B2 S2", "B2"),
        ("order: solo_first", "S0 S1 B S2", "one order"),
    ],
)
def test_an_old_spelling_of_what_is_asked_is_read_with_one_note(write, old, asked, told):
    path = write("spec.yaml", f"{SPEC}controls:\n  {old}\n")
    loaded = load_spec(path)
    assert loaded.spec.controls.askings == tuple(asked.split())
    (note,) = loaded.notes
    assert note.startswith(str(path))
    assert told in note
    assert "controls.askings" in note


def test_old_flags_are_read_as_the_old_keys_and_win_over_the_file():
    loaded = load_spec(
        "demo-tiny", apply_flags([("--solo-repeats", "2"), ("--batched-repeats", "1")])
    )
    assert loaded.spec.controls.askings == tuple(Asking)
    assert len(loaded.notes) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([("--order", "alternate")], r"--order: controls.order is gone: .*one order: \[S0, S1, B"),
        ([("--solo-repeats", "-1")], r"--solo-repeats: controls.solo_repeats is gone"),
        ([("--solo-repeats", "1"), ("--askings", "S0,B")], r"controls.askings says it"),
        ([("--askings", "S0,S1")], r"--askings: asking B is missing"),
        ([("--askings", "S0,S0,B")], r"--askings: asking 'S0' is given twice"),
        ([("--askings", "S0,B,S3")], r"--askings: .*S3"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(flags, message):
    with pytest.raises(UsageError, match=message):
        load_spec("demo-tiny", apply_flags(flags))


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_asks_four_times(name):
    assert load_spec(name).spec.controls.askings == ("S0", "S1", "B", "S2")


@pytest.mark.parametrize("key", ["request.temperature", "request.timeout_s", "controls.stagger_ms"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_no_setting_is_infinite_or_no_number(key: str, value: float) -> None:
    with pytest.raises(UsageError, match="must be a finite number"):
        load_spec("demo-tiny", {key: value})
