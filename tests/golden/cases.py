"""The cases: command lines, what they read, and which of the files they write are compared."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

__all__ = ["CASES", "VERBS_WITH_PARTS", "Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """One or more command lines, played one after another in one folder.

    Attributes:
        name: of the case and of its expected files.
        commands: arguments of ``harness``; exit codes are part of what is expected.
        reads: names in `folders.FOLDERS`, laid out beside one another.
        collects: names of written files that are kept whole; of others only the hash is.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    reads: tuple[str, ...] = ()
    collects: tuple[str, ...] = ()


def _case(name: str, commands: str, reads: str = "", collects: str = "") -> Case:
    """A case as it is typed: a command a line, names separated by spaces."""
    lines = tuple(tuple(shlex.split(line)) for line in commands.strip().splitlines())
    return Case(name, lines, tuple(reads.split()), tuple(collects.split()))


_VERBS = (
    *("demo", "engine", "where"),
    *("run", "ablation", "plan", "summarize", "validate", "report", "score", "scan", "doctor"),
    *("certify", "matrix", "shrink", "replay", "bench", "trace", "sample"),
    *("pin", "bisect", "compare", "compose", "template", "clean", "runs", "show", "open"),
    *("export", "init", "schema"),
    *("tasks", "candidates", "models", "images", "adjudicate", "runpod"),
)
VERBS_WITH_PARTS = {
    "tasks": ("lint", "import"),
    "candidates": ("check", "export"),
    "images": ("list", "inventory", "diff", "compare", "bisect"),
    "adjudicate": ("export", "import"),
    "runpod": ("launch", "status", "logs", "fetch", "stop", "template"),
}
_HELP = [
    Case("help", (("--help",), ())),
    *(Case(f"help-{verb}", ((verb, "--help"),)) for verb in _VERBS),
    *(
        Case(f"help-{v}-{part}", ((v, part, "--help"),))
        for v, ps in VERBS_WITH_PARTS.items()
        for part in ps
    ),
    Case("help-all-run", (("run", "--help-all"),)),
    Case("version", (("--version",), ("-V",), ("run", "-h"))),
    Case("help-models-fetch", (("models", "fetch", "--help"),)),
    Case("help-without-a-part", tuple((verb,) for verb in VERBS_WITH_PARTS)),
]

