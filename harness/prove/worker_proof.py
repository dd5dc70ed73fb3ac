"""What the workers themselves say of their kernels: one answer of the dispatcher a rank.

Stronger than any log line: it does not hang on a torch release's warnings, cannot be suppressed,
and shows every rank. Which operators and keys tell the modes apart is one table, `TELLS`; a device
or a release that has no row in it is ``inconclusive``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.hostile import shaped
from harness.prove.evidence import (
    CPU_PLUGIN_KERNELS,
    VLLM_KERNELS,
    Device,
    Release,
    Version,
    parse_version,
)
from harness.records import LogEvidence, WorkersSay
from harness.words import PROVEN, Mode, Verdict

WORKER_EXTENSION = Path(__file__).parent / "on_the_worker" / "harness_worker_proof.py"
"""The one file that a server gets of us, in a folder that holds nothing else."""
WORKER_METHOD = "harness_worker_proof"
_KERNEL = re.compile(r"^\w+: registered at (.+?)(?::\d+)? ::")
_QUOTE_WIDTH = 200


@dataclass(frozen=True, slots=True)
class Tell:
    """What tells the two modes apart on one device, for a range of releases.

    Attributes:
        key: the dispatch key to look under.
        operators: names below ``aten::`` that the batch-invariant path replaces.
        kernels: pattern of the file of its kernels.
        first, last: vLLM releases for which this was read in the source or measured.
        gemm: qualified name that vLLM's own CPU GEMM has; the plugin's has another.
    """

    device: Device
    key: str
    operators: tuple[str, ...]
    kernels: str
    first: Version
    last: Release
    gemm: str = ""


TELLS = (
    Tell(
        Device.CUDA,
        "CUDA",
        # not mm and addmm: on Hopper they keep their own kernels in both modes
        ("_log_softmax", "bmm", "_softmax", "mean.dim"),
        VLLM_KERNELS,
        first=(0, 19, 1),
        last=(0, 33),
    ),
    Tell(
        Device.CPU,
        "CPU",
        # _log_softmax is the same in both modes there
        ("mean.dim",),
        CPU_PLUGIN_KERNELS,
        first=(0, 32, 0),
        last=(0, 32),
        gemm="vllm.model_executor.layers.utils.cpu_unquantized_gemm",
    ),
)


class _Rank(msgspec.Struct, frozen=True):
    """One worker's answer, as `harness_worker_proof.py` gives it."""

    rank: int
    kernels: dict[str, list[str]] = {}
    gemm: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerProof:
    """What the workers of one server lifetime say.

    Attributes:
        verdict: ``active`` or ``clean`` where every rank runs the path asked for, ``contaminated``
            where one does not or is missing, ``inconclusive`` where nothing could be asked.
        mode: the path asked for.
        ranks: answers that came.
        expected_ranks: processes that run the model.
        lines: what each rank said, in words.
        missing: what speaks against the path asked for, or could not be told.
    """

    verdict: Verdict
    mode: Mode
    ranks: int
    expected_ranks: int
    lines: tuple[str, ...]
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The proof as JSON values."""
        return {
            "verdict": self.verdict.value,
            "mode": self.mode.value,
            "ranks": self.ranks,
            "expected_ranks": self.expected_ranks,
            "lines": list(self.lines),
            "missing": list(self.missing),
        }


def find_tell(device: Device | None, version: str | None) -> Tell | None:
    """The row for this device and release; ``None`` where there is none."""
    known = parse_version(version)
    for tell in TELLS if known else ():
        if tell.device is device and known and tell.first <= known and known[:2] <= tell.last:
            return tell
    return None


def worker_question(tell: Tell) -> dict[str, object]:
    """What to send to ``/collective_rpc``."""
    return {"method": WORKER_METHOD, "args": [tell.key, ",".join(tell.operators)]}


def read_worker_proof(
    answers: Any,
    *,
    mode: Mode,
    tell: Tell | None,
    expected_ranks: int,
    problem: str = "",
) -> WorkerProof:
    """Judge what ``/collective_rpc`` answered.

    Args:
        answers: its ``results``, one a rank.
        mode: the path that was asked for.
        tell: the row of the table; ``None`` is inconclusive.
        expected_ranks: processes that run the model, by the engine's own configuration.
        problem: why there is no answer.
    """
    if tell is None:
        problem = "a row of the table for this device and release: which operators tell the modes"
    if tell is None or problem or not isinstance(answers, list) or not answers:
        missing = problem or "an answer of any worker"
        return WorkerProof(Verdict.INCONCLUSIVE, mode, 0, expected_ranks, (), (missing,))
    lines: list[str] = []
    gaps: list[str] = []
    said = [_read(answer) for answer in answers]
    wanted = mode is Mode.BATCH_INVARIANT
    for number, rank in enumerate(said):
        told = dict(_told(rank, tell)) if rank else {}
        name = f"rank {rank.rank if rank else number}"
        lines += [f"{name}: {text}" for text in told]
        wrong = [text for text, invariant in told.items() if invariant is not wanted]
        if wrong or not told:
            gaps.append(
                f"{name} is not on the {mode.words} path: {'; '.join(wrong) or 'it says nothing'}"
            )
    ranks = len({rank.rank for rank in said if rank})
    if ranks != expected_ranks or len(said) != expected_ranks:
        gaps.append(f"{ranks} of {expected_ranks} ranks answered")
    verdict = Verdict.CONTAMINATED if gaps else PROVEN[mode]
    return WorkerProof(verdict, mode, len(said), expected_ranks, tuple(lines), tuple(gaps))


def gap_in_proof(told: WorkersSay, mode: Mode, evidence: LogEvidence) -> str:
    """Why the workers' own words, as a start-up file holds them, are not ``mode``'s; empty if so.

    Args:
        told: the proof.
        mode: the path asked for.
        evidence: what the log showed: device, release, and processes that run the model.
    """
    device = Device(evidence.device) if evidence.device in set(Device) else None
    tell, expected = find_tell(device, evidence.vllm_version), told.expected_ranks
    if tell is None:
        return "no row of the table tells the modes apart on this device and release"
    if expected is None or expected != (evidence.workers or expected) or told.ranks != expected:
        return (
            f"{told.ranks} of {evidence.workers or expected or 'an untold number'} ranks answered"
        )
    if told.missing:
        return told.missing[0]
    said: dict[str, dict[str, str]] = {}
    for rank, _, text in (line.partition(": ") for line in told.lines):
        operator, _, kernel = text.partition(" ")
        said.setdefault(rank, {})[operator.removeprefix("aten::")] = f"{kernel} ::"
    for rank, words in said.items():
        kernels = {name: [kernel] for name, kernel in words.items()}
        gemm = words["GEMM"].removesuffix(" ::") if "GEMM" in words else None
        for text, invariant in _told(_Rank(0, kernels, gemm), tell):
            if invariant is not (mode is Mode.BATCH_INVARIANT):
                return f"{rank}: {text}"
    return "" if len(said) == expected else f"{len(said)} of {expected} ranks are quoted"


def _read(answer: object) -> _Rank | None:
    try:
        return shaped(answer, _Rank)
    except msgspec.ValidationError:
        return None


def _told(said: _Rank, tell: Tell) -> Iterator[tuple[str, bool | None]]:
    """Each thing that a rank says, in words, and whether it is the batch-invariant path's.

    ``None`` is neither path's: vLLM's own Triton kernels on a CPU, where they cannot run.
    """
    for operator in tell.operators:
        dumped = said.kernels.get(operator, [])
        live = next((line for line in dumped if line.startswith(f"{tell.key}:")), "")
        found = _KERNEL.match(live)
        what = live[:_QUOTE_WIDTH].partition(" :: ")[0] or f"no kernel for {tell.key}"
        invariant: bool | None = None
        if found and re.match(tell.kernels, found[1]):
            invariant = True
        elif found and "batch_invariant" not in found[1]:
            invariant = False
        yield f"aten::{operator} {what}", invariant
    if tell.gemm:
        replaced = True if "batch_invariant" in (said.gemm or "") else None
        yield f"GEMM {said.gemm}", False if said.gemm == tell.gemm else replaced


def agreed(log: Verdict, proof: Verdict) -> Verdict:
    """The verdict of a lifetime of which log and workers say this; they have to agree."""
    if log is proof:
        return log
    found = {log, proof}
    undecided = Verdict.INCONCLUSIVE in found and Verdict.CONTAMINATED not in found
    return Verdict.INCONCLUSIVE if undecided else Verdict.CONTAMINATED
