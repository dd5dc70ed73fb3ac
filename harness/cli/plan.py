"""``harness plan``: what a run would ask, of which servers and in which batches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.settings import with_spec_flags

if TYPE_CHECKING:
    from harness.plan import Estimate, Plan, PlannedRecord

__all__ = ["register"]

HELP = """Show what a run would do, without starting a server.

\b
  harness plan --profile demo
  harness plan --profile study-d --candidates my_flips.csv
  harness plan -c my_run.yaml --json > plan.jsonl
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan", help=HELP)(_command())


def _command() -> Any:
    @with_spec_flags
    def plan(
        loaded: Any,
        as_json: Annotated[
            bool, typer.Option("--json", help="One line a candidate and mode.")
        ] = False,
    ) -> None:
        from harness.candidates import load_candidates
        from harness.plan import build_plan, estimate
        from harness.tasks import load_tasks

        spec = loaded.spec
        population = load_tasks(spec.tasks)
        candidates = load_candidates(spec.candidates, spec=spec, population=population)
        work = build_plan(spec, candidates, population)
        if as_json:
            for record in work.records:
                typer.echo(json.dumps(_line(record), ensure_ascii=False))
        else:
            _show(loaded.file, work, estimate(spec, work), len(population.prompts))

    return plan


def _line(record: PlannedRecord) -> dict[str, object]:
    """The JSON form of one planned record (DESIGN 4.8)."""
    candidate = record.candidate
    return {
        "record_id": record.record_id,
        "model": candidate.model,
        "task_name": candidate.task_name,
        "sample_id": candidate.sample_id,
        "batch_size": candidate.batch_size,
        "dispatch_mode": str(candidate.dispatch_mode),
        "mode": str(record.mode),
        "group": list(record.group.ids),
        "target_index": record.group.target_index,
        "prompt_sha256": record.group.target.sha256,
    }


def _show(source: str, work: Plan, total: Estimate, prompts: int) -> None:
    rows = [("", "model", "mode", "records", "batch sizes", "dispatch modes")]
    for number, lifetime in enumerate(work.lifetimes, start=1):
        candidates = [record.candidate for record in lifetime.records]
        sizes = sorted({item.batch_size for item in candidates})
        dispatch = sorted({str(item.dispatch_mode) for item in candidates})
        count = str(len(candidates))
        name, mode = lifetime.model.name, str(lifetime.mode)
        rows.append((str(number), name, mode, count, _joined(sizes), _joined(dispatch)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    typer.echo(f"{source}: {total.records} records in {total.lifetimes} server lifetimes")
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(f"  {'  '.join(cells)}".rstrip())
    typer.echo(
        f"{total.requests} requests for {total.answers} answers, "
        f"batches cut from {prompts} prompts, warm-up and retries not counted"
    )
    typer.echo(f"roughly {_duration(total.seconds)} on {_device(total)}")


def _joined(values: list[Any]) -> str:
    return ", ".join(map(str, values))


def _device(total: Estimate) -> str:
    return "two CPU cores" if total.on_cpu else "one GPU of the H200 class, small models"


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
