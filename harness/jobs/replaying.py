"""A case file asked again: whether the same change comes here, or only its arithmetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import conduct
from harness.candidates import Candidate
from harness.cause import Case, check_case, read_case
from harness.errors import GateFailed, UsageError
from harness.files import write_whole
from harness.findings import Status
from harness.jobs import Done
from harness.jobs.cases import Where, said, spec_here, stack_of_case
from harness.jobs.runs import conducted
from harness.records import RECORDS, Record, RunFiles, iter_records, read_run_files
from harness.settings import LoadedSpec, RunSpec, kept_spec
from harness.tasks import Population
from harness.words import Asking

TASK = """\
name: case
task_type: safety_refusal
prompt_template: "{{ prompt }}"
samples:
"""


def replay(path: Path, where: Where) -> Done:
    """Ask a server for a case again: a run of one row, in a lifetime of its own.

    Raises:
        UsageError: it is no case file.
        HarnessError: as `harness.conduct.run`.
    """
    case = read_case(path)
    failed = [one for one in check_case(path) if one.status is Status.FAILED]
    if failed:
        raise UsageError(f"{failed[0].check}: {failed[0].message}", file=path, hint="--check")
    loaded = spec_here(kept_spec(case.spec, path), case.mode, where, str(path))
    name = f"case-{case.sum[:10]}"
    with TemporaryDirectory() as spare:  # what cannot be asked leaves nothing behind
        _prepared(case, loaded, Path(spare), name)
    prepared = _prepared(case, loaded, where.results / f"{name}-tasks", name)
    options = conduct.RunOptions(where.results, None, fresh=True, kind="replay")
    done = conducted(prepared, options, quiet=where.quiet)
    record = next(record for _, record in iter_records(done.folder / RECORDS))
    verdict, why = _compared(case, record, read_run_files(done.folder))
    lines = [f"{verdict}: {why}", f"run       {done.folder}"]
    value = {"verdict": verdict, "reason": why, "run": str(done.folder), "case": case.told}
    failure = None if verdict == "reproduces" else GateFailed(f"{verdict}: {why}")
    return Done(lines, value, failure=failure)


def _prepared(case: Case, loaded: LoadedSpec, tasks: Path, name: str) -> conduct.Prepared:
    """The run that asks the case's row, over a task folder of its prompts.

    Raises:
        UsageError: it cannot be asked so.
    """
    samples = (
        f"  - {{id: p{n}, prompt: {quoted(one.text)}}}\n" for n, one in enumerate(case.prompts)
    )
    write_whole(tasks / "case.yaml", TASK + "".join(samples), parents=True)
    controls = loaded.spec.controls.model_copy(update={"askings": tuple(Asking)})
    changes = {"tasks": str(tasks), "name": name, "controls": controls}
    spec = loaded.spec.model_copy(update=changes)
    return conduct.prepare(replace(loaded, spec=spec), source=_only(case))


def quoted(text: str) -> str:
    """A text in YAML's quotes; JSON's make two halves of what Unicode's first plane lacks."""
    plain = (
        one if " " <= one <= "~" and one not in '"\\' else f"\\U{ord(one):08X}" for one in text
    )
    return f'"{"".join(plain)}"'


def _only(case: Case) -> conduct.CandidateSource:
    def source(spec: RunSpec, population: Population) -> tuple[Candidate, ...]:
        prompt = population.prompts[case.target]
        row = {"model": spec.models[0].name, "task_name": prompt.task.name}
        row |= {"sample_id": prompt.sample.sample_id, "dispatch_mode": case.schedule}
        return (Candidate.model_validate(row | {"batch_size": len(case.prompts)}),)

    return source


def _compared(case: Case, record: Record, files: RunFiles) -> tuple[str, str]:
    """Whether the same two answers came: by token ids, else by text."""
    if not record.ok:
        return "not asked", str(record.error)
    alone, batched = record.asked(Asking.S1), record.asked(Asking.B)
    again, last = record.asked(Asking.B2), record.asked(Asking.S2)
    assert alone is not None
    assert batched is not None
    here = stack_of_case(files, {})
    if here.kind != case.stack.kind:
        return "not comparable", f"the case is of {case.stack.kind}, this machine is {here.kind}"
    if last is not None and said(last) != said(alone):
        return "noise", "the answer alone changes when nothing but time does"
    expected = said(case.alone.answer), said(case.batched.answer)
    moved = [one for one in (batched, again) if one is not None and said(one) != said(alone)]
    if said(alone) != expected[0]:
        what = "changes" if moved else "does not change"
        return "another answer", f"alone it is another one than the case's; in the batch it {what}"
    if not moved:
        return "does not reproduce", "the answer in the batch is the one alone, twice"
    if any(said(one) == expected[1] for one in moved):
        return "reproduces", f"both answers are the case's, token for token; {case.told}"
    return "changes otherwise", "alone as in the case, in the batch a third answer"


def check(path: Path) -> Done:
    """The arithmetic of a case file, without a server; a check that failed sets the exit code.

    Raises:
        UsageError: it is no case file.
    """
    findings = check_case(path)
    failed = [one.check for one in findings if one.status is Status.FAILED]
    message = f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}"
    lines = [*findings, read_case(path).told]
    return Done(lines, list(findings), failure=GateFailed(message) if failed else None)
