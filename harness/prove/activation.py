"""Did this server really run the kernel path that was asked for? Only its log can say.

Fail-closed: an invariant log must show everything that its version prints, from the processes
that run the model; a standard log must show none of it and must have come far enough, with nothing
in the environment that would have hidden it. Anything short of that is ``inconclusive``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.prove.engine_line import EngineLine, find_engine_lines
from harness.prove.log_lines import LogLine, read_lines, serving_starts
from harness.prove.override_block import OverrideBlock, find_override_blocks
from harness.prove.versions import Device, EvidenceTag, Rule, evidence_rule, parse_version
from harness.words import Mode, Verdict

__all__ = ["ActivationEvidence", "EvidenceLine", "read_activation"]

_BLAS_TEXT = "preferred_blas_library is an experimental feature"
_BLAS = re.compile(rf"^\[W\S*(?: [\d:.]+)? Context\.cpp:\d+\] Warning: torch\.\S*{_BLAS_TEXT}")
_LOOSE = re.compile(
    rf"{_BLAS_TEXT}|new kernel: registered at \S*batch_invariant"
    r"|batch_invariant \S+: batch-invariant kernels active"
)
_IN_A_TRACEBACK = re.compile(
    r'^.*\bFile "\S*/vllm/model_executor/(?:layers|determinism)/batch_invariant\.py", line \d+'
)
_NOTES = re.compile(
    r"Disabling cascade attention when VLLM_BATCH_INVARIANT is enabled"
    r"|VLLM_BATCH_INVARIANT=1: auto-enabling VLLM_USE_BREAKABLE_CUDAGRAPH=1"
    r"|Disabling prefix caching for \S+ with batch invariance"
    r"|Forcibly updating attention backend to FLASH_ATTN for batch_invariant"
    r"|Cannot use FA version 4 with batch invariance"
    r"|batch_invariant \S+: batch-invariant kernels active"
)
_SUPPRESSORS = {
    "PYTHONWARNINGS": "hides torch's override warning",
    "TORCH_CPP_LOG_LEVEL": "hides the BLAS line",
}
_MODE_VARIABLE = "VLLM_BATCH_INVARIANT"
_ALL_REDUCE = "disable_custom_all_reduce"
_ALL_REDUCE_ASKED = re.compile(rf"non-default args: .*'{_ALL_REDUCE}': True")
_TRUE = frozenset({"1", "true", "True"})
_QUOTE_WIDTH = 300


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """One log line that says something about the kernel path."""

    number: int
    tag: EvidenceTag
    text: str


@dataclass(frozen=True, slots=True)
class ActivationEvidence:
    """What a log says about the kernel path of one server lifetime.

    Attributes:
        verdict: `harness.words.Verdict`.
        mode: the path that was asked for.
        device: ``cuda``, ``cpu`` or ``None`` if the log does not tell.
        vllm_version: as the engine prints it; ``None`` if it does not.
        torch_version: as the caller knows it.
        lines: the log lines that count, quoted.
        expected: what a log of this version and mode must show, in words.
        missing: what of that was not found, in words.
        notes: what a reader should know beside it.
        operator: the operator that torch named as replaced.
    """

    verdict: Verdict
    mode: Mode
    device: Device | None
    vllm_version: str | None
    torch_version: str | None
    lines: tuple[EvidenceLine, ...]
    expected: tuple[str, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()
    operator: str | None = None

    def to_json(self) -> dict[str, object]:
        """The evidence as JSON values."""
        return {
            "verdict": self.verdict.value,
            "mode": self.mode.value,
            "device": self.device.value if self.device else None,
            "vllm_version": self.vllm_version,
            "torch_version": self.torch_version,
            "operator": self.operator,
            "lines": [
                {"line": line.number, "tag": line.tag.value, "text": line.text}
                for line in self.lines
            ],
            "expected": list(self.expected),
            "missing": list(self.missing),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was found in the start-up part of a log, before it is judged."""

    engines: tuple[EngineLine, ...]
    device: Device | None
    ready: bool
    blas: tuple[LogLine, ...]
    overrides: tuple[OverrideBlock, ...]
    cpu_overrides: tuple[OverrideBlock, ...]
    traces: tuple[LogLine, ...]
    notes: tuple[LogLine, ...]
    all_reduce_asked: bool

    @property
    def version(self) -> str | None:
        names = {engine.version for engine in self.engines}
        return names.pop() if len(names) == 1 else None

    @property
    def workers(self) -> int:
        return sum(engine.workers for engine in self.engines) or 1

    @property
    def all_reduce(self) -> str | None:
        values = {engine.config.get(_ALL_REDUCE) for engine in self.engines}
        return values.pop() if len(values) == 1 else None