_GATE = "--fail-on new-label-flips,solo-changes,mode-not-proven"
_BOTH = ("reference", "demo")
_READ = [
    case
    for run in _BOTH
    for case in (
        _case(f"summarize-{run}", f"summarize {run}", run, "summary.json"),
        _case(f"summarize-{run}-all", f"summarize {run} --all", run),
        _case(f"summarize-{run}-json", f"summarize {run} --json -o out.json", run, "out.json"),
        _case(f"show-{run}", f"show {run}\nshow {run} --flip 1\nshow {run} --flip 99", run),
        _case(f"validate-{run}", f"validate {run}", run, "validation.json"),
        _case(f"validate-{run}-json", f"validate {run} --json", run),
        _case(
            f"report-{run}",
            f"report {run} --format md,html,junit,github -o out",
            f"{run} candidates",
            "report.md report.html junit.xml",
        ),
        _case(
            f"score-{run}",
            f"score {run} --profile paper\nsummarize {run}/rescored/paper\n"
            f"validate {run}/rescored/paper",
            f"{run} candidates",
            "score_profiles.json summary.json",
        ),
        _case(f"score-{run}-json", f"score {run} --json -o out", f"{run} candidates"),
        _case(
            f"compare-{run}-modes",
            f"compare {run} {run} --mode-a standard --mode-b batch_invariant"
            " --format md,html,json,junit,github -o out",
            run,
            "comparison.md comparison.html comparison.json comparison.xml comparison-github.md",
        ),
        _case(
            f"candidates-export-{run}",
            f"candidates export {run} -o flips.csv\n"
            f"candidates export {run} -o changed.csv --select text_change --mode any",
            run,
            "flips.csv flips.summary.json changed.csv changed.summary.json",
        ),
    )
]
_CHANGED = [
    _case(
        "compare-later",
        f"compare demo later {_GATE} --max-flip-rate 0.02"
        " --format md,html,json,junit,github -o out",
        "demo later",
        "comparison.md comparison.html comparison.json comparison.xml comparison-github.md",
    ),
    _case("compare-back", f"compare later demo {_GATE}", "demo later"),
    _case("compare-later-json", "compare demo later --json", "demo later"),
    _case(
        "compare-one-mode",
        f"compare demo later --mode-a batch_invariant {_GATE}\n"
        "compare demo later --mode-a standard --fail-on label-flips,new-text-changes,"
        "solo-label-changes,batched-changes,batched-label-changes,stack-differs,not-checked",
        "demo later",
    ),
    _case("compare-with-itself", f"compare demo demo {_GATE} --format md", "demo"),
    _case("compare-unproven", f"compare demo unproven {_GATE}", "demo unproven"),
    _case(
        "compare-interrupted",
        f"compare demo interrupted\ncompare demo interrupted {_GATE}"
        f"\ncompare demo interrupted --allow-subset {_GATE}",
        "demo interrupted",
    ),
    _case(
        "compare-other-candidates",
        "compare reference demo\ncompare reference demo --allow-subset",
        "reference demo",
    ),
    _case(
        "compare-records-files",
        "compare bare/vllm_records.jsonl later/vllm_records.jsonl",
        "bare later",
    ),
    _case(
        "compare-samples",
        "compare inputs/samples_old.jsonl inputs/samples_new.jsonl --fail-on newly-wrong"
        " --format md,html,json,junit,github -o out\n"
        "compare inputs/samples_old.jsonl inputs/samples_new.jsonl --json\n"
        "compare inputs/samples_old.jsonl demo",
        "inputs demo",
        "comparison.md comparison.html comparison.json comparison.xml comparison-github.md",
    ),
    _case(
        "report-later",
        "report later --format md,html,junit,github",
        "later candidates",
        "report.md report.html junit.xml",
    ),
    _case(
        "read-interrupted",
        "summarize interrupted\nvalidate interrupted\nreport interrupted --format md",
        "interrupted",
        "summary.json report.md",
    ),
    _case(
        "read-faulty",
        "summarize faulty\nvalidate faulty\nreport faulty --format junit,md",
        "faulty",
        "summary.json report.md junit.xml",
    ),
    _case(
        "read-bare",
        "summarize bare/vllm_records.jsonl\nvalidate bare/vllm_records.jsonl\n"
        "report bare/vllm_records.jsonl --format md\nscore bare/vllm_records.jsonl"
        " --tasks candidates/population/tasks\nscore bare/vllm_records.jsonl",
        "bare candidates",
        "report.md",
    ),
    _case(
        "validate-asked",
        "validate demo --require-modes standard --expected-rows-per-mode 44\n"
        "validate demo --expected-rows-per-mode 55\nvalidate demo --require-modes fast",
        "demo",
    ),
    _case("validate-other-log", "validate other-log\nvalidate other-log --json", "other-log"),
    _case(
        "export",
        "export demo -o records.csv\nexport demo --format svg -o rates.svg\n"
        "export demo --format pdf",
        "demo",
        "rates.svg",
    ),
    _case(
        "runs",
        "runs --results .\nruns --results . --json\nruns",
        "demo interrupted faulty unproven",
    ),
    _case("validate-unproven", "validate unproven", "unproven"),
    _case(
        "adjudicate",
        "adjudicate export later -o sheets --seed 7 --controls 0.5\n"
        "adjudicate export later -o sheets",
        "later candidates",
        "sheet.csv label_studio_tasks.json label_studio_config.xml rubric.md key.json",
    ),
    _case(
        "adjudicate-import",
        "adjudicate import inputs/sheets/ann.csv inputs/sheets/bob.csv"
        " --key inputs/sheets/key.json --run later\n"
        "adjudicate import --key inputs/sheets/key.json --run later --json\n"
        "adjudicate import inputs/sheets/bad.csv --key inputs/sheets/key.json --run later\n"
        "adjudicate import inputs/sheets/ann.csv --key inputs/sheets/key.json --run later\n"
        "report later --format md",
        "inputs later",
        "adjudications.jsonl adjudication.json report.md",
    ),
]
_IMAGES = [
    _case(
        f"images-diff-{kind}",
        f"images diff inputs/v0.19.1.json inputs/v0.20.2.json --format {kind}",
        "inputs",
    )
    for kind in ("md", "json", "html")
] + [
    _case(
        "images-diff-written",
        "images diff inputs/v0.19.1.json inputs/v0.20.2.json --format md,html,json -o out\n"
        "images diff inputs/v0.19.1.json inputs/v0.19.1.json\n"
        "images diff inputs/v0.19.1.json inputs/v0.20.2.json --format md,html\n"
        "images diff inputs/v0.19.1.json inputs/v0.20.2.json --format pdf\n"
        "images diff inputs/v0.19.1.json inputs/broken.json",
        "inputs",
    )
]
_PLANS = [
    _case("plan", "plan --profile demo-tiny", "candidates"),
    _case("plan-json", "plan --profile demo-tiny --json", "candidates"),
    _case(
        "plan-changed",
        "plan --profile demo-tiny --modes batch_invariant --dispatch-modes"
        " synchronized --solo-repeats 3",
        "candidates",
    ),
    _case(
        "plan-wrong",
        "plan --profile study-d\nplan --profile demmo\nplan -c nothing.yaml\n"
        "plan -c inputs/unknown_key.yaml\nplan --profile demo-tiny --candidates inputs/flips.csv\n"
        "plan --profile demo-tiny --port many\nplan --profile demo-tiny -c inputs/unknown_key.yaml",
        "candidates inputs",
    ),
    _case(
        "ablation-dry-run",
        "ablation --profile demo-tiny --dry-run\n"
        "ablation --profile study-d --dry-run\n"
        "ablation --profile demo-tiny --dry-run --servers --only smoke\n"
        "ablation --profile demo-tiny --dry-run --only all",
        "candidates",
    ),
    _case(
        "compose",
        "compose --profile study-d\n"
        "compose --profile study-d --model qwen2.5-1.5b --gpu cdi --out gpu/two.yaml\n"
        "compose --profile study-d --model none-such",
        "",
        "two.yaml",
    ),
    _case(
        "candidates-check",
        "candidates check candidates/demo_score_flips.csv --profile demo-tiny\n"
        "candidates check candidates/demo_score_flips.csv --profile demo-tiny --json\n"
        "candidates check inputs/flips.csv --profile demo-tiny\n"
        "candidates check nothing.csv --profile demo-tiny",
        "candidates inputs",
    ),
    _case(
        "tasks-lint",
        "tasks lint candidates/population/tasks\n"
        "tasks lint candidates/population/tasks inputs/bad_task.yaml --show 2\n"
        "tasks lint inputs/bad_task.yaml --show 0\ntasks lint nothing",
        "candidates inputs",
    ),
    _case(
        "tasks-lint-json",
        "tasks lint candidates/population/tasks inputs/bad_task.yaml --json",
        "candidates inputs",
    ),
    _case(
        "tasks-import",
        "tasks import bbq inputs/bbq.jsonl -o bbq.yaml\n"
        "tasks import mmlu inputs/mmlu.jsonl -o mmlu.yaml --limit 3 --seed 42\n"
        "tasks import bbq inputs/bbq.jsonl -o x.yaml --where question_polarity=none\n"
        "tasks import bbc inputs/bbq.jsonl\ntasks import mmlu nothing.jsonl",
        "inputs",
        "bbq.yaml mmlu.yaml",
    ),
]
_ERRORS = [
    _case("error-torn", "summarize torn\nvalidate torn\nreport torn\nscore torn\n"
          "compare torn torn --mode-a standard --mode-b batch_invariant --fail-on solo-changes\n"
          "candidates export torn -o flips.csv", "torn candidates"),
    _case("error-garbled", "summarize garbled\nvalidate garbled\nreport garbled\nscore garbled\n"
          "compare garbled garbled\ncandidates export garbled -o flips.csv\n"
          "adjudicate export garbled -o sheets", "garbled candidates"),
    _case("error-missing", "summarize nothing\nvalidate nothing\nreport nothing\nscore nothing\n"
          "compare nothing demo\ncandidates export nothing -o flips.csv\n"
          "adjudicate export nothing -o sheets\nadjudicate import --key nothing.json\n"
          "summarize inputs\nscore demo\nrun --profile demo-tiny --tasks tasks\n"
          "scan --profile demo-tiny --tasks tasks\n"
          "run -c nothing.yaml", "demo inputs"),
    _case("error-usage", "nothing\nsummarize\nsummarize demo --nothing\nreport demo --format pdf\n"
          "compare demo demo --fail-on new-label-flip\ncompare demo demo --format pdf\n"
          "compare demo demo --fail-on max-flip-rate\ncompare demo demo --max-flip-rate 2\n"
          "score demo --profile papr\nvalidate demo --expected-rows-per-mode x\n"
          "candidates export demo -o flips.csv --select all\nimages bisect a b\n"
          "images compare a b --image c", "demo candidates"),
]  # fmt: skip

CASES = (*_HELP, *_READ, *_CHANGED, *_IMAGES, *_PLANS, *_ERRORS)
