"""A certificate of one stack: runs of both modes, a server lifetime each, and what they came to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path

import msgspec

from harness import conduct
from harness.candidates import Candidate
from harness.cause import Certificate, CertificateVerdict, Lifetimes, certify, read_lifetime
from harness.errors import GateFailed, UsageError, nearest, shown
from harness.jobs import Done
from harness.jobs.report_files import PAGES
from harness.jobs.runs import conducted
from harness.jobs.together import at_once
from harness.records import RunFiles, iter_records, new_run_id
from harness.report import certificate_document, write_document
from harness.settings import Expect, LoadedSpec, RunSpec
from harness.tasks import Population
from harness.vllm_arguments import number_of, read_arguments
from harness.words import MODES, Asking, BackendName, DispatchMode, without_nonce

_SLOTS = "max_num_seqs"
_BUDGET = "--max-num-batched-tokens"
_STEPS = (None, 256, 257, 255)
"""Tokens of a step, a lifetime each: the server's own, then round where kernels change."""
_FEW, _EQUAL_OF_ALL = 3, 20
"""From so many answers on, one in so many cannot have taken as long as another's by chance."""
_NUMBER = re.compile(r"-(\d+)(?:-\d{8}_\d{6}[-\d]*)?$")
"""Which lifetime of its command a run is, at the end of its name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a certificate is to rest on.

    Attributes:
        schedules: how batches are sent.
        widths: prompts of a batch.
        prompts: of the population, its first ones.
        lifetimes: server lifetimes of each mode.
        vary_steps: whether later lifetimes hold steps to 256, 257 and 255 tokens, so that prompts
            are split over steps and steps are round the size at which kernels change.
    """

    schedules: tuple[DispatchMode, ...]
    widths: tuple[int, ...]
    prompts: int
    lifetimes: int
    vary_steps: bool = True


def certify_stack(
    loaded: LoadedSpec, asked: Asked, results: Path, out: Path | None, *, quiet: bool, fresh: bool
) -> Done:
    """Run what a certificate takes, and write it; the same command goes on where it was cut.

    Raises:
        UsageError: an input is wrong.
        HarnessError: as `harness.conduct.run`.
    """
    works = []
    for number in range(1, asked.lifetimes + 1):
        prepared = conduct.prepare(_lifetime(loaded, asked, number), source=_rows(asked, number))
        run_id = f"{loaded.spec.name}-certify-{prepared.fingerprint[:8]}-{number}"
        if fresh:
            run_id = f"{run_id}-{new_run_id(results, '')}".rstrip("-")
        works.append(
            (prepared, conduct.RunOptions(results, run_id, retry_errors=True, kind="certify"))
        )
    all_ids = [str(options.run_id) for _, options in works]
    works = [
        (one, replace(own, beside=tuple(results / name for name in all_ids if name != own.run_id)))
        for one, own in works
    ]
    at_once(works)
    told = set[str]()
    folders = [conducted(*work, quiet=quiet, told=told).folder for work in works]
    page = out or results / f"{folders[0].name.removesuffix('-1')}-certificate"
    return certified(folders, asked.schedules, page)


def certified(runs: Sequence[Path], schedules: Sequence[DispatchMode], out: Path | None) -> Done:
    """The certificate of run folders that are there, written where ``out`` says.

    Lifetimes stand in the order in which they began, however they are given.

    Raises:
        UsageError: one is no concluded run, or is given twice.
    """
    read = sorted(map(read_lifetime, runs), key=_place)
    _insist_each_once([one.files for one in read])
    certificate = certify(read, map(str, schedules))
    name = read[0].files.folder.name
    lines = [certificate.sentence, *_remarks(certificate)]
    if out is not None:
        document = certificate_document(certificate, name)
        value = msgspec.to_builtins(certificate)
        lines += [f"written   {path}" for path in write_document(document, PAGES, out, value)]
    ok = certificate.verdict is CertificateVerdict.INVARIANT
    failure = None if ok else GateFailed(f"{certificate.verdict}: {certificate.reason}")
    return Done(lines, certificate, failure=failure)


def _place(run: Lifetimes) -> tuple[str, int, str, str]:
    """When its first session began; where that is one second, its number, then its name."""
    files, name = run.files, run.files.folder.name
    sessions = files.metadata.get("sessions") or [{}]
    number = _NUMBER.search(name)
    return (
        str(sessions[0].get("started_at")),
        int(number[1]) if number else 0,
        name,
        str(files.run_id),
    )


def _insist_each_once(runs: Sequence[RunFiles]) -> None:
    """No lifetime is counted twice, under whatever name."""
    hint = "each lifetime is a run of its own"
    seen = dict[str, Path]()
    for files in runs:
        for mark in _marks(files):
            if mark in seen:
                what = f"the run {files.run_id} is given twice: {seen[mark]} has its servers"
                raise UsageError(what, file=files.folder, hint=hint)
        seen |= dict.fromkeys(_marks(files), files.folder)
    took = [_times(files) for files in runs] if len(runs) > 1 else []
    for (one, its), (other, own) in combinations(zip(runs, took, strict=False), 2):
        same = sum(own.get(key) == seconds for key, seconds in its.items())
        if same >= _FEW and same * _EQUAL_OF_ALL > len(its):
            what = f"{same} of its {len(own)} answers took as long as those of {one.folder}"
            raise UsageError(f"{what}, to the microsecond", file=other.folder, hint=hint)


