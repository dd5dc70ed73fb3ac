"""``harness ablation``: doctor, smoke, scan if needed, full run, validation and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.settings import with_spec_flags

if TYPE_CHECKING:
    from harness.jobs import Ablation, Step

__all__ = ["register"]

HELP = """The whole ablation on this machine, from the check of the machine to the report.

Says beforehand what it will do. With no candidate file it first scans the task folder in standard
mode and takes the prompts whose score changes in a batch. The same command goes on where it
stopped.

\b
  harness ablation --profile study-d --dry-run
  harness ablation --profile study-d --candidates candidates/my_flips.csv
  harness ablation --profile controlled --image vllm/vllm-openai:v0.20.2
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ablation", help=HELP)(_command())


def _command() -> Any:
    @with_spec_flags
    def ablation(
        loaded: Any,
        results: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("results"),
        batch_sizes: Annotated[str, typer.Option(help="Batch sizes of the scan.")] = "4,16",
        only: Annotated[str | None, typer.Option(help="One step: smoke, scan or run.")] = None,
        dry_run: Annotated[bool, typer.Option(help="Print what would be done.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    ) -> None:
        from harness.jobs import plan_ablation, read_sizes

        planned = plan_ablation(loaded, results=results, batch_sizes=read_sizes(batch_sizes))
        planned = planned.only(only) if only else planned
        for line in _announcement(planned, results):
            typer.echo(line, err=not dry_run)
        if dry_run:
            for step in planned.steps:
                for line in _containers(step):
                    typer.echo(line)
            return
        from harness.cli.outcome import finish
        from harness.conduct import ConsoleProgress
        from harness.jobs import run_ablation

        finish(run_ablation(planned, results, ConsoleProgress()), as_json=as_json)

    return ablation


def _announcement(ablation: Ablation, results: Path) -> list[str]:
    spec = ablation.steps[0].loaded.spec
    full = ablation.steps[-1].loaded.spec
    models = ", ".join(model.hf_id for model in full.models)
    lines = [
        f"ablation {spec.name}: {', '.join(full.modes)} on {spec.backend}"
        + (f", image {spec.image}" if spec.backend == "docker" else ""),
        f"  models      {models} (downloaded to the Hugging Face cache if they are not there)",
        f"  candidates  {ablation.candidates}"
        + (" (made by the scan: the score flips of the task folder)" if ablation.scans else ""),
        "  1. doctor     checks engine, GPU, image, disk, port, models; starts nothing",
    ]
    for number, step in enumerate(ablation.steps, 2):
        lines.append(f"  {number}. {step.name:<10} {results / step.run_id}: {_amount(step)}")
    return lines


def _amount(step: Step) -> str:
    if step.prepared is None:
        return "as many rows as the scan finds, in every mode"
    plan, seconds = step.prepared.plan, step.seconds or 0.0
    servers, records = len(plan.lifetimes), len(plan.records)
    return f"{records} records, {servers} server starts, very roughly {seconds / 60:.0f} min"


def _containers(step: Step) -> list[str]:
    from harness.serve import launch_options

    spec = step.loaded.spec
    pairs = [(model, mode) for model in spec.models for mode in spec.modes]
    lines = [f"{step.name}:"]
    for model, mode in pairs:
        options = launch_options(spec, model, mode, run_id=step.run_id)
        lines.append(f"  {model.name} / {mode}")
        lines.append(f"    command      {' '.join(options.command_line)}")
        variables = " ".join(f"{k}={v}" for k, v in sorted(options.environment.items()))
        lines.append(f"    environment  {variables}")
        lines.append(f"    passed on    {' '.join(options.secret_variables)} (by name)")
        if options.container is not None:
            container = options.container.to_json()
            for key in ("image", "publish", "mounts", "gpu", "shm_size"):
                lines.append(f"    {key:<12} {container[key]}")
    return lines
