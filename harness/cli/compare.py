"""``harness compare``: what changed from one run to another, and a gate for CI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.words import Mode

if TYPE_CHECKING:
    from harness.jobs import Compared

__all__ = ["register"]

HELP = """Compare two runs of the same candidates, or two modes of one, and gate on what changed.

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
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("compare", help=HELP)
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
        max_flip_rate: Annotated[
            float | None,
            typer.Option(min=0, max=1, help="Gate: most label flips of B, as a fraction."),
        ] = None,
        formats: Annotated[
            str, typer.Option("--format", help="Reports: md, html, json, junit, github.")
        ] = "",
        out: Annotated[
            Path | None, typer.Option("-o", "--out", help="Folder for the reports.")
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print the comparison as JSON.")
        ] = False,
    ) -> None:
        from harness.jobs import comparing

        samples = is_samples(a, b)
        gate = comparing.Gate.parse(fail_on, max_flip_rate, samples=samples)
        chosen = comparing.chosen_formats(formats, out)
        if samples:
            compared = comparing.compare_samples_files(a, b, gate, allow_subset=allow_subset)
        else:
            modes = mode_a, mode_b
            compared = comparing.compare_run_folders(a, b, modes, gate, allow_subset=allow_subset)
        _print(compared, as_json=as_json)
        for path in comparing.write_comparison(compared, chosen, out) if chosen else ():
            typer.echo(f"wrote {path}", err=True)
        compared.insist()


def _print(compared: Compared, *, as_json: bool) -> None:
    from harness.compare import comparison_lines, gate_lines

    if as_json:
        typer.echo(json.dumps(compared.as_json(), ensure_ascii=False, indent=2))
        return
    for line in comparison_lines(compared.comparison):
        typer.echo(line)
    for defect in compared.defects:
        typer.echo(f"does not count: {defect}")
    if compared.verdicts:
        typer.echo("")
    for line in gate_lines(compared.verdicts):
        typer.echo(line)


def is_samples(a: Path, b: Path) -> bool:
    """Whether both are lm-evaluation-harness samples.

    Raises:
        UsageError: only one of them is.
    """
    from harness.compare import is_samples_file
    from harness.errors import UsageError

    for path in (a, b):
        if not path.exists():
            hint = "give a run folder, a records file or a samples file"
            raise UsageError("no such run", file=path, hint=hint)
    kinds = is_samples_file(a), is_samples_file(b)
    if kinds[0] != kinds[1]:
        samples, other = (a, b) if kinds[0] else (b, a)
        raise UsageError(
            f"{samples} holds lm-evaluation-harness samples and this does not",
            file=other,
            hint="compare two runs, or two samples files",
        )
    return all(kinds)
