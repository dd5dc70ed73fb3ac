"""What a stack is, in the register's words, as far as a spec says it.

A default is told where the release and the device settle it; where they do not the trait is left
out, so that no entry is excluded by what nobody knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from harness.cause.defects import Trait
from harness.cause.model_traits import (
    Config,
    attends_plainly,
    dtype_of,
    features_of,
    method_of,
    quantizations_of,
)
from harness.prove import parse_version
from harness.settings import RunSpec
from harness.vllm_arguments import Arguments, number_of, of_command, read_arguments
from harness.words import BackendName, CachePolicy, Mode

Traits = Mapping[Trait, frozenset[str]]
Release = tuple[int, ...] | None
_SIZES = {
    Trait.TENSOR_PARALLEL: "tensor_parallel_size",
    Trait.DATA_PARALLEL: "data_parallel_size",
}
_MORE_ON = (0, 14, 0)
"""From this release on scheduling ahead is the default."""
VARIABLES_READ, VARIABLES_GONE = (0, 15), (0, 26)
"""Before the first the variables of attention are read, from the second on nobody reads them."""
_FORCED, _REFUSED_UNTIL = (0, 12), (0, 20)
"""Before the first the mode takes FLASH_ATTN for a backend that it does not know; up to the
second it does not start without one; from then on it chooses one itself."""
_OF_0_11 = frozenset({"FLASH_ATTN", "FLASHINFER", "FLASH_ATTN_MLA", "FLASHINFER_MLA", "TRITON_MLA"})
_OFF = ("off", "on")
_PASSES = {
    Trait.ALLREDUCE_FUSION: "fuse_allreduce_rms",
    Trait.SEQUENCE_PARALLEL: "enable_sp",
}
"""The compiler's passes that are asked about, by vLLM's names in ``pass_config``."""
ELSEWHERE: Final = "config"
"""Among the arguments where a file or a program of somebody's gives more of them."""


def traits_of(
    spec: RunSpec,
    mode: Mode,
    *,
    release: str | None = None,
    capability: str | None = None,
    configs: Sequence[Config | None] = (),
    features: Iterable[str] | None = None,
    quantization: Collection[str] | None = None,
    platform: str | None = "cuda",
    given: Arguments | None = None,
) -> Traits:
    """The traits that a spec's server has in a mode; what nothing tells is left out.

    Args:
        spec: the run spec.
        mode: of the server.
        release: vLLM's.
        capability: the GPU's, such as ``9.0``.
        configs: each model's own ``config.json``; ``None`` for one that is not here.
        features: the models', where given by hand: ``dense`` or any of the register's.
        quantization: where given by hand, of every part; ``none`` for none.
        platform: ``cuda`` or ``cpu``; ``None`` where it is not known.
        given: the server's arguments, where it tells them itself; else the spec's.
    """
    told = given if given is not None else _given(spec)
    version = parse_version(release)
    kinds = features_of(configs) if features is None else frozenset(features) - {"speculative"}
    found: dict[Trait, str | Collection[str] | None] = {
        Trait.PLATFORM: platform,
        Trait.MODE: str(mode),
        Trait.WARM_UP: "some" if spec.controls.warmup_requests else "none",
        Trait.CAPABILITY: capability and (capability, f"{capability.split('.')[0]}.x"),
        Trait.COMPILE_CACHE: None if spec.backend is BackendName.EXTERNAL else "apart",
        Trait.PREFIX_CACHE: _cache(spec, told, kinds),
        Trait.FEATURE: kinds if features is None else kinds or ("dense",),
        Trait.SPECULATIVE: _speculative(told, features),
        Trait.QUANTIZATION: quantization or _quantization(told, configs),
        Trait.DTYPE: _dtype(spec, told, configs),
        Trait.ASYNC_SCHEDULING: _ahead(told, version),
        **{trait: _size(told, name) for trait, name in _SIZES.items()},
        **_compiled(told),
        **_passes(told),
        **_attention(spec, told, mode, version, capability, attends_plainly(kinds, configs)),
    }
    if platform == "cpu":
        switch = spec.server.env.get("VLLM_CPU_BATCH_INVARIANT_PARTS", "all")
        found[Trait.PLUGIN] = switch if mode is Mode.BATCH_INVARIANT else "none"
    return {
        trait: frozenset({words} if isinstance(words, str) else words)
        for trait, words in found.items()
        if words
    }


