"""``harness images``: the lock beside this machine, and the verbs that look into images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import images_answers, images_inventory

__all__ = ["register"]

_EPILOG = """
Example: harness images list --json
"""
_images = typer.Typer(help="Images: what the lock names, what is inside, and what changed.")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    images_inventory.register(_images)
    images_answers.register(_images)
    app.add_typer(_images, name="images", no_args_is_help=True, epilog=_EPILOG)


@_images.command("list", epilog=_EPILOG)
def list_(
    lock: Annotated[Path, typer.Option(help="The lock file.")] = Path("docker/images.lock.yaml"),
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Each image of the lock: what was pinned and whether this machine has it."""
    from harness.images import ImageLock, lock_status
    from harness.serve.docker import connect

    rows = lock_status(ImageLock.load(lock), connect())
    if json_:
        listed = [{**row.entry.to_json(), "here": row.here.value} for row in rows]
        typer.echo(json.dumps({"lock": str(lock), "images": listed}))
        return
    for row in rows:
        typer.echo(f"{row.entry.image}: {row.entry.status}, {row.here.value}")
        typer.echo(f"  {row.entry.identity or 'no digest yet'}")
        typer.echo(f"  {row.entry.versions}")
