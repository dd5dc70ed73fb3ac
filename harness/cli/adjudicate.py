"""``harness adjudicate``: flips judged by people who do not know which answer is which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["register"]

HELP = """Have people judge the flips of a run, blinded, and measure how far they agree.

\b
  harness adjudicate export results/20260524_172010-study-d -o sheets
  harness adjudicate import sheets/for_raters/ann.csv bob.csv --key sheets/key.json
"""
EXPORT_HELP = """Write a blinded sheet of a run's flips, with controls mixed in, and its key.

DIR/for_raters/ holds sheet.csv, the same for Label Studio, and the rubric; DIR/key.json says what
is what and stays with you. Nothing that is there already is overwritten.

\b
  harness adjudicate export results/20260524_172010-study-d -o sheets --controls 0.25 --seed 7
"""
IMPORT_HELP = """Check filled sheets against the key, add them to adjudications.jsonl, and sum up.

FILES are sheets (CSV) or exports of Label Studio (JSON). One bad line and nothing is imported.
With no FILES the judgements that are there are summed up again.

\b
  harness adjudicate import ann.csv bob.csv --key sheets/key.json --run results/20260524_172010
"""
JUDGEMENTS = "adjudications.jsonl"
OUTCOME = "adjudication.json"


def register(app: typer.Typer) -> None:
    """Add the verb and its two commands."""
    verb = typer.Typer(help=HELP, no_args_is_help=True)
    verb.command("export", help=EXPORT_HELP)(export)
    verb.command("import", help=IMPORT_HELP)(import_)
    app.add_typer(verb, name="adjudicate")


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or records file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the sheet and the key.")],
    controls: Annotated[float, typer.Option(help="Share of the sheet that is controls.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Draws order, sides and controls.")] = 0,
    tasks: Annotated[
        Path | None, typer.Option(help="Task folder, for the prompts; default: the run's own.")
    ] = None,
) -> None:
    """Write sheet, rubric and key."""
    from harness.people import build_export
    from harness.records import read_run_files
    from harness.report import RecordLines, prompts_of

    files = read_run_files(run)
    prompts = prompts_of(files, tasks)
    if not prompts:
        typer.echo("the run's tasks are not here: the sheet has no prompts (--tasks)", err=True)
    name = str(files.metadata.get("run_id") or files.records_path.name)
    drawn = build_export(
        RecordLines(files.records_path), run_id=name, prompts=prompts, controls=controls, seed=seed
    )
    for path in _write_export(drawn, out):
        typer.echo(path)


def _write_export(drawn: Any, out: Path) -> list[Path]:
    from harness.errors import UsageError
    from harness.people import rubric_text, sheet_csv, studio_config, studio_tasks

    raters = out / "for_raters"
    texts = {
        raters / "sheet.csv": "\ufeff" + sheet_csv(drawn.items),
        raters / "label_studio_tasks.json": _pretty(studio_tasks(drawn.items)),
        raters / "label_studio_config.xml": studio_config(),
        raters / "rubric.md": rubric_text(item.rubric for item in drawn.items),
        out / "key.json": _pretty(drawn.key.as_json()),
    }
    there = next((path for path in texts if path.exists()), None)
    if there is not None:
        raise UsageError("there already", file=there, hint="choose another folder with -o")
    raters.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8", newline="")
    return list(texts)


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


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
    """Validate, append, sum up."""
    from harness.people import (
        Judgement,
        adjudicate,
        outcome_lines,
        read_judgements,
        read_key,
        refuse_repeats,
    )
    from harness.records import read_lines, write_json

    answers = read_key(_text(key), str(key))
    folder = run or key.parent
    target = folder / JUDGEMENTS
    known = [row for _, row in read_lines(target)] if target.is_file() else []
    new: list[Judgement] = []
    for file in files or ():
        judged = read_judgements(_text(file), str(file), answers)
        refuse_repeats(judged, [*known, *(j.as_json() for j in new)], str(file))
        new += judged
    _append(target, new)
    mine = [row for row in known if row.get("item_id") in answers.items]
    outcome = adjudicate([*(Judgement(**row) for row in mine), *new], answers)
    write_json(folder / OUTCOME, outcome)
    if as_json:
        typer.echo(json.dumps(outcome, ensure_ascii=False))
        return
    typer.echo(f"{len(new)} new judgements in {target}", err=True)
    for line in outcome_lines(outcome):
        typer.echo(line)


def _text(path: Path) -> str:
    from harness.errors import UsageError

    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot be read: {error}", file=path) from error


def _append(target: Path, judgements: list[Any]) -> None:
    """Add whole lines at the end and see them on disk; nothing that is there is touched."""
    import os

    from harness.errors import UsageError

    if not judgements:
        return
    lines = "".join(json.dumps(j.as_json()) + "\n" for j in judgements)
    try:
        with target.open("a", encoding="utf-8") as stream:
            stream.write(lines)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=target) from error
