"""Compose files and what a run starts come from the same options; here they are held together."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import main
from harness.jobs import this_machine
from harness.machine import GpuAccess, Owner
from harness.serve import LaunchOptions, launch_options
from harness.serve.compose_file import compose_file, compose_service
from harness.serve.docker import container_arguments
from harness.settings import load_spec
from harness.words import Mode

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "compose").glob("*.yaml"))


@pytest.fixture
def options(host) -> LaunchOptions:
    spec = load_spec("study-d").spec
    return launch_options(spec, spec.models[0], Mode.BATCH_INVARIANT, host=host, run_id="r1")


def test_there_is_a_file_for_gpus_and_one_for_the_cpu_engine():
    assert [path.name for path in SHIPPED] == ["cpu.yaml", "gpu.yaml"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_file_is_what_its_own_command_makes_today(path, monkeypatch, tmp_path):
    command = path.read_text().splitlines()[0].removeprefix("# Made by: ")
    arguments = shlex.split(command)
    out = ROOT / "compose" / f".{path.name}.made"
    monkeypatch.chdir(ROOT)
    try:
        with pytest.raises(SystemExit) as caught:
            main([*arguments[1:-1], str(out)])
        assert not caught.value.code
        assert yaml.safe_load(out.read_text()) == yaml.safe_load(path.read_text())
    finally:
        out.unlink(missing_ok=True)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_file_says_what_to_do_where_the_engine_refuses_its_limits(path):
    head = path.read_text().partition("\nname: ")[0]
    assert "`ulimits`: delete them" in head
    services = yaml.safe_load(path.read_text())["services"]
    assert all("ulimits" in service for service in services.values())


def test_a_service_starts_the_program_that_a_run_starts(options):
    service, arguments = _both(options)
    assert service["image"] == arguments["image"]
    assert service["entrypoint"] == arguments["entrypoint"]
    assert service["command"] == arguments["command"]


def test_a_service_has_the_environment_of_a_run(options):
    service, arguments = _both(options)
    # an empty text is no number to vLLM
    cleared = {"PYTHONWARNINGS=", "TORCH_CPP_LOG_LEVEL=", "VLLM_USE_RUST_FRONTEND=0"}
    assert {entry.partition("=")[0] for entry in cleared} == set(options.cleared_variables)
    in_run = {entry for entry in arguments["environment"] if "=" in entry}
    in_file = {entry for entry in service["environment"] if "=" in entry}
    assert in_file == in_run | cleared
    passed_on = {entry for entry in service["environment"] if "=" not in entry}
    assert passed_on == set(options.secret_variables)


def test_a_service_has_the_limits_and_mounts_of_a_run(options):
    service, arguments = _both(options)
    assert (service["ipc"], service["shm_size"]) == (
        arguments["ipc_mode"],
        arguments["shm_size"],
    )
    assert service["ulimits"] == {
        limit["Name"]: {"soft": limit["Soft"], "hard": limit["Hard"]}
        for limit in arguments["ulimits"]
    }
    assert [(m["type"], m["target"], m["read_only"]) for m in service["volumes"]] == [
        (m["Type"], m["Target"], m["ReadOnly"]) for m in arguments["mounts"]
    ]


def test_a_service_is_published_where_a_run_publishes(options):
    service, arguments = _both(options)
    ((port, (address, host_port)),) = arguments["ports"].items()
    assert service["ports"] == [f"{address}:{host_port}:{port.removesuffix('/tcp')}"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_two_services_differ_in_the_mode_its_cache_and_the_port_only(path):
    services: dict[str, Any] = yaml.safe_load(path.read_text())["services"]
    standard, invariant = services["standard"], services["batch_invariant"]
    different = {key for key in standard if standard[key] != invariant[key]}
    assert different == {"environment", "volumes", "ports", "labels"}
    assert set(standard["environment"]) ^ set(invariant["environment"]) == {
        "VLLM_BATCH_INVARIANT=0",
        "VLLM_BATCH_INVARIANT=1",
    }


@pytest.mark.parametrize(
    ("access", "asked"),
    [
        (GpuAccess.RUNTIME, {"driver": "nvidia", "count": "all"}),
        (GpuAccess.CDI, {"driver": "cdi", "device_ids": ["nvidia.com/gpu=all"]}),
    ],
)
def test_gpus_are_asked_for_the_way_the_engine_has_them(host, access, asked):
    from dataclasses import replace

    spec = load_spec("study-d").spec
    options = launch_options(
        spec, spec.models[0], Mode.STANDARD, host=replace(host, gpu=access), run_id="r1"
    )
    service = compose_service(options, folder=ROOT / "compose")
    devices = service["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{**asked, "capabilities": ["gpu"]}]
    assert "devices" not in service


def _both(options: LaunchOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    service = compose_service(options, folder=ROOT / "compose")
    return service, container_arguments(options, name="n", owner=Owner("h", 1, 1))


def test_what_is_started_by_hand_has_no_nonce_and_nothing_of_this_installation():
    spec = load_spec("controlled").spec
    assert spec.controls.worker_proof
    folder = ROOT / "compose"
    text = yaml.safe_dump(
        compose_file(
            spec, spec.models[0], image="i", gpu=GpuAccess.RUNTIME, root=ROOT, folder=folder
        )
    )
    assert "worker-extension" not in text
    assert "llama3.2-1b\n" in text


@pytest.mark.parametrize(("profile", "opened"), [("study-d", False), ("controlled", True)])
def test_a_file_opens_the_development_endpoints_for_gated_batches_alone_and_on_loopback(
    profile, opened
):
    spec = load_spec(profile).spec
    made = compose_file(
        spec, spec.models[0], image="i", gpu=GpuAccess.RUNTIME, root=ROOT, folder=ROOT / "compose"
    )
    for service in made["services"].values():
        assert ("VLLM_SERVER_DEV_MODE=1" in service["environment"]) is opened
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_clean_is_no_success_where_runs_used_docker_and_no_engine_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    (tmp_path / "r").mkdir()
    untouched = this_machine.clean(None, tmp_path, dry_run=False)
    (tmp_path / "r/docker_standard_m.log").write_text("")
    done = this_machine.clean(None, tmp_path, dry_run=False)
    (tmp_path / "r/docker_standard_m.log").unlink()
    (tmp_path / "r/metadata.json").write_text('{"resolved_spec": {"backend": "docker"}}')
    killed_at_its_start = this_machine.clean("r", tmp_path, dry_run=False)
    assert killed_at_its_start.failure is not None
    assert untouched.failure is None
    assert "as far as could be looked" in str(untouched.lines)
    assert "containers were not looked at" in str(done.remarks)
    assert done.failure is not None
    assert done.failure.exit_code == 3