def read_activation(
    log: str,
    *,
    mode: Mode,
    device: Literal["cuda", "cpu"] | None = None,
    environment: Mapping[str, str] | None = None,
    torch_version: str | None = None,
) -> ActivationEvidence:
    """Judge a server's log.

    Args:
        log: the whole log of one lifetime, from its first byte.
        mode: the path that was asked for.
        device: what the server computes on; read from the log when ``None``.
        environment: the variables that the server was given; when they are given, they must show
            the mode, and none may hide the evidence.
        torch_version: torch's version in the server's environment, where it is known.
    """
    reading = _read(log, Device(device) if device else None)
    version = parse_version(reading.version)
    rule = None
    if version is not None and reading.device is not None:
        rule = evidence_rule(version, reading.device, torch_version)
    judge = _judge_invariant if mode is Mode.BATCH_INVARIANT else _judge_standard
    verdict, expected, missing = judge(reading, rule, environment or {})
    lines = _quote(reading, mode)
    block = next(iter((*reading.overrides, *reading.cpu_overrides)), None)
    return ActivationEvidence(
        verdict=verdict,
        mode=mode,
        device=reading.device,
        vllm_version=reading.version,
        torch_version=torch_version,
        lines=lines,
        expected=expected,
        missing=missing,
        notes=_notes(rule, environment or {}),
        operator=block.operator if block else None,
    )


def _read(log: str, device: Device | None) -> _Reading:
    lines = read_lines(log)
    serving = serving_starts(lines)
    end = len(lines) if serving is None else serving
    engines = find_engine_lines(lines, end)
    start = engines[0].index if engines else end
    blocks = [block for block in find_override_blocks(lines, end) if block.index > start]
    head = lines[:end]
    return _Reading(
        engines=engines,
        device=device or _device(engines),
        ready=serving is not None,
        blas=tuple(line for line in head[start:] if line.may_be_engine and _BLAS.match(line.text)),
        overrides=tuple(b for b in blocks if b.is_vllm_own and b.dispatch_key == "CUDA"),
        cpu_overrides=tuple(b for b in blocks if b.is_cpu_plugin),
        traces=(
            *(line for line in head if _LOOSE.search(line.text)),
            *(line for line in lines if line.may_be_engine and _IN_A_TRACEBACK.match(line.text)),
        ),
        notes=tuple(line for line in head if _NOTES.search(line.text)),
        all_reduce_asked=any(_ALL_REDUCE_ASKED.search(line.text) for line in head),
    )


def _device(engines: tuple[EngineLine, ...]) -> Device | None:
    names = {engine.config.get("device_config") for engine in engines}
    name = names.pop() if len(names) == 1 else None
    return Device(name) if name in set(Device) else None


_Judgement = tuple[Verdict, tuple[str, ...], tuple[str, ...]]


def _judge_invariant(
    reading: _Reading, rule: Rule | None, environment: Mapping[str, str]
) -> _Judgement:
    expected = [_STARTED]
    missing = _common_missing(reading, rule)
    if rule is not None:
        found = {
            EvidenceTag.BLAS: len(reading.blas),
            EvidenceTag.OVERRIDE: len(reading.overrides),
            EvidenceTag.CPU_OVERRIDE: len(reading.cpu_overrides),
        }
        for tag in rule.required:
            expected.append(f"{_WORDS[tag]}, once for each of {reading.workers} worker(s)")
            if found[tag] < reading.workers:
                missing.append(f"{_WORDS[tag]}: {found[tag]} of {reading.workers} worker(s)")
        if not rule.supported:
            missing.append(f"vLLM {reading.version} has no batch-invariant mode")
        if rule.all_reduce_tells:
            expected.append(f"{_ALL_REDUCE}=True in the engine's configuration")
            if reading.all_reduce != "True":
                missing.append(f"{_ALL_REDUCE}=True (it is {reading.all_reduce})")
    if environment and environment.get(_MODE_VARIABLE) not in _TRUE:
        missing.append(f"{_MODE_VARIABLE}=1 in the server's environment")
    verdict = Verdict.INCONCLUSIVE if missing else Verdict.ACTIVE
    return verdict, tuple(expected), tuple(missing)


