"""``harness images``, ``pin`` and ``bisect``: which images there are, and what changed in them."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from harness import jobs
from harness.cli.terminal import (
    LOCK,
    RESULTS,
    Loaded,
    MaxFlipRate,
    ReportFolder,
    Results,
    RetryErrors,
    note,
    out_place,
    tell,
    with_spec,
)
from harness.errors import UsageError

PIN_EXAMPLE = "Example: harness pin vllm/vllm-openai:v0.19.1 vllm/vllm-openai:v0.20.2"
_EXAMPLE = "Example: harness images list --json"
_LockFile = Annotated[Path, Option(help="The lock file.")]
_OneObject = Annotated[bool, Option("--json", help="One JSON object on stdout.")]
_Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress of the runs.")]
_NoImage = Annotated[str | None, Option("--image", hidden=True)]

images = typer.Typer(
    name="images",
    help="Images: what the lock names, what is inside, and what changed.",
    no_args_is_help=True,
    epilog=_EXAMPLE,
)


def pin(
    images: Annotated[list[str], Argument(metavar="IMAGE...", help="name:tag, one or more.")],
    lock: _LockFile = LOCK,
    as_json: _OneObject = False,
) -> None:
    """Pull images and pin them by digest, with the versions inside, in the lock file.

    An image that no registry gives is pinned by its id on this machine and marked local.
    """
    tell(jobs.image_changes.pin(images, lock, note), as_json)


@images.command("list", epilog=_EXAMPLE)
def list_(lock: _LockFile = LOCK, as_json: _OneObject = False) -> None:
    """Each image of the lock: what was pinned and whether this machine has it."""
    tell(jobs.image_changes.locked(lock), as_json)


@images.command("inventory")
def inventory(
    image: Annotated[str, Argument(metavar="IMAGE", help="name:tag or name@digest.")],
    form: Annotated[str, Option("--format", help="text, md or json.")] = "text",
    as_json: Annotated[bool, Option("--json", help="The same as --format json.")] = False,
    timeout_s: Annotated[int, Option(min=1, help="Seconds for the reading.")] = 600,
) -> None:
    """Read what an image is and holds, in a container without network and GPU.

    \b
      harness images inventory vllm/vllm-openai:v0.19.1
      harness images inventory vllm/vllm-openai:v0.19.1 --json > v0.19.1.json
      harness images inventory harness-vllm-cpu:0.32.0 --format md
    """
    wanted = "json" if as_json else form
    typer.echo(jobs.image_changes.inventory(image, wanted, note, timeout_s=timeout_s), nl=False)


@images.command("diff")
def diff(
    a: Annotated[str, Argument(metavar="A", help="Image or inventory file.")],
    b: Annotated[str, Argument(metavar="B", help="Image or inventory file.")],
    formats: Annotated[
        str, Option("--format", help="md, json, html: printed, or several with -o.")
    ] = "md",
    out: ReportFolder = None,
) -> None:
    """Say what changed from one image to another: packages, defaults, kernels, evidence.

    A and B are images, or files that `harness images inventory --json` printed elsewhere.

    \b
      harness images diff vllm/vllm-openai:v0.19.1 vllm/vllm-openai:v0.20.2
      harness images diff v0.19.1.json v0.20.2.json --format md,html -o upgrade
    """
    for text in jobs.image_changes.difference(a, b, formats, out, note):
        typer.echo(text, nl=False)


@images.command("compare")
@with_spec
def compare(
    loaded: Loaded,
    a: Annotated[str, Argument(metavar="A", help="The image to start from.")],
    b: Annotated[str, Argument(metavar="B", help="The image to set against it.")],
    results: Results = RESULTS,
    out: ReportFolder = None,
    fail_on: Annotated[str | None, Option(help="Gate, as of harness compare.")] = None,
    max_flip_rate: MaxFlipRate = None,
    formats: Annotated[
        str, Option("--format", help="Reports of the answers: md, html, json, junit, github.")
    ] = "md,html,json",
    retry_errors: RetryErrors = False,
    quiet: _Quiet = False,
    image: _NoImage = None,
) -> None:
    """Run the same candidates on two images, and report what differs between them.

    Both images are pinned and read, the candidates run on each in containers, and the answers are
    compared: one report from packages to label flips. The same command goes on where it was cut.

    \b
      harness images compare vllm/vllm-openai:v0.19.1 vllm/vllm-openai:v0.20.2
      harness images compare A B --profile demo
      harness images compare A B --fail-on new-label-flips,solo-changes
    """
    _refuse_image(image)
    runs = jobs.image_changes.ImageRuns(loaded, results, note, quiet, retry_errors)
    gate = (fail_on, max_flip_rate)
    tell(jobs.image_changes.compare_by_answers(a, b, runs, gate, formats=formats, out=out))


@images.command("bisect")
@with_spec
def bisect(
    loaded: Loaded,
    good: Annotated[str, Argument(metavar="GOOD", help="The first image; it sets the answers.")],
    bad: Annotated[str, Argument(metavar="BAD", help="The last image; it has other answers.")],
    images_from: Annotated[Path, Option("--images-from", help="Images, from old to new.")],
    watch: Annotated[
        str,
        Option(
            help="What counts as a change: solo-texts, solo-labels, batched-texts, batched-labels, "
            "label-flips, text-changes; several separated by commas."
        ),
    ] = "solo-texts",
    results: Results = RESULTS,
    out: Annotated[
        Path | None,
        Option("-o", "--out", callback=out_place, help="Where the steps are written (JSON)."),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print the result as JSON.")] = False,
    retry_errors: RetryErrors = False,
    quiet: _Quiet = False,
    image: _NoImage = None,
) -> None:
    """Find the first image at which the answers change, in a list from old to new.

    FILE has one image a line. GOOD and BAD are run first; then the middle of what is left. An image
    that cannot be run is passed over. Runs are kept, so the same command goes on where it was cut.

    \b
      harness images bisect old new --images-from nightlies.txt
      harness images bisect A B --images-from list.txt --watch label-flips
    """
    _refuse_image(image)
    runs = jobs.image_changes.ImageRuns(loaded, results, note, quiet, retry_errors)
    found = jobs.image_changes.bisect_images(good, bad, images_from, runs, watch=watch, out=out)
    tell(found, as_json)


def _refuse_image(image: str | None) -> None:
    if image is not None:
        raise UsageError("--image does not belong here", hint="the images are the arguments")
