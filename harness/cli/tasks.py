"""``harness tasks``: check task files, and make them from published data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import say, say_json

parts = typer.Typer(
    help="Check task files, and make them from published data sets.", no_args_is_help=True
)


@parts.command("lint")
def lint(
    paths: Annotated[list[Path], typer.Argument(help="Task files or folders of them.")],
    show: Annotated[int, typer.Option(help="Places to print for each rule; 0 for all.")] = 5,
    max_model_len: Annotated[int, typer.Option(help="Tokens of the model's context.")] = 2048,
    max_tokens: Annotated[int, typer.Option(help="Tokens of it kept for the answer.")] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="Print all findings as JSON.")] = False,
) -> None:
    """Find what makes a scorer say the wrong thing: task files, or folders of them.

    Each rule has an id, a severity, its places as file:line, and a remedy.
    Exit 1 when there are errors.

    \b
      harness tasks lint candidates/population/tasks
      harness tasks lint tasks/bbq_bias.yaml --show 0
      harness tasks lint tasks --json | jq '.rules'
    """
    from harness.jobs import input_files

    linted = input_files.lint(paths, max_model_len=max_model_len, max_tokens=max_tokens)
    if as_json:
        say_json(linted.as_json())
    else:
        say(input_files.lint_lines(linted, show))
    input_files.insist_on_no_errors(linted)


@parts.command("import")
def import_(
    dataset: Annotated[
        str, typer.Argument(help="bbq, truthfulqa, mmlu, xstest or jailbreakbench.")
    ],
    file: Annotated[Path | None, typer.Argument(help="JSONL, CSV or Parquet file.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Task file to write.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the task.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="COLUMN=VALUE, only such rows; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most samples to keep.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Choose them at random with this seed; else the first.")
    ] = None,
    hub: Annotated[bool, typer.Option("--hub", help="From the hub instead of a file.")] = False,
    hub_id: Annotated[str | None, typer.Option(help="ORG/NAME on the hub.")] = None,
    config: Annotated[str | None, typer.Option(help="Configuration on the hub.")] = None,
    split: Annotated[str | None, typer.Option(help="Split on the hub.")] = None,
    revision: Annotated[str | None, typer.Option(help="Commit on the hub.")] = None,
) -> None:
    """Make a task file from a published data set, in its published columns.

    DATASET is bbq, truthfulqa, mmlu, xstest or jailbreakbench; FILE is JSONL, CSV
    or Parquet. Source and licence are written into the task file. A row that could
    be converted only by a guess is left out and counted.

    \b
      harness tasks import bbq Age.jsonl -o tasks/bbq_age.yaml --where context_condition=ambig
      harness tasks import mmlu test.parquet -o tasks/mmlu.yaml --limit 285 --seed 42
      harness tasks import truthfulqa --hub -o tasks/truthfulqa.yaml
    """
    from harness.jobs import import_task

    choice = import_task.HubChoice(hub_id, config, split, revision) if hub or hub_id else None
    imported = import_task.import_task(
        dataset,
        file,
        choice,
        out=out,
        name=name,
        where=tuple(where or ()),
        limit=limit,
        seed=seed,
    )
    say(imported.lines())
