"""What a server says of itself in its log: version, arguments, engine settings, kernels chosen."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.prove.server_log import HEADER, LogLine, ServerLog
from harness.words import without_nonce

_ARGUMENTS = re.compile(rf"^{HEADER}non-default args: (\{{.*\}})\s*$")
_ARCHITECTURE = re.compile(rf"^{HEADER}Resolved architecture: (\w+)\s*$")
_BANNER = re.compile(r"\bversion (\d+\.\d+\.\d+\S*)\s*$")
_BACKEND = re.compile(
    rf"^{HEADER}Using (?:AttentionBackendEnum\.)?([A-Z][A-Z0-9_]+)(?: attention)? backend"
)
_FLASH = re.compile(rf"^{HEADER}Using FlashAttention version (\d+)")
_CHUNKED = re.compile(rf"^{HEADER}Chunked prefill is enabled with max_num_batched_tokens=(\d+)")
_ASYNC = re.compile(rf"^{HEADER}Asynchronous scheduling is enabled\.")
_CACHE = re.compile(rf"^{HEADER}Using cache directory: .*/torch_compile_cache/([0-9a-f]+)/")
_SAMPLER = re.compile(rf"^{HEADER}Using FlashInfer for top-p & top-k sampling")
_RUNNER = re.compile(rf"^{HEADER}Using V2 Model Runner")
_BREAKABLE = re.compile(r"auto-enabling VLLM_USE_BREAKABLE_CUDAGRAPH=1")
_DEFAULTS = re.compile(
    rf"^{HEADER}Default (?:vLLM )?sampling parameters have been overridden\b[^{{]*(\{{.*?\}})?"
)
_SERVED = "served_model_name"
_ENUM = re.compile(r"<([\w.]+): [^<>]*>")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server's own account of itself; ``None`` where the log says nothing.

    The served name stands without its nonce, which is another one in every lifetime.

    Attributes:
        vllm_version: from the engine's line, else from the banner.
        arguments: what the server was given beyond its defaults.
        engine: the engine's configuration, top-level key to text.
        attention_backend: such as ``FLASH_ATTN``.
        flash_attention_version: 2, 3 or 4.
        max_num_batched_tokens: tokens that one engine step may hold.
        async_scheduling: True where the log or the arguments say so; the line exists up to 0.26.
        compile_cache: hash of the compile cache's folder.
        flashinfer_sampler: whether FlashInfer samples.
        v2_model_runner: whether Model Runner V2 drives the model; releases choose differently.
        breakable_cudagraph: whether the mode switched it on by itself (0.31+).
        sampling_defaults_overridden: whether the model's generation_config.json changed them.
        sampling_defaults: what the model's generation_config.json sets in place of the server's
            own defaults; it holds for whatever a request does not set itself.
    """

    vllm_version: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, str] = field(default_factory=dict)
    attention_backend: str | None = None
    flash_attention_version: int | None = None
    max_num_batched_tokens: int | None = None
    async_scheduling: bool | None = None
    compile_cache: str | None = None
    flashinfer_sampler: bool = False
    v2_model_runner: bool = False
    breakable_cudagraph: bool = False
    sampling_defaults_overridden: bool = False
    sampling_defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> str | None:
        """``cuda`` or ``cpu``."""
        return self.engine.get("device_config")

    @property
    def dtype(self) -> str | None:
        """Such as ``float16``."""
        value = self.engine.get("dtype")
        return value.removeprefix("torch.") if value else None

    @property
    def prefix_caching(self) -> bool | None:
        """Whether the engine caches prefixes."""
        return _flag(self.engine.get("enable_prefix_caching"))

    @property
    def chunked_prefill(self) -> bool | None:
        """Whether a prompt may be prefilled in pieces."""
        return _flag(self.engine.get("enable_chunked_prefill"))

    @property
    def enforce_eager(self) -> bool | None:
        """Whether compilation and CUDA graphs are off."""
        return _flag(self.engine.get("enforce_eager"))

    @property
    def max_model_len(self) -> int | None:
        """Tokens of prompt and answer."""
        value = self.engine.get("max_seq_len", "")
        return int(value) if value.isdigit() else None

    def to_json(self) -> dict[str, object]:
        """The facts as JSON values, without the long engine configuration."""
        return {
            "vllm_version": self.vllm_version,
            "arguments": {key: _plain(value) for key, value in self.arguments.items()},
            "device": self.device,
            "dtype": self.dtype,
            "attention_backend": self.attention_backend,
            "flash_attention_version": self.flash_attention_version,
            "prefix_caching": self.prefix_caching,
            "chunked_prefill": self.chunked_prefill,
            "max_num_batched_tokens": self.max_num_batched_tokens,
            "max_model_len": self.max_model_len,
            "async_scheduling": self.async_scheduling,
            "enforce_eager": self.enforce_eager,
            "disable_custom_all_reduce": _flag(self.engine.get("disable_custom_all_reduce")),
            "compile_cache": self.compile_cache,
            "flashinfer_sampler": self.flashinfer_sampler,
            "v2_model_runner": self.v2_model_runner,
            "breakable_cudagraph": self.breakable_cudagraph,
            "sampling_defaults_overridden": self.sampling_defaults_overridden,
            "sampling_defaults": _plain(dict(self.sampling_defaults)),
        }


