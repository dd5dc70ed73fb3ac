"""Why a server did not start or died, read from its log: the cause, not the last generic line.

A table of signatures comes first, because it carries remedies: texts by which vLLM 0.11 to 0.32,
PyTorch and Docker say what went wrong (logs in ``tests/data/vllm_logs``). What it does not know is
found by its form: the first exception that is not a mere report of another one.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from enum import StrEnum

_PREFIX = re.compile(r"^(?:\((?:EngineCore|Worker|VllmWorker|APIServer)[^)]*\)\s?)?")
_LEVEL = re.compile(r"^(?:INFO|WARNING|ERROR|DEBUG|CRITICAL) \d\d-\d\d [\d:]+ \[[^\]]*\]\s?")
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_][\w]*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Repo|NotFound|Died)(?::|$)"
    r"|^Exception: "
)
_ECHO = re.compile(
    r"Engine core initialization failed|WorkerProc initialization failed|EngineDeadError"
    r"|see (?:the )?stack trace|check the stack trace|See root cause above|KeyboardInterrupt",
    re.IGNORECASE,
)
_QUOTE_WIDTH = 400
_FALLBACK_LINES = 5


class FailureKind(StrEnum):
    """What sort of failure it is; ``unsupported`` means this mode cannot run here at all."""

    ARCHITECTURE = "architecture"
    ARGUMENTS = "arguments"
    CUDA = "cuda"
    ENGINE_DIED = "engine_died"
    EXCEPTION = "exception"
    GATED_MODEL = "gated_model"
    KILLED = "killed"
    KV_CACHE = "kv_cache"
    MISSING_LIBRARY = "missing_library"
    MISSING_PACKAGE = "missing_package"
    MODEL_NOT_FOUND = "model_not_found"
    NO_DEVICE = "no_device"
    OUT_OF_MEMORY = "out_of_memory"
    PERMISSION = "permission"
    PORT_IN_USE = "port_in_use"
    SHARED_MEMORY = "shared_memory"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"
    UNSUPPORTED = "unsupported"
    WRONG_MODEL = "wrong_model"


@dataclass(frozen=True, slots=True)
class Signature:
    """One text and what it means; ``with_exception`` quotes the exception beside the text."""

    kind: FailureKind
    pattern: str
    cause: str
    remedy: str
    with_exception: bool = False


@dataclass(frozen=True, slots=True)
class StartupFailure:
    """A failure as a person should read it.

    Attributes:
        kind: what sort of failure it is.
        cause: one sentence.
        quote: the log lines that say so, without process prefixes.
        remedy: what to do next.
    """

    kind: FailureKind
    cause: str
    quote: tuple[str, ...]
    remedy: str


def classify_startup_failure(log_text: str, exit_code: int | None = None) -> StartupFailure:
    """Find the cause of a failed start or of a death in the middle.

    Args:
        log_text: the server's log, whole or cut.
        exit_code: the exit status, negative for a signal, where known.
    """
    # without process prefix, level, time and place
    lines = [
        _LEVEL.sub("", _PREFIX.sub("", line, count=1), count=1) for line in log_text.splitlines()
    ]
    reports = (line for line in lines if _EXCEPTION.match(line) and not _ECHO.search(line))
    root = next((line[:_QUOTE_WIDTH] for line in reports), None)
    for signature in SIGNATURES:
        pattern = re.compile(signature.pattern)
        line = next((line for line in lines if pattern.search(line)), None)
        if line is not None:
            quote = [line.strip()[:_QUOTE_WIDTH]]
            if signature.with_exception and root is not None and root not in quote:
                quote.insert(0, root)
            return StartupFailure(signature.kind, signature.cause, tuple(quote), signature.remedy)
    if root is not None:
        return StartupFailure(
            FailureKind.EXCEPTION,
            f"the server raised {root.split(':')[0].rpartition('.')[2]}",
            (root,),
            "read the traceback in the log; it is vLLM's own",
        )
    kind, cause, remedy = _by_exit_code(exit_code)
    tail = tuple(line[:_QUOTE_WIDTH] for line in lines if line.strip())[-_FALLBACK_LINES:]
    return StartupFailure(kind, cause, tail, remedy)


def _by_exit_code(exit_code: int | None) -> tuple[FailureKind, str, str]:
    if exit_code == 0:
        return (
            FailureKind.UNKNOWN,
            "the server ended by itself without an error",
            "look into the log; something asked it to stop",
        )
    if exit_code is not None:
        # a container's exit code for a signal is 128 more than the signal's number
        number = -exit_code if exit_code < 0 else exit_code - 128
        if number in _SIGNALLED:
            return _SIGNALLED[number]
    code = "" if exit_code is None else f" (exit code {exit_code})"
    return (
        FailureKind.UNKNOWN,
        f"the log names no cause{code}",
        "look into the log, and try the command line of the start-up file by hand",
    )


_SIGNALLED: dict[int, tuple[FailureKind, str, str]] = {
    signal.SIGKILL: (
        FailureKind.KILLED,
        "the server was killed (SIGKILL), most often for lack of memory",
        "free host memory or lower --gpu-memory-utilization; look into dmesg for oom-kill",
    ),
    signal.SIGTERM: (
        FailureKind.KILLED,
        "the server was ended from outside (SIGTERM)",
        "start the same command again; the run is resumed",
    ),
    signal.SIGBUS: (
        FailureKind.SHARED_MEMORY,
        "the server hit a bus error, as it does when /dev/shm is too small",
        "give it more shared memory: server.shm_size, or --ipc=host",
    ),
}
SIGNATURES = (
    # the device
    Signature(
        FailureKind.NO_DEVICE,
        r"could not select device driver|unknown or invalid runtime name: nvidia",
        "the Docker engine has no GPU runtime",
        "install the NVIDIA container toolkit, or enable CDI; harness doctor shows which",
    ),
    Signature(
        FailureKind.CUDA,
        r"nvidia-container-cli: requirement error: unsatisfied condition: cuda",
        "the host's driver is older than the image's CUDA needs",
        "update the driver, or choose an image for an older CUDA",
    ),
    Signature(
        FailureKind.CUDA,
        r"Error 803: system has unsupported display driver",
        "a CUDA compatibility library does not fit the host's driver",
        "unset VLLM_ENABLE_CUDA_COMPATIBILITY, or set "
        "LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/nvidia/lib in server.env",
    ),
    Signature(
        FailureKind.CUDA,
        r"Error 804: forward compatibility was attempted",
        "CUDA forward compatibility does not exist on this GPU",
        "update the host's driver",
    ),
    Signature(
        FailureKind.CUDA,
        r"CUDA driver version is insufficient|The NVIDIA driver on your system is too old",
        "the host's driver is too old",
        "update the driver, or choose an image for an older CUDA",
    ),
    Signature(
        FailureKind.ARCHITECTURE,
        r"exec format error|no kernel image is available for execution",
        "the image or its kernels are built for another architecture",
        "choose the image of this machine's architecture and a GPU that this vLLM supports",
    ),
    Signature(
        FailureKind.UNSUPPORTED,
        r"Bfloat16 is only supported on GPUs with compute capability",
        "this GPU has no bfloat16",
        "set server.dtype to float16",
    ),
    Signature(
        FailureKind.NO_DEVICE,
        r"Failed to infer device type|No CUDA GPUs are available",
        "vLLM sees no device",
        "make the GPU visible to the server (harness doctor), or use the CPU engine",
    ),
    # memory
    Signature(
        FailureKind.SHARED_MEMORY,
        r"Insufficient space in /dev/shm|Error while creating shared memory segment"
        r"|/dev/shm.*No space left on device|Bus error",
        "shared memory (/dev/shm) is too small",
        "raise server.shm_size (Docker's default is 64 MiB), or use --ipc=host",
    ),
    Signature(
        FailureKind.OUT_OF_MEMORY,
        r"Free memory on device .* is less than desired GPU memory utilization",
        "the GPU's memory is not free",
        "wait until the previous server's memory is released, end other users of the GPU "
        "(nvidia-smi), or lower --gpu-memory-utilization",
    ),
    Signature(
        FailureKind.OUT_OF_MEMORY,
        r"CUDA out of memory|torch\.OutOfMemoryError|DefaultCPUAllocator: can't allocate memory",
        "out of memory",
        "lower --gpu-memory-utilization or --max-model-len, or use a smaller model",
    ),
    Signature(
        FailureKind.KV_CACHE,
        r"No available memory for the cache blocks"
        r"|To serve at least one request with the models?'s max seq len"
        r"|is larger than the maximum number of tokens that can be stored in KV cache",
        "too little memory is left for the KV cache",
        "lower --max-model-len, or raise --gpu-memory-utilization (on a CPU "
        "VLLM_CPU_KVCACHE_SPACE in server.env)",
    ),
    # the mode
    Signature(
        FailureKind.UNSUPPORTED,
        r"mode requires an attention backend in .*but got",
        "this vLLM runs batch_invariant only with an attention backend named explicitly",
        "set server.attention_backend (FLASH_ATTN or TRITON_ATTN); it goes to both modes",
    ),
    Signature(
        FailureKind.UNSUPPORTED,
        r"batch invariance not supported|use_batch_invariant=True.*Reasons",
        "the attention backend does not support batch_invariant here",
        "set server.attention_backend to FLASH_ATTN or TRITON_ATTN",
    ),
    Signature(
        FailureKind.UNSUPPORTED,
        r"VLLM batch_invariant mode is not supported for",
        "a layer of this model has no batch-invariant implementation",
        "choose another model; hybrid, Mamba and GDN layers are not supported",
    ),
    Signature(
        FailureKind.UNSUPPORTED,
        r"kernel does not support batch invariance",
        "the mixture-of-experts kernel is not batch-invariant",
        "choose a dense model, or another MoE backend",
    ),
    Signature(
        FailureKind.UNSUPPORTED,
        r"FP8 Marlin not supported for batch invariant",
        "this quantised kernel is not batch-invariant",
        "use the unquantised model",
    ),
    Signature(
        FailureKind.UNSUPPORTED,
        r"Batch invariance is not supported for variance_size_override",
        "a normalisation layer of this model is not batch-invariant",
        "choose another model",
    ),
    Signature(
        FailureKind.UNSUPPORTED,
        r"vllm_cpu_batch_invariant \S+ does not fit|vllm_cpu_batch_invariant needs",
        "the batch-invariant plugin does not fit this CPU server",
        "install the plugin's vLLM version and pass --enforce-eager (server.extra_args)",
    ),
    Signature(
        FailureKind.UNSUPPORTED,
        r"determinism/batch_invariant\.py.*in (?:mean_dim|mean_batch_invariant|matmul_persistent)",
        "batch_invariant was asked for, but its kernels do not exist on this device: the engine "
        "died at its first request",
        "on a CPU install the plugin in docker/cpu/plugin into the server's environment",
        with_exception=True,
    ),
    # the model and the arguments
    Signature(
        FailureKind.GATED_MODEL,
        r"GatedRepoError|Cannot access gated repo|401 Client Error|403 Client Error",
        "the model is gated, or the token is missing",
        "accept the model's licence on the hub and export HF_TOKEN",
    ),
    Signature(
        FailureKind.MODEL_NOT_FOUND,
        r"LocalEntryNotFoundError|outgoing traffic has been disabled|Repository Not Found"
        r"|RepositoryNotFoundError|is not a local folder and is not a valid model identifier"
        r"|Can't load the configuration of|Invalid repository ID or local directory",
        "the model was not found",
        "check models[].hf_id; offline, download it into the Hugging Face cache first",
    ),
    Signature(
        FailureKind.ARGUMENTS,
        r"User-specified max_model_len \(\d+\) is greater than the derived max_model_len",
        "server.max_model_len is more than the model was made for",
        "lower --max-model-len to the length that the message names",
    ),
    Signature(
        FailureKind.PERMISSION,
        r"PermissionError: \[Errno 13\]|getpwuid\(\): uid not found",
        "the server may not write its caches, or its user is unknown",
        "run the container as root or as 2000:0, or set HOME and USER in server.env",
    ),
    Signature(
        FailureKind.PORT_IN_USE,
        r"[Aa]ddress already in use|port is already allocated",
        "the port is in use",
        "stop whoever holds it, or choose another with --port",
    ),
    Signature(
        FailureKind.ARGUMENTS,
        r"error: (?:unrecognized arguments|argument |ambiguous option|the following arguments)"
        r"|VLLM_BATCH_INVARIANT.*invalid literal for int",
        "this vLLM does not know one of the arguments",
        "compare server.extra_args with the release's own --help",
    ),
    # the environment
    Signature(
        FailureKind.MISSING_LIBRARY,
        r"lib(?:numa|gomp)\S*: cannot open shared object file"
        r"|'_C' object has no attribute 'init_cpu_memory_env'",
        "vLLM's compiled CPU module could not be loaded",
        "install libnuma1 and libgomp1 into the image",
    ),
    Signature(
        FailureKind.MISSING_LIBRARY,
        r"cannot open shared object file",
        "a shared library is missing",
        "install the library that the line names",
    ),
    Signature(
        FailureKind.MISSING_PACKAGE,
        r"requires \"(\S+)\" to be installed|ModuleNotFoundError: No module named",
        "a Python package is missing in the server's environment",
        "install the package that the line names there, or set server.native_command to the "
        "Python that has vLLM",
    ),
    Signature(
        FailureKind.MISSING_PACKAGE,
        r"DeepGEMM backend is not available or outdated",
        "DeepGEMM is missing or too old",
        "install deep_gemm, or set VLLM_USE_DEEP_GEMM=0 in server.env (for both modes)",
    ),
    # what only follows from another cause
    Signature(
        FailureKind.ENGINE_DIED,
        r"EngineCore encountered a fatal error",
        "the engine died",
        "read the first traceback in the log; the run can be resumed",
        with_exception=True,
    ),
    Signature(
        FailureKind.ENGINE_DIED,
        r"engine core exited unexpectedly|[Ee]ngine core proc \S+ died unexpectedly",
        "the engine died: its process was killed",
        "most often for lack of memory (see dmesg for oom-kill); the run can be resumed",
        with_exception=True,
    ),
    Signature(
        FailureKind.ENGINE_DIED,
        r"EngineDeadError",
        "the engine died",
        "look into the log for what came before; the run can be resumed",
        with_exception=True,
    ),
)
"""A cause stands before what it causes; the order matters."""
