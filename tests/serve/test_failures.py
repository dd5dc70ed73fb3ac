"""A failed log is read for its cause, not for its last line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

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


BUSY = "(EngineCore pid=7) INFO 11-23 17:00:09 [gpu_model_runner.py:1] Loading model weights"
TRITON = (
    "(EngineCore pid=7) ERROR 11-23 17:00:00 [triton_kernels_moe.py:1] Failed to import Triton "
    "kernels. Please make sure your triton version is compatible. Error: ModuleNotFoundError: No "
    "module named 'triton_kernels'"
)
REQUEST = (
    "(APIServer pid=1) INFO 11-23 17:01:00 [logger.py:1] Received request cmpl-1: prompt: 'why "
    "torch.OutOfMemoryError: CUDA out of memory', params: SamplingParams(n=1)"
)


@pytest.mark.parametrize("exit_code", [137, -9])
@pytest.mark.parametrize("line", [TRITON, REQUEST, "OSError: [Errno 28] No space left on device"])
def test_a_signal_is_the_cause_whatever_the_log_says(line: str, exit_code: int):
    assert classify_startup_failure(f"{line}\n{BUSY}\n", exit_code).kind is FailureKind.KILLED


@pytest.mark.parametrize("exit_code", [137, 1, 0, None])
def test_the_mark_of_the_out_of_memory_killer_is_the_cause(exit_code: int | None):
    failure = classify_startup_failure(f"{TRITON}\n{BUSY}", exit_code, oom_killed=True)
    assert failure.kind is FailureKind.KILLED
    assert "OOMKilled" in failure.cause


@pytest.mark.parametrize(
    "line",
    [
        TRITON,
        "(EngineCore pid=7) ERROR 11-23 17:00:00 [envs.py:1] PermissionError: [Errno 13] denied",
        "(EngineCore pid=7) WARNING 11-23 17:00:00 [x.py:1] CUDA out of memory: trying again",
        "(EngineCore pid=7) ERROR 11-23 17:00:00 [hub.py:1] 429 Client Error: Too Many Requests",
    ],
)
def test_what_a_process_said_before_it_went_on_is_no_cause(line: str):
    silent = classify_startup_failure(f"{line}\n{BUSY}\n", 1)
    assert silent.kind is FailureKind.UNKNOWN
    later = "(EngineCore pid=7) ERROR 11-23 17:00:10 [core.py:1] vllm.oops.StrangeError: the gears"
    failure = classify_startup_failure(f"{line}\n{BUSY}\n{later}\n", 1)
    assert failure.quote == ("vllm.oops.StrangeError: the gears",)


@pytest.mark.parametrize(
    "line",
    [
        REQUEST,
        "(APIServer pid=1) DEBUG 11-23 17:01:00 [api.py:1] Request body: {'prompt': 'Bus error'}",
        "request failed: {'prompt': 'Error 802: system not yet initialized', 'max_tokens': 5}",
        'INFO:     127.0.0.1:51124 - "GET /v1/models?q=CUDA+out+of+memory HTTP/1.1" 200 OK',
    ],
)
def test_what_a_request_says_is_no_cause(line: str):
    log = f"{BUSY}\n{line}\n(EngineCore pid=7) ERROR 11-23 17:02:00 [a.py:1] ValueError: the gears"
    failure = classify_startup_failure(log, 1)
    assert failure.quote == ("ValueError: the gears",)


def test_only_the_last_start_of_a_log_is_read():
    start = "(APIServer pid={}) INFO 11-23 17:00:00 [utils.py:1] non-default args: {{'port': 1}}"
    log = "\n".join(
        [
            start.format(1),
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate",
            start.format(9),
            "OSError: [Errno 98] Address already in use",
        ]
    )
    assert classify_startup_failure(log, 1).kind is FailureKind.PORT_IN_USE


HUB = "https://huggingface.co/api/models/Qwen/Qwen2.5-Typo"
CUDA_SAYS = "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before?"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            f"RepositoryNotFoundError: 401 Client Error. (Request: R)\n\n"
            f"Repository Not Found for url: {HUB}.\nPlease make sure you specified the correct "
            "`repo_id` and `repo_type`.\nIf you are trying to access a private or gated repo, make "
            "sure you are authenticated.",
            FailureKind.MODEL_NOT_FOUND,
        ),
        (
            "OSError: Qwn/Qwen is not a local folder and is not a valid model identifier listed on "
            "'https://huggingface.co/models'\nIf this is a private repository, make sure to pass a "
            "token having permission to this repo",
            FailureKind.MODEL_NOT_FOUND,
        ),
        (
            f"RevisionNotFoundError: 404.\nRevision Not Found for url: {HUB}",
            FailureKind.MODEL_NOT_FOUND,
        ),
        (
            f"GatedRepoError: 401 Client Error.\nCannot access gated repo for "
            f"url {HUB}.\nAccess to model x is restricted.",
            FailureKind.GATED_MODEL,
        ),
        (
            f"GatedRepoError: 403 Client Error.\nCannot access gated repo for url {HUB}.",
            FailureKind.GATED_MODEL,
        ),
        (
            "RepositoryNotFoundError: 401 Client Error.\nRepository Not Found "
            f"for url: {HUB}.\nInvalid credentials in Authorization header",
            FailureKind.GATED_MODEL,
        ),
        (
            f"HfHubHTTPError: 429 Client Error: Too Many Requests for url: {HUB}",
            FailureKind.HUB_LIMIT,
        ),
        ("We had to rate limit your IP. HTTP 429 Too Many Requests", FailureKind.HUB_LIMIT),
        (
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='huggingface.co', "
            "port=443): Max retries exceeded with url: /api (Caused by NameResolutionError)",
            FailureKind.HUB_UNREACHABLE,
        ),
        (
            "httpx.ConnectError: [Errno -3] Temporary failure in name resolution",
            FailureKind.HUB_UNREACHABLE,
        ),
        (
            "OSError: We couldn't connect to 'hf' to load the files, and couldn't find "
            "them in the cached files.",
            FailureKind.HUB_UNREACHABLE,
        ),
        (
            "LocalEntryNotFoundError: An error happened while trying to locate "
            "the file on the Hub and we cannot find the requested files in the local cache. Please "
            "check your connection and try again or make sure your Internet connection is on.",
            FailureKind.HUB_UNREACHABLE,
        ),
        ("httpx.ConnectTimeout: timed out", FailureKind.HUB_UNREACHABLE),
        (
            "huggingface_hub.errors.RepositoryNotFoundError: 401 Client Error.\n\nRepository Not "
            "Found for url: https://huggingface.co/api/models/x/y.\nInvalid username or password.",
            FailureKind.MODEL_NOT_FOUND,
        ),
        (
            f"RuntimeError: {CUDA_SAYS} Error 802: system not yet initialized",
            FailureKind.CUDA,
        ),
        ("torch.AcceleratorError: CUDA error: system not yet initialized", FailureKind.CUDA),
        ("RuntimeError: CUDA error: uncorrectable ECC error encountered", FailureKind.CUDA),
        ("RuntimeError: CUDA error: invalid device ordinal", FailureKind.NO_DEVICE),
        ("OSError: [Errno 28] No space left on device", FailureKind.DISK_FULL),
        ("OSError: [Errno 122] Disk quota exceeded: '/root/.cache'", FailureKind.DISK_FULL),
        (
            "docker: failed to register layer: write /usr/lib/x.so: no space left on device",
            FailureKind.DISK_FULL,
        ),
        (
            "OSError: [Errno 28] No space left on device: '/dev/shm/psm_1a2b'",
            FailureKind.SHARED_MEMORY,
        ),
        (
            "OSError: [Errno 30] Read-only file system: '/root/.cache/huggingface/hub'",
            FailureKind.READ_ONLY,
        ),
        ("mkdir: cannot create directory '/cache': Read-only file system", FailureKind.READ_ONLY),
    ],
)
def test_a_cause_outside_the_engine_is_told_from_its_likes(text: str, kind: FailureKind):
    told = "\n".join(f"(APIServer pid=1) {line}" for line in text.split("\n"))
    failure = classify_startup_failure(f"{told}\n(APIServer pid=1) {GENERIC}", 1)
    assert (failure.kind, bool(failure.remedy)) == (kind, True)


def test_a_model_that_the_hub_does_not_show_is_no_gated_one():
    text = f"RepositoryNotFoundError: 401 Client Error.\nRepository Not Found for url: {HUB}"
    failure = classify_startup_failure(text, 1)
    assert "spelling of models[].hf_id" in failure.remedy
    assert "licence" not in failure.remedy


ENGINE = "(EngineCore pid=7) ERROR 11-23 17:00:00 [core.py:1] "
CAUSE = f"{ENGINE}ValueError: the gears do not fit"


@pytest.mark.parametrize(
    "warning",
    [
        "FlashInfer not available: ModuleNotFoundError: No module named 'flashinfer'",
        "DeepGEMM backend is not available or outdated. Please install",
        "Could not write usage stats: [Errno 30] Read-only file system",
        "Cannot save torch.compile cache: [Errno 28] No space left on device",
        "Failed to send usage: Max retries exceeded with url: /usage (stats.vllm.ai)",
        "HTTP Error 429 thrown while requesting HEAD https://huggingface.co/x; Too Many Requests",
        "NCCL: Error while creating shared memory segment, falling back",
    ],
)
def test_a_warning_never_outranks_an_error_and_speaks_where_nothing_else_does(warning: str):
    line = f"(EngineCore pid=7) WARNING 11-23 17:00:00 [x.py:1] {warning}"
    assert classify_startup_failure(f"{line}\n{CAUSE}", 1).kind is FailureKind.EXCEPTION
    alone = classify_startup_failure(line, 1)
    assert alone.kind not in (FailureKind.EXCEPTION, FailureKind.UNKNOWN)


@pytest.mark.parametrize(
    "quoted",
    [
        "(APIServer pid=1) INFO 11-23 17:00:00 [logger.py:39] Received request c: prompt: 'W\n"
        "{}\nwhy?', params: SamplingParams(n=1)",
        "(APIServer pid=1) INFO 11-23 17:00:00 [logger.py:39] Received request c: prompt: 'W\n{}",
        "(APIServer pid=1) INFO 11-23 17:00:00 [logger.py:60] Generated response c: output: 'W\n"
        "{}\n', output_token_ids: [1]",
        "(APIServer pid=1) ERROR 11-23 17:00:00 [serving.py:60] Error in preprocessing: text '{}'",
        "(EngineCore pid=7) ERROR 11-23 17:00:00 [dump_input.py:69] NewRequestData(text='{}')",
    ],
)
@pytest.mark.parametrize("text", ["torch.OutOfMemoryError: CUDA out of memory", "[Errno 28] full"])
def test_no_line_of_a_prompt_is_a_cause(quoted: str, text: str):
    log = quoted.format(text)
    assert classify_startup_failure(log, 1).kind is FailureKind.UNKNOWN
    assert classify_startup_failure(f"{log}\n{CAUSE}", 1).kind is FailureKind.EXCEPTION


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            f"EntryNotFoundError: 404 Client Error. Entry Not Found for url: {HUB}",
            "model_not_found",
        ),
        ("OfflineModeIsEnabled: Cannot reach the hub: offline mode is enabled.", "model_not_found"),
        (
            "Your request to access model a/b is awaiting a review from the repo authors.",
            "gated_model",
        ),
        ("We had to rate limit your IP (1.2.3.4).", "hub_limit"),
        ("torch.AcceleratorError: CUDA error: cudaErrorSystemNotReady", "cuda"),
        ("RuntimeError: PytorchStreamWriter failed writing file: file write failed", "disk_full"),
        ("RuntimeError: Permission denied (os error 13)", "permission"),
        ("OSError: error while attempting to bind on address: permission denied", "permission"),
        ("RuntimeError: CUDA error: out of memory", "out_of_memory"),
        ("RuntimeError: CUDA driver error: out of memory", "out_of_memory"),
        ("MemoryError", "out_of_memory"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "out_of_memory"),
        ("OSError: [Errno 12] Cannot allocate memory", "out_of_memory"),
        ("CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all", "no_device"),
        ("load library failed: libnvidia-ml.so.1: cannot open shared object file", "no_device"),
        ("initialization error: nvml error: driver/library version mismatch", "cuda"),
        ("CUDA error: the provided PTX was compiled with an unsupported toolchain.", "cuda"),
        ("ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'", "architecture"),
        (
            "requests.ConnectionError: HTTPConnectionPool(host='127.0.0.1'): Max retries exceeded "
            "with url: /v1/traces",
            "exception",
        ),
    ],
)
def test_what_many_programs_say_has_its_signature(text: str, kind: str):
    assert classify_startup_failure(ENGINE + text, 1).kind.value == kind


FAILED: dict[str, list[Any]] = yaml.safe_load(
    Path(__file__).with_name("failed_logs.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("kind", FAILED)
def test_a_failed_log_has_the_kind_that_a_person_reads_in_it(kind: str):
    def read(row: Any) -> str:
        code, log = (1, row) if isinstance(row, str) else row
        told = log.replace("ENGINE ", ENGINE).replace("GENERIC", f"(APIServer pid=1) {GENERIC}")
        return classify_startup_failure(told, code).kind.value

    assert {str(row): got for row in FAILED[kind] if (got := read(row)) != kind} == {}


@pytest.mark.parametrize("path", sorted(LOGS.glob("*.log")), ids=lambda path: path.name)
def test_what_nccl_tells_of_its_work_changes_no_verdict(path: Path):
    log = path.read_text(errors="replace")
    told = classify_startup_failure(log, 1)
    for chatter in (
        "h:4:4 [0] NCCL INFO NET/Plugin: dlerror=libnccl-net.so: cannot open shared object file",
        "(Worker_TP0 pid=4) h:4:9 [1] NCCL INFO Call to connect returned Connection refused",
        "[rank0]:[I1123 17:00:00.1 ProcessGroupNCCL.cpp:1] NCCL error handling is on",
    ):
        assert classify_startup_failure(f"{log.rstrip()}\n{chatter}\n", 1).kind is told.kind
        assert classify_startup_failure(f"{chatter}\n{log}", 1).kind is told.kind
