"""``harness images inventory`` and ``images diff``: what is in an image, and what changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

_INVENTORY = """Read what an image is and holds, in a container without network and GPU.

\b
  harness images inventory vllm/vllm-openai:v0.19.1
  harness images inventory vllm/vllm-openai:v0.19.1 --json > v0.19.1.json
  harness images inventory harness-vllm-cpu:0.32.0 --format md
"""
_DIFF = """Say what changed from one image to another: packages, defaults, kernels, evidence.

A and B are images, or files that `harness images inventory --json` printed elsewhere.

\b
  harness images diff vllm/vllm-openai:v0.19.1 vllm/vllm-openai:v0.20.2
  harness images diff v0.19.1.json v0.20.2.json --format md,html -o upgrade
"""
_FORMATS = ("md", "json", "html")


def register(images: typer.Typer) -> None:
    """Add both to ``harness images``."""
    images.command("inventory", help=_INVENTORY)(inventory)
    images.command("diff", help=_DIFF)(diff)


def inventory(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="name:tag or name@digest.")],
    format_: Annotated[str, typer.Option("--format", help="text, md or json.")] = "text",
    json_: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    timeout_s: Annotated[int, typer.Option(min=1, help="Seconds for the reading.")] = 600,
) -> None:
    """Print one image's inventory."""
    from harness.errors import UsageError
    from harness.hostile import visible
    from harness.images import take_inventory
    from harness.report import inventory_lines, inventory_markdown
    from harness.serve.docker import connect

    wanted = "json" if json_ else format_
    if wanted not in {"text", "md", "json"}:
        raise UsageError(f"--format: '{wanted}' is not text, md or json")
    found = take_inventory(image, connect(), progress=_say, timeout_s=timeout_s)
    if wanted == "json":
        typer.echo(json.dumps(found.to_json()))
    elif wanted == "md":
        typer.echo(inventory_markdown(found), nl=False)
    else:
        for line in inventory_lines(found):
            typer.echo(visible(line))


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="Image or inventory file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Image or inventory file.")],
    format_: Annotated[
        str, typer.Option("--format", help="md, json, html: printed, or several with -o.")
    ] = "md",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the reports.")] = None,
) -> None:
    """Print or write the difference of two images."""
    from msgspec import to_builtins

    from harness.errors import UsageError
    from harness.hostile import visible
    from harness.jobs import read_difference
    from harness.report import render_image_difference

    formats = tuple(dict.fromkeys(part.strip() for part in format_.split(",") if part.strip()))
    unknown = [name for name in formats if name not in _FORMATS]
    if unknown or not formats:
        raise UsageError(f"--format: '{format_}' is not a list of {', '.join(_FORMATS)}")
    if len(formats) > 1 and out is None:
        raise UsageError("several formats need a folder", hint="add -o FOLDER")
    difference = read_difference(a, b, _say)
    if out is None:
        typer.echo(render_image_difference(to_builtins(difference), formats[0]), nl=False)
        return
    from harness.report import write_image_difference

    typer.echo(visible(difference.headline))
    for path in write_image_difference(to_builtins(difference), formats, out):
        typer.echo(f"written   {path}")


def _say(line: str) -> None:
    typer.echo(line, err=True)