def _judge_standard(
    reading: _Reading, rule: Rule | None, environment: Mapping[str, str]
) -> _Judgement:
    expected = [_STARTED, "no line of the batch-invariant path"]
    missing = _common_missing(reading, rule)
    missing += [
        f"{name} not set ({why}, so its absence proves nothing)"
        for name, why in _SUPPRESSORS.items()
        if environment.get(name)
    ]
    contaminated = bool(reading.traces) or environment.get(_MODE_VARIABLE) in _TRUE
    if rule is not None and rule.all_reduce_tells and not reading.all_reduce_asked:
        expected.append(f"{_ALL_REDUCE}=False in the engine's configuration")
        contaminated = contaminated or reading.all_reduce == "True"
        if reading.all_reduce not in {"True", "False"}:
            missing.append(f"{_ALL_REDUCE} in the engine's configuration")
    if contaminated:
        return Verdict.CONTAMINATED, tuple(expected), tuple(missing)
    verdict = Verdict.INCONCLUSIVE if missing else Verdict.CLEAN
    return verdict, tuple(expected), tuple(missing)


_STARTED = "an engine of one known vLLM version that started and serves"
_WORDS = {
    EvidenceTag.BLAS: "torch's preferred_blas_library line",
    EvidenceTag.OVERRIDE: "torch's override warning for dispatch key CUDA with a kernel of "
    "vllm/model_executor/.../batch_invariant.py",
    EvidenceTag.CPU_OVERRIDE: "torch's override warning for dispatch key CPU with a kernel of a "
    "batch-invariant plugin",
}


def _common_missing(reading: _Reading, rule: Rule | None) -> list[str]:
    missing = []
    if not reading.engines:
        missing.append("the line in which the engine names its version and configuration")
    elif parse_version(reading.version) is None:
        missing.append(f"a vLLM version with known evidence (found {reading.version or 'several'})")
    elif rule is None:
        missing.append("a device with known evidence: cuda or cpu")
    if not reading.ready:
        missing.append("a sign that the server came up")
    return missing


def _notes(rule: Rule | None, environment: Mapping[str, str]) -> tuple[str, ...]:
    notes = [
        f"{name} is set: it {why}" for name, why in _SUPPRESSORS.items() if environment.get(name)
    ]
    if rule is not None and rule.beyond_source:
        notes.append("newer than vLLM 0.32, the newest release whose evidence was studied")
    return tuple(notes)


def _quote(reading: _Reading, mode: Mode) -> tuple[EvidenceLine, ...]:
    quoted: dict[int, EvidenceLine] = {}

    def add(tag: EvidenceTag, lines: tuple[LogLine, ...]) -> None:
        for line in lines:
            quoted.setdefault(
                line.number, EvidenceLine(line.number, tag, line.text.strip()[:_QUOTE_WIDTH])
            )

    for block in reading.overrides:
        add(EvidenceTag.OVERRIDE, block.lines)
    for block in reading.cpu_overrides:
        add(EvidenceTag.CPU_OVERRIDE, block.lines)
    add(EvidenceTag.BLAS, reading.blas)
    for engine in reading.engines:
        value = engine.config.get(_ALL_REDUCE)
        text = f"Initializing ... LLM engine (v{engine.version}) ... {_ALL_REDUCE}={value}"
        number = engine.line.number
        quoted[number] = EvidenceLine(number, EvidenceTag.ALL_REDUCE, text)
    add(EvidenceTag.NOTE, reading.notes)
    if mode is Mode.STANDARD:
        add(EvidenceTag.NOTE, reading.traces)
    return tuple(quoted[number] for number in sorted(quoted))
