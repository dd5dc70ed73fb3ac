"""What a stack is, in the register's words, as far as a spec or a server's own account says it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from harness.cause.defects import Judged, Trait, judge_stack
from harness.errors import UsageError
from harness.prove import parse_version
from harness.records import CANDIDATES, METADATA, PROMPT_HASHES, RunFiles, Start
from harness.settings import RunSpec, kept_spec
from harness.words import CachePolicy, Mode

Traits = Mapping[Trait, frozenset[str]]
_FLASH = re.compile(r"flash[_-]attn[_-]version\D{0,4}(\d)")
_SIZE = {
    Trait.TENSOR_PARALLEL: re.compile(r"(?:--tensor-parallel-size|-tp)[= ](\d+)"),
    Trait.DATA_PARALLEL: re.compile(r"(?:--data-parallel-size|-dp)[= ](\d+)"),
}
_QUANTIZATION = re.compile(r"(?:--quantization|-q)[= ](\S+)")
_SPECULATIVE = re.compile(r"--speculative-config|--num-speculative-tokens|\B-sc\b")
_MORE_ON = (0, 14, 0)
"""From this release on scheduling ahead is the default."""
_OF_CONFIG = (
    (re.compile(r"gpt_?oss", re.I), "gpt-oss"),
    (re.compile(r"mamba|jamba|bamba|zamba|nemotron_?h\b", re.I), "mamba"),
    (re.compile(r"qwen3_?next|gated_?delta|qwen3_5", re.I), "gdn"),
    (re.compile(r"moe|mixtral|deepseek_?v[234]|gpt_?oss", re.I), "moe"),
    (re.compile(r"deepseek_?v[34]2|sparse", re.I), "sparse-mla"),
    (re.compile(r"_?vl\b|vision|llava|vlfor", re.I), "vision"),
)


def traits_of(
    spec: RunSpec,
    mode: Mode,
    *,
    release: str | None = None,
    capability: str | None = None,
    config: Mapping[str, Any] | None = None,
    features: Iterable[str] | None = None,
    quantization: Iterable[str] | None = None,
    platform: str = "cuda",
) -> Traits:
    """The traits that a spec's server has in a mode; what nothing tells is left out.

    Args:
        spec: the run spec.
        mode: of the server.
        release: vLLM's.
        capability: the GPU's, such as ``9.0``.
        config: the model's own ``config.json``.
        features: the model's, where given by hand: ``dense`` or any of the register's.
        quantization: where given by hand, of every part; ``none`` for none.
        platform: ``cuda`` or ``cpu``.
    """
    given = " ".join(spec.server.extra_args)
    found: dict[Trait, frozenset[str]] = {
        Trait.PLATFORM: frozenset({platform}),
        Trait.MODE: frozenset({str(mode)}),
        Trait.WARM_UP: frozenset({"some" if spec.controls.warmup_requests else "none"}),
        Trait.COMPILE_CACHE: frozenset({"apart"}),
        Trait.GRAPHS: frozenset({"off" if "--enforce-eager" in given else "on"}),
        Trait.PREFIX_CACHE: frozenset({_cache(spec, given)}),
        **{trait: _count(size.findall(given)) for trait, size in _SIZE.items()},
    }
    if spec.server.tensor_parallel > 1:
        found[Trait.TENSOR_PARALLEL] = _count([str(spec.server.tensor_parallel)])
    if spec.server.dtype != "auto":
        found[Trait.DTYPE] = frozenset({spec.server.dtype})
    if capability:
        found[Trait.CAPABILITY] = frozenset({capability, f"{capability.split('.')[0]}.x"})
    if (ahead := _ahead(spec, release)) is not None:
        found[Trait.ASYNC_SCHEDULING] = frozenset({ahead})
    backend = spec.server.attention_backend
    found[Trait.ATTENTION] = frozenset({backend or "default"})
    if flash := _flash(spec, given, capability):
        found[Trait.FLASH] = frozenset({flash})
        if backend == "FLASH_ATTN":
            found[Trait.ATTENTION] |= {f"FA{flash}"}
    if platform == "cpu":
        on = mode is Mode.BATCH_INVARIANT
        switch = spec.server.env.get("VLLM_CPU_BATCH_INVARIANT_PARTS", "all")
        found[Trait.PLUGIN] = frozenset({switch if on else "none"})
    kinds = _features(config) if features is None else frozenset(features)
    if kinds is not None:
        more = {"speculative"} if _SPECULATIVE.search(given) else set()
        found[Trait.FEATURE] = kinds | more or frozenset({"dense"})
    stored = quantization or _QUANTIZATION.findall(given)[-1:]
    if not stored and config is not None:
        stored = [_quantization(config)]
    if stored:
        found[Trait.QUANTIZATION] = frozenset(stored)
    return found


def spec_of_run(files: RunFiles) -> RunSpec:
    """The settings that a run folder holds.

    Raises:
        UsageError: it holds none, or of another form.
    """
    file = files.folder / METADATA
    if not (files.spec or files.is_run_folder):
        what = "records without their run: which stack was asked, and how, is not known"
        raise UsageError(what, file=files.records_path, hint="give the run's folder")
    if not files.spec:
        what = "holds no settings" if file.exists() else "no such file"
        gone = [name for name in (CANDIDATES, PROMPT_HASHES) if not (files.folder / name).exists()]
        beside = f"; {' and '.join(gone)} {'is' if len(gone) == 1 else 'are'} missing too"
        raise UsageError(
            f"{what}: which stack was asked, and how, is not known{beside if gone else ''}",
            file=file,
            hint="give the whole folder of a run, as the harness left it",
        )
    return kept_spec(files.spec, file)


def judged_run(files: RunFiles, mode: Mode) -> tuple[Judged, ...]:
    """The register against the stack of a run's servers in a mode.

    Raises:
        UsageError: as `spec_of_run`.
    """
    return judge_stack(files.vllm, traits_of_run(files, mode))


def traits_of_run(files: RunFiles, mode: Mode) -> Traits:
    """The traits of a run's servers in a mode: by its settings, and by what their logs say.

    Raises:
        UsageError: as `spec_of_run`.
    """
    spec = spec_of_run(files)
    on_cpu = files.device_kind == "cpu"
    start = next(
        (start for one in files.startups for _, start in one.answering() if one.mode == mode),
        Start(),
    )
    told = start.facts
    found = dict(
        traits_of(
            spec,
            mode,
            release=told.get("vllm_version"),
            capability=files.capability,
            platform="cpu" if on_cpu else "cuda",
        )
    )
    if backend := told.get("attention_backend"):
        flash = told.get("flash_attention_version")
        named = (
            {str(backend), f"FA{flash}"} if backend == "FLASH_ATTN" and flash else {str(backend)}
        )
        found[Trait.ATTENTION] = frozenset(named)
        found[Trait.FLASH] = frozenset({str(flash) if flash else "none"})
    return found


def with_axis(traits: Traits, trait: Trait, *words: str) -> Traits:
    """The traits with one of them replaced."""
    return {**traits, trait: frozenset(words)}


def _cache(spec: RunSpec, given: str) -> str:
    """Whether a prompt may find an earlier asking's blocks: vLLM's own default is on."""
    policy = spec.controls.prefix_caching
    off = policy.forbids_earlier or "--no-enable-prefix-caching" in given
    return "off" if off and policy is not CachePolicy.ON else "on"


def _count(found: list[str]) -> frozenset[str]:
    size = found[-1] if found else "1"
    return frozenset({size, "many"} if int(size) > 1 else {size})


def _ahead(spec: RunSpec, release: str | None) -> str | None:
    stated = spec.controls.async_scheduling
    if stated != "server_default":
        return stated
    version = parse_version(release)
    return None if version is None else "on" if version >= _MORE_ON else "off"


def _flash(spec: RunSpec, given: str, capability: str | None) -> str | None:
    """The generation of FlashAttention: asked for, or the release's choice for the device."""
    if spec.server.attention_backend not in (None, "FLASH_ATTN"):
        return "none"
    asked = _FLASH.search(given)
    stated = asked[1] if asked else spec.server.env.get("VLLM_FLASH_ATTN_VERSION")
    if stated or capability is None:
        return stated
    return "3" if capability == "9.0" else "2"


def _features(config: Mapping[str, Any] | None) -> frozenset[str] | None:
    """What a model's configuration says that it has; ``None`` where there is none."""
    if config is None:
        return None
    told = json.dumps({key: config.get(key) for key in ("model_type", "architectures")})
    found = {name for pattern, name in _OF_CONFIG if pattern.search(told)}
    experts = ("num_local_experts", "num_experts", "n_routed_experts", "moe_intermediate_size")
    if any(config.get(key) for key in experts):
        found.add("moe")
    if "vision_config" in config:
        found.add("vision")
    return frozenset(found)


def _quantization(config: Mapping[str, Any]) -> str:
    """The method that a configuration names, in the register's words."""
    stored = config.get("quantization_config")
    if not isinstance(stored, Mapping):
        return "none"
    method = str(stored.get("quant_method", "unknown"))
    if method == "compressed-tensors":
        text = json.dumps(stored)
        return "compressed-tensors-int4" if '"num_bits": 4' in text and "int" in text else "fp8"
    return {"awq_marlin": "awq", "gptq_marlin": "gptq", "fbgemm_fp8": "fp8"}.get(method, method)
