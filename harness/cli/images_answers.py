"""``harness images compare`` and ``harness images bisect``: what images answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.settings import with_spec_flags

__all__ = ["register", "register_bisect"]

_COMPARE = """Run the same candidates on two images, and report what differs between them.

Both images are pinned and read, the candidates run on each in containers, and the answers are
compared: one report from packages to label flips. The same command goes on where it was cut.

\b
  harness images compare vllm/vllm-openai:v0.19.1 vllm/vllm-openai:v0.20.2
  harness images compare harness-vllm-cpu:0.31.0 harness-vllm-cpu:0.32.0 --profile demo
  harness images compare A B --fail-on new-label-flips,solo-changes --max-flip-rate 0.02
"""
_BISECT = """Find the first image at which the answers change, in a list from old to new.

FILE has one image a line. GOOD and BAD are run first; then the middle of what is left. An image
that cannot be run is passed over. Runs are kept, so the same command goes on where it was cut.

\b
  harness images bisect nightly-a nightly-z --images-from nightlies.txt
  harness images bisect A B --images-from list.txt --profile demo --watch solo-texts,label-flips
"""
Image = Annotated[str | None, typer.Option("--image", hidden=True)]
Results = Annotated[Path, typer.Option(help="Folder of run folders.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress of the runs.")]
Retry = Annotated[bool, typer.Option("--retry-errors", help="Ask failed records again.")]


def register(images: typer.Typer) -> None:
    """Add both to ``harness images``."""
    images.command("compare", help=_COMPARE)(with_spec_flags(_compare))
    images.command("bisect", help=_BISECT)(with_spec_flags(_bisect))


def register_bisect(app: typer.Typer) -> None:
    """Add ``harness bisect``, the same as ``harness images bisect``."""
    app.command("bisect", help=_BISECT)(with_spec_flags(_bisect))


def _compare(
    loaded: Any,
    a: Annotated[str, typer.Argument(metavar="A", help="The image to start from.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The image to set against it.")],
    results: Results = Path("results"),
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the reports.")] = None,
    fail_on: Annotated[str, typer.Option(help="Gate, as of harness compare.")] = "",
    max_flip_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Gate: most label flips of B, as a fraction.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Reports of the answers: md, html, json, junit, github.")
    ] = "md,html,json",
    retry_errors: Retry = False,
    quiet: Quiet = False,
    image: Image = None,
) -> None:
    _refuse_image(image)
    from harness.hostile import visible
    from harness.jobs import Gate, ImageRuns, chosen_formats, compare_images_by_answers

    gate = Gate.parse(fail_on, max_flip_rate, samples=False)
    runs = ImageRuns(loaded, results, quiet=quiet, retry_errors=retry_errors)
    done = compare_images_by_answers(
        a, b, runs, gate, formats=chosen_formats(formats, out), out=out, progress=_say
    )
    for line in done.lines():
        typer.echo(visible(line))
    done.compared.insist()


def _bisect(
    loaded: Any,
    good: Annotated[
        str, typer.Argument(metavar="GOOD", help="The first image; it sets the answers.")
    ],
    bad: Annotated[
        str, typer.Argument(metavar="BAD", help="The last image; it has other answers.")
    ],
    images_from: Annotated[Path, typer.Option("--images-from", help="Images, from old to new.")],
    watch: Annotated[
        str,
        typer.Option(
            help="What counts as a change: solo-texts, solo-labels, batched-texts, batched-labels, "
            "label-flips, text-changes; several separated by commas."
        ),
    ] = "solo-texts",
    results: Results = Path("results"),
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where the steps are written (JSON).")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    retry_errors: Retry = False,
    quiet: Quiet = False,
    image: Image = None,
) -> None:
    _refuse_image(image)
    import json

    from harness.images import image_range, read_image_list
    from harness.jobs import ImageRuns, bisect_images, chosen_watches, short_name
    from harness.serve.docker import connect

    watches = chosen_watches(watch)
    listed = image_range(read_image_list(images_from), good, bad, images_from)
    found = bisect_images(
        listed,
        ImageRuns(loaded, results, quiet=quiet, retry_errors=retry_errors),
        watches,
        out=out or results / f"bisect-{short_name(good)}-{short_name(bad)}.json",
        client=connect(),
        progress=_say,
    )
    if json_:
        typer.echo(json.dumps(found.to_json()))
        return
    for line in found.lines():
        typer.echo(line)


def _refuse_image(image: str | None) -> None:
    from harness.errors import UsageError

    if image is not None:
        raise UsageError("--image does not belong here", hint="the images are the arguments")


def _say(line: str) -> None:
    typer.echo(line, err=True)
