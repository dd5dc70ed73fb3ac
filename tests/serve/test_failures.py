"""A failed log is read for its cause, not for its last line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.serve import FailureKind, classify_startup_failure

LOGS = Path(__file__).parent.parent / "data" / "vllm_logs"


@pytest.mark.parametrize(
    ("name", "kind", "quote"),
    [
        (
            "vllm-0.20.2-failed-import.log",
            FailureKind.MISSING_PACKAGE,
            "No module named 'pycountry'",
        ),
        (
            "vllm-0.20.2-h200-failed-deep_gemm.log",
            FailureKind.MISSING_PACKAGE,
            "RuntimeError: DeepGEMM backend is not available or outdated",
        ),
        (
            "vllm-0.32.0-cpu-docker-failed-shm.log",
            FailureKind.MISSING_LIBRARY,
            "libnuma.so.1: cannot open shared object file",
        ),
        (
            "vllm-0.32.0-cpu-batch_invariant-engine_died.log",
            FailureKind.UNSUPPORTED,
            "TypeError: 'function' object is not subscriptable",
        ),
    ],
)
def test_a_real_failed_log_is_classified_by_its_cause(name: str, kind: FailureKind, quote: str):
    failure = classify_startup_failure((LOGS / name).read_text(errors="replace"), 1)
    assert failure.kind is kind
    assert quote in failure.quote[0]
    assert failure.remedy


def test_the_missing_plugin_is_named_as_the_remedy():
    text = (LOGS / "vllm-0.32.0-cpu-batch_invariant-engine_died.log").read_text(errors="replace")
    failure = classify_startup_failure(text, 0)
    assert "engine died" in failure.cause
    assert "docker/cpu/plugin" in failure.remedy


BI = "VLLM batch_invariant mode requires an attention backend in ['FLASH_ATTN'], but got 'None'."


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"RuntimeError: {BI} Please use --attention-backend", FailureKind.UNSUPPORTED),
        (
            "ValueError: Selected backend AttentionBackendEnum.FLASHINFER is not valid for this "
            "configuration. Reason: ['batch invariance not supported']",
            FailureKind.UNSUPPORTED,
        ),
        (
            "ValueError: No valid attention backend found for cuda with "
            "AttentionSelectorConfig(head_size=64, use_batch_invariant=True). Reasons: {}",
            FailureKind.UNSUPPORTED,
        ),
        (
            "RuntimeError: VLLM batch_invariant mode is not supported for GDN_ATTN.",
            FailureKind.UNSUPPORTED,
        ),
        ("ValueError: kernel does not support batch invariance", FailureKind.UNSUPPORTED),
        (
            "NotImplementedError: FP8 Marlin not supported for batch invariant execution.",
            FailureKind.UNSUPPORTED,
        ),
        (
            "AssertionError: Batch invariance is not supported for variance_size_override",
            FailureKind.UNSUPPORTED,
        ),
        (
            "RuntimeError: vllm_cpu_batch_invariant needs --enforce-eager: a compiled model",
            FailureKind.UNSUPPORTED,
        ),
        (
            'docker: could not select device driver "" with capabilities: [[gpu]]',
            FailureKind.NO_DEVICE,
        ),
        ("unknown or invalid runtime name: nvidia", FailureKind.NO_DEVICE),
        ("RuntimeError: Failed to infer device type", FailureKind.NO_DEVICE),
        (
            "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.9, please",
            FailureKind.CUDA,
        ),
        (
            "RuntimeError: Unexpected error. Error 803: system has unsupported display driver / "
            "cuda driver combination",
            FailureKind.CUDA,
        ),
        (
            "Error 804: forward compatibility was attempted on non supported HW",
            FailureKind.CUDA,
        ),
        (
            "RuntimeError: CUDA error: no kernel image is available for execution on the device",
            FailureKind.ARCHITECTURE,
        ),
        ("exec /usr/bin/python3: exec format error", FailureKind.ARCHITECTURE),
        (
            "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8",
            FailureKind.UNSUPPORTED,
        ),
        (
            "OSError: Insufficient space in /dev/shm for shared-memory allocation: 160 MiB",
            FailureKind.SHARED_MEMORY,
        ),
        (
            "Error while creating shared memory segment /dev/shm/nccl-abc (size 9637888)",
            FailureKind.SHARED_MEMORY,
        ),
        (
            "ValueError: Free memory on device cuda:0 (3.1/79.1 GiB) on startup is less than "
            "desired GPU memory utilization (0.8, 63.3 GiB).",
            FailureKind.OUT_OF_MEMORY,
        ),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to", FailureKind.OUT_OF_MEMORY),
        ("ValueError: No available memory for the cache blocks.", FailureKind.KV_CACHE),
        (
            "ValueError: To serve at least one request with the models's max seq len (4096),",
            FailureKind.KV_CACHE,
        ),
        ("requests.exceptions.HTTPError: 401 Client Error: Unauthorized", FailureKind.GATED_MODEL),
        ("OSError: Cannot access gated repo for url https://example", FailureKind.GATED_MODEL),
        ("huggingface_hub.errors.LocalEntryNotFoundError: x", FailureKind.MODEL_NOT_FOUND),
        ("PermissionError: [Errno 13] Permission denied: '/.cache'", FailureKind.PERMISSION),
        ("KeyError: 'getpwuid(): uid not found: 1000'", FailureKind.PERMISSION),
        ("OSError: [Errno 98] Address already in use", FailureKind.PORT_IN_USE),
        ("api_server.py: error: unrecognized arguments: --frobnicate", FailureKind.ARGUMENTS),
        ("ModuleNotFoundError: No module named 'vllm'", FailureKind.MISSING_PACKAGE),
        (
            "python: Error while finding module specification for 'vllm.entrypoints.openai"
            ".api_server' (ModuleNotFoundError: No module named 'vllm')",
            FailureKind.MISSING_PACKAGE,
        ),
        (
            "[shutdown] MPClient: engine core exited unexpectedly; starting cleanup",
            FailureKind.ENGINE_DIED,
        ),
        (
            "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered",
            FailureKind.ENGINE_DIED,
        ),
    ],
)
def test_a_known_text_is_classified_and_has_a_remedy(line: str, kind: FailureKind):
    log = f"(EngineCore pid=7) ERROR 11-23 17:00:00 [core.py:1] {line}\n(APIServer pid=1) {GENERIC}"
    failure = classify_startup_failure(log, 1)
    assert failure.kind is kind
    assert line in failure.quote
    assert failure.remedy


GENERIC = "RuntimeError: Engine core initialization failed. See root cause above."


def test_an_unknown_exception_is_quoted_rather_than_its_echo():
    log = (
        "(EngineCore pid=7) ERROR 11-23 17:00:00 [core.py:1] vllm.oops.StrangeError: the gears\n"
        f"(APIServer pid=1) {GENERIC}\n"
    )
    failure = classify_startup_failure(log, 1)
    assert failure.kind is FailureKind.EXCEPTION
    assert failure.quote == ("vllm.oops.StrangeError: the gears",)
    assert "StrangeError" in failure.cause


@pytest.mark.parametrize(
    ("exit_code", "kind"),
    [
        (-9, FailureKind.KILLED),
        (137, FailureKind.KILLED),
        (-15, FailureKind.KILLED),
        (-7, FailureKind.SHARED_MEMORY),
        (0, FailureKind.UNKNOWN),
        (None, FailureKind.UNKNOWN),
        (5, FailureKind.UNKNOWN),
    ],
)
def test_without_a_text_the_exit_code_speaks(exit_code: int | None, kind: FailureKind):
    failure = classify_startup_failure("INFO loading\n", exit_code)
    assert failure.kind is kind
    assert failure.quote == ("INFO loading",)


def test_an_empty_log_is_classified_too():
    assert classify_startup_failure("", 1).quote == ()


@pytest.mark.parametrize("path", sorted(LOGS.glob("*standard*.log")), ids=lambda path: path.name)
def test_a_healthy_log_is_not_taken_for_a_failed_one(path: Path):
    failure = classify_startup_failure(path.read_text(errors="replace"), None)
    assert failure.kind is FailureKind.UNKNOWN