def _marks(files: RunFiles) -> set[str]:
    """What only one run has: its id, its servers' logs, and the names that they served."""
    starts = [start for one in files.startups for _, start in one.answering()]
    served = {str(start.server.get("served_model_name")) for start in starts}
    own = {name for name in served if without_nonce(name) != name}
    logs = {start.log_sha256 for start in starts}
    return {str(files.run_id or files.folder.resolve()), *filter(None, logs), *own}


def _times(files: RunFiles) -> dict[tuple[str | int, ...], float]:
    """How long the first answer alone to each prompt of a mode took, in seconds, where told."""
    took = dict[tuple[str | int, ...], float]()
    for _, one in iter_records(files.records_path):
        if one.solo is not None and one.solo.latency_s:  # rows of a prompt share it
            took.setdefault((one.mode, one.model, one.task_name, one.sample_id), one.solo.latency_s)
    return took


def rows_of(asked: Asked) -> conduct.CandidateSource:
    """A source of candidates: each prompt under each schedule and width that the slots allow.

    Raises:
        UsageError: when called, where no schedule and width fit, or the population is too small.
    """

    def source(spec: RunSpec, population: Population) -> tuple[Candidate, ...]:
        most = len(population.prompts)
        slots = number_of(read_arguments(spec.server.extra_args), _SLOTS) or 0
        fits = [
            (schedule, width)
            for schedule, width in product(asked.schedules, asked.widths)
            if width <= most and _fits(schedule, width, slots)
        ]
        if not fits:
            raise UsageError(
                f"no schedule fits a width of {', '.join(map(str, asked.widths))} with {slots} "
                f"slots and {most} prompts",
                hint="other --widths, or --max-num-seqs in server.extra_args",
            )
        found = []
        chosen = population.prompts[: asked.prompts]
        for model, (schedule, width), prompt in product(spec.models[:1], fits, chosen):
            found.append(
                Candidate.model_validate(
                    {
                        "model": model.name,
                        "task_name": prompt.task.name,
                        "sample_id": prompt.sample.sample_id,
                        "batch_size": width,
                        "dispatch_mode": schedule,
                        "phase": "certify",
                        "domain": str(prompt.task.domain),
                    }
                )
            )
        return tuple(found)

    return source


def read_schedules(text: str) -> tuple[DispatchMode, ...]:
    """Schedules from a flag, each once.

    Raises:
        UsageError: one is none.
    """
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    for word in words:
        if word not in set(DispatchMode):
            hint = nearest(word, DispatchMode, "known")
            raise UsageError(f"--schedules: {shown(word)} is none", hint=hint)
    return tuple(map(DispatchMode, words))


def _fits(schedule: DispatchMode, width: int, slots: int) -> bool:
    """A wide batch holds more requests than the server runs at once, a gated one no more."""
    if schedule is DispatchMode.WIDE:
        return bool(slots) and width > slots
    return schedule is not DispatchMode.GATED or not slots or width <= slots


def _steps(asked: Asked, number: int) -> int | None:
    """Tokens of a step in one lifetime; ``None`` where they are the server's own."""
    return _STEPS[(number - 1) % len(_STEPS)] if asked.vary_steps else None


def _rows(asked: Asked, number: int) -> conduct.CandidateSource:
    """The rows of one lifetime: a step of 256 tokens does not hold a gated batch's prompts."""
    if _steps(asked, number) is None:
        return rows_of(asked)
    others = tuple(one for one in asked.schedules if one is not DispatchMode.GATED)
    return rows_of(replace(asked, schedules=others or asked.schedules))


def _lifetime(loaded: LoadedSpec, asked: Asked, number: int) -> LoadedSpec:
    """The spec of one lifetime: both modes, four askings, its own tokens a step."""
    spec = loaded.spec
    given = list(spec.server.extra_args)
    steps = _steps(asked, number)
    if spec.backend is not BackendName.EXTERNAL:
        if _SLOTS not in read_arguments(given):
            given += ["--max-num-seqs", str(max(2, max(asked.widths) // 2))]
        if steps is not None:
            given += [_BUDGET, str(steps)]  # the last one counts
    server = spec.server.model_copy(update={"extra_args": tuple(given)})
    controls = spec.controls.model_copy(
        update={"askings": (Asking.S0, Asking.S1, Asking.B, Asking.S2)}
    )
    changes = {
        "modes": MODES,
        "server": server,
        "controls": controls,
        "expect": Expect(),
        "dispatch_modes": "original",
        "limit": None,
        "candidates": (),
    }
    return replace(loaded, spec=spec.model_copy(update=changes))


def _remarks(certificate: Certificate) -> Iterator[str]:
    changed, of = certificate.control
    yield f"control   standard mode changes {changed} of {of} prompts with the batch"
    for one in certificate.known:
        yield f"known     {one.cited}: {one.workaround}"
    for gap in certificate.not_covered:
        yield f"open      {gap}"
