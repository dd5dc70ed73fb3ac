"""What somebody else's case or run would have this machine run, or tell, beside vLLM's own server.

A case file and a run folder hold the settings of a server: a command, variables, an image, mounts,
URLs. Whoever replays or shrinks one wants an answer of vLLM and not the author's program, so that
what is more than that is named, and run only when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from harness.errors import UsageError
from harness.places import ENGINE, is_of_engine
from harness.settings import RunSpec
from harness.words import BackendName

_SERVERS = re.compile(
    r"(?P<program>(?:engine:)?(?:[\w./-]*/)?"
    r"(?:python[\d.]*(?=(?: -[OEsSBuIP]+)* -m vllm\.entrypoints\.openai\.api_server$)"
    r"|vllm(?= serve$)))(?: .*)?"
)
_SCREEN = 1200
_IMAGES = re.compile(r"(?:docker\.io/)?vllm/vllm-openai(?:-cpu)?(?:[:@][\w.:-]+)?")
_VARIABLES = re.compile(
    r"VLLM_(?:ATTENTION_BACKEND|FLASH_ATTN_VERSION|USE_(?:V1|DEEP_GEMM|FLASHINFER_\w+|TRITON_\w+"
    r"|AOT_COMPILE|STANDALONE_COMPILE|BREAKABLE_CUDAGRAPH)|MLA_DISABLE|DISABLE_COMPILE_CACHE"
    r"|ENABLE_V1_MULTIPROCESSING|WORKER_MULTIPROC_METHOD|FLOAT32_MATMUL_PRECISION|KV_CACHE_LAYOUT"
    r"|MARLIN_USE_ATOMIC_ADD|ALLREDUCE_USE_SYMM_MEM|ALL2ALL_BACKEND|DISABLED_KERNELS"
    r"|ALLOW_LONG_MAX_MODEL_LEN|LOGGING_LEVEL|LOGGING_COLOR|TARGET_DEVICE|RPC_TIMEOUT"
    r"|CPU_(?:KVCACHE_SPACE|OMP_THREADS_BIND|BATCH_INVARIANT_PARTS|SGL_KERNEL))"
    r"|NCCL_(?:ALGO|PROTO|NTHREADS|(?:MIN|MAX)_NCHANNELS|BUFFSIZE|LAUNCH_MODE|NVLS_ENABLE"
    r"|CUMEM_ENABLE|COLLNET_ENABLE|(?:P2P|SHM|IB)_DISABLE|P2P_LEVEL)"
    r"|OMP_(?:NUM_THREADS|PROC_BIND|PLACES|SCHEDULE|DYNAMIC)|MKL_(?:NUM_THREADS|DYNAMIC|CBWR)"
    r"|KMP_(?:AFFINITY|BLOCKTIME)|CUDA_VISIBLE_DEVICES|CUBLAS_WORKSPACE_CONFIG|HF_HUB_OFFLINE"
    r"|TOKENIZERS_PARALLELISM"
)
"""What chooses how vLLM computes and names no place: of any other variable the author is told."""
_VALUE = re.compile(r"[^-@/\\\s][^/\\\n]*")
"""A number or a name: no flag, no file of flags, no path and no address."""
_SWITCHES = re.compile(
    r"--(?:enforce-eager|(?:no-)?(?:disable-cascade-attn|async-scheduling|disable-log-stats"
    r"|enable-(?:chunked-prefill|prompt-tokens-details|prefix-caching)"
    r"|disable-custom-all-reduce))"
)
_ARGUMENTS = re.compile(
    r"--(?:max-num-(?:seqs|batched-tokens|partial-prefills)|kv-cache-memory-bytes|seed"
    r"|generation-config|attention-config|block-size|quantization|kv-cache-dtype"
    r"|(?:tensor|pipeline|data)-parallel-size|num-gpu-blocks-override|swap-space|cpu-offload-gb"
    r"|max-logprobs)"
)
"""What changes how vLLM computes, and loads nothing: any other argument is the author's word."""


def refuse_what_would_run(spec: RunSpec, own: Mapping[str, object], file: str) -> None:
    """Refuse what the author of a case or a run set beyond vLLM's own server.

    Args:
        own: settings of the server that this machine's user gave instead.
        file: whose settings they are.

    Raises:
        UsageError: with each such setting.
    """
    if found := tuple(_beyond(spec, own)):
        raise UsageError(
            "it would have this machine run or tell what its author wrote",
            file=file,
            hint="read it; --trust takes it as it is, and --native-command, --image or --server "
            "replace how a server is had",
            detail=found,
        )


def _whole(value: str) -> str:
    """As it is to be read before it is trusted; a screen of it at most."""
    told = repr(value)
    return told if len(told) <= _SCREEN else f"{told[:_SCREEN]}… ({len(told)} characters)"


def _is_vllm(command: str) -> bool:
    """Whether a command starts vLLM's server by a program of this machine.

    A path that is told from the working folder may lie in what came with the case: only the CPU
    engine's is taken.
    """
    found = _SERVERS.fullmatch(command)
    if found is None:
        return False
    program = found["program"]
    return (
        "/" not in program
        or program.startswith("/")
        or (".." not in program and (program.startswith(ENGINE) or is_of_engine(program)))
    )


def _beyond(spec: RunSpec, own: Mapping[str, object]) -> Iterator[str]:
    server = spec.server
    if spec.backend is BackendName.EXTERNAL:
        told = ", ".join(_whole(one.url) for one in spec.external.values())
        if "server" not in own:
            yield f"prompts go to a server of the author's: {told}"
        return
    native, docker = (spec.backend is one for one in (BackendName.NATIVE, BackendName.DOCKER))
    if native and "native_command" not in own and not _is_vllm(server.native_command):
        yield f"server.native_command: {_whole(server.native_command)}"
    if docker and "image" not in own and not _IMAGES.fullmatch(spec.image):
        yield f"image: {_whole(spec.image)}"
    yield from (f"server.volumes: {_whole(one)}" for one in server.volumes)
    for name, value in server.env.items():
        if not (_VARIABLES.fullmatch(name) and (not value or _VALUE.fullmatch(value))):
            yield f"server.env: {_whole(f'{name}={value}')}"
    yield from (f"server.extra_args: {_whole(one)}" for one in _further(server.extra_args))
    model = spec.models[0]
    words = {
        "server.dtype": server.dtype,
        "server.attention_backend": server.attention_backend,
        "server.shm_size": server.shm_size,
        "models.revision": model.revision,
        "models.hf_id": model.hf_id.replace("/", ""),
    }
    for key, word in words.items():
        if word and not _VALUE.fullmatch(word):
            yield f"{key}: {_whole(word)}"


def _further(arguments: Sequence[str]) -> Iterator[str]:
    """Arguments that are none of a number or a name that vLLM computes by."""
    wants_a_value = False
    for argument in arguments:
        if wants_a_value:
            wants_a_value = False
            if _VALUE.fullmatch(argument):
                continue
        flag, given, value = argument.partition("=")
        flag = flag.replace("_", "-")
        if _ARGUMENTS.fullmatch(flag) and (not given or _VALUE.fullmatch(value)):
            wants_a_value = not given
        elif given or not _SWITCHES.fullmatch(flag):
            yield argument