def with_axis(traits: Traits, trait: Trait, *words: str) -> Traits:
    """The traits with one of them replaced."""
    return {**traits, trait: frozenset(words)}


def _given(spec: RunSpec) -> Arguments | None:
    """The arguments of a spec's own server by vLLM's names; ``None`` for somebody else's."""
    server, controls = spec.server, spec.controls
    if spec.backend is BackendName.EXTERNAL:
        return None
    own = of_command(server.native_argv) if spec.backend is BackendName.NATIVE else ()
    said: dict[str, Any] = {"dtype": server.dtype, "attention_backend": server.attention_backend}
    if own is None:
        own, said[ELSEWHERE] = (), "a command of one's own"
    if server.tensor_parallel > 1:
        said["tensor_parallel_size"] = server.tensor_parallel
    for name, choice in (
        ("enable_prefix_caching", controls.prefix_caching),
        ("async_scheduling", controls.async_scheduling),
    ):
        if choice in _OFF:
            said[name] = choice == "on"
    told = {name: value for name, value in said.items() if value is not None}
    return read_arguments(own) | told | read_arguments(server.extra_args)


def _is_open(given: Arguments | None) -> bool:
    """Whether what is not among the arguments may have been set elsewhere."""
    return given is None or ELSEWHERE in given


def _switch(given: Arguments | None, name: str) -> bool | None:
    """Whether a switch is on or off; ``None`` where it is not given."""
    value = (given or {}).get(name)
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _group(given: Arguments | None, name: str) -> Mapping[str, Any]:
    value = (given or {}).get(name)
    return value if isinstance(value, Mapping) else {}


def _size(given: Arguments | None, name: str) -> Collection[str] | None:
    size = number_of(given or {}, name)
    if size is None and (_is_open(given) or name in (given or {})):
        return None
    return {str(size), "many"} if size and size > 1 else {"1"}


def _cache(spec: RunSpec, given: Arguments | None, kinds: Collection[str] | None) -> str | None:
    """Whether a prompt may find an earlier asking's blocks; of plain models vLLM's default is on.

    A policy that keeps the prompts apart keeps them so whatever the server has.
    """
    if spec.controls.prefix_caching is not CachePolicy.OFF:
        if spec.controls.prefix_caching.forbids_earlier:
            return "off"
    elif spec.backend is not BackendName.EXTERNAL:
        return "off"
    stated = _switch(given, "enable_prefix_caching")
    if stated is not None:
        return _OFF[stated]
    unsettled = {"gdn", "mamba"} & set(kinds or ())
    return None if _is_open(given) or kinds is None or unsettled else "on"


def _speculative(given: Arguments | None, features: Iterable[str] | None) -> str | None:
    told = {name: value for name, value in (given or {}).items() if value not in (None, {}, "")}
    asked = any("speculative" in name for name in told) or "speculative" in (features or ())
    return "on" if asked else None if _is_open(given) else "off"


def _quantization(
    given: Arguments | None, configs: Sequence[Config | None]
) -> Collection[str] | str | None:
    stated = (given or {}).get("quantization")
    if stated is not None:
        return method_of(str(stated), configs)
    return quantizations_of(configs)


def _dtype(spec: RunSpec, given: Arguments | None, configs: Sequence[Config | None]) -> str | None:
    stated = str((given or {}).get("dtype") or spec.server.dtype)
    return None if given is None else dtype_of(stated.removeprefix("torch."), configs)


def _ahead(given: Arguments | None, version: Release) -> str | None:
    stated = _switch(given, "async_scheduling")
    if stated is not None:
        return _OFF[stated]
    return None if _is_open(given) or version is None else _OFF[version >= _MORE_ON]


def _compiled(given: Arguments | None) -> dict[Trait, str | None]:
    """Whether a server compiles, and whether it replays CUDA graphs: its defaults are both."""
    level = number_of(given or {}, "optimization_level")
    if _switch(given, "enforce_eager") or level == 0:
        return {Trait.COMPILED: "off", Trait.GRAPHS: "off"}
    group = _group(given, "compilation_config")
    mode = str(group.get("mode", group.get("level", ""))).rpartition(".")[2]
    graphs = str(group.get("cudagraph_mode", "")).rpartition(".")[2]
    off = mode.upper() in ("0", "NONE")
    left_open = _is_open(given) or isinstance((given or {}).get("compilation_config"), str)
    compiled = "off" if off else "on" if mode or not left_open else None
    if graphs:
        return {Trait.COMPILED: compiled, Trait.GRAPHS: _OFF[graphs.upper() not in ("0", "NONE")]}
    # graphs of what is not compiled: a release's own affair
    return {Trait.COMPILED: compiled, Trait.GRAPHS: None if off or left_open else "on"}


