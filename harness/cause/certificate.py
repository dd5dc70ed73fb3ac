"""A certificate: one verdict for one stack, over several lifetimes, with what it rests on.

Everything in it follows from run folders that `harness.conduct` left behind: the verdict from their
claims and validations, the counts from their records. What their checks refuse proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import Struct

from harness.analyse import (
    Claim,
    ClaimStatus,
    Summary,
    Validation,
    read_numbers,
    read_summary,
    read_validation,
    upper_bound,
)
from harness.cause.certificate_counts import Counts, Gathered, not_covered
from harness.cause.defects import Has, Judged, fitting
from harness.cause.given import alike, answering, given_in, unlike
from harness.cause.run_traits import judged_run, spec_of_run
from harness.cause.same_stack import other_stack
from harness.errors import UsageError
from harness.prove import WHERE_IT_LISTENS
from harness.records import (
    Closeness,
    RunFiles,
    iter_records,
    read_run_files,
)
from harness.words import MODES, Effect, Endpoint, Mode

SCHEMA = 1
_STANDARD, _INVARIANT = MODES


class CertificateVerdict(StrEnum):
    """What a certificate says."""

    INVARIANT = "invariant"
    NOT_INVARIANT = "not invariant"
    VACUOUS = "vacuous"
    NOT_PROVEN = "not proven"


class Bounds(Struct, frozen=True):
    """What no change leaves room for in batch-invariant mode (one-sided 95%, Clopper-Pearson).

    Attributes:
        prompts, tokens: after a change those asked; without one what the claim rests on (of the
            lifetime where they are fewest; one for all prompts with the same long answer), and the
            tokens compared in these rows over all lifetimes.
        by_prompt, by_token: upper bounds as fractions; ``None`` where something changed, or where
            no token was compared.
    """

    prompts: int
    tokens: int | None
    by_prompt: float | None
    by_token: float | None


class Proof(Struct, frozen=True):
    """What shows which kernels a lifetime's server ran.

    Attributes:
        lines: quoted from its log.
        workers: what each rank said, where it was asked.
    """

    lifetime: int
    mode: Mode
    verdict: str | None
    lines: tuple[str, ...]
    workers: tuple[str, ...]


class Named(Struct, frozen=True):
    """An entry of the register that fits what was seen."""

    id: str
    title: str
    threads: tuple[str, ...]
    workaround: str

    @property
    def cited(self) -> str:
        """Its name and, where there are any, its threads."""
        return f"{self.id} ({', '.join(self.threads)})" if self.threads else self.id


class Certificate(Struct, frozen=True, kw_only=True):
    """The certificate as it is written.

    Attributes:
        reason: why the verdict is this one.
        seen: the schedules, widths and counts.
        control: prompts that change with the batch in standard mode, of how many: without one the
            certificate says that it could not have seen a change.
        between_lifetimes: prompts whose text alone differs from one lifetime to the next, by mode.
        noise: rows that change when nothing but time does, by mode.
        steps: tokens of the largest steps seen in batches of either mode, largest first.
        boundary: which of 255, 256 and 257 tokens are among those of batch-invariant mode.
        split_batches: by mode, batches (not rows) in which a prompt was prefilled in pieces, and
            those of which that is known.
        arguments: what each mode's servers were given beyond their defaults, alike in all
            lifetimes.
        by_lifetime: by mode, arguments that are not: a value a lifetime, ``None`` for not given.
        differences: every setting in which the two modes' logs differ, but the port.
        ties, confident, unknown: rows that change in batch-invariant mode, by how close the choice
            was at the first divergent token.
        known: entries of the register that fit, or none.
        not_covered: what was asked for or is usual, and was not seen.
        runs: the run folders, one a lifetime, with the SHA-256 of each one's settings.
    """

    schema_version: int = SCHEMA
    verdict: CertificateVerdict
    reason: str
    lifetimes: int
    bounds: Bounds
    control: tuple[int, int]
    seen: tuple[Counts, ...]
    between_lifetimes: dict[Mode, int]
    noise: dict[Mode, int]
    steps: tuple[int, ...]
    boundary: tuple[int, ...]
    split_batches: dict[Mode, tuple[int, int]]
    stack: dict[str, str | None]
    image: dict[str, Any] | None
    models: dict[str, str | None]
    arguments: dict[Mode, dict[str, Any]]
    by_lifetime: dict[Mode, dict[str, tuple[Any, ...]]]
    differences: tuple[str, ...]
    proofs: tuple[Proof, ...]
    ties: int
    confident: int
    unknown: int
    known: tuple[Named, ...]
    not_covered: tuple[str, ...]
    runs: dict[str, str]

    @property
    def schedules(self) -> tuple[str, ...]:
        """Under which it was seen."""
        return tuple(dict.fromkeys(cell.schedule for cell in self.seen))

    @property
    def widths(self) -> tuple[int, ...]:
        """Of batches, in order."""
        return tuple(sorted({cell.width for cell in self.seen}))

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        where = f"under {', '.join(self.schedules)}, widths {', '.join(map(str, self.widths))}"
        if self.verdict is CertificateVerdict.INVARIANT:
            token = "" if self.bounds.by_token is None else f"{self.bounds.by_token:.2g} per token"
            prompt = f"{self.bounds.by_prompt or 0:.2%} of prompts"
            over = f"over {self.lifetimes} lifetimes " if self.lifetimes > 1 else ""
            return f"invariant within {token or prompt} ({prompt}) {over}{where}"
        return f"{self.verdict}: {self.reason}"


class Lifetimes(Struct, frozen=True):
    """One run: its files, its summary and its validation."""

    files: RunFiles
    summary: Summary
    validation: Validation


def read_lifetime(run: Path) -> Lifetimes:
    """A concluded run folder; its summary and its checks are worked out anew, not believed.

    Raises:
        UsageError: it is none, or has not been summarised and validated.
    """
    files = read_run_files(run)
    spec_of_run(files)
    ended = (("summary", "summarize", read_summary), ("validation", "validate", read_validation))
    for name, verb, read in ended:
        file = files.folder / f"{name}.json"
        if not file.exists():
            hint = f"a run that ended wrote it; `harness {verb} {run}` does too"
            raise UsageError("no such file: the run did not end", file=file, hint=hint)
        read(file)
    return Lifetimes(files, *read_numbers(run)[:2])


def certify(runs: Sequence[Lifetimes], wanted: Iterable[str] = ()) -> Certificate:
    """The certificate of runs that asked the same questions of the same stack, one a lifetime.

    Args:
        runs: in their order.
        wanted: schedules that were to be seen.
    """
    counted = Gathered()
    for number, run in enumerate(runs, start=1):
        for _, record in iter_records(run.files.records_path):
            if record.ok:
                counted.add(record, number)
    cells = counted.cells()
    by_mode = {mode: counted.prompts(mode) for mode in MODES}
    moved = {mode: counted.moved(mode) for mode in MODES}
    verdict, reason = _verdict(runs, by_mode, moved)
    judged = judged_run(runs[0].files, _INVARIANT)
    last = runs[-1]
    given = [given_in(run.files) for run in runs]
    return Certificate(
        verdict=verdict,
        reason=reason,
        lifetimes=len(runs),
        bounds=_bounds(runs, by_mode[_INVARIANT]),
        control=by_mode[_STANDARD],
        seen=cells,
        between_lifetimes=moved,
        noise=counted.noise,
        steps=tuple(sorted(set().union(*counted.steps.values()), reverse=True)[:12]),
        boundary=counted.boundary,
        split_batches={mode: counted.split(mode) for mode in MODES},
        stack=_stack(last),
        image=last.files.metadata.get("image"),
        models={one.hf_id: one.revision for one in spec_of_run(last.files).models},
        arguments={mode: alike([one[mode] for one in given]) for mode in MODES},
        by_lifetime={mode: unlike([one[mode] for one in given]) for mode in MODES},
        differences=tuple(_differences(runs)),
        proofs=tuple(proof for n, run in enumerate(runs, 1) for proof in _proofs(n, run.files)),
        ties=counted.closeness.count(Closeness.TIE),
        confident=counted.closeness.count(Closeness.CONFIDENT),
        unknown=counted.closeness.count(Closeness.UNKNOWN),
        known=_known(judged, cells, counted),
        not_covered=(
            *_gone(runs),
            *not_covered(counted, wanted, len(runs), *given),
            *_not_told(judged),
        ),
        runs={run.files.folder.name: str(run.files.metadata.get("fingerprint")) for run in runs},
    )


def _verdict(
    runs: Sequence[Lifetimes], by_mode: Mapping[Mode, tuple[int, int]], moved: Mapping[Mode, int]
) -> tuple[CertificateVerdict, str]:
    """From the claims of each lifetime: a refutation wins, and doubt before a zero.

    Nothing is said of runs of several stacks, or of none whose prompts are there.
    """
    said = CertificateVerdict
    if mixed := other_stack([run.files for run in runs]):
        return said.NOT_PROVEN, mixed
    for number, run in enumerate(runs, start=1):
        if failed := run.validation.failures:
            first = failed[0]
            return said.NOT_PROVEN, f"lifetime {number}: {first.check}: {first.message}"
    claims = [claim for run in runs for claim in run.summary.claims if _is_of_texts(claim)]
    if len(claims) != len(runs):
        return said.NOT_PROVEN, "a lifetime says nothing of texts in batch-invariant mode"
    refuted = [
        f"lifetime {number}: {claim.reason}"
        for number, claim in enumerate(claims, start=1)
        if claim.status is ClaimStatus.REFUTED
    ]
    if refuted:
        return said.NOT_INVARIANT, "; ".join(refuted)
    changed, of = by_mode[_INVARIANT]
    if changed:
        doubts = [one.reason for one in claims if one.status is not ClaimStatus.ESTABLISHED]
        doubt = doubts[0] if doubts else "the claims of its runs do not say so"
        return said.NOT_PROVEN, f"{changed} of {of} prompts change, and {doubt}"
    for mode in MODES:
        if moved[mode]:
            times = f"in {mode.words} mode from one lifetime or asking to the next"
            return said.NOT_PROVEN, f"{moved[mode]} prompts have another text alone {times}"
    for mode in MODES:
        if not by_mode[mode][1]:
            return said.NOT_PROVEN, f"no prompt was asked in {mode.words} mode"
    if not by_mode[_STANDARD][0]:
        return said.VACUOUS, (
            f"standard mode changed none of {by_mode[_STANDARD][1]} prompts either: nothing shows "
            "that a change would have been seen"
        )
    for number, claim in enumerate(claims, start=1):
        if claim.status is not ClaimStatus.ESTABLISHED:
            return said.NOT_PROVEN, f"lifetime {number}: {claim.reason}"
    last = f"lifetime {len(runs)} alone: " if len(runs) > 1 else ""
    return said.INVARIANT, f"{last}{claims[-1].reason}"


def _is_of_texts(claim: Claim) -> bool:
    return claim.claim == "invariant" and claim.endpoint is Endpoint.TEXT_CHANGES


def _bounds(runs: Sequence[Lifetimes], prompts: tuple[int, int]) -> Bounds:
    """After a change of what was asked; without one of what the claim rests on."""
    changed, of = prompts
    told = []
    for run in runs:
        counted = run.summary.counted(_INVARIANT, Effect.BATCH, Endpoint.TEXT_CHANGES)
        carried = None if changed else run.summary.carried
        of = min(of, carried.answers) if carried else of
        some = carried is not None and carried.rows.count < carried.rows.n
        told.append(carried.tokens if carried and some else counted.compared_tokens)
    known = [tokens for tokens in told if tokens is not None]
    tokens = sum(known) if len(known) == len(told) else None
    rooms = (upper_bound(0, n) if n and not changed else None for n in (of, tokens))
    return Bounds(of, tokens, *rooms)


def _stack(run: Lifetimes) -> dict[str, str | None]:
    """What it holds for, in a line each."""
    stack, files = run.summary.stack, run.files
    return {
        "vllm": stack.vllm,
        "device": stack.device,
        "device_name": stack.device_name,
        "capability": files.capability,
        "driver": files.gpu.get("driver_version"),
        "torch": files.versions.get("torch"),
        "prefix_caching": stack.prefix_caching,
        "async_scheduling": stack.async_scheduling,
        "harness": files.versions.get("harness"),
        "git_commit": files.metadata.get("git_commit"),
    }


def _differences(runs: Sequence[Lifetimes]) -> Iterator[str]:
    """What the two modes differ in, once; with its lifetimes where it is not of all."""
    found: dict[str, list[int]] = {}
    for number, run in enumerate(runs, start=1):
        for model, one in run.files.parity:
            if (name := one.get("name")) not in WHERE_IT_LISTENS:
                modes = (one.get("standard"), one.get("invariant"))
                told = f"{model}: {name}: {modes[0]} in standard, {modes[1]} in batch-invariant"
                found.setdefault(told, []).append(number)
    for told, numbers in found.items():
        some = f" (lifetime {', '.join(map(str, numbers))})" if len(numbers) < len(runs) else ""
        yield f"{told}{some}"


def _proofs(lifetime: int, files: RunFiles) -> Iterator[Proof]:
    for mode, start in answering(files):
        lines = tuple(line.text for line in start.evidence.lines if line.text)
        workers = start.worker_proof.lines if start.worker_proof else ()
        yield Proof(lifetime, mode, start.verdict, lines, workers)


def _known(
    judged: Sequence[Judged], cells: Sequence[Counts], counted: Gathered
) -> tuple[Named, ...]:
    """Entries that this stack has or may have, and that show where a change was seen here."""
    under = {cell.schedule for cell in cells if cell.changed and cell.mode is _INVARIANT}
    shows = {"batch"} if under else set()
    shows |= {"cache"} if counted.cache else set()
    shows |= {"noise"} if counted.noise[_INVARIANT] else set()
    return tuple(
        Named(one.id, one.title, one.threads, one.workaround)
        for one in fitting(judged, shows, under)
    )


def _not_told(judged: Sequence[Judged]) -> Iterator[str]:
    """Entries that hang on what the runs do not tell, by what that is."""
    unknown = [one for one in judged if one.has is Has.UNKNOWN and one.defect.shows]
    for reason in dict.fromkeys(one.reason for one in unknown):
        names = ", ".join(one.defect.id for one in unknown if one.reason == reason)
        yield f"known defects of which nothing can be said, {reason}: {names}"


def _gone(runs: Sequence[Lifetimes]) -> Iterator[str]:
    """Files of a run without which its records cannot be set against their plan."""
    for number, run in enumerate(runs, start=1):
        for name in run.files.plan_gone:
            yield f"lifetime {number}: whether it asked what was planned: {name} is missing"
