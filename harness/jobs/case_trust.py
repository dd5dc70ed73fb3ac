"""What somebody else's case or run would have this machine run, or tell, beside vLLM's own server.

A case file and a run folder hold the settings of a server: a command, variables, an image, mounts,
URLs. Whoever replays or shrinks one wants an answer of vLLM and not the author's program, so that
what is more than that is named, and run only when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

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
    r"VLLM_(?!PLUGINS|LOGGING_CONFIG_PATH|\w*PATH)[A-Z0-9_]+|(?:NCCL|OMP|MKL|KMP)_[A-Z0-9_]+"
    r"|CUDA_VISIBLE_DEVICES|CUBLAS_WORKSPACE_CONFIG|HF_HUB_OFFLINE|TOKENIZERS_PARALLELISM"
)
_ARGUMENTS = re.compile(
    r"--(?:no-)?(?:max-num-(?:seqs|batched-tokens|partial-prefills)|kv-cache-memory-bytes|seed"
    r"|generation-config|attention-config|enforce-eager|disable-cascade-attn|block-size"
    r"|quantization|kv-cache-dtype|(?:tensor|pipeline|data)-parallel-size|async-scheduling"
    r"|enable-(?:chunked-prefill|prompt-tokens-details)|disable-(?:log-stats|custom-all-reduce)"
    r"|num-gpu-blocks-override|swap-space|cpu-offload-gb|max-logprobs)(?:=.*)?"
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
        if not _VARIABLES.fullmatch(name):
            yield f"server.env: {_whole(f'{name}={value}')}"
    for argument in server.extra_args:
        if argument.startswith("-") and not _ARGUMENTS.fullmatch(argument.replace("_", "-")):
            yield f"server.extra_args: {_whole(argument)}"
