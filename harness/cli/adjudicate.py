"""``harness adjudicate``: flips judged by people who do not know which answer is which."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import note, say, say_json

parts = typer.Typer(
    help="""Have people judge the flips of a run, blinded, and measure how far they agree.

    \b
      harness adjudicate export results/20260524_172010-study-d -o sheets
      harness adjudicate import sheets/for_raters/ann.csv bob.csv --key sheets/key.json
    """,
    no_args_is_help=True,
)


@parts.command("export")
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or records file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the sheet and the key.")],
    controls: Annotated[float, typer.Option(help="Share of the sheet that is controls.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Draws order, sides and controls.")] = 0,
    tasks: Annotated[
        Path | None, typer.Option(help="Task folder, for the prompts; default: the run's own.")
    ] = None,
) -> None:
    """Write a blinded sheet of a run's flips, with controls mixed in, and its key.

    DIR/for_raters/ holds sheet.csv, the same for Label Studio, and the rubric; DIR/key.json says what
    is what and stays with you. Nothing that is there already is overwritten.

    \b
      harness adjudicate export results/20260524_172010-study-d -o sheets --controls 0.25 --seed 7
    """  # noqa: E501
    from harness.jobs import adjudication

    sent = adjudication.send_out(run, out, controls=controls, seed=seed, tasks=tasks)
    if not sent.has_prompts:
        note("the run's tasks are not here: the sheet has no prompts (--tasks)")
    say(sent.files)


@parts.command("import")
def import_(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILES]...", help="Filled sheets.")
    ] = None,
    key: Annotated[Path, typer.Option(help="The export's key.json.")] = Path("key.json"),
    run: Annotated[
        Path | None, typer.Option(help="Run folder to add to; default: beside the key.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Check filled sheets against the key, add them to adjudications.jsonl, and sum up.

    FILES are sheets (CSV) or exports of Label Studio (JSON). One bad line and nothing is imported.
    With no FILES the judgements that are there are summed up again.

    \b
      harness adjudicate import ann.csv bob.csv --key sheets/key.json --run results/20260524_172010
    """
    from harness.jobs import adjudication

    taken = adjudication.take_in(files or (), key, run)
    if as_json:
        say_json(taken.outcome_json())
    else:
        note(f"{taken.added} new judgements in {taken.file}")
        say(taken.lines())
