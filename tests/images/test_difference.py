"""What changed from one image to another."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import docker
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from harness.errors import UsageError
from harness.images import Change, argument_changes, compare_images, load_inventory
from harness.images.inventory.contents import (
    Effect,
    InvariantModule,
    Inventory,
    KernelFile,
    Layer,
    OsPackages,
    Plugin,
    PythonFacts,
    ServerArgument,
    ServerArguments,
    TorchFacts,
    VllmFacts,
)
from harness.images.inventory.taking import ContentsCache, take_inventory

from .conftest import VLLM
from .inventories import SHA_A, SHA_B, arguments, inventory

ROOT = Path(__file__).parents[2]
OLD, NEW = "harness-vllm-cpu:0.31.0", VLLM
LATER = {
    "torch": TorchFacts("2.11.0", cuda="13.0"),
    "vllm": VllmFacts("0.20.2", "vllm", source_files=1, source_sha256=SHA_B),
}


def _with_config(image: str = "other:1", **changes):
    base = inventory(image)
    return replace(base, config=replace(base.config, **changes))


def test_the_headline_names_versions_and_counts_packages():
    newer = inventory("b:1", **LATER, python_packages={"torch": "2.11.0", "vllm": "0.20.2"})
    assert compare_images(inventory(), newer).headline == (
        "vLLM 0.19.1 → 0.20.2, torch 2.10.0 → 2.11.0, CUDA 12.9 → 13.0, 2 packages changed"
    )


def test_an_image_against_itself_is_the_same_image():
    difference = compare_images(inventory(), inventory())
    assert difference.headline == "the same image"
    assert difference.same_image


def test_equal_contents_under_two_ids_show_no_difference():
    assert (
        compare_images(inventory(), inventory("b:1")).headline == "no difference in what was read"
    )


def test_other_code_under_the_same_version_is_told():
    patched = inventory("b:1", vllm=VllmFacts("0.19.1", "vllm", source_sha256=SHA_B))
    assert compare_images(inventory(), patched).headline == (
        "vLLM's own code changed under the same version"
    )


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({"environment": {"PATH": "/bin", "X": "1"}}, "1 environment variable changed"),
        ({"entrypoint": ("python3",)}, "entrypoint changed"),
        ({"labels": {"version": "2"}}, "only labels changed"),
    ],
)
def test_a_change_outside_the_packages_is_in_the_headline(changes, headline: str):
    assert compare_images(inventory(), _with_config(**changes)).headline == headline


def test_an_image_that_could_not_be_read_is_not_called_unchanged():
    blank = inventory("b:1", python=None, python_packages={}, notes=("no Python",))
    difference = compare_images(inventory(), blank)
    assert difference.headline.endswith("what is inside could not be compared")
    assert "b:1: no Python" in difference.not_compared


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"platform": "linux/arm64"}, "platform changed"),
        ({"command": ("--enforce-eager",)}, "command changed"),
        ({"user": "vllm"}, "user changed"),
        ({"working_directory": "/w"}, "working directory changed"),
        ({"ports": ("8000/tcp",)}, "ports changed"),
    ],
)
def test_no_headline_says_that_nothing_differs_where_a_table_does(changes, words: str):
    assert compare_images(inventory(), _with_config(**changes)).headline == words
    both = {**changes, "labels": {"version": "2"}}
    assert compare_images(inventory(), _with_config(**both)).headline == words


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ({"plugins": (Plugin("lora", "vllm.general_plugins", "x:y", "vllm 1"),)}, "1 plugin"),
        ({"python": PythonFacts("3.12.3", "/usr/bin/python3", "Debian")}, "operating system"),
        ({"torch": TorchFacts("2.10.0", cuda="12.9", git_version="b")}, "torch commit"),
        ({"arguments": arguments(new=None)}, "1 server argument"),
    ],
)
def test_what_is_lesser_is_the_headline_where_nothing_greater_is(contents, words: str):
    assert compare_images(inventory(), inventory("b:1", **contents)).headline == f"{words} changed"


@pytest.mark.parametrize("id_", ["sha256:1", ""])
def test_one_id_does_not_make_one_image_of_two(id_: str):
    a, b = inventory(), inventory("b:1", **LATER)
    a, b = (replace(side, config=replace(side.config, id=id_)) for side in (a, b))
    difference = compare_images(a, b)
    assert not difference.same_image
    assert difference.headline.startswith("vLLM 0.19.1 → 0.20.2")
    assert any("one id" in gap for gap in difference.not_compared) is bool(id_)
    assert compare_images(a, a).same_image is bool(id_)


@pytest.mark.parametrize(
    ("part", "empty", "words"),
    [
        ("vllm", None, "vLLM"),
        ("torch", None, "torch"),
        ("kernels", (), "kernel files"),
        ("python_packages", {}, "Python packages"),
        ("os_packages", OsPackages(), "system packages"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_part_that_was_not_read_is_not_told_as_removed(part, empty, words, turned: bool):
    sides = [inventory(), inventory("b:1", **{part: empty})]
    difference = compare_images(*sides[:: -1 if turned else 1])
    assert difference.headline == (
        "no difference in what was read; some parts could not be compared"
    )
    assert not difference.anything_changed
    assert f"b:1: {words}: not read" in difference.not_compared


def test_a_part_of_which_no_package_is_there_was_removed():
    bare = inventory("b:1", vllm=None, kernels=(), batch_invariant=None, python_packages={"a": "1"})
    difference = compare_images(inventory(), bare)
    assert difference.headline.startswith("vLLM 0.19.1 removed")
    assert [kernel.change for kernel in difference.kernels] == ["removed"]


def test_an_inventory_of_a_form_to_come_is_refused(tmp_path: Path):
    told = msgspec.to_builtins(inventory())
    file = tmp_path / "a.json"
    file.write_text(json.dumps({**told, "schema_version": 99}))
    with pytest.raises(UsageError, match="schema_version"):
        load_inventory(file)
    file.write_text(json.dumps(told))
    assert load_inventory(file) == inventory()


def test_packages_are_added_removed_and_changed():
    other = inventory("b:1", python_packages={"torch": "2.11.0", "xgrammar": "0.2"})
    changes = compare_images(inventory(), other).python_packages
    assert [(change.name, change.change) for change in changes] == [
        ("torch", "changed"),
        ("vllm", "removed"),
        ("xgrammar", "added"),
    ]


def test_the_environment_entrypoint_labels_and_plugins_are_compared():
    other = _with_config(
        environment={"PATH": "/bin", "VLLM_X": "1"},
        entrypoint=("python3",),
        labels={"version": "2"},
    )
    plugin = Plugin("lora", "vllm.general_plugins", "x:y", "vllm 1")
    other = replace(other, contents=replace(other.contents, plugins=(plugin,)))
    difference = compare_images(inventory(), other)
    assert difference.environment == (Change.between("VLLM_X", None, "1"),)
    assert difference.configuration == (Change.between("entrypoint", "vllm serve", "python3"),)
    assert difference.labels == (Change.between("version", None, "2"),)
    assert difference.plugins[0].change == "added"


def test_shared_layers_are_counted_from_the_bottom():
    other = _with_config(layers=(Layer("sha256:1"), Layer("sha256:9"), Layer("sha256:2")))
    assert compare_images(inventory(), other).sizes.shared_layers == 1


def test_kernels_are_compared_by_content():
    kernels = (
        KernelFile("vllm/_C.abi3.so", SHA_B, 100),
        KernelFile("vllm/new.so", SHA_A, 5),
    )
    found = compare_images(inventory(), inventory("b:1", kernels=kernels)).kernels
    assert [(kernel.path, kernel.change) for kernel in found] == [
        ("vllm/_C.abi3.so", "changed"),
        ("vllm/new.so", "added"),
    ]


def test_an_operator_replaced_on_one_capability_only_changes_that_capability():
    effects = (
        Effect("operator", "aten::bmm", "CUDA"),
        Effect("operator", "aten::mm", "CUDA", conditions=("p.is_device_capability(90)",)),
    )
    module = InvariantModule("vllm/b.py", SHA_B, 10, effects)
    rows = compare_images(inventory(), inventory("b:1", batch_invariant=module)).batch_invariant
    assert rows.changed
    assert [row.capability for row in rows.capabilities if row.changed] == ["9.0"]


def test_an_image_without_the_module_has_lost_it():
    change = compare_images(inventory(), inventory("b:1", batch_invariant=None)).batch_invariant
    assert change.sha256 == (SHA_A, None)
    assert change.capabilities[0].operators_b == ()


@pytest.mark.parametrize(
    ("vllm", "torch", "tags"),
    [
        ("0.19.1", "2.10.0", ["A1 blas", "A2 override", "B1 all-reduce"]),
        ("0.31.0", "2.13.0", ["A1 blas", "B1 all-reduce"]),
        ("0.32.0", "2.13.0", ["A1 blas"]),
        ("0.11.0", "2.8.0", []),
    ],
)
def test_the_expected_evidence_follows_vllm_and_torch(vllm: str, torch: str, tags: list[str]):
    side = inventory(vllm=VllmFacts(vllm, "vllm"), torch=TorchFacts(torch, cuda="13.0"))
    evidence = compare_images(side, side).a.evidence
    assert [text.partition(":")[0] for text in evidence.required] == tags
    assert evidence.supported is bool(tags)


def test_a_cpu_image_without_the_plugin_is_warned_of():
    base = inventory(vllm=VllmFacts("0.32.0", "vllm-cpu"))
    cpu = replace(base, config=replace(base.config, needs_gpu=False))
    evidence = compare_images(cpu, cpu).a.evidence
    assert evidence.device == "cpu"
    assert "no batch-invariant plugin" in evidence.notes[0]


@pytest.mark.parametrize(
    "contents",
    [
        {"vllm": None},
        {"vllm": VllmFacts("0.1.dev9+gabc", "vllm")},
        {"torch": TorchFacts("2.10.0", hip="6.4")},
    ],
)
def test_there_is_no_rule_where_none_is_known(contents: dict[str, object]):
    side = inventory(**contents)
    assert compare_images(side, side).a.evidence.device is None


def test_arguments_are_added_removed_and_changed():
    changes = argument_changes(arguments(old=1, seed=0), arguments(new=None, seed=42))
    assert [(change.name, change.change) for change in changes] == [
        ("--new", "added"),
        ("--old", "removed"),
        ("--seed", "changed"),
    ]
    assert changes[2].details == (Change.between("default", "0", "42"),)


def test_a_default_inside_a_mapping_is_named_by_its_key():
    changes = argument_changes(
        arguments(config={"mode": None, "sizes": [1]}), arguments(config={"mode": 3, "sizes": [1]})
    )
    assert changes[0].details == (Change.between("default.mode", "None", "3"),)
    assert changes[0].default_changed


def test_a_key_that_only_came_is_no_changed_default():
    changes = argument_changes(arguments(config={}), arguments(config={"fresh": True}))
    assert changes[0].details == (Change.between("default.fresh", None, "true"),)
    assert not changes[0].default_changed


@pytest.mark.parametrize(("a", "b"), [(0, False), (1, True), (None, "None"), (1, 1.0)])
def test_defaults_of_other_types_are_other_defaults(a: object, b: object):
    assert argument_changes(arguments(x=a), arguments(x=b))


def test_of_choices_only_what_came_and_went_is_told():
    a = ServerArguments("parser", (ServerArgument(("--x",), choices=["a", "b"]),))
    b = ServerArguments("parser", (ServerArgument(("--x",), choices=["b", "c"]),))
    assert argument_changes(a, b)[0].details == (Change.between("choices", "a", "c"),)


def test_an_argument_under_a_further_spelling_is_the_same_argument():
    a = ServerArguments("parser", (ServerArgument(("--max-len", "-m")),))
    b = ServerArguments("parser", (ServerArgument(("--maximum-length", "--max-len", "-m")),))
    assert [change.change for change in argument_changes(a, b)] == ["changed"]


def test_defaults_of_a_printed_help_are_not_set_against_a_parsers():
    assert argument_changes(arguments("help", port="8000"), arguments()) == ()
    difference = compare_images(
        inventory(arguments=arguments("help", port="8000")), inventory("b:1")
    )
    assert any("read another way" in note for note in difference.not_compared)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers() | st.none()))
def test_equal_arguments_never_differ(defaults: dict[str, int | None]):
    assert argument_changes(arguments(**defaults), arguments(**defaults)) == ()


def test_a_difference_is_json():
    text = msgspec.json.encode(compare_images(inventory(), inventory("b:1", **LATER)))
    assert json.loads(text)["versions"][0]["change"] == "changed"


def test_a_commit_is_found_in_label_environment_or_version():
    by_label = _with_config(labels={"ai.vllm.build.commit": "c0ffee"})
    by_version = inventory(vllm=VllmFacts("0.20.2rc1.dev3+gabc123.cu13", "vllm"))
    assert by_label.versions.vllm_commit == "c0ffee"
    assert by_version.versions.vllm_commit == "abc123"
    assert inventory().versions.vllm_commit is None


def test_pythons_and_systems_are_compared():
    other = inventory("b:1", python=PythonFacts("3.12.4", "/usr/bin/python3", "Ubuntu 24.04"))
    names = [change.name for change in compare_images(inventory(), other).versions]
    assert names == ["Python", "operating system"]


def _is_built_on(engine: docker.DockerClient, image: str, base: str) -> bool:
    try:
        layers = engine.images.get(image).attrs["RootFS"]["Layers"]
    except docker.errors.ImageNotFound:
        return False
    below = engine.images.get(base).attrs["RootFS"]["Layers"]
    return bool(layers[: len(below)] == below)


@pytest.fixture(scope="module")
def older_image(engine: docker.DockerClient) -> str:
    """The CPU engine with vLLM 0.31.0, built on the 0.32.0 image that is here now."""
    if not _is_built_on(engine, OLD, NEW):
        command = ["docker/cpu/build.sh", OLD, "-f", "docker/cpu/Dockerfile.previous"]
        environment = {**os.environ, "BASE_IMAGE": NEW}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=800)
    return OLD


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_the_difference_of_two_real_versions_is_what_their_sources_say(
    engine: docker.DockerClient, older_image: str, vllm_inventory: Inventory, tmp_path: Path
):
    """Checked by hand in the sources of vLLM 0.31.0 and 0.32.0."""
    older = take_inventory(older_image, engine, cache=ContentsCache(tmp_path))
    difference = compare_images(older, vllm_inventory)
    details = {(one.name, d.name): (d.a, d.b) for one in difference.arguments for d in one.details}
    added = {one.name for one in difference.arguments if one.change == "added"}
    assert difference.headline.startswith("vLLM 0.31.0 → 0.32.0, 4 packages changed")
    # entrypoints/launchers/cli_args.py: allowed_origins is empty now
    assert details["--allowed-origins", "default"] == ('["*"]', "[]")
    # engine/arg_utils.py: disable_cascade_attn is decided later now
    assert details["--disable-cascade-attn", "default"] == ("true", "None")
    # config/cache.py: MambaCacheMode lost "all", CacheDType has a new member
    assert details["--mamba-cache-mode", "choices"] == ("all", None)
    assert details["--kv-cache-dtype", "choices"] == (None, "ultraquant_4bit")
    # config/compilation.py: pass_config has no sequence parallelism any more
    assert details["--compilation-config", "default.pass_config.enable_sp"] == ("None", None)
    # config/parallel.py, cli_args.py, config/observability.py
    assert {"--enable-hc-sp", "--grpc-port", "--custom-histogram-buckets"} <= added
    # determinism/batch_invariant.py: out variants are replaced too
    hopper = {row.capability: row for row in difference.batch_invariant.capabilities}["9.0"]
    assert set(hopper.operators_b) - set(hopper.operators_a) == {"aten::bmm.out"}
