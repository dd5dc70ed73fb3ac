"""``harness compose``: the two servers of a model for ``docker compose up``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.cli.terminal import LOCK, Lock
from harness.files import write_whole
from harness.settings import LoadedSpec, with_spec_flags


@with_spec_flags
def compose(
    loaded: LoadedSpec,
    model: Annotated[str | None, typer.Option(help="Model of the spec; else its first.")] = None,
    gpu: Annotated[
        Literal["runtime", "cdi", "none"],
        typer.Option(help="The engine's way to the GPUs; none for a CPU image."),
    ] = "runtime",
    lock: Lock = LOCK,
    out: Annotated[Path | None, typer.Option(help="Write here, not to stdout.")] = None,
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
