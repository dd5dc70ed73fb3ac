"""The run spec: what to run, as one frozen value, and its keys as they are read off the model.

A spec comes from a YAML file or a shipped profile; every key is also a long flag and the flag
wins (`harness.settings.loaded_spec`). A key added here is known to the file, to the flags and to
the suggestion for a misspelt one.
"""

import re
import shlex
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from harness.errors import nearest
from harness.places import placed
from harness.settings.yaml_lines import KeyPath
from harness.words import Asking, BackendName, CachePolicy, DispatchMode, Mode, RequestEndpoint

_STRICT = ConfigDict(
    extra="forbid",
    frozen=True,
    use_enum_values=False,
    use_attribute_docstrings=True,
    allow_inf_nan=False,
)
_OF_THE_API = re.compile(r"(?:/v1(?:/(?:chat/)?completions|/models)?|/health)?/*$")
PORTS_OF_A_RUN = 10
"""Ports between two runs that are done at once, and so the most servers of each."""
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


class ModelSpec(BaseModel):
    """A model: the name that candidates use and where vLLM finds its weights.

    ``hf_id`` is a hub id, an existing local folder, or ``models:NAME`` for one of `harness models`;
    ``revision`` is a hub commit or ``None``.
    """

    model_config = _STRICT
    name: str
    hf_id: str
    revision: str | None = None


