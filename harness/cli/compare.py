"""``harness compare``: what changed from one run to another, and a gate for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import MaxFlipRate, ReportFolder, note, say, say_json
from harness.words import Mode


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Run folder, records or samples.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The run to set against A.")],
    mode_a: Annotated[Mode | None, typer.Option(help="Only this mode of A.")] = None,
    mode_b: Annotated[Mode | None, typer.Option(help="The mode of B; else as A.")] = None,
    allow_subset: Annotated[
        bool, typer.Option("--allow-subset", help="Compare what both have.")
    ] = False,
    fail_on: Annotated[
        str, typer.Option(help="Gate: comma-separated conditions, see docs/ci-gate.md.")
    ] = "",
    max_flip_rate: MaxFlipRate = None,
    formats: Annotated[
        str, typer.Option("--format", help="Reports: md, html, json, junit, github.")
    ] = "",
    out: ReportFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two runs of the same candidates, or two modes of one, and gate on what changed.

    A and B are run folders or records files (JSONL), or two lm-evaluation-harness files
    samples_*.jsonl. Every mode is set against itself; --mode-a and --mode-b set one against another.
    Runs of other candidates, prompts, batches, sampling or scorers are refused.

    \b
      harness compare results/vllm-0.30 results/vllm-0.32 --format html,md
      harness compare results/demo results/demo --mode-a standard --mode-b batch_invariant
      harness compare results/pinned results/nightly --mode-a batch_invariant \\
          --fail-on new-label-flips,solo-changes,mode-not-proven --max-flip-rate 0.02 \\
          --format junit,github
      harness compare old/samples_gsm8k.jsonl new/samples_gsm8k.jsonl --fail-on newly-wrong

    Exit 0, or 1 when a gate condition fails, 2 for runs that are not comparable, 4 for a gate over an
    incomplete run.
    """  # noqa: E501
    from harness.jobs import compare_runs

    chosen = compare_runs.chosen_formats(formats, out)
    compared = compare_runs.compare(
        a,
        b,
        (mode_a, mode_b),
        fail_on=fail_on,
        max_flip_rate=max_flip_rate,
        allow_subset=allow_subset,
    )
    if as_json:
        say_json(compared.as_json(), indent=2)
    else:
        say(compared.lines())
    for path in compare_runs.write_comparison(compared, chosen, out) if chosen else ():
        note(f"wrote {path}")
    compared.insist()
