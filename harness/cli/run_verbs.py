"""What asks servers, or would: run, ablation, plan, scan; and the machine that they run on."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Argument, Option

from harness import jobs
from harness.cli.terminal import (
    LOCK,
    RESULTS,
    GpuPrice,
    Loaded,
    Lock,
    On,
    Quiet,
    Results,
    RetryErrors,
    RunId,
    SummaryJson,
    Workers,
    note,
    out_place,
    say,
    say_json,
    tell,
    with_spec,
)
from harness.errors import UsageError
from harness.files import write_whole

CLEAN_EXAMPLE = "Example: harness clean --dry-run && harness clean --run 20261124_054500-study-d"


@with_spec
def run(
    loaded: Loaded,
    run_id: RunId = None,
    results: Results = RESULTS,
    fresh: Annotated[bool, Option("--fresh", help="Never resume; start a new run.")] = False,
    retry_errors: RetryErrors = False,
    workers: Workers = None,
    on: On = None,
    as_json: SummaryJson = False,
    quiet: Quiet = False,
) -> None:
    """Replay every candidate alone and in its batch, on both kernel paths, and compare.

    On an unfinished run this goes on where it stopped; `--fresh` starts a new one.

    \b
      harness run --profile demo
      harness run --profile study-d --candidates my_flips.csv --port 18010
      harness run -c my_run.yaml --run-id friday --retry-errors
    """
    how: dict[str, Any] = {"fresh": fresh, "retry_errors": retry_errors, "quiet": quiet}
    how |= {} if quiet else {"announce": note}
    where = jobs.clusters.placed(workers, on)
    tell(jobs.runs.run(loaded, results, run_id, **how, workers=where), as_json)


@with_spec
def ablation(
    loaded: Loaded,
    results: Results = RESULTS,
    batch_sizes: Annotated[
        str | None, Option(help="Batch sizes of the scan. \\[default: 4,16]")
    ] = None,
    only: Annotated[str | None, Option(help="One step: smoke, scan or run.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Print what would be done.")] = False,
    servers: Annotated[
        bool, Option("--servers", help="With --dry-run: how each server is started.")
    ] = False,
    as_json: SummaryJson = False,
) -> None:
    """The whole ablation on this machine, from the check of the machine to the report.

    Says beforehand what it will do. With no candidate file it first scans the task folder in standard
    mode and takes the prompts whose score changes in a batch. The same command goes on where it
    stopped.

    \b
      harness ablation --profile study-d --dry-run
      harness ablation --profile study-d --candidates candidates/my_flips.csv
      harness ablation --profile controlled --image vllm/vllm-openai:v0.20.2
    """  # noqa: E501
    planned = jobs.ablation_steps.plan_ablation(loaded, results=results, batch_sizes=batch_sizes)
    planned = planned.only(only) if only else planned
    if dry_run:
        say(planned.announcement(results))
        for step in planned.steps if servers else ():
            say(step.server_lines())
        return
    for line in planned.announcement(results):
        note(line)
    tell(jobs.ablation_steps.ablate(planned, results), as_json)


@with_spec
def plan(
    loaded: Loaded,
    gpu_price: GpuPrice = None,
    as_json: Annotated[bool, Option("--json", help="One line a candidate and mode.")] = False,
) -> None:
    """Show what a run would do, without starting a server.

    \b
      harness plan --profile demo
      harness plan --profile study-d --candidates my_flips.csv --gpu-price 2.50
      harness plan -c my_run.yaml --json > plan.jsonl
    """
    planned = jobs.runs.plan(loaded, gpu_price)
    if not as_json:
        return tell(planned)
    for row in planned.value:
        say_json(row)


@with_spec
def scan(
    loaded: Loaded,
    batch_sizes: Annotated[str, Option(help="Comma separated.")] = "4,8",
    out: Annotated[
        Path | None, Option(help="Candidate CSV; default: in the run folder.", callback=out_place)
    ] = None,
    select: Annotated[
        str, Option(help="label_flip (default) or text_change.", show_default=False)
    ] = "label_flip",
    include_cache: Annotated[
        bool, Option("--include-cache", help="Rows that only the cache moved, too.")
    ] = False,
    both_modes: Annotated[
        bool, Option("--both-modes", help="Both kernel paths, on all prompts.")
    ] = False,
    gpu_price: GpuPrice = None,
    run_id: RunId = None,
    results: Results = RESULTS,
    fresh: Annotated[bool, Option("--fresh", help="Never resume; start a new scan.")] = False,
    workers: Workers = None,
    on: On = None,
    quiet: Quiet = False,
) -> None:
    """Send a whole population, each prompt alone and in its batch, in one mode.

    Writes a scored run folder, and its label flips as a candidate file without their texts. With
    `--both-modes` the claims are of all prompts.

    \b
      harness scan --profile demo --batch-sizes 8 --select text_change
      harness scan -c my_run.yaml --batch-sizes 2,4,8,16,32 --both-modes --jobs 4
      harness scan --url http://127.0.0.1:8000
    """
    sizes = jobs.runs.read_sizes(batch_sizes, "--batch-sizes")
    places = (results, run_id, sizes, select, out)
    done = jobs.runs.scan(
        loaded,
        *places,
        fresh=fresh,
        quiet=quiet,
        include_cache=include_cache,
        workers=jobs.clusters.placed(workers, on),
        both_modes=both_modes,
        usd_per_hour=gpu_price,
        words=sys.argv[2:],
        announce=(lambda _: None) if quiet else note,
    )
    tell(done)


@with_spec
def doctor(
    loaded: Loaded,
    lock: Lock = LOCK,
    results: Results = RESULTS,
    as_json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
    invariant: Annotated[
        bool, Option("--invariant", help="Judge the stack by the known defects, without a GPU.")
    ] = False,
    vllm: Annotated[str | None, Option(help="Release, where the image does not tell it.")] = None,
    capability: Annotated[str | None, Option(help="Of the GPU that is meant, as 9.0.")] = None,
    features: Annotated[
        str | None, Option(help="The model's: dense, or moe, gdn, mamba, vision, speculative …")
    ] = None,
    quantization: Annotated[
        str | None, Option(help="none, fp8, awq, gptq, mxfp4, nvfp4, compressed-tensors-int4")
    ] = None,
) -> None:
    """Check this machine for a run: engine, GPU, image, disk, port, models.

    Exit 3 if something would stop it. Nothing is started, pulled or changed. With --invariant the
    stack is judged by the register of known defects instead: exit 1 if it has one.

    \b
      harness doctor --profile study-d
      harness doctor --profile demo --json
      harness doctor -c my_run.yaml --backend native
      harness doctor --invariant --vllm 0.19.1 --capability 9.0
    """
    stated = {"release": vllm, "capability": capability, "features": features}
    known = {**stated, "quantization": quantization}
    if invariant:
        return tell(jobs.stack_check.check_invariance(loaded.spec, lock, **known), as_json)
    if any(word is not None for word in known.values()):
        flags = "--vllm, --capability, --features and --quantization"
        raise UsageError(f"{flags} state the stack that --invariant judges", hint="add --invariant")
    tell(jobs.this_machine.doctor(loaded.spec, lock, results), as_json)


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
    command = shlex.join(["harness", *sys.argv[1:]])
    text = jobs.this_machine.compose_text(loaded.spec, model, gpu, lock, out, command)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_whole(out, text, parents=True)


@with_spec
def template(
    loaded: Loaded,
    kind: Annotated[Literal["k8s", "slurm"], Argument(help="Of which scheduler.")],
    servers: Annotated[int, Option("--jobs", help="Servers at once, one a node.")] = 4,
    image: Annotated[str, Option(help="Of the pods.")] = "YOU/harness-ray:v0.19.1",
    setup: Annotated[str, Option(help="Shell that readies a node.")] = ". .venv/bin/activate",
    out: Annotated[Path | None, Option("-o", "--out", help="Write here, not to stdout.")] = None,
) -> None:
    """Print what plays a run on a Ray cluster of its own: KubeRay's job, or Slurm's script.

    \b
      harness template k8s -c mine/run.yaml --jobs 8 --image you/harness-ray:v0.19.1 > job.yaml
      harness template slurm -c mine/run.yaml --jobs 8 -o job.sh && sbatch job.sh
    """
    told = {"image": image, "setup": setup}
    text = jobs.clusters.cluster_file(kind, loaded.spec, sys.argv[1:], servers, **told)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_whole(out, text, parents=True)


def demo(
    profile: Annotated[str, Option("--profile", "-p", help="demo or demo-tiny.")] = "demo",
    results: Results = RESULTS,
    port: Annotated[int | None, Option(help="Of the server; else the profile's.")] = None,
    quiet: Quiet = False,
) -> None:
    """The whole ablation on this machine's CPU, with a real vLLM server and a small model.

    Looks at the machine first; then installs the CPU engine (in a checkout into
    .venv-cpu, else into a folder in ~/.cache/harness; HARNESS_ENGINE names another)
    and fetches the model, once.

    
      harness demo
      harness demo --profile demo-tiny
    """
    tell(jobs.demo.demo(profile, results, port, note, quiet=quiet))


def engine() -> None:
    """Install the CPU engine that the demo runs on, unless it is there.

    
      harness engine
      PYTHON=python3.12 HARNESS_ENGINE=/opt/engine harness engine
    """
    tell(jobs.demo.install_engine())


def where(name: Annotated[str, Argument(help="As it is called in a checkout.")] = "") -> None:
    """Print where a file that ships with the harness lies.

    
      less "$(harness where docs/formats.md)"
      bash "$(harness where runpod_start.sh)"
      docker compose -f "$(harness where compose/gpu.yaml)" up standard
      "$(harness where docker/cpu/build.sh)"
    """
    say([jobs.this_machine.where(name)])


def clean(
    run: Annotated[
        str | None, Option(help="Only what belongs to this run: its id or its folder.")
    ] = None,
    results: Annotated[
        Path, Option(help="Where the run folders are, for native servers.")
    ] = RESULTS,
    dry_run: Annotated[bool, Option("--dry-run", help="List, and end nothing.")] = False,
) -> None:
    """End servers and remove containers of ours whose harness is gone; living runs are kept."""
    tell(jobs.this_machine.clean(run, results, dry_run=dry_run))
