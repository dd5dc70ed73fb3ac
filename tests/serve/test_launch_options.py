"""What a server is started with: the study's command, and two modes that differ in the mode."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.machine import GpuAccess, Host
from harness.prove import WORKER_EXTENSION
from harness.serve import LaunchOptions, added, launch_options
from harness.settings import load_spec
from harness.settings.run_spec import Controls, ExternalServer, ModelSpec, RunSpec, ServerSettings
from harness.words import BackendName, CachePolicy, DispatchMode, Mode, without_nonce

STUDY_ARGUMENTS = shlex.split(
    "--model unsloth/Llama-3.2-1B-Instruct "
    "--host 0.0.0.0 --port 18000 --max-model-len 2048 --dtype float16 "
    "--gpu-memory-utilization 0.80 --attention-backend FLASH_ATTN"
)


def study(**changes: object) -> RunSpec:
    return load_spec("study-d").spec.model_copy(update=changes)


def options(
    spec: RunSpec, host: Host, mode: Mode = Mode.STANDARD, **given: object
) -> LaunchOptions:
    return launch_options(spec, spec.models[0], mode, host=host, **given)  # type: ignore[arg-type]


def flag_value(built: LaunchOptions, flag: str) -> str | None:
    words = built.arguments
    return words[words.index(flag) + 1] if flag in words else None


def test_the_studys_command_comes_out_with_the_served_name_added(host: Host):
    built = options(study(), host)
    assert built.arguments == (
        *STUDY_ARGUMENTS,
        "--served-model-name",
        "llama3.2-1b",
        "--enable-prompt-tokens-details",
        "--enable-logging-iteration-details",
    )


def test_a_container_is_given_its_entrypoint_explicitly(host: Host):
    assert options(study(), host).command == ("python3", "-m", "vllm.entrypoints.openai.api_server")


def test_a_native_server_listens_on_loopback_only(host: Host):
    built = options(study(backend=BackendName.NATIVE), host)
    assert built.command == ("python", "-m", "vllm.entrypoints.openai.api_server")
    assert flag_value(built, "--host") == "127.0.0.1"


def test_the_container_of_the_study_in_full(host: Host):
    built = options(study(), host, Mode.BATCH_INVARIANT, run_id="r1", image="repo@sha256:ab")
    assert built.container is not None
    assert built.container.to_json() == {
        "image": "repo@sha256:ab",
        "publish": "127.0.0.1:18000:18000",
        "labels": {
            "harness.run-id": "r1",
            "harness.mode": "batch_invariant",
            "harness.model": "llama3.2-1b",
            "harness.pid": "4711",
            "harness.host": "example-host",
        },
        "mounts": [
            "/home/someone/.cache/huggingface:/root/.cache/huggingface",
            "harness-vllm-cache-batch_invariant:/root/.cache/vllm",
        ],
        "gpu": {"access": "runtime", "device_ids": None},
        "shm_size": "16g",
        "ulimits": {"nofile": 65535, "memlock": -1, "stack": 67108864},
    }
    assert built.environment == {
        "NO_COLOR": "1",
        "VLLM_LOGGING_COLOR": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_BATCH_INVARIANT": "1",
    }


@pytest.mark.parametrize("backend", [BackendName.DOCKER, BackendName.NATIVE])
def test_the_modes_differ_in_the_variable_and_the_cache_only(host: Host, backend: BackendName):
    standard, invariant = (options(study(backend=backend), host, mode).to_json() for mode in Mode)
    text = json.dumps(standard)
    changed = (
        text.replace('"VLLM_BATCH_INVARIANT": "0"', '"VLLM_BATCH_INVARIANT": "1"')
        .replace("vllm-cache-standard", "vllm-cache-batch_invariant")
        .replace('"mode": "standard"', '"mode": "batch_invariant"')
        .replace('"harness.mode": "standard"', '"harness.mode": "batch_invariant"')
    )
    assert json.loads(changed) == invariant
    assert standard["cache"] != invariant["cache"]


def test_controls_become_flags_and_the_default_sends_none(host: Host):
    silent = options(study(), host).arguments
    assert not [word for word in silent if "prefix" in word or "async" in word]
    controls = Controls(prefix_caching="off", async_scheduling="off")
    spoken = options(study(controls=controls), host).arguments
    assert spoken[-4:] == (
        "--no-enable-prefix-caching",
        "--no-async-scheduling",
        "--enable-prompt-tokens-details",
        "--enable-logging-iteration-details",
    )


def test_controls_can_switch_on(host: Host):
    controls = Controls(prefix_caching="on", async_scheduling="on")
    assert options(study(controls=controls), host).arguments[-4:-2] == (
        "--enable-prefix-caching",
        "--async-scheduling",
    )


@pytest.mark.parametrize("policy", ["server_default", "salted", "reset"])
def test_a_policy_that_leaves_the_cache_to_the_server_sends_no_flag(host: Host, policy: str):
    built = options(study(controls=Controls(prefix_caching=CachePolicy(policy))), host)
    assert not [word for word in built.arguments if "prefix-caching" in word]
    assert built.has_development_endpoints is (policy == "reset")


def test_a_server_of_ours_tells_the_tokens_that_came_from_its_cache(host: Host):
    assert options(study(), host).tells_cached_tokens
    hiding = ServerSettings(extra_args=("--no-enable-prompt-tokens-details",))
    with pytest.raises(UsageError, match="how much of a prompt came from the cache"):
        options(study(server=hiding), host)
    external = {Mode.STANDARD: ExternalServer(url="http://10.0.0.1:8000")}
    theirs = options(study(backend=BackendName.EXTERNAL, external=external), host)
    assert not theirs.tells_cached_tokens


def test_extra_arguments_come_last(host: Host):
    spec = study(server=ServerSettings(extra_args=("--max-num-seqs", "64")))
    assert options(spec, host).arguments[-2:] == ("--max-num-seqs", "64")


def test_what_is_not_set_is_not_passed(host: Host):
    server = ServerSettings(attention_backend=None, gpu_memory_utilization=None)
    built = options(study(server=server), host)
    assert "--attention-backend" not in built.arguments
    assert "--gpu-memory-utilization" not in built.arguments
    assert "--revision" not in built.arguments


def test_a_revision_is_passed(host: Host):
    model = ModelSpec(name="m", hf_id="org/m", revision="abc123")
    assert flag_value(options(study(models=(model,)), host), "--revision") == "abc123"


@pytest.mark.parametrize(("value", "text"), [(0.8, "0.80"), (0.925, "0.925"), (1.0, "1.00")])
def test_a_fraction_keeps_two_decimals_or_more(host: Host, value: float, text: str):
    built = options(study(server=ServerSettings(gpu_memory_utilization=value)), host)
    assert flag_value(built, "--gpu-memory-utilization") == text


@pytest.mark.parametrize("dispatch_mode", DispatchMode)
def test_gated_batches_alone_open_the_servers_development_endpoints(
    host: Host, dispatch_mode: DispatchMode
):
    gated = dispatch_mode is DispatchMode.GATED
    quiet = Controls(iteration_log=False)
    by_spec = options(study(dispatch_modes=(dispatch_mode,), controls=quiet), host)
    by_candidates = options(study(controls=quiet), host, schedules={dispatch_mode})
    for built in (by_spec, by_candidates):
        assert built.has_development_endpoints is gated
        assert ("--enable-logging-iteration-details" in built.arguments) is gated


def test_a_server_with_development_endpoints_is_reached_over_loopback_only(host: Host):
    native = options(study(backend=BackendName.NATIVE), host, schedules={DispatchMode.GATED})
    assert flag_value(native, "--host") == "127.0.0.1"
    docker = options(study(), host, schedules={DispatchMode.GATED})
    assert docker.container is not None
    assert docker.container.publish[0] == "127.0.0.1"


def test_a_local_model_is_made_absolute_and_mounted_read_only(host: Host, tmp_path: Path):
    (tmp_path / "weights").mkdir()
    spec = study(models=(ModelSpec(name="my model", hf_id="weights"),))
    native = options(spec.model_copy(update={"backend": BackendName.NATIVE}), host)
    assert native.arguments[:2] == ("--model", str(tmp_path / "weights"))
    docker = options(spec, host)
    assert docker.arguments[:2] == ("--model", "/models/my-model")
    assert docker.container is not None
    assert f"{tmp_path}/weights:/models/my-model:ro" in docker.container.to_json()["mounts"]  # type: ignore[operator]


def test_a_model_path_that_does_not_exist_is_an_error(host: Host):
    with pytest.raises(UsageError, match="there is no folder"):
        options(study(models=(ModelSpec(name="m", hf_id="./nowhere"),)), host)


@pytest.mark.parametrize(
    "name",
    [
        "VLLM_BATCH_INVARIANT",
        "PYTHONWARNINGS",
        "TORCH_CPP_LOG_LEVEL",
        "VLLM_USE_RUST_FRONTEND",
        "VLLM_CACHE_ROOT",
        "HF_TOKEN",
    ],
)
def test_a_spec_may_not_set_what_breaks_the_experiment(host: Host, name: str):
    with pytest.raises(UsageError, match=name):
        options(study(server=ServerSettings(env={name: "x"})), host)


@pytest.mark.parametrize("quiet", ["-W ignore", "-Wignore"])
def test_a_native_command_may_not_hide_the_evidence(host: Host, quiet: str):
    server = ServerSettings(native_command=f"python {quiet} -m vllm.entrypoints.openai.api_server")
    with pytest.raises(UsageError, match="-W"):
        options(study(backend=BackendName.NATIVE, server=server), host)


@pytest.mark.parametrize("flag", ["--model", "--port=1", "--disable-log-stats", "--api-key"])
def test_extra_arguments_may_not_repeat_or_break_ours(host: Host, flag: str):
    with pytest.raises(UsageError, match=flag.split("=")[0]):
        options(study(server=ServerSettings(extra_args=(flag,))), host)


def test_secrets_are_passed_by_name_and_never_by_value(host: Host, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    built = options(study(), host)
    assert "HF_TOKEN" in built.secret_variables
    assert "hf_canary" not in json.dumps(built.to_json())
    assert "HF_TOKEN" not in built.environment


def test_what_is_kept_of_the_options_hides_a_login_and_shows_a_count(host: Host):
    server = ServerSettings(
        env={"DB_URL": "postgres://u:pw-canary@h/x"},
        extra_args=("--max-tokens", "64", "--max-num-batched-tokens=2048"),
    )
    built = options(study(server=server), host)
    kept = replace(built, environment={**built.environment, "SSH_PRIVATE_KEY": "key-canary"})
    text = json.dumps(kept.to_json())
    assert "canary" not in text
    assert kept.to_json()["environment"]["SSH_PRIVATE_KEY"] == "[redacted]"  # type: ignore[index]
    assert kept.to_json()["command"][-3:] == list(server.extra_args)  # type: ignore[index]
    assert built.environment["DB_URL"] == "postgres://u:pw-canary@h/x"


@pytest.mark.parametrize("name", ["SSH_PRIVATE_KEY", "APIKEY", "NPM_AUTH"])
def test_a_secret_in_the_spec_is_refused_whatever_it_is_called(host: Host, name: str):
    with pytest.raises(UsageError, match="a secret does not belong into a spec"):
        options(study(server=ServerSettings(env={name: "x"})), host)


def test_a_login_in_an_external_url_is_used_and_not_kept(host: Host):
    url = "http://someone:pw-canary@10.0.0.1:8000"
    spec = study(backend=BackendName.EXTERNAL, external={Mode.STANDARD: ExternalServer(url=url)})
    built = options(spec, host)
    assert built.base_url == url
    assert built.to_json()["base_url"] == "http://[redacted]@10.0.0.1:8000"


def test_gpus_are_chosen_by_id(host: Host):
    server = ServerSettings(gpu_device_ids=("0", "2"))
    docker = options(study(server=server), replace(host, gpu=GpuAccess.CDI)).container
    assert docker is not None
    assert docker.gpu.cdi_devices == ("nvidia.com/gpu=0", "nvidia.com/gpu=2")
    native = options(study(server=server, backend=BackendName.NATIVE), host)
    assert native.environment["CUDA_VISIBLE_DEVICES"] == "0,2"


def test_an_external_server_keeps_its_own_url(host: Host):
    external = {
        Mode.STANDARD: ExternalServer(url="http://10.0.0.1:8000/"),
        Mode.BATCH_INVARIANT: ExternalServer(url="http://10.0.0.2:8000", log="b.log"),
    }
    spec = study(backend=BackendName.EXTERNAL, external=external)
    assert options(spec, host).base_url == "http://10.0.0.1:8000"
    assert options(spec, host, Mode.BATCH_INVARIANT).external_log == "b.log"


def test_the_served_name_carries_the_lifetimes_nonce(host: Host):
    built = options(study(), host, nonce="0a1b2c3d")
    assert built.served_model_name == "llama3.2-1b@0a1b2c3d"
    assert flag_value(built, "--served-model-name") == "llama3.2-1b@0a1b2c3d"
    assert built.to_json()["served_model_name"] == "llama3.2-1b@0a1b2c3d"
    assert without_nonce(built.served_model_name) == built.model == "llama3.2-1b"


def test_a_server_that_someone_else_runs_has_no_nonce(host: Host):
    external = {Mode.STANDARD: ExternalServer(url="http://10.0.0.1:8000")}
    spec = study(backend=BackendName.EXTERNAL, external=external)
    assert options(spec, host, nonce="0a1b2c3d").served_model_name == "llama3.2-1b"


PROVING = Controls(worker_proof=True)


def test_without_the_worker_proof_nothing_of_it_is_added(host: Host):
    built = options(study(), host)
    assert "--worker-extension-cls" not in built.arguments
    assert not built.has_development_endpoints
    assert built.python_path == ""
    assert built.python_path_before({"PYTHONPATH": "/theirs"}) == {}


def test_a_native_worker_finds_the_extension_in_a_folder_of_its_own(host: Host):
    built = options(study(backend=BackendName.NATIVE, controls=PROVING), host)
    assert flag_value(built, "--worker-extension-cls") == "harness_worker_proof.WorkerProof"
    assert built.has_development_endpoints
    assert [path.name for path in Path(built.python_path).glob("*.py")] == [
        "harness_worker_proof.py"
    ]
    assert built.python_path_before({}) == {"PYTHONPATH": built.python_path}
    theirs = built.python_path_before({"PYTHONPATH": "/theirs"})
    assert theirs == {"PYTHONPATH": f"{built.python_path}:/theirs"}


def test_a_specs_own_python_path_stays_behind_the_extension(host: Host):
    server = ServerSettings(env={"PYTHONPATH": "/specs"})
    built = options(study(server=server, controls=PROVING), host)
    assert built.python_path_before({"PYTHONPATH": "/images"}) == {
        "PYTHONPATH": "/harness-worker-proof:/specs"
    }


def test_a_container_gets_the_extension_read_only(host: Host):
    built = options(study(controls=PROVING), host)
    assert built.container is not None
    (mount,) = [m for m in built.container.mounts if m.target == built.python_path]
    assert (mount.source, mount.read_only) == (str(WORKER_EXTENSION.parent), True)


def test_an_extension_of_the_specs_own_and_ours_do_not_go_together(host: Host):
    server = ServerSettings(extra_args=("--worker-extension-cls", "theirs.Class"))
    assert options(study(server=server), host).arguments[-1] == "theirs.Class"
    with pytest.raises(UsageError, match="--worker-extension-cls"):
        options(study(server=server, controls=PROVING), host)


def test_the_worker_proof_is_the_default_of_controlled_and_not_of_the_study(host: Host):
    assert load_spec("controlled").spec.controls.worker_proof
    assert not load_spec("study-d").spec.controls.worker_proof
    assert not load_spec("demo-tiny").spec.controls.worker_proof


CONTROLLED = load_spec("controlled").spec


@pytest.mark.parametrize(
    ("release", "passed", "said"),
    [
        ("0.19.1", True, ""),
        ("0.20.2", True, ""),
        ("0.31.0", True, ""),
        ("0.32.0", False, "vLLM 0.32.0 has no cascade attention"),
        ("0.33.0", False, "vLLM 0.33.0 has no cascade attention"),
        ("0.34.0", False, "vLLM 0.34.0 is newer than 0.33, the last release that was read"),
        ("0.1.dev9+g1a2b3c4", False, "the release of vLLM is not known"),
    ],
)
def test_the_flag_against_cascade_attention_goes_to_the_releases_that_have_it(
    host: Host, release: str, passed: bool, said: str
):
    built = options(CONTROLLED, host, release=release)
    assert ("--disable-cascade-attn" in built.arguments) is passed
    assert "".join(built.notes).startswith(said)
    assert bool(built.notes) is bool(said)


def test_an_images_tag_names_its_release_where_nothing_else_does(host: Host):
    assert "--disable-cascade-attn" in options(CONTROLLED, host).arguments
    newer = CONTROLLED.model_copy(update={"image": "vllm/vllm-openai:v0.32.0"})
    assert "--disable-cascade-attn" not in options(newer, host).arguments


def test_controlled_sends_every_batch_gated_and_staggered_and_the_study_as_it_was(host: Host):
    own = (DispatchMode.PROMPT_LIST,)
    added = (DispatchMode.GATED, DispatchMode.STAGGERED)
    assert CONTROLLED.schedules(own) == own + added
    assert study().schedules(own) == own
    assert options(CONTROLLED, host).has_development_endpoints
    assert not options(study(), host).has_development_endpoints


@pytest.mark.parametrize("profile", ["study-d", "controlled", "demo"])
def test_what_the_harness_adds_by_itself_is_told_and_is_what_it_adds(host: Host, profile: str):
    spec = load_spec(profile).spec
    spec = spec.model_copy(update={"models": (ModelSpec(name="m", hf_id="org/m"),)})
    built = options(spec, host)
    told = added(spec, spec.schedules(()))
    variables = {f"{name}={value}" for name, value in built.environment.items()}
    assert set(told) <= {*built.arguments, *variables}
    closed = {
        "--served-model-name",
        "--enable-prompt-tokens-details",
        "--enable-logging-iteration-details",
        "--worker-extension-cls",
        "VLLM_SERVER_DEV_MODE=1",
    }
    assert {*told} == closed & {*built.arguments, *variables}
    if profile == "study-d":
        assert told == (
            "--served-model-name",
            "--enable-prompt-tokens-details",
            "--enable-logging-iteration-details",
        )
