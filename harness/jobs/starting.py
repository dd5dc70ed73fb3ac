"""The first files of one's own, and what editors check such files by."""

import csv
import io
import json
import shlex
from collections.abc import Container, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from shlex import quote
from typing import Any

from harness.candidates import Candidate
from harness.errors import UsageError, nearest
from harness.families import FAMILIES
from harness.files import write_new
from harness.jobs import Done
from harness.settings import RunSpec, load_spec, profile_names
from harness.tasks import load_task
from harness.words import DispatchMode, Domain

SCHEMAS = ("run", "task", "candidates")
_COLUMNS = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
_ABOUT = {
    "demo": "a small real model on this machine's CPU; on a GPU: controlled",
    "controlled": "NVIDIA GPU and Docker, every confound pinned; without a GPU: demo",
}
_OF_A_SCAN = frozenset(
    ("--batch-sizes", "--select", "--out", "-o", "--gpu-price", "--run-id", "--candidates")
)
_BARE_OF_A_SCAN = frozenset(("--include-cache", "--both-modes", "--fresh", "--quiet", "-q"))
_BATCH = 4
_WAY = DispatchMode.SYNCHRONIZED


def begin(folder: Path, profile: str) -> Done:
    """Write a task, candidates and a run spec that run as they are; nothing is overwritten.

    Raises:
        UsageError: no such profile, or a file is there already.
    """
    if profile not in profile_names():
        hint = nearest(profile, profile_names(), "known")
        raise UsageError(f"no profile '{profile}'", hint=hint)
    model = load_spec(profile).spec.models[0].name
    starter = files("harness.settings").joinpath("starter")
    task, run = (starter.joinpath(n).read_text("utf-8") for n in ("prompts.yaml", "run.yaml"))
    place = "" if folder == Path() else f"{folder}/"
    about = _ABOUT.get(profile, "a shipped spec")
    with as_file(starter.joinpath("prompts.yaml")) as prompts:
        samples = load_task(prompts).samples
    named = ((model, "my_prompts", sample.sample_id, _BATCH, str(_WAY)) for sample in samples)
    table = io.StringIO(newline="")
    csv.writer(table, lineterminator="\n").writerows([_COLUMNS, *named])
    spec = folder / "run.yaml"
    texts = {
        folder / "tasks" / "my_prompts.yaml": task,
        spec: run.format(folder=place, profile=profile, about=about),
        folder / "candidates.csv": table.getvalue(),
        folder / "run.schema.json": json.dumps(schema("run").value, indent=1) + "\n",
    }
    kept = {path for path in texts if path.exists()}
    write_new(texts, hint="name another folder: harness init DIR")
    return Done(
        (
            *(f"{'kept ' if path in kept else 'wrote'}  {path}" for path in texts),
            f"next   harness plan -c {spec}   (what it would do)",
            f"       harness run  -c {spec}",
            f"yours  harness tasks import csv prompts.csv -o {folder / 'tasks' / 'mine.yaml'}",
            f"       {scan_of(spec)}   (which change)",
        )
    )


def scan_of(spec: object) -> str:
    """The command that makes candidates of a population: of the prompts whose text changes."""
    return f"harness scan -c {spec} --select text_change --out my.csv"


def said_of_the_run(words: Sequence[str], valued: Container[str], bare: Container[str] = ()) -> str:
    """Of the words behind a verb those that say what is run, as a shell takes them.

    Args:
        valued: the verb's own flags with a value, which say nothing of the run.
        bare: its own words without one.
    """
    kept, left = list[str](), iter(words)
    for word in left:
        name, given, value = word.partition("=")
        if name in valued:
            if not given:
                next(left, None)
        elif word not in bare:
            kept += (name, value) if given and name.startswith("--") else (word,)
    return shlex.join(kept)


def run_after_scan(words: Sequence[str], candidates: object) -> str:
    """The command that asks what a scan found, with all that the scan was told of the run."""
    said = said_of_the_run(words, _OF_A_SCAN, _BARE_OF_A_SCAN)
    return " ".join(filter(None, ("harness run", said, f"--candidates {quote(str(candidates))}")))


def schema(of: str) -> Done:
    """The JSON Schema of a run spec, a task file or a row of candidates.

    Raises:
        UsageError: there is none of that name.
    """
    if of not in SCHEMAS:
        raise UsageError(f"no schema '{of}'", hint=nearest(of, SCHEMAS, "known"))
    made = {"run": _run_schema, "task": _task_schema, "candidates": Candidate.model_json_schema}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"harness {of}"}
    return Done((), {**made[of](), **head})


def _run_schema() -> dict[str, Any]:
    """Of a spec file: what it extends may give what a run needs."""
    found = RunSpec.model_json_schema()
    found["properties"]["extends"] = {
        "description": "A shipped profile whose keys this file's replace.",
        "enum": profile_names(),
    }
    found.pop("required", None)
    return found


def _task_schema() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    own = {"type": "string", "pattern": r"^python:[\w.]+:\w+$"}
    sample = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": ["string", "integer"]}},
    }
    return {
        "type": "object",
        "required": ["name", "prompt_template", "samples"],
        "anyOf": [{"required": ["task_type"]}, {"required": ["scorer"]}],
        "properties": {
            "name": text,
            "task_type": text,
            "scorer": {"anyOf": [{"enum": list(FAMILIES)}, own]},
            "domain": {"enum": [str(domain) for domain in Domain]},
            "prompt_template": text,
            "description": {"type": "string"},
            "samples": {"type": "array", "minItems": 1, "items": sample},
        },
    }
