"""What is made of runs: their numbers, reports and scores, a comparison, people's judgements."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from harness import jobs
from harness.cli.terminal import (
    RESULTS,
    MaxFlipRate,
    ReportFolder,
    Results,
    RunPath,
    SummaryJson,
    run_place,
    say,
    tell,
)
from harness.words import Mode


def summarize(
    run: Annotated[Path, Argument(help="Run folder or records file.", callback=run_place)],
    output: Annotated[
        Path | None, Option("--output", "-o", help="Where to write the summary.")
    ] = None,
    whole: Annotated[
        bool, Option("--all", help="Every number, not the first screen alone.")
    ] = False,
    as_json: SummaryJson = False,
) -> None:
    """Recompute every number of a run from its records.

    RUN is a run folder or a records file (JSONL, this harness's or any with the required columns).
    Writes summary.json beside the records, or where -o says.

    \b
      harness summarize results/20260524_172010
      harness summarize elsewhere.jsonl --json | jq .paired
    """
    tell(jobs.run_numbers.summarise(run, output, whole=whole), as_json, indent=2)


def runs(
    results: Results = RESULTS,
    as_json: Annotated[bool, Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the runs of a folder, the newest first, each with its state.

    \b
      harness runs
      harness runs --results /workspace/results --json
    """
    tell(jobs.run_list.listed(results), as_json)


def show(
    run: RunPath,
    flip: Annotated[
        int | None, Option("--flip", min=1, help="Only the change of this number, whole.")
    ] = None,
) -> None:
    """Show a run's first screen, or one of its changes with both answers whole.

    \b
      harness show results/20260524_172010
      harness show results/20260524_172010 --flip 1

    Nothing is written. A change has the number that it has on the first screen and in the reports:
    flips first, then other changes of text.
    """
    tell(jobs.run_list.shown(run, flip))


def open_(run: RunPath) -> None:
    """Open a run's report in the browser; its path is printed.

    \b
      harness open results/20260524_172010

    The report is drawn of what is there now.
    """
    tell(jobs.run_list.opened(run))


def export(
    run: RunPath,
    form: Annotated[str, Option("--format", help="csv, parquet, svg or png.")] = "csv",
    out: Annotated[Path | None, Option("--out", "-o", help="File; default: beside RUN.")] = None,
) -> None:
    """Write a run's records as a table (CSV, Parquet), or its rates as a drawing (SVG, PNG).

    \b
      harness export results/20260524_172010
      harness export results/20260524_172010 --format parquet -o records.parquet
      harness export results/20260524_172010 --format png

    A row a candidate and mode, with every answer; texts stand as they were answered, so a
    spreadsheet may take one for a formula. A PNG takes rsvg-convert or a Chromium on PATH.
    """
    tell(jobs.opened_run.export(run, form, out))


def validate(
    run: Annotated[Path, Argument(help="Run folder or records file.", callback=run_place)],
    require_modes: Annotated[
        str | None, Option(help="Modes that must be there, separated by commas.")
    ] = None,
    expected_rows_per_mode: Annotated[
        int | None, Option(min=0, help="Records that each mode must have.")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check everything that a run must show to be counted. Exit 0 if it does, 1 if not.

    RUN is a run folder or a records file (JSONL). Without flags the run's own spec says what to
    expect. Writes validation.json beside the records.

    \b
      harness validate results/20260524_172010 \\
          --require-modes standard,batch_invariant --expected-rows-per-mode 55
    """
    found = jobs.run_numbers.validate(run, require_modes, expected_rows_per_mode)
    tell(found, as_json, indent=2)


def report(
    run: Annotated[
        Path, Argument(metavar="RUN", help="Run folder or records file.", callback=run_place)
    ],
    formats: Annotated[
        str, Option("--format", help="Comma-separated: md, html, junit, github.")
    ] = "md,html",
    out: Annotated[
        Path | None, Option("-o", "--out", help="Folder to write to; else beside RUN.")
    ] = None,
) -> None:
    """Write the reports of a run: Markdown and HTML, and for CI JUnit XML or a step summary.

    RUN is a run folder or a records file (JSONL). A run folder's numbers come from its summary.json and
    validation.json; where those are missing, or of other files than are there now, they are
    computed anew and written.

    \b
      harness report results/20260524_172010-study-d
      harness report records.jsonl --format html -o out
      harness report results/nightly --format junit,github
    """  # noqa: E501
    say(jobs.run_numbers.reports(run, formats, out))


def score(
    run: Annotated[Path, Argument(help="Run folder or records file (JSONL).", callback=run_place)],
    profile: Annotated[
        str, Option("--profile", "-p", help="paper (the study's scorers) or strict.")
    ] = "strict",
    tasks: Annotated[
        Path | None, Option(help="Folder of task files; default: the run's own.")
    ] = None,
    out: Annotated[Path | None, Option("--out", "-o", help="Folder for the re-scored run.")] = None,
    show: Annotated[int, Option(help="Disagreements to print, at most.")] = 20,
    as_json: Annotated[bool, Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Score the saved answers of a run again, and compare the two profiles.

    RUN is a run folder or a records file (JSONL) that keeps its answers. Its
    records stay as they are: a new run folder `<RUN>/rescored/<profile>/` gets the
    same answers with the other scores, and summarize, validate and report read it
    like any run. `score_profiles.json` in it says where the profiles disagree.

    \b
      harness score results/20260529_205134-demo --profile paper
      harness summarize results/20260529_205134-demo/rescored/paper
      harness score records.jsonl --profile strict --tasks candidates/population/tasks --json
    """
    tell(jobs.rescoring.rescore_run(run, profile, tasks, out, show), as_json)


def compare(
    a: Annotated[
        Path, Argument(metavar="A", help="Run folder, records or samples.", callback=run_place)
    ],
    b: Annotated[Path, Argument(metavar="B", help="The run to set against A.", callback=run_place)],
    mode_a: Annotated[Mode | None, Option(metavar="MODE", help="Only this mode of A.")] = None,
    mode_b: Annotated[Mode | None, Option(metavar="MODE", help="The mode of B; else as A.")] = None,
    allow_subset: Annotated[bool, Option("--allow-subset", help="Compare what both have.")] = False,
    fail_on: Annotated[
        str | None, Option(help="Gate: comma-separated conditions, see docs/ci-gate.md.")
    ] = None,
    max_flip_rate: MaxFlipRate = None,
    formats: Annotated[
        str | None, Option("--format", help="Reports: md, html, json, junit, github.")
    ] = None,
    out: ReportFolder = None,
    as_json: Annotated[bool, Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two runs of the same candidates, or two modes of one, and gate on what changed.

    A and B are run folders or records files (JSONL), or two lm-evaluation-harness files
    samples_*.jsonl. Every mode is set against itself; --mode-a and --mode-b set one against another.
    Runs of other candidates, prompts, batches, sampling or scorers are refused.

    \b
      harness compare results/vllm-0.30 results/vllm-0.32 --format html,md
      harness compare a a --mode-a standard --mode-b batch_invariant
      harness compare a b --fail-on new-label-flips,mode-not-proven
      harness compare old/samples_gsm8k.jsonl new/samples_gsm8k.jsonl

    Exit 0, or 1 when a gate condition fails, 2 for runs that are not comparable, 4 for a gate over an
    incomplete run.
    """  # noqa: E501
    modes, gate = (mode_a, mode_b), (fail_on, max_flip_rate)
    compared = jobs.compare_runs.compare_any(a, b, modes, gate, allow_subset, formats, out)
    tell(compared, as_json, indent=2)


adjudicate = typer.Typer(
    name="adjudicate",
    help="""Have people judge the flips of a run, blinded, and measure how far they agree.

    \b
      harness adjudicate export results/20260524_172010-study-d -o sheets
      harness adjudicate import sheets/for_raters/ann.csv bob.csv --key sheets/key.json
    """,
    no_args_is_help=True,
)


@adjudicate.command("export")
def export_sheet(
    run: Annotated[
        Path, Argument(metavar="RUN", help="Run folder or records file.", callback=run_place)
    ],
    out: Annotated[Path, Option("-o", "--out", help="Folder for the sheet and the key.")],
    by: Annotated[
        Literal["flip", "pattern"],
        Option(help="What is judged: label flips, or rows that batch or cache moved."),
    ] = "flip",
    controls: Annotated[float, Option(help="Share of the sheet that is controls.")] = 0.2,
    seed: Annotated[int, Option(help="Draws order, sides and controls.")] = 0,
    tasks: Annotated[
        Path | None, Option(help="Task folder, for the prompts; default: the run's own.")
    ] = None,
) -> None:
    """Write a blinded sheet of a run's flips or patterns, with controls mixed in, and its key.

    DIR/for_raters/ holds sheet.csv, the same for Label Studio, and the rubric; DIR/key.json says what
    is what and stays with you. Nothing that is there already is overwritten.

    \b
      harness adjudicate export results/20260524_172010-study-d -o sheets --controls 0.25 --seed 7
      harness adjudicate export results/20260524_172010-study-d -o sheets --by pattern
    """  # noqa: E501
    tell(jobs.adjudicating.send_out(run, out, by=by, controls=controls, seed=seed, tasks=tasks))


@adjudicate.command("import")
def import_sheets(
    files: Annotated[
        list[Path] | None, Argument(metavar="[FILES]...", help="Filled sheets.")
    ] = None,
    key: Annotated[Path, Option(help="The export's key.json.")] = Path("key.json"),
    run: Annotated[
        Path | None,
        Option(help="Run folder to add to; default: beside the key.", callback=run_place),
    ] = None,
    aside: Annotated[
        bool, Option("--set-aside", help="Move damaged lines of adjudications.jsonl away first.")
    ] = False,
    as_json: Annotated[bool, Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Check filled sheets against the key, add them to adjudications.jsonl, and sum up.

    FILES are sheets (CSV) or exports of Label Studio (JSON). One bad line and nothing is imported.
    With no FILES the judgements that are there are summed up again.

    \b
      harness adjudicate import ann.csv bob.csv --key sheets/key.json --run results/20260524_172010
    """
    tell(jobs.adjudicating.take_in(files or (), key, run, aside=aside), as_json)
