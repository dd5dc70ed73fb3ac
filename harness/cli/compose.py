"""``harness compose``: the two servers of a model for ``docker compose up``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from harness.settings import with_spec_flags

__all__ = ["register"]

HELP = """Print a Docker Compose file with the standard and the batch_invariant server of a model.

They come from the launch options of a run. Point a run at them with `--backend external`.

\b
  harness compose --profile study-d > gpu.yaml && docker compose -f gpu.yaml up standard
  harness compose --profile study-d --model qwen2.5-1.5b --gpu cdi --out compose/qwen.yaml
"""
_HEADER = """\
# Made by: {command}
# Two vLLM servers that differ in VLLM_BATCH_INVARIANT and in the compile cache only. On one GPU
# start one at a time (docker compose -f FILE up standard); both share it only if their
# --gpu-memory-utilization add up to less than 1. HF_TOKEN is taken from your shell.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("compose", help=HELP)(_command())


def _command() -> Any:
    @with_spec_flags
    def compose(
        loaded: Any,
        model: Annotated[
            str | None, typer.Option(help="Model of the spec; else its first.")
        ] = None,
        gpu: Annotated[
            Literal["runtime", "cdi", "none"],
            typer.Option(help="The engine's way to the GPUs; none for a CPU image."),
        ] = "runtime",
        lock: Annotated[Path, typer.Option(help="The lock file of images.")] = Path(
            "docker/images.lock.yaml"
        ),
        out: Annotated[Path | None, typer.Option(help="Write here, not to stdout.")] = None,
    ) -> None:
        import yaml

        from harness.machine import GpuAccess
        from harness.serve import compose_file

        folder = out.parent if out else Path("compose")
        content = compose_file(
            loaded.spec,
            _model(loaded.spec, model),
            image=_reference(loaded.spec.image, lock),
            gpu=GpuAccess(gpu),
            root=Path.cwd(),
            folder=folder.resolve(),
        )
        text = _HEADER.format(command=_command_line()) + yaml.safe_dump(content, sort_keys=False)
        if out is None:
            typer.echo(text, nl=False)
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text, encoding="utf-8")

    return compose


def _model(spec: Any, name: str | None) -> Any:
    from harness.errors import UsageError

    chosen = [model for model in spec.models if name in (None, model.name)]
    if not chosen:
        known = ", ".join(model.name for model in spec.models)
        raise UsageError(f"the spec has no model {name}", hint=f"it has: {known}")
    return chosen[0]


def _reference(image: str, lock: Path) -> str:
    """By digest where the lock has one, so that Compose starts what a run would."""
    from harness.images import ImageLock, ImageReference

    entry = ImageLock.load(lock).get(image)
    if entry is None or entry.digest is None:
        return image
    return str(ImageReference.parse(image).with_digest(entry.digest))


def _command_line() -> str:
    import shlex
    import sys

    return shlex.join(["harness", *sys.argv[1:]])