class ServerSettings(BaseModel):
    """How a server is launched; identical for both modes.

    ``attention_backend`` and ``gpu_memory_utilization`` are not passed when ``None``.
    ``extra_args`` go to vLLM after ours, ``env`` into its environment. ``volumes`` are further
    mounts of a container, ``SOURCE:TARGET`` or ``SOURCE:TARGET:ro``.
    """

    model_config = _STRICT
    port: Annotated[int, Field(ge=1, le=65535)] = 18000
    """Port on this machine."""
    max_model_len: PositiveInt = 2048
    """Tokens of prompt and answer together."""
    dtype: str = "float16"
    """Number type of weights and activations."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = 0.80
    """Share of the memory for vLLM."""
    attention_backend: str | None = "FLASH_ATTN"
    """vLLM's attention backend."""
    startup_timeout_s: PositiveFloat = 900.0
    """Seconds until a server must be ready."""
    stop_timeout_s: PositiveFloat = 20.0
    """Seconds that a server has to stop before it is killed."""
    native_command: str = "python -m vllm.entrypoints.openai.api_server"
    """Command that starts vLLM, for the native backend."""
    tensor_parallel: PositiveInt = 1
    """GPUs that share every layer."""
    pipeline_parallel: PositiveInt = 1
    """Groups of GPUs that share the layers."""
    gpu_device_ids: tuple[str, ...] | None = None
    """Which GPUs; all when not given. Servers at once share them out."""
    shm_size: str = "16g"
    """Shared memory of the container."""
    volumes: tuple[str, ...] = ()
    """Further mounts of the container, SOURCE:TARGET or SOURCE:TARGET:ro."""
    extra_args: tuple[str, ...] = ()
    """Further arguments for vLLM."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables for the server."""
    overlap: PositiveInt = 1
    """Servers that run at once, each on a port of its own."""

    @model_serializer(mode="wrap")
    def _one_is_left_out(self, rest: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """One server of one rank reads as it did before there were keys for more."""
        told: dict[str, Any] = rest(self)
        several = ("tensor_parallel", "pipeline_parallel", "overlap")
        ones = [key for key in several if told.get(key) == 1]
        return {key: value for key, value in told.items() if key not in ones}

    @property
    def workers(self) -> int:
        """Processes that run the model: tensor times pipeline parallel size."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def on_cpu(self) -> bool:
        """Whether a variable says that vLLM's CPU engine is meant."""
        return any(name.startswith("VLLM_CPU_") for name in self.env)

    @property
    def native_argv(self) -> tuple[str, ...]:
        """The native command's words, the program where it lies on this machine."""
        program, *rest = shlex.split(self.native_command) or [""]
        return placed(program), *rest


class RequestSettings(BaseModel):
    """How a completion is asked for; ``timeout_s`` and ``max_attempts`` hold for each request."""

    model_config = _STRICT
    endpoint: RequestEndpoint = RequestEndpoint.COMPLETIONS
    """completions sends a prompt as it is, chat puts it into the model's own template."""
    max_tokens: PositiveInt = 256
    """Longest answer in tokens."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """Sampling temperature; 0 is greedy."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = 42
    """Sampling seed of every request."""
    timeout_s: PositiveFloat = 300.0
    """Seconds for one request."""
    max_attempts: PositiveInt = 4
    """How often a failing request is sent."""
    logprobs: Annotated[int, Field(ge=2, le=20)] | None = None
    """Likeliest tokens asked for at each place, of every asking alike."""


class Controls(BaseModel):
    """What is held fixed or repeated so that a difference has one cause.

    ``prefix_caching``: ``server_default`` sends no flag, ``off`` and ``on`` do. ``salted`` gives
    every request a ``cache_salt`` of its own, and ``reset`` empties the cache before each asking
    (a development endpoint); both leave the flag to the server.
    ``askings``: S0 and B at least; B2 comes after B, and S2 last.
    """

    model_config = _STRICT
    prefix_caching: CachePolicy = CachePolicy.SERVER_DEFAULT
    """Reuse of computed prefixes; alone it can change answers."""
    async_scheduling: Literal["server_default", "off", "on"] = "server_default"
    """Scheduling ahead, which makes batches depend on timing."""
    askings: tuple[Asking, ...] = (Asking.S0, Asking.S1, Asking.B, Asking.S2)
    """What each row is asked, always in this order."""
    cascade_attention: Literal["server_default", "off"] = "server_default"
    """Attention that shares a common beginning, on releases that still have it."""
    gated_fallback: Literal["none", "synchronized"] = "none"
    """How gated batches are sent to a server that cannot hold them; none is an error."""
    warmup_requests: Annotated[int, Field(ge=0)] = 3
    """Discarded requests after each start."""
    stagger_ms: PositiveFloat = 20.0
    """Milliseconds between two requests of a staggered batch."""
    iteration_log: bool = True
    """Have vLLM log every engine step."""
    worker_proof: bool = False
    """Ask every worker's dispatcher which kernels it runs."""


class Expect(BaseModel):
    """What must be true of the finished run for it to count; ``None`` asks nothing."""

    model_config = _STRICT
    rows_per_mode: PositiveInt | None = None
    """Rows that each mode must have for the run to count."""


class ExternalServer(BaseModel):
    """A server someone else runs: its root URL and, for proof, its log.

    ``api_key_env`` is the name of the environment variable that holds its key, never the key.
    """

    model_config = _STRICT
    url: str
    log: str | None = None
    api_key_env: str | None = None

    @field_validator("url")
    @classmethod
    def _root(cls, url: str) -> str:
        """The URL of the server itself, where one of its API was given."""
        return _OF_THE_API.sub("", url.strip())


class RunSpec(BaseModel):
    """One run.

    ``dispatch_modes`` is ``original`` or a list that replaces the candidates' own; ``original`` in
    the list stands for those. ``candidates`` and ``tasks`` may begin with ``packaged:``, which is
    the folder of the harness's own package.
    """

    model_config = _STRICT
    schema_version: Literal[1] = 1
    """The form of this file."""
    name: str = "run"
    """What the run is called."""
    backend: BackendName = BackendName.DOCKER
    """Who runs the server."""
    image: str = "vllm/vllm-openai:v0.19.1"
    """Container image of the docker backend."""
    models: tuple[ModelSpec, ...]
    """The models that candidates may name."""
    modes: tuple[Mode, ...] = (Mode.STANDARD, Mode.BATCH_INVARIANT)
    """Kernel paths, in order of running."""
    candidates: tuple[str, ...] = ()
    """Candidate files."""
    candidate_source: Literal["auto", "csv", "jsonl"] = "auto"
    """Form of the candidate files; auto goes by suffix."""
    tasks: str
    """Folder of task files."""
    dispatch_modes: Literal["original"] | tuple[Literal["original"] | DispatchMode, ...] = (
        "original"
    )
    """How batches are sent; original is each candidate's own way."""
    limit: PositiveInt | None = None
    """Only the first candidates."""
    server: ServerSettings = ServerSettings()
    request: RequestSettings = RequestSettings()
    controls: Controls = Controls()
    expect: Expect = Expect()
    external: dict[Mode, ExternalServer] = Field(default_factory=dict)
    """Servers of the external backend."""
    score_profile: Literal["paper", "strict"] = "strict"
    """Which scorers: the study's, or the better ones."""

    def at_place(self, run: int, place: int, moved: int = 0) -> "RunSpec":
        """The same for one of several servers at once: a port and, of several GPUs, its own.

        Args:
            run: which of the runs that are done at once, from 0.
            place: which of the run's servers that run at once, from 0.
            moved: how many ports of this place were given up before.
        """
        server = self.server
        port = server.port + PORTS_OF_A_RUN * run + place + moved * server.overlap
        own: dict[str, Any] = {"port": port}
        gpus, each = server.gpu_device_ids or (), server.workers
        if len(gpus) >= 2 * each:
            shares = len(gpus) // each
            # turned from run to run, so that no mode has a card to itself
            first = (run + place) % shares * each
            own["gpu_device_ids"] = gpus[first : first + each]
        return self.model_copy(update={"server": server.model_copy(update=own)})

    def schedules(self, own: Iterable[DispatchMode]) -> tuple[DispatchMode, ...]:
        """How a batch is sent whose candidates' own dispatch modes are ``own``, each way once."""
        found: list[DispatchMode] = []
        for mode in ("original",) if self.dispatch_modes == "original" else self.dispatch_modes:
            found += [mode] if isinstance(mode, DispatchMode) else own
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Key:
    """A key that holds a value and not a section, by its path from the top of the file.

    ``kind`` is its type without ``Annotated`` and ``None``, ``optional`` whether ``null`` may
    stand there, ``meaning`` the text under it in the model.
    """

    path: KeyPath
    kind: Any
    optional: bool
    meaning: str


def spec_keys(section: type[BaseModel] = RunSpec, above: KeyPath = ()) -> Iterator[Key]:
    """Every key of a section and of those in it, in the order of the model."""
    for name, field in section.model_fields.items():
        kind, path = _bare(field.annotation), (*above, name)
        if _is_section(kind):
            yield from spec_keys(kind, path)
        else:
            optional = type(None) in get_args(field.annotation)
            yield Key(path, kind, optional, (field.description or "").strip())


def dotted(path: KeyPath) -> str:
    """A path as people write it: ``models[0].hf_id``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def keys_at(path: KeyPath) -> list[str]:
    """The keys that a mapping at ``path`` may have; empty where any may stand."""
    here: Any = RunSpec
    for part in path:
        if _is_section(here):
            field = here.model_fields.get(str(part))
            here = _bare(field.annotation) if field else None
        elif get_origin(here) in (dict, tuple):
            here = _bare(get_args(here)[1 if get_origin(here) is dict else 0])
        else:
            return []
    if _is_section(here):
        return list(here.model_fields)
    return members_of(get_args(here)[0]) if get_origin(here) is dict else []


def members_of(kind: Any) -> list[str]:
    """The words of an enum; none of any other type."""
    return [str(member) for member in getattr(kind, "__members__", {}).values()]


def suggest_key(path: KeyPath) -> str | None:
    """What the unknown key at ``path`` was meant to be: a neighbour, or one of another section."""
    *parent, name = path
    siblings = keys_at(tuple(parent))
    leaves = [key.path for key in spec_keys()]
    elsewhere = {str(key[-1]): key for key in leaves if len(key) > 1}
    if str(name) in elsewhere:
        return f"it belongs under '{elsewhere[str(name)][0]}'"
    for known in (siblings, map(dotted, leaves), elsewhere):
        if close := nearest(name, known):
            return close
    return f"known keys: {', '.join(siblings)}" if siblings else None


def _is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _bare(annotation: Any) -> Any:
    """The annotation without ``Annotated`` and without ``None``; of a union the last member."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare([part for part in get_args(annotation) if part is not type(None)][-1])
    return annotation
