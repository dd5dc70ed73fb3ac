"""``harness runpod``: a run on a rented GPU, from its price to the end of its pod."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from harness import jobs
from harness.cli.terminal import RESULTS, Results, note, say, tell
from harness.errors import UsageError

runpod = typer.Typer(
    name="runpod",
    help="A run on a GPU of RunPod: launch, status, logs, fetch, stop.",
    no_args_is_help=True,
)
_H100 = "NVIDIA H100 80GB HBM3"
_PodName = Annotated[str, Argument(metavar="POD", help="Its id or name.")]
_Yes = Annotated[bool, Option("--yes", "-y", help="Do not ask.")]
_File = Annotated[Path | None, Option("--template", help="Template file; else the shipped one.")]
_Image = Annotated[str | None, Option(help="Your image, best as name@sha256:….")]
_Env = Annotated[list[str] | None, Option("--env", "-e", help="NAME=VALUE; may be repeated.")]


@runpod.command("launch")
def launch(
    image: _Image = None,
    gpu: Annotated[str, Option(help="Kind of GPU, as RunPod calls it.")] = _H100,
    count: Annotated[int, Option("--gpu-count", min=1, help="GPUs of the pod.")] = 1,
    cloud: Annotated[Literal["secure", "community"], Option(help="RunPod's tier.")] = "secure",
    min_cuda: Annotated[str | None, Option(help="Lowest CUDA of the driver: 12.9.")] = None,
    env: _Env = None,
    template: _File = None,
    results: Results = RESULTS,
    resume: Annotated[str | None, Option(metavar="POD", help="A stopped pod, again.")] = None,
    keep: Annotated[bool, Option("--keep", help="Stop it at the end; its volume stays.")] = False,
    detach: Annotated[bool, Option("--detach", help="Do not watch; it stops by itself.")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Show the price; start nothing.")] = False,
    yes: _Yes = False,
) -> None:
    """Start a pod, watch its run, fetch what it made, and end the pod.

    \b
      harness runpod launch --image you/pod@sha256:… --dry-run
      harness runpod launch --image you/pod@sha256:… -e HARNESS_PROFILE=smoke
      harness runpod launch --resume 7h9k2m4n6p

    GPU and price are shown first, and asked for. The key is read from RUNPOD_API_KEY.
    """
    if resume and (image or env or template):
        hint = "harness runpod launch --resume POD, without --image, --env and --template"
        raise UsageError("a pod that is resumed stays as it was made", hint=hint)
    made = None if resume else jobs.pods.template_of(template, image, env or [])
    order = jobs.pods.order_of(made, gpu, count, cloud, min_cuda) if made else str(resume)
    ways = {"keep": keep, "detach": detach, "dry_run": dry_run}
    tell(jobs.pods.launch(order, results, _asks(yes), note, **ways))


@runpod.command("status")
def status(
    pod: Annotated[str | None, Argument(help="Its id or name; all of ours without.")] = None,
    as_json: Annotated[bool, Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """The pods that are there and what they cost; of one, how its run stands.

    \b
      harness runpod status
      harness runpod status 7h9k2m4n6p
    """
    tell(jobs.pods.status(pod), as_json)


@runpod.command("logs")
def logs(
    pod: _PodName,
    tail: Annotated[int, Option(min=0, max=5000, help="Lines of the past.")] = 100,
    follow: Annotated[bool, Option("--follow", "-f", help="Until the pod is over.")] = False,
) -> None:
    """What a pod and the machine under it say, in 80 columns.

    \b
      harness runpod logs 7h9k2m4n6p --tail 20
      harness runpod logs 7h9k2m4n6p --follow
    """
    say(jobs.pods.logs(pod, tail, keep_on=follow))


@runpod.command("fetch")
def fetch(pod: _PodName, results: Results = RESULTS) -> None:
    """Copy what a running pod has made, and check every file by its hash.

    \b
      harness runpod fetch 7h9k2m4n6p

    Cut off, the same command goes on there. Exit 4 while the run has not ended.
    """
    tell(jobs.pods.fetch(pod, results, note))


@runpod.command("stop")
def stop(
    pod: _PodName,
    delete: Annotated[bool, Option("--delete", help="With all that is on its volume.")] = False,
    yes: _Yes = False,
) -> None:
    """End a pod. Its volume stays, and is billed, until it is deleted too.

    \b
      harness runpod stop 7h9k2m4n6p
      harness runpod stop 7h9k2m4n6p --delete
    """
    tell(jobs.pods.stop(pod, _asks(yes), delete=delete))


@runpod.command("template")
def template(
    file: Annotated[Path | None, Argument(help="Template file; else the shipped one.")] = None,
    image: _Image = None,
    env: _Env = None,
    out: Annotated[Path | None, Option("--out", "-o", help="File to write.")] = None,
    register: Annotated[bool, Option("--register", help="Make it one of your account.")] = False,
) -> None:
    """The template as RunPod takes it: checked, printed, written or registered.

    \b
      harness runpod template --image you/pod@sha256:… -o mine.json
      harness runpod template mine.json --register
    """
    made = jobs.pods.template_of(file, image, env or [])
    shown = not (out or register)
    tell(jobs.pods.template(made, out, register=register), shown, indent=2)


@runpod.command("serve", hidden=True)
def serve(
    results: Annotated[Path, Argument(help="Folder to give.")],
    host: Annotated[str, Option(help="Address to listen on.")] = "0.0.0.0",
    port: Annotated[int, Option(help="Port to listen on.")] = 18900,
) -> None:
    """In the pod: give the results to whoever has the token in HARNESS_FETCH_TOKEN."""
    jobs.pods.give(results, host, port)


def _asks(yes: bool) -> "jobs.pods.Agree":
    """How a person agrees; without a terminal only by --yes."""

    def agree(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(
                f"nobody is there to agree: {question}", hint="--yes agrees beforehand"
            )
        return typer.confirm(question, err=True)

    return agree
