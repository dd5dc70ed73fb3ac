"""The verdict on a server's log: fail-closed, by version, and not to be talked into anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.prove import EvidenceTag, read_activation
from harness.prove.evidence import EVIDENCE, TRACES, Evidence
from harness.prove.server_log import ServerLog
from harness.words import Mode, Verdict

LOGS = Path(__file__).parent.parent / "data" / "vllm_logs"
STANDARD, INVARIANT = Mode.STANDARD, Mode.BATCH_INVARIANT
H200_INVARIANT = "vllm-0.20.2-h200-batch_invariant.log"
H200_STANDARD = "vllm-0.20.2-h200-standard.log"
CPU_STANDARD = "vllm-0.32.0-cpu-standard.log"
ENGINE_DIED = "vllm-0.32.0-cpu-batch_invariant-engine_died.log"

EXPECTED = {
    # file: (read as a standard log, read as an invariant log)
    "vllm-0.19.1-h200-batch_invariant.log": (Verdict.CONTAMINATED, Verdict.ACTIVE),
    "vllm-0.19.1-h200-docker-batch_invariant-gated.log": (Verdict.CONTAMINATED, Verdict.ACTIVE),
    "vllm-0.19.1-h200-docker-standard-gated.log": (Verdict.CLEAN, Verdict.INCONCLUSIVE),
    "vllm-0.19.1-h200-standard.log": (Verdict.CLEAN, Verdict.INCONCLUSIVE),
    "vllm-0.20.2-failed-import.log": (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),
    H200_INVARIANT: (Verdict.CONTAMINATED, Verdict.ACTIVE),
    "vllm-0.20.2-h200-failed-deep_gemm.log": (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),
    H200_STANDARD: (Verdict.CLEAN, Verdict.INCONCLUSIVE),
    ENGINE_DIED: (Verdict.CONTAMINATED, Verdict.INCONCLUSIVE),
    "vllm-0.32.0-cpu-docker-failed-shm.log": (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),
    "vllm-0.32.0-cpu-docker-standard-gated.log": (Verdict.CLEAN, Verdict.INCONCLUSIVE),
    CPU_STANDARD: (Verdict.CLEAN, Verdict.INCONCLUSIVE),
    "vllm-0.32.0-cpu-plugin-batch_invariant.log": (Verdict.CONTAMINATED, Verdict.ACTIVE),
    "vllm-0.32.0-cpu-plugin-standard.log": (Verdict.CLEAN, Verdict.INCONCLUSIVE),
}

BLAS = "preferred_blas_library is an experimental feature"
OVERRIDE = "Overriding a previously registered kernel"
SERVING = "Application startup complete."
CPU_BLOCK = """\
/venv/lib/python3.11/site-packages/torch/library.py:505: UserWarning: Warning only once for all
  Overriding a previously registered kernel for the same operator and the same dispatch key
  operator: aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False) -> Tensor
    registered at /pytorch/build/aten/src/ATen/RegisterSchema.cpp:6
  dispatch key: CPU
  previous kernel: registered at /pytorch/build/aten/src/ATen/RegisterCPU_2.cpp:8338
       new kernel: registered at {kernel} (Triggered internally at OperatorEntry.cpp:225.)
