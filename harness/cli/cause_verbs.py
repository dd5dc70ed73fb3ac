"""``harness certify`` and what follows it: from a changed answer to its cause, and a case of it."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from harness import jobs
from harness.cli.terminal import (
    RESULTS,
    Loaded,
    Quiet,
    Results,
    out_place,
    run_place,
    tell,
    with_spec,
)
from harness.errors import UsageError

_Widths = Annotated[str, Option(metavar="N,N", help="Prompts of a batch.")]
_Schedules = Annotated[str, Option(metavar="…", help="How batches are sent.")]
_Prompts = Annotated[int, Option(min=1, metavar="N", help="Prompts, the population's first.")]
_Fresh = Annotated[bool, Option("--fresh", help="Never resume; start anew.")]
_AsJson = Annotated[bool, Option("--json", help="Print the result as JSON.")]
_Port = Annotated[int | None, Option(help="Port on this machine.")]
_Command = Annotated[str | None, Option(help="Command that starts vLLM here (native backend).")]
_Server = Annotated[str | None, Option(help="URL,LOG of a server that runs already.")]
_Trust = Annotated[
    bool, Option("--trust", help="Run commands, images, mounts and code that its author set.")
]
_Image = Annotated[str | None, Option(help="Image in place of the run's (docker backend).")]
_Out = Annotated[
    Path | None, Option("-o", "--out", dir_okay=False, callback=out_place, help="The case file.")
]
_Table = Annotated[
    Path | None, Option("-o", "--out", file_okay=False, help="Folder for table and figure.")
]


@with_spec
def certify(
    loaded: Loaded,
    context: typer.Context,
    schedules: _Schedules = "synchronized,gated,staggered,wide",
    widths: _Widths = "2,4,8,16,32,64",
    prompts: _Prompts = 64,
    lifetimes: Annotated[int, Option(min=1, metavar="N", help="Lifetimes of each mode.")] = 3,
    even_steps: Annotated[
        bool, Option("--no-vary-steps", help="No steps of 255, 256, 257 tokens.")
    ] = False,
    of: Annotated[
        list[Path] | None, Option("--of", metavar="<path>", help="Certify this run instead.")
    ] = None,
    results: Results = RESULTS,
    out: Annotated[
        Path | None, Option("-o", "--out", file_okay=False, help="Folder for the certificate.")
    ] = None,
    fresh: _Fresh = False,
    as_json: _AsJson = False,
    quiet: Quiet = False,
) -> None:
    """One verdict for one stack: invariant within a bound, not invariant, vacuous or not proven.

    Standard mode is the positive control. Exit 1 unless invariant. Writes certificate.json, .md
    (with a block for an upstream thread) and .html.

    \b
      harness certify --profile demo --widths 2,8 --prompts 16 --lifetimes 2
      harness certify --profile controlled --image vllm/vllm-openai:v0.19.1
      harness certify --of results/run-1 --of results/run-2 --out certificate
    """
    if of:
        given = _given(context)
        if unused := given - {"of", "out", "as_json", "schedules", "quiet"}:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(unused))
            hint = "leave them out: what a run asked stands in its folder"
            raise UsageError(f"--of certifies what is there, and asks nothing: {flags}", hint=hint)
        wanted = jobs.certifying.read_schedules(schedules) if "schedules" in given else ()
        with jobs.report_files.pages_if_refused("certificate", of[0].name, out):
            done = jobs.certifying.certified(of, wanted, out)
        return tell(done, as_json)
    asked = jobs.certifying.Asked(
        jobs.certifying.read_schedules(schedules),
        jobs.runs.read_sizes(widths, "--widths"),
        prompts,
        lifetimes,
        not even_steps,
    )
    with jobs.report_files.pages_if_refused("certificate", loaded.spec.name, out):
        done = jobs.certifying.certify_stack(loaded, asked, results, out, quiet=quiet, fresh=fresh)
    tell(done, as_json)


def _given(context: typer.Context) -> set[str]:
    """The parameters that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def shrink(
    run: Annotated[Path, Argument(help="Run folder.", callback=run_place)],
    record: Annotated[str, Argument(help="Its record_id, or task/sample.")],
    out: _Out = None,
    results: Results = RESULTS,
    trials: Annotated[int, Option(min=4, help="Most askings of batches.")] = 400,
    port: _Port = None,
    native_command: _Command = None,
    image: _Image = None,
    server: _Server = None,
    trust: _Trust = False,
    as_json: _AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find the fewest companions that still change an answer, and write it as a case file.

    Starts a server as the run's was, asks for the record's batch, and takes companions away while the
    answer still changes (delta debugging); then simpler schedules are tried. A flaky change is asked
    for more often. Exit 1 where the change does not come again.

    \b
      harness shrink results/run-1 4f1d0c2b9a8e7766
      harness shrink results/run-1 mmlu/s12 --port 18010 -o case.json
    """  # noqa: E501
    where = _where(results, quiet, port, native_command, image, server, trust)
    tell(jobs.cases.shrink(run, record, where, out, most=trials), as_json)


def replay(
    case: Annotated[Path, Argument(help="Case file of harness shrink.")],
    check: Annotated[
        bool,
        Option("--check", help="Only work its hashes and numbers out again, without a server."),
    ] = False,
    results: Results = RESULTS,
    port: _Port = None,
    native_command: _Command = None,
    image: _Image = None,
    server: _Server = None,
    trust: _Trust = False,
    as_json: _AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Ask a server for a case again, and say whether it reproduces. Exit 1 where it does not.

    \b
      harness replay case.json
      harness replay case.json --port 18010 --native-command "python -m vllm.entrypoints.openai.api_server"
      harness replay case.json --check
    """  # noqa: E501
    if check:
        return tell(jobs.replaying.check(case), as_json)
    where = _where(results, quiet, port, native_command, image, server, trust)
    tell(jobs.replaying.replay(case, where), as_json)


def _where(
    results: Path,
    quiet: bool,
    port: int | None,
    native_command: str | None,
    image: str | None,
    server: str | None,
    trust: bool,
) -> "jobs.cases.Where":
    given = {"port": port, "native_command": native_command, "image": image, "server": server}
    overrides = {name: value for name, value in given.items() if value is not None}
    return jobs.cases.Where(results, overrides, quiet, trust)


@with_spec
def matrix(
    loaded: Loaded,
    axis: Annotated[
        list[str],
        Option("--axis", metavar="AXIS", help="attention=FA3|FA2, NAME=ARGS|ARGS …"),
    ],
    crossed: Annotated[
        bool, Option("--crossed", help="Measure every combination once first.")
    ] = False,
    schedules: _Schedules = "synchronized,staggered",
    widths: _Widths = "8",
    prompts: _Prompts = 24,
    most: Annotated[
        int, Option(min=3, metavar="N", help="Clean lifetimes that a value may need.")
    ] = 12,
    results: Results = RESULTS,
    out: _Table = None,
    fresh: _Fresh = False,
    as_json: _AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Which axis takes the change away: one at a time from a base, then several together.

    An axis's first value is the base. Axes: attention, prefix_cache, graphs, async_scheduling,
    schedule, width, tensor_parallel, allreduce_fusion, sequence_parallel, dtype, plugin, mode,
    server (URL,LOG); any other name takes vLLM's arguments and variables between bars. Exit 1
    where the cause is unknown.

    \b
      harness matrix --profile controlled --axis "attention=FA3|FA2|TRITON_ATTN"
      harness matrix --profile demo --axis plugin --axis "dtype=bfloat16|float32"
      harness matrix -c my.yaml --axis "slots=--max-num-seqs 64|--max-num-seqs 8"
    """
    asked = jobs.certifying.Asked(
        jobs.certifying.read_schedules(schedules),
        jobs.runs.read_sizes(widths, "--widths"),
        prompts,
        lifetimes=1,
    )
    flags = {"crossed": crossed, "quiet": quiet, "fresh": fresh}
    with jobs.report_files.pages_if_refused("matrix", loaded.spec.name, out):
        found = jobs.matrix.matrix(loaded, tuple(axis), asked, results, out, most=most, **flags)
    tell(found, as_json)


@with_spec
def bench(
    loaded: Loaded,
    axis: Annotated[
        str, Option(help="What is set in ratio, as of harness matrix; the first value is the base.")
    ] = "mode=standard|batch_invariant",
    concurrent: Annotated[str, Option(help="Prompts at once, comma separated.")] = "1,8,32,128,256",
    blocks: Annotated[int, Option(help="Blocks of a server lifetime each arm; 5 at least.")] = 5,
    results: Results = RESULTS,
    out: _Table = None,
    fresh: _Fresh = False,
    as_json: _AsJson = False,
    quiet: Quiet = False,
) -> None:
    """What the mode costs: start-up, first token, each token, throughput; ratios with intervals.

    Each block starts a server of each arm, the order turned from block to block. The same command
    goes on where it was cut.

    \b
      harness bench --profile controlled --image vllm/vllm-openai:v0.19.1 -o cost
      harness bench --profile demo --concurrent 1,8 --axis "mode=standard|batch_invariant"
      harness bench --profile controlled --axis "attention=FA3|FA2|TRITON_ATTN"
    """
    sizes = jobs.runs.read_sizes(concurrent, "--concurrent", least=1, most=4096)
    flags = {"fresh": fresh, "quiet": quiet}
    with jobs.report_files.pages_if_refused("bench", loaded.spec.name, out):
        found = jobs.benching.bench(loaded, axis, sizes, blocks, results, out, **flags)
    tell(found, as_json)
