"""``harness report``: a run's reports for people and for CI."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["register"]

HELP = """Write the reports of a run: Markdown and HTML, and for CI JUnit XML or a step summary.

RUN is a run folder or a records file (JSONL). A run folder's numbers come from its summary.json and
validation.json; where those are missing or older than the records, they are computed anew.

\b
  harness report results/20260524_172010-study-d
  harness report records.jsonl --format html -o out
  harness report results/nightly --format junit,github
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("report", help=HELP)
    def report(
        run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or records file.")],
        formats: Annotated[
            str, typer.Option("--format", help="Comma-separated: md, html, junit, github.")
        ] = "md,html",
        out: Annotated[
            Path | None,
            typer.Option("-o", "--out", help="Folder to write to; else beside RUN."),
        ] = None,
    ) -> None:
        from harness.report import load_report, render_github, write_reports

        chosen = _formats(formats)
        summary, validation = _numbers(run)
        files = [name for name in chosen if name != "github"]
        if files:
            written = write_reports(run, files, folder=out, summary=summary, validation=validation)
            for path in written:
                typer.echo(path)
        if "github" in chosen:
            _step_summary(render_github(load_report(run, summary, validation)))


def _formats(text: str) -> list[str]:
    from harness.errors import UsageError
    from harness.report import FORMATS

    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise UsageError(
            f"no report format '{', '.join(unknown)}'", hint=f"known: {', '.join(FORMATS)}"
        )
    return names


def _numbers(run: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Summary and validation: from their files, or anew where those are missing or stale.

    Beside a records file that is no run folder's own they may be of another file, so they are
    computed.
    """
    from harness.analyse import summarise_run, validate_run
    from harness.records import read_json, read_run_files

    files = read_run_files(run)
    sources = [files.records_path, files.folder / "metadata.json"]
    sources += [files.folder / startup.file for startup in files.startups]
    changed = max(path.stat().st_mtime_ns for path in sources if path.exists())

    def fresh(name: str) -> Mapping[str, Any] | None:
        path = files.folder / name
        if not files.is_run_folder or not path.is_file() or path.stat().st_mtime_ns < changed:
            return None
        return read_json(path)

    summary, validation = fresh("summary.json"), fresh("validation.json")
    return (
        summarise_run(run) if summary is None else summary,
        validate_run(run).as_json() if validation is None else validation,
    )


def _step_summary(text: str) -> None:
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if not target:
        typer.echo(text)
        return
    with Path(target).open("a", encoding="utf-8") as stream:
        stream.write(text)
    typer.echo(target)
