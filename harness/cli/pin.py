"""``harness pin``: write down which image a name means now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

_EPILOG = """
Example: harness pin vllm/vllm-openai:v0.19.1 vllm/vllm-openai:v0.20.2
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=_EPILOG)(pin)


def pin(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="name:tag, one or more.")],
    lock: Annotated[Path, typer.Option(help="The lock file.")] = Path("docker/images.lock.yaml"),
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Pull images and pin them by digest, with the versions inside, in the lock file.

    An image that no registry gives is pinned by its id on this machine and marked local.
    """
    from harness.images import ImageLock, pin_image
    from harness.serve.docker import connect

    known = ImageLock.load(lock)
    client = connect()
    rows = []
    for image in images:
        entry = pin_image(image, client, progress=lambda line: typer.echo(line, err=True))
        known = known.with_entry(entry)
        known.save(lock)
        rows.append(entry)
    if json_:
        typer.echo(json.dumps({"lock": str(lock), "images": [row.to_json() for row in rows]}))
        return
    for row in rows:
        typer.echo(f"{row.image}: {row.status} {row.identity}")
        typer.echo(f"  {row.versions}")
