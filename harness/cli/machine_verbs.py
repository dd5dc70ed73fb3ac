"""``harness doctor``, ``compose`` and ``clean``: this machine and what runs on it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Option

from harness.cli.terminal import LOCK, RESULTS, Loaded, Lock, Results, tell, with_spec
from harness.files import write_whole

CLEAN_EXAMPLE = """
Example: harness clean --dry-run && harness clean --run 20261124_054500-study-d
"""


@with_spec
def doctor(
    loaded: Loaded,
    lock: Lock = LOCK,
    results: Results = RESULTS,
    as_json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check this machine for a run: engine, GPU, image, disk, port, models.

    Exit 3 if something would stop it. Nothing is started, pulled or changed.

    \b
      harness doctor --profile study-d
      harness doctor --profile demo --json
      harness doctor -c my_run.yaml --backend native
    """
    from harness.jobs import this_machine

    tell(this_machine.doctor(loaded.spec, lock, results), as_json)


@with_spec
def compose(
    loaded: Loaded,
    model: Annotated[str | None, Option(help="Model of the spec; else its first.")] = None,
    gpu: Annotated[
        Literal["runtime", "cdi", "none"],
        Option(help="The engine's way to the GPUs; none for a CPU image."),
    ] = "runtime",
    lock: Lock = LOCK,
    out: Annotated[Path | None, Option(help="Write here, not to stdout.")] = None,
) -> None:
    """Print a Docker Compose file with the standard and the batch_invariant server of a model.

    They come from the launch options of a run. Point a run at them with `--backend external`.

    \b
      harness compose --profile study-d > gpu.yaml && docker compose -f gpu.yaml up standard
      harness compose --profile study-d --model qwen2.5-1.5b --gpu cdi --out compose/qwen.yaml
    """
    from harness.jobs import this_machine

    command = shlex.join(["harness", *sys.argv[1:]])
    text = this_machine.compose_text(
        loaded.spec, model, gpu=gpu, lock=lock, out=out, command=command
    )
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_whole(out, text, parents=True)


def clean(
    run: Annotated[
        str | None, Option(help="Only what belongs to this run: its id or its folder.")
    ] = None,
    results: Annotated[
        Path, Option(help="Where the run folders are, for native servers.")
    ] = RESULTS,
    dry_run: Annotated[bool, Option(help="List, and end nothing.")] = False,
) -> None:
    """End servers and remove containers of ours whose harness is gone; living runs are kept."""
    from harness.jobs import this_machine

    tell(this_machine.clean(run, results, dry_run=dry_run))
