"""``harness trace`` and ``sample``: the experiments that the study left open."""

from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Option

from harness import jobs
from harness.cli.terminal import RESULTS, Loaded, Quiet, Results, out_place, tell, with_spec
from harness.words import DispatchMode

_Fresh = Annotated[bool, Option("--fresh", help="Ask again what was asked.")]
_AsJson = Annotated[bool, Option("--json", help="Print the result as JSON.")]
_Out = Annotated[
    Path | None, Option("-o", "--out", callback=out_place, help="Write the result here, as JSON.")
]


@with_spec
def trace(
    loaded: Loaded,
    file: Annotated[Path, Argument(help="CSV, JSONL, or vLLM's saved results (.json).")],
    factor: Annotated[
        float, Option(min=1e-3, metavar="N", help="So many times as fast as it was recorded.")
    ] = 1.0,
    unit: Annotated[Literal["s", "ms"], Option(help="Of arrival times that are numbers.")] = "s",
    clip: Annotated[
        bool, Option("--clip", help="Cut requests that the server cannot hold.")
    ] = False,
    results: Results = RESULTS,
    out: _Out = None,
    fresh: _Fresh = False,
    as_json: _AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Replay a production schedule with its real timing, against the same requests alone.

    Each request is asked alone, then at its own time in the trace, then alone again. Whom it met
    is read from the engine's own steps. Exit 1 where a request has no witness, failed, or changes
    alone.

    \b
      harness trace trace.csv --profile demo
      harness trace AzureLLMInferenceTrace_conv.csv --profile controlled --factor 4 --limit 500 --clip
      harness trace mooncake.jsonl --unit ms -c my_run.yaml -o traffic.json
    """  # noqa: E501
    asked: Any = {"factor": factor, "unit": unit, "clip": clip, "fresh": fresh, "quiet": quiet}
    with jobs.report_files.told_in_json_if_refused(out):
        done = jobs.tracing.replay_trace(loaded, file, results, out, **asked)
    tell(done, as_json)


@with_spec
def sample(
    loaded: Loaded,
    samples: Annotated[int, Option(min=2, metavar="K", help="Seeds of each prompt.")] = 8,
    prompts: Annotated[
        int, Option(min=2, metavar="N", help="Prompts, the population's first.")
    ] = 32,
    width: Annotated[int, Option(min=2, metavar="N", help="Prompts of a batch.")] = 8,
    schedule: Annotated[DispatchMode, Option(help="How a batch is sent.")] = (
        DispatchMode.SYNCHRONIZED
    ),
    results: Results = RESULTS,
    out: _Out = None,
    fresh: _Fresh = False,
    as_json: _AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw answers above temperature 0, alone and in a batch with the same seed, and compare.

    Two questions: whether the same seed gives the same text, and whether the labels are
    distributed alike. Exit 1 where draws failed, seeds are not kept, or nothing was sampled.

    \b
      harness sample --profile demo --temperature 0.7
      harness sample -p controlled --temperature 1.0 --samples 16 -o draws.json
      harness sample -p demo --temperature 0.7 --schedule staggered --width 16
    """
    asked = jobs.certifying.Asked((schedule,), (width,), prompts, 1)
    with jobs.report_files.told_in_json_if_refused(out):
        done = jobs.sampling.sample(loaded, asked, samples, results, out, fresh=fresh, quiet=quiet)
    tell(done, as_json)