def read_facts(log: str) -> ServerFacts:
    """Read a server's facts from the start-up part of its log."""
    read = ServerLog.read(log)
    head, engine = read.startup, next(iter(read.engines), None)
    arguments = parse_literal(_first(_ARGUMENTS, head) or "{}")
    arguments = arguments if isinstance(arguments, dict) else {}
    if isinstance(names := arguments.get(_SERVED), list):
        arguments[_SERVED] = [without_nonce(str(name)) for name in names]
    config = dict(engine.config) if engine else {}
    if _SERVED in config:
        config[_SERVED] = without_nonce(config[_SERVED])
    defaults = next((match for line in head if (match := _DEFAULTS.match(line.text))), None)
    said = parse_literal(defaults[1] or "{}") if defaults else {}
    flash = _first(_FLASH, head)
    chunked = _first(_CHUNKED, head)
    batched = int(chunked) if chunked else arguments.get("max_num_batched_tokens")
    return ServerFacts(
        vllm_version=engine.version if engine else _first(_BANNER, head),
        arguments=arguments,
        engine=config,
        attention_backend=_first(_BACKEND, head),
        flash_attention_version=int(flash) if flash else None,
        max_num_batched_tokens=batched if isinstance(batched, int) else None,
        async_scheduling=True if _first(_ASYNC, head) else arguments.get("async_scheduling"),
        compile_cache=_first(_CACHE, head),
        flashinfer_sampler=bool(_first(_SAMPLER, head)),
        v2_model_runner=bool(_first(_RUNNER, head)),
        breakable_cudagraph=bool(_first(_BREAKABLE, head)),
        sampling_defaults_overridden=defaults is not None,
        sampling_defaults=said if isinstance(said, dict) else {},
    )


def read_architecture(log: str) -> str | None:
    """The model's class, such as ``LlamaForCausalLM``, as a server resolved it."""
    return _first(_ARCHITECTURE, ServerLog.read(log).startup)


def parse_literal(text: str) -> Any:
    """A printed Python value; enums become their names, and what is no literal stays text."""
    try:
        return ast.literal_eval(_ENUM.sub(r"'\1'", text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _first(pattern: re.Pattern[str], lines: tuple[LogLine, ...]) -> str | None:
    """The group, or without one the whole text, of the first line that matches."""
    for line in lines:
        match = pattern.search(line.text)
        if match:
            return match[pattern.groups]
    return None


def _flag(text: str | None) -> bool | None:
    return {"True": True, "False": False}.get(text or "")


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
