"""The run spec: what to run, as one frozen value.

A spec comes from a YAML file or a shipped profile; every key is also a long flag and the flag
wins (`harness.spec.load`). An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.words import BackendName, DispatchMode, Mode

__all__ = [
    "Controls",
    "Expect",
    "ExternalServer",
    "ModelSpec",
    "RequestSettings",
    "RunSpec",
    "ServerSettings",
]

_STRICT = ConfigDict(extra="forbid", frozen=True, use_enum_values=False)
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


class ModelSpec(BaseModel):
    """A model: the name that candidates use and where vLLM finds its weights.

    ``hf_id`` is a hub id or an existing local folder; ``revision`` a hub commit or ``None``.
    """

    model_config = _STRICT
    name: str
    hf_id: str
    revision: str | None = None


class ServerSettings(BaseModel):
    """How a server is launched; identical for both modes.

    ``attention_backend`` and ``gpu_memory_utilization`` are not passed when ``None``.
    ``extra_args`` go to vLLM after ours, ``env`` into its environment.
    """

    model_config = _STRICT
    port: Annotated[int, Field(ge=1, le=65535)] = 18000
    max_model_len: PositiveInt = 2048
    dtype: str = "float16"
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = 0.80
    attention_backend: str | None = "FLASH_ATTN"
    startup_timeout_s: PositiveFloat = 900.0
    stop_timeout_s: PositiveFloat = 20.0
    native_command: str = "python -m vllm.entrypoints.openai.api_server"
    gpu_device_ids: tuple[str, ...] | None = None
    shm_size: str = "16g"
    extra_args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)


class RequestSettings(BaseModel):
    """How a completion is asked for; ``timeout_s`` and ``max_attempts`` hold for each request."""

    model_config = _STRICT
    max_tokens: PositiveInt = 256
    temperature: Annotated[float, Field(ge=0)] = 0.0
    seed: int | None = 42
    timeout_s: PositiveFloat = 300.0
    max_attempts: PositiveInt = 4


class Controls(BaseModel):
    """What is held fixed or repeated so that a difference has one cause.

    ``prefix_caching``: ``server_default`` sends no flag, ``off`` and ``on`` do.
    ``order``: ``solo_first`` as the study, or ``alternate`` (batched first on every other row).
    """

    model_config = _STRICT
    prefix_caching: Literal["server_default", "off", "on"] = "server_default"
    async_scheduling: Literal["server_default", "off", "on"] = "server_default"
    solo_repeats: Annotated[int, Field(ge=0)] = 1
    batched_repeats: Annotated[int, Field(ge=0)] = 0
    order: Literal["solo_first", "alternate"] = "solo_first"
    warmup_requests: Annotated[int, Field(ge=0)] = 3
    iteration_log: bool = False


class Expect(BaseModel):
    """What must be true of the finished run for it to count; ``None`` asks nothing."""

    model_config = _STRICT
    rows_per_mode: PositiveInt | None = None


class ExternalServer(BaseModel):
    """A server someone else runs: its URL and, for proof, a copy of its log."""

    model_config = _STRICT
    url: str
    log: str | None = None


class RunSpec(BaseModel):
    """One run. ``dispatch_modes`` is ``original`` or a list that replaces the candidates' own."""

    model_config = _STRICT
    schema_version: Literal[1] = 1
    name: str = "run"
    backend: BackendName = BackendName.DOCKER
    image: str = "vllm/vllm-openai:v0.19.1"
    models: tuple[ModelSpec, ...]
    modes: tuple[Mode, ...] = (Mode.STANDARD, Mode.BATCH_INVARIANT)
    candidates: tuple[str, ...] = ()
    candidate_source: Literal["auto", "csv", "jsonl"] = "auto"
    tasks: str
    dispatch_modes: Literal["original"] | tuple[DispatchMode, ...] = "original"
    limit: PositiveInt | None = None
    server: ServerSettings = ServerSettings()
    request: RequestSettings = RequestSettings()
    controls: Controls = Controls()
    expect: Expect = Expect()
    external: dict[Mode, ExternalServer] = Field(default_factory=dict)
    score_profile: Literal["paper", "strict"] = "strict"