def _passes(given: Arguments | None) -> dict[Trait, str | None]:
    """Whether the compiler's passes run; ``default``: the release decides by what is installed."""
    if _compiled(given)[Trait.COMPILED] == "off":
        return dict.fromkeys(_PASSES, "off")
    unread = isinstance((given or {}).get("compilation_config"), str)
    unsaid = None if unread or _is_open(given) else "default"
    passes = _group(_group(given, "compilation_config"), "pass_config")
    stated = {trait: _switch(passes, name) for trait, name in _PASSES.items()}
    return {trait: unsaid if told is None else _OFF[told] for trait, told in stated.items()}


def _attention(
    spec: RunSpec,
    given: Arguments | None,
    mode: Mode,
    version: Release,
    capability: str | None,
    plain: bool,
) -> dict[Trait, str | Collection[str] | None]:
    """Backend, whether it was given, and FlashAttention's generation."""
    group, variables = _group(given, "attention_config"), spec.server.env
    stated = (given or {}).get("attention_backend") or group.get("backend")
    variable = variables.get("VLLM_ATTENTION_BACKEND")
    if stated is None and variable and version and version < VARIABLES_READ:
        stated = variable
    doubtful = variable and not (version and version >= VARIABLES_GONE)
    asked = _backend_name(stated) if stated else None
    float32 = _dtype(spec, given, ()) == "float32"
    chosen = asked
    if asked is None and not _is_open(given) and plain and not float32:
        chosen = _default_backend(mode, version, capability)
        if doubtful and chosen != _backend_name(variable):
            chosen = None
    if mode is Mode.BATCH_INVARIANT and version and version < _FORCED and asked not in _OF_0_11:
        chosen = "FLASH_ATTN" if asked or not _is_open(given) else None
    was_given = "yes" if asked else None if _is_open(given) or doubtful else "no"
    flash = _flash(group, variables, mode, version, capability)
    flash = None if _is_open(given) and "flash_attn_version" not in group else flash
    if chosen and not chosen.startswith("FLASH_ATTN"):
        flash = "none"
    words = {chosen, f"FA{flash}"} if chosen == "FLASH_ATTN" and flash else chosen and {chosen}
    return {
        Trait.ATTENTION: {word for word in words or () if word},
        Trait.BACKEND_GIVEN: was_given,
        Trait.FLASH: flash,
    }


def _backend_name(stated: object) -> str:
    """Its name as vLLM's enum has it: letters in any case, an older ending, or a class's path."""
    return str(stated).rpartition(".")[2].upper().removesuffix("_VLLM_V1")


def _default_backend(mode: Mode, version: Release, capability: str | None) -> str | None:
    """What a plain model gets where no backend is given; ``None`` where that is not established."""
    if mode is Mode.BATCH_INVARIANT:
        if version is None or _FORCED <= version < _REFUSED_UNTIL:
            return None
        return "FLASH_ATTN" if (capability or "").startswith(("9.0", "10.")) else None
    if capability == "9.0":
        return "FLASH_ATTN"
    blackwell = (capability or "").startswith("10.") and version and version >= _REFUSED_UNTIL
    return "FLASHINFER" if blackwell else None


def _flash(
    group: Mapping[str, Any],
    variables: Mapping[str, str],
    mode: Mode,
    version: Release,
    capability: str | None,
) -> str | None:
    """The generation of FlashAttention: asked for, or the release's choice for the device."""
    stated = group.get("flash_attn_version")
    variable = variables.get("VLLM_FLASH_ATTN_VERSION")
    if stated is None and variable and not (version and version >= VARIABLES_GONE):
        if not (version and version < VARIABLES_READ):
            return variable if variable == _flash(group, {}, mode, version, capability) else None
        stated = variable
    if stated is not None:
        # the mode takes 2 in place of 4
        return "2" if str(stated) == "4" and mode is Mode.BATCH_INVARIANT else str(stated)
    if capability == "9.0":
        return "3"
    major = (capability or "").partition(".")[0]
    settled = major == "8" or (major == "10" and mode is Mode.BATCH_INVARIANT)
    return "2" if settled else None
