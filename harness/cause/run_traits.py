"""The stack of a run, by what its servers told of themselves and by its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cause.defects import Judged, Trait, judge_stack
from harness.cause.model_traits import Config, config_of_class
from harness.cause.traits import ELSEWHERE, Traits, traits_of, with_axis
from harness.errors import UsageError
from harness.files import text_unpacked
from harness.prove import parse_literal, read_architecture
from harness.records import METADATA, RunFiles, Start, object_in
from harness.settings import RunSpec, kept_spec
from harness.words import Mode

_ENGINE = (
    *("dtype", "quantization", "tensor_parallel_size", "data_parallel_size"),
    *("enforce_eager", "enable_prefix_caching", "speculative_config"),
)
"""What an engine says of itself with or without an argument."""


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
        gone = files.plan_gone
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
    """The traits of a run's servers in a mode: by their own account, by its settings and models.

    Raises:
        UsageError: as `spec_of_run`.
    """
    spec = spec_of_run(files)
    start = next(
        (start for one in files.startups for _, start in one.answering() if one.mode == mode),
        Start(),
    )
    kept = [_config(files, mode, model.name) for model in spec.models]
    told = start.facts
    found = traits_of(
        spec,
        mode,
        release=told.get("vllm_version") or files.vllm,
        capability=files.capability,
        configs=kept,
        platform=files.device_kind,
        given=_told_by(start),
    )
    if backend := told.get("attention_backend"):
        flash = told.get("flash_attention_version")
        named = (backend, f"FA{flash}") if backend == "FLASH_ATTN" and flash else (backend,)
        found = with_axis(found, Trait.ATTENTION, *named)
        found = with_axis(found, Trait.FLASH, str(flash) if flash else "none")
    return found


def _config(files: RunFiles, mode: Mode, model: str) -> Config | None:
    """What the run keeps of a model's configuration, else what its server's log settles."""
    kept = object_in(files.metadata, "model_configs").get(model)
    if isinstance(kept, Mapping):
        return kept
    for startup in files.startups:
        for _, start in startup.answering():
            ours = startup.model == model and startup.mode == mode and start.log
            if ours and (log := text_unpacked(files.folder / str(start.log))):
                return config_of_class(read_architecture(log))
    return None


def _told_by(start: Start) -> dict[str, Any] | None:
    """A server's own account as arguments; ``None`` where it gave none.

    Its log has every argument that is no default, its engine what it made of them.
    """
    facts = start.facts
    engine, arguments = object_in(facts, "engine"), object_in(facts, "arguments")
    if not (engine or arguments):
        return None
    told = dict(arguments) or {ELSEWHERE: "not told"}
    told |= {name: _value(engine[name]) for name in _ENGINE if name in engine}
    if isinstance(compiler := _value(engine.get("compilation_config")), dict):
        told["compilation_config"] = compiler
    if "quantization" in engine:
        told["quantization"] = told["quantization"] or "none"
    if (ahead := facts.get("async_scheduling")) is not None:
        told["async_scheduling"] = ahead
    return told


def _value(text: object) -> Any:
    return parse_literal(text) if isinstance(text, str) else text