"""
PLUGIN = "/venv/lib/python3.11/site-packages/vllm_cpu_batch_invariant/patches.py:57"


def log(name: str) -> str:
    return (LOGS / name).read_text(encoding="utf-8", errors="replace")


def without(text: str, pattern: str) -> str:
    return "\n".join(line for line in text.split("\n") if not re.search(pattern, line))


def insert_before(text: str, pattern: str, added: str) -> str:
    lines = text.split("\n")
    index = next(i for i, line in enumerate(lines) if re.search(pattern, line))
    return "\n".join([*lines[:index], added.rstrip("\n"), *lines[index:]])


def as_version(text: str, version: str) -> str:
    return text.replace("LLM engine (v0.20.2)", f"LLM engine (v{version})")


def verdict(text: str, mode: Mode, **known: object) -> Verdict:
    return read_activation(text, mode=mode, **known).verdict  # type: ignore[arg-type]


def test_every_log_of_the_test_data_has_an_expected_verdict():
    assert {path.name for path in LOGS.glob("*.log")} == set(EXPECTED)


@pytest.mark.parametrize(("name", "mode"), [(n, m) for n in EXPECTED for m in Mode])
def test_a_real_log_gets_its_verdict(name: str, mode: Mode):
    assert verdict(log(name), mode) is EXPECTED[name][mode is INVARIANT]


@pytest.mark.parametrize(("name", "mode"), [(n, m) for n in EXPECTED for m in Mode])
def test_a_folder_with_a_space_in_its_name_changes_no_verdict(name: str, mode: Mode):
    moved = re.sub(r"(?<![\w./-])/(?=[\w.-]+/[\w./-]*\.py\b)", "/a home/my cache/", log(name))
    assert verdict(moved, mode) is EXPECTED[name][mode is INVARIANT]


@pytest.mark.parametrize("mode", list(Mode))
def test_an_empty_log_is_inconclusive(mode: Mode):
    evidence = read_activation("", mode=mode)
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert evidence.missing


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_quoted_lines_stand_in_the_log_at_their_numbers(name: str):
    text = log(name)
    lines = text.split("\n")
    for quoted in read_activation(text, mode=INVARIANT).lines:
        if quoted.tag is not EvidenceTag.ALL_REDUCE:
            assert quoted.text in lines[quoted.number - 1]


def test_the_operator_that_torch_names_is_recorded():
    assert read_activation(log(H200_INVARIANT), mode=INVARIANT).operator == "aten::_log_softmax"


def test_a_standard_log_of_unknown_version_is_inconclusive():
    text = without(log(H200_STANDARD), "Initializing a V1 LLM engine")
    assert verdict(text, STANDARD) is Verdict.INCONCLUSIVE


def test_a_build_that_hides_its_release_is_inconclusive():
    text = as_version(log(H200_STANDARD), "0.1.dev9+g1a2b3c4")
    assert verdict(text, STANDARD) is Verdict.INCONCLUSIVE


def test_a_standard_log_that_ends_before_serving_is_inconclusive():
    text = log(H200_STANDARD).split("Starting vLLM server", 1)[0]
    assert verdict(text, STANDARD) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "line", [BLAS, OVERRIDE, "operator: aten::", "dispatch key: CUDA", "new kernel:"]
)
def test_up_to_0_26_an_invariant_log_needs_every_line(line: str):
    assert verdict(without(log(H200_INVARIANT), line), INVARIANT) is Verdict.INCONCLUSIVE


def test_from_0_27_on_the_override_warning_is_not_required():
    text = without(as_version(log(H200_INVARIANT), "0.28.0"), OVERRIDE)
    assert verdict(text, INVARIANT) is Verdict.ACTIVE


def test_from_0_27_on_the_blas_line_is_still_required():
    text = without(as_version(log(H200_INVARIANT), "0.28.0"), BLAS)
    assert verdict(text, INVARIANT) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("version", "override_needed"),
    [("0.11.1", True), ("0.26.0", True), ("0.26.5", True), ("0.27.0", False), ("0.32.0", False)],
)
def test_the_override_warning_is_needed_up_to_0_26(version: str, override_needed: bool):
    text = without(as_version(log(H200_INVARIANT), version), OVERRIDE)
    wanted = Verdict.INCONCLUSIVE if override_needed else Verdict.ACTIVE
    assert verdict(text, INVARIANT) is wanted


@pytest.mark.parametrize(
    ("version", "wanted"), [("0.31.9", Verdict.CONTAMINATED), ("0.32.0", Verdict.CLEAN)]
)
def test_the_all_reduce_setting_counts_up_to_0_31(version: str, wanted: Verdict):
    text = as_version(log(H200_STANDARD), version).replace(
        "disable_custom_all_reduce=False", "disable_custom_all_reduce=True"
    )
    assert verdict(text, STANDARD) is wanted


def test_a_known_torch_decides_over_the_vllm_version():
    new_torch = without(log(H200_INVARIANT), OVERRIDE)
    assert verdict(new_torch, INVARIANT, torch_version="2.13.0+cu130") is Verdict.ACTIVE
    old_torch = without(as_version(log(H200_INVARIANT), "0.28.0"), OVERRIDE)
    assert verdict(old_torch, INVARIANT, torch_version="2.11.0") is Verdict.INCONCLUSIVE


def test_0_11_0_is_never_active():
    text = as_version(log(H200_INVARIANT), "0.11.0")
    assert verdict(text, INVARIANT) is Verdict.INCONCLUSIVE


def test_the_all_reduce_setting_contradicting_the_mode_is_not_active():
    text = log(H200_INVARIANT).replace(
        "disable_custom_all_reduce=True", "disable_custom_all_reduce=False"
    )
    assert verdict(text, INVARIANT) is Verdict.INCONCLUSIVE


def test_the_all_reduce_setting_alone_contaminates_a_standard_log():
    text = log(H200_STANDARD).replace(
        "disable_custom_all_reduce=False", "disable_custom_all_reduce=True"
    )
    assert verdict(text, STANDARD) is Verdict.CONTAMINATED


def test_an_all_reduce_setting_that_was_asked_for_does_not_contaminate():
    text = (
        log(H200_STANDARD)
        .replace("disable_custom_all_reduce=False", "disable_custom_all_reduce=True")
        .replace("non-default args: {", "non-default args: {'disable_custom_all_reduce': True, ")
    )
    assert verdict(text, STANDARD) is Verdict.CLEAN


def test_from_0_32_on_the_all_reduce_setting_says_nothing():
    text = as_version(log(H200_INVARIANT), "0.32.0").replace(
        "disable_custom_all_reduce=True", "disable_custom_all_reduce=False"
    )
    assert verdict(text, INVARIANT) is Verdict.ACTIVE


@pytest.mark.parametrize("line", [BLAS, "new kernel: registered at .*batch_invariant"])
def test_one_line_of_the_other_path_contaminates_a_standard_log(line: str):
    found = next(row for row in log(H200_INVARIANT).split("\n") if re.search(line, row))
    text = insert_before(log(H200_STANDARD), "Starting to load model", found)
    assert verdict(text, STANDARD) is Verdict.CONTAMINATED


@pytest.mark.parametrize("name", ["PYTHONWARNINGS", "TORCH_CPP_LOG_LEVEL"])
def test_a_standard_log_whose_evidence_was_suppressed_is_inconclusive(name: str):
    evidence = read_activation(
        log(H200_STANDARD),
        mode=STANDARD,
        environment={"VLLM_BATCH_INVARIANT": "0", name: "ignore"},
    )
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert any(name in note for note in evidence.notes)


def test_the_environment_must_not_contradict_an_active_log():
    text = log(H200_INVARIANT)
    assert verdict(text, INVARIANT, environment={"VLLM_BATCH_INVARIANT": "1"}) is Verdict.ACTIVE
    assert (
        verdict(text, INVARIANT, environment={"VLLM_BATCH_INVARIANT": "0"}) is Verdict.INCONCLUSIVE
    )


def test_the_variable_set_contaminates_a_standard_server_whatever_its_log_shows():
    environment = {"VLLM_BATCH_INVARIANT": "1"}
    assert verdict(log(H200_STANDARD), STANDARD, environment=environment) is Verdict.CONTAMINATED


def test_every_worker_of_a_tensor_parallel_server_must_show_the_path():
    text = log(H200_INVARIANT).replace("tensor_parallel_size=1", "tensor_parallel_size=2")
    evidence = read_activation(text, mode=INVARIANT)
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert any("1 of 2 worker" in item for item in evidence.missing)


def test_interleaved_blocks_of_two_workers_are_read_apart():
    text = log(H200_INVARIANT).replace("tensor_parallel_size=1", "tensor_parallel_size=2")
    doubled = []
    for line in text.split("\n"):
        doubled.append(line)
        if BLAS in line:
            doubled.append(line)
        if re.search(
            r"Overriding a prev|operator: aten|dispatch key|new kernel|previous kern", line
        ):
            doubled.append(line.replace("(EngineCore pid=1282)", "(Worker_TP1 pid=1283)"))
    assert verdict("\n".join(doubled), INVARIANT) is Verdict.ACTIVE


def test_a_newer_vllm_than_any_studied_is_judged_with_a_note():
    evidence = read_activation(as_version(log(H200_INVARIANT), "0.40.0"), mode=INVARIANT)
    assert evidence.verdict is Verdict.ACTIVE
    assert any("newer than 0.33" in n and "not known" in n for n in evidence.notes)


@pytest.mark.parametrize("minor", [28, 29, 30, 31, 32, 33])
@pytest.mark.parametrize("torch", ["2.13.0", "2.14.0"])
def test_each_release_up_to_the_last_one_read_is_judged_without_a_note(minor: int, torch: str):
    text = as_version(log(H200_INVARIANT), f"0.{minor}.0")
    evidence = read_activation(text, mode=INVARIANT, torch_version=torch)
    assert (evidence.verdict, evidence.notes) == (Verdict.ACTIVE, ())


def test_a_newer_torch_than_any_run_is_judged_with_a_note():
    text = as_version(log(H200_INVARIANT), "0.33.0")
    evidence = read_activation(text, mode=INVARIANT, torch_version="2.15.0")
    assert any("torch 2.15.0 is newer than 2.14" in note for note in evidence.notes)


# -- text that only looks like evidence --------------------------------------------------------


def block_of(name: str) -> list[str]:
    return [
        line
        for line in log(name).split("\n")
        if re.search(r"Overriding a prev|operator: aten|dispatch key|new kernel", line)
        or BLAS in line
    ]


def bare_invariant() -> str:
    """An invariant log whose activation lines are gone."""
    lines = set(block_of(H200_INVARIANT))
    return "\n".join(line for line in log(H200_INVARIANT).split("\n") if line not in lines)


def test_evidence_printed_after_serving_began_proves_nothing():
    text = bare_invariant() + "\n" + "\n".join(block_of(H200_INVARIANT))
    assert verdict(text, INVARIANT) is Verdict.INCONCLUSIVE


def test_evidence_in_the_api_servers_name_proves_nothing():
    forged = "\n".join(
        "(APIServer pid=1218) " + line.replace("(EngineCore pid=1282) ", "")
        for line in block_of(H200_INVARIANT)
    )
    text = insert_before(bare_invariant(), "Starting to load model", forged)
    assert verdict(text, INVARIANT) is Verdict.INCONCLUSIVE


def test_evidence_quoted_inside_a_log_message_proves_nothing():
    header = "(EngineCore pid=1282) INFO 11-23 16:31:18 [x.py:1] prompt: "
    forged = "\n".join(header + line for line in block_of(H200_INVARIANT))
    text = insert_before(bare_invariant(), "Starting to load model", forged)
    assert verdict(text, INVARIANT) is Verdict.INCONCLUSIVE


def test_evidence_before_the_engine_exists_proves_nothing():
    text = insert_before(bare_invariant(), "non-default args", "\n".join(block_of(H200_INVARIANT)))
    assert verdict(text, INVARIANT) is Verdict.INCONCLUSIVE


def test_lines_of_a_block_out_of_order_prove_nothing():
    shuffled = list(reversed(block_of(H200_INVARIANT)))
    text = insert_before(bare_invariant(), "Starting to load model", "\n".join(shuffled))
    assert verdict(text, INVARIANT) is Verdict.INCONCLUSIVE


def test_an_override_by_another_module_proves_nothing():
    text = log(H200_INVARIANT).replace(
        "vllm/model_executor/layers/batch_invariant.py:931", "flash_ops/kernels.py:1"
    )
    assert verdict(text, INVARIANT) is Verdict.INCONCLUSIVE


@settings(deadline=None)  # a busy machine
@given(st.lists(st.text(), max_size=5), st.sampled_from([*block_of(H200_INVARIANT), "x"]))
def test_request_text_after_serving_began_never_changes_a_verdict(texts: list[str], quoted: str):
    logged = "\n".join(f"(APIServer pid=1218) {text}{quoted}" for text in texts)
    for name, mode, wanted in (
        (H200_STANDARD, STANDARD, Verdict.CLEAN),
        (H200_STANDARD, INVARIANT, Verdict.INCONCLUSIVE),
    ):
        assert verdict(f"{log(name)}\n{logged}", mode) is wanted


@given(st.data())
def test_an_invariant_log_cut_anywhere_before_serving_is_never_active(data: st.DataObject):
    text = log(H200_INVARIANT)
    serving = text.index("Starting vLLM server")
    cut = data.draw(st.integers(0, serving))
    assert verdict(text[:cut], INVARIANT) is Verdict.INCONCLUSIVE


# -- the CPU server ----------------------------------------------------------------------------


def cpu_log(kernel: str = PLUGIN, before: str = "Starting to load model") -> str:
    return insert_before(log(CPU_STANDARD), before, CPU_BLOCK.format(kernel=kernel))


def test_a_cpu_server_is_active_when_the_plugins_override_is_registered():
    evidence = read_activation(cpu_log(), mode=INVARIANT)
    assert evidence.verdict is Verdict.ACTIVE
    assert {line.tag for line in evidence.lines} >= {EvidenceTag.CPU_OVERRIDE}
    assert evidence.operator == "aten::mean.dim"


def test_a_cpu_override_by_vllms_own_triton_kernels_is_not_active():
    own = "/venv/lib/python3.11/site-packages/vllm/model_executor/determinism/batch_invariant.py:99"
    assert verdict(cpu_log(own), INVARIANT) is Verdict.INCONCLUSIVE


def test_a_cpu_override_by_an_unrelated_module_is_not_active():
    assert verdict(cpu_log("/venv/lib/other/ops.py:1"), INVARIANT) is Verdict.INCONCLUSIVE


def test_a_plugin_loaded_before_the_engine_exists_is_not_active():
    assert verdict(cpu_log(before="non-default args"), INVARIANT) is Verdict.INCONCLUSIVE


def test_the_plugins_override_contaminates_a_standard_cpu_server():
    assert verdict(cpu_log(), STANDARD) is Verdict.CONTAMINATED


def test_evidence_for_a_gpu_does_not_count_on_a_cpu():
    evidence = read_activation(log(H200_INVARIANT), mode=INVARIANT, device="cpu")
    assert evidence.verdict is Verdict.INCONCLUSIVE


def test_the_evidence_is_json():
    import json

    value = json.loads(json.dumps(read_activation(cpu_log(), mode=INVARIANT).to_json()))
    assert value["verdict"] == "active"
    assert value["lines"][0]["line"] > 0


@pytest.mark.parametrize(
    "row", [row for row in EVIDENCE if row.trace], ids=lambda row: row.tag.name
)
def test_what_proves_the_invariant_path_contaminates_a_standard_log(row: Evidence):
    found = [
        finding.lines
        for name in EXPECTED
        for finding in row.find(ServerLog.read(log(name)).engine_lines)
    ]
    assert found
    assert all(any(TRACES.search(line.text) for line in lines) for lines in found)


def test_every_row_of_evidence_has_a_tag_of_its_own():
    assert len({row.tag for row in EVIDENCE}) == len(EVIDENCE)


@pytest.mark.parametrize("name", [n for n, (_, at) in EXPECTED.items() if at is Verdict.ACTIVE])
def test_an_invariant_log_is_never_clean_wherever_a_sign_of_serving_was_moved_to(name: str):
    rows = log(name).split("\n")
    signs = [n for n, row in enumerate(rows) if "startup complete" in row or " HTTP/1.1" in row]
    for sign in (signs[0], signs[-1]):
        for place in range(0, sign, 7):
            moved = [*rows[:place], rows[sign], *rows[place:sign], *rows[sign + 1 :]]
            swapped = list(rows)
            swapped[place], swapped[sign] = rows[sign], rows[place]
            for changed in (moved, swapped):
                assert verdict("\n".join(changed), Mode.STANDARD) is not Verdict.CLEAN, place


@pytest.mark.parametrize("damage", ["\ufffd", "\x00", "\x1f", "\x7f"])
def test_a_standard_log_whose_start_was_damaged_is_not_clean(damage: str):
    for name, at in ((n, at) for n, (at, _) in EXPECTED.items() if at is Verdict.CLEAN):
        text = log(name)
        assert verdict(insert_before(text, "Starting to load model", damage), STANDARD) is not at
        assert verdict(text + damage, STANDARD) is at  # what is asked later may hold anything
