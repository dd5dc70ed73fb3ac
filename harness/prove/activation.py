"""Did this server really run the kernel path that was asked for? Only its log can say.

Fail-closed: an invariant log must show everything that its version prints, from the processes
that run the model; a standard log must show none of it and must have come far enough, with nothing
in the environment that would have hidden it. Anything short of that is ``inconclusive``. Where a
server's log is not ours, ``/server_info`` may stand in: weaker, and said to be so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.prove.evidence import (
    EVIDENCE,
    NOTES,
    TRACES,
    Device,
    EvidenceTag,
    Rule,
    evidence_rule,
    parse_version,
)
from harness.prove.server_log import HEADER, LogLine, ServerLog
from harness.records import LogEvidence
from harness.words import Mode, Verdict

_IN_A_TRACEBACK = re.compile(
    r'^.*\bFile "[^"]*/vllm/model_executor/(?:layers|determinism)/batch_invariant\.py", line \d+'
)
_LATE = re.compile(rf"^\s*(?:{HEADER}|\[W[^\]]*\] Warning: torch\.\S*)?(?:{TRACES.pattern})")
"""How a line of the invariant path begins, wherever it stands; what quotes one begins otherwise."""
_NO_TEXT = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
"""What no server writes: a byte that is not UTF-8 is read as U+FFFD."""
_SUPPRESSORS = {
    "PYTHONWARNINGS": "hides torch's override warning",
    "TORCH_CPP_LOG_LEVEL": "hides the BLAS line",
}
_MODE_VARIABLE = "VLLM_BATCH_INVARIANT"
_TRUE = frozenset({"1", "true", "True"})
_QUOTE_WIDTH = 300
_STARTED = "an engine of one known vLLM version that started and serves"
_INFO_NOTE = "from /server_info: the API server's environment, not the worker's log"
_INFO_EXPECTED = (
    "vllm_env.VLLM_BATCH_INVARIANT in the answer of /server_info (vLLM 0.19.1 or newer)"
)
_INFO_VALUES = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """One log line that says something about the kernel path, and the process that wrote it."""

    number: int
    tag: EvidenceTag
    text: str
    process: str | None = None


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
        starts: starts of a server that the log holds; only the last one is judged.
        workers: processes that run the model, by the engine's own configuration.
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
    starts: int = 1
    workers: int = 1

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
                {
                    "line": line.number,
                    "tag": line.tag.value,
                    "text": line.text,
                    "process": line.process,
                }
                for line in self.lines
            ],
            "expected": list(self.expected),
            "missing": list(self.missing),
            "notes": list(self.notes),
            "starts": self.starts,
            "workers": self.workers,
        }


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
    read = ServerLog.read(log)
    given = environment or {}
    named = device or read.setting("device_config")
    known = Device(named) if named in set(Device) else None
    version = parse_version(read.version)
    rule = None
    if version is not None and known is not None:
        rule = evidence_rule(version, known, torch_version)
    judge = _judge_invariant if mode is Mode.BATCH_INVARIANT else _judge_standard
    verdict, expected, missing = judge(read, rule, given)
    notes = [f"{name} is set: it {why}" for name, why in _SUPPRESSORS.items() if given.get(name)]
    if read.starts > 1:
        first = read.lines[0].number
        notes.append(f"the log holds {read.starts} server starts: judged by the last, line {first}")
    if rule is not None and rule.beyond_source:
        notes.append(f"{rule.beyond_source}: whether its evidence is the same is not known")
    findings = (finding for row in EVIDENCE for finding in row.find(read.engine_lines))
    return ActivationEvidence(
        verdict=verdict,
        mode=mode,
        device=known,
        vllm_version=read.version,
        torch_version=torch_version,
        lines=_quote(read, mode),
        expected=tuple(expected),
        missing=tuple(missing),
        notes=tuple(notes),
        operator=next((finding.operator for finding in findings if finding.operator), None),
        starts=read.starts,
        workers=read.workers,
    )


_Judgement = tuple[Verdict, list[str], list[str]]


def _judge_invariant(
    read: ServerLog, rule: Rule | None, environment: Mapping[str, str]
) -> _Judgement:
    expected = [_STARTED]
    missing = _missing_for_any_mode(read, rule)
    for row in rule.required if rule else ():
        if row.setting:
            expected.append(row.words)
            if (value := read.setting(row.setting)) != "True":
                missing.append(f"{row.setting}=True (it is {value})")
        else:
            expected.append(f"{row.words}, once for each of {read.workers} worker(s)")
            found = sum(1 for _ in row.find(read.engine_lines))
            if found < read.workers:
                missing.append(f"{row.words}: {found} of {read.workers} worker(s)")
    if rule and not rule.supported:
        missing.append(f"vLLM {read.version} has no batch-invariant mode")
    if environment and environment.get(_MODE_VARIABLE) not in _TRUE:
        missing.append(f"{_MODE_VARIABLE}=1 in the server's environment")
    return Verdict.INCONCLUSIVE if missing else Verdict.ACTIVE, expected, missing


def _judge_standard(
    read: ServerLog, rule: Rule | None, environment: Mapping[str, str]
) -> _Judgement:
    expected = [_STARTED, "no line of the batch-invariant path"]
    missing = _missing_for_any_mode(read, rule)
    missing += [
        f"{name} not set ({why}, so its absence proves nothing)"
        for name, why in _SUPPRESSORS.items()
        if environment.get(name)
    ]
    if damaged := next((line for line in read.startup if _NO_TEXT.search(line.text)), None):
        missing.append(f"the start as it was written: line {damaged.number} holds what is no text")
    serving = read.lines[len(read.startup) :]
    late = [line for line in serving if line.may_be_engine and _LATE.match(line.text)]
    if late:
        missing.append(f"lines in their order: line {late[0].number} follows the start it is of")
    contaminated = bool(_traces(read)) or environment.get(_MODE_VARIABLE) in _TRUE
    for row in rule.required if rule else ():
        # set by an argument and not by the mode it tells nothing
        asked = re.compile(rf"non-default args: .*'{row.setting}': True")
        if row.setting is None or any(asked.search(line.text) for line in read.startup):
            continue
        expected.append(f"{row.setting}=False in the engine's configuration")
        value = read.setting(row.setting)
        contaminated = contaminated or value == "True"
        if value not in {"True", "False"}:
            missing.append(f"{row.setting} in the engine's configuration")
    if contaminated:
        return Verdict.CONTAMINATED, expected, missing
    return Verdict.INCONCLUSIVE if missing else Verdict.CLEAN, expected, missing


def _missing_for_any_mode(read: ServerLog, rule: Rule | None) -> list[str]:
    missing = [f"one server's lines: {read.mixed}"] if read.mixed else []
    if read.gap:
        missing.append("every line of the start: some are lost where the log names a gap")
    if not read.engines:
        missing.append("the line in which the engine names its version and configuration")
    elif parse_version(read.version) is None:
        missing.append(f"a vLLM version with known evidence (found {read.version or 'several'})")
    elif rule is None:
        missing.append("a device with known evidence: cuda or cpu")
    if not read.serves:
        missing.append("a sign that the server came up")
    return missing


def _traces(read: ServerLog) -> list[LogLine]:
    """Lines that a standard server cannot have written."""
    return [
        *(line for line in read.startup if TRACES.search(line.text)),
        *(line for line in read.lines if line.may_be_engine and _IN_A_TRACEBACK.match(line.text)),
    ]


def _quote(read: ServerLog, mode: Mode) -> tuple[EvidenceLine, ...]:
    """Every line that says something about the path, once, under the first tag that it has."""
    tagged = [
        (row.tag, line, line.text.strip()[:_QUOTE_WIDTH])
        for row in EVIDENCE
        for finding in row.find(read.engine_lines)
        for line in finding.lines
    ]
    for engine in read.engines:
        # the line itself is some thousand characters long
        for row in EVIDENCE:
            if row.setting:
                told = f"{row.setting}={engine.config.get(row.setting)}"
                text = f"Initializing ... LLM engine (v{engine.version}) ... {told}"
                tagged.append((row.tag, engine.line, text))
    noted = [line for line in read.startup if NOTES.search(line.text)]
    noted += _traces(read) if mode is Mode.STANDARD else []
    tagged += [(EvidenceTag.NOTE, line, line.text.strip()[:_QUOTE_WIDTH]) for line in noted]
    quoted: dict[int, EvidenceLine] = {}
    for tag, line, text in tagged:
        quoted.setdefault(line.number, EvidenceLine(line.number, tag, text, line.process))
    return tuple(quoted[number] for number in sorted(quoted))


def judge_server(
    log: str,
    *,
    mode: Mode,
    environment: Mapping[str, str] | None,
    info: object = None,
) -> ActivationEvidence:
    """Judge a server by its log and, where that does not tell, by its ``/server_info``.

    Args:
        log, mode, environment: as in `read_activation`; the environment of a server that someone
            else runs is not ours to know.
        info: what such a server says of itself; ``None`` for one of ours.
    """
    evidence = read_activation(log, mode=mode, environment=environment)
    if evidence.verdict is not Verdict.INCONCLUSIVE or not isinstance(info, Mapping):
        return evidence
    return read_server_info(info, mode=mode, version=evidence.vllm_version)


def gap_in_quotes(told: LogEvidence, mode: Mode) -> str:
    """Why the lines that a start-up file quotes do not prove a mode; empty if they do.

    What cannot be quoted (that a server came up, that nothing else was logged) is believed here;
    where the log itself is at hand, `judge_server` reads it.
    """
    if told.missing:
        return f"it misses {told.missing[0]}"
    if _INFO_NOTE in told.notes:
        return ""
    version = parse_version(told.vllm_version)
    device = Device(told.device) if told.device in set(Device) else None
    if version is None or device is None:
        return "neither version nor device of the engine is quoted"
    lines = [LogLine(n, one.process, one.text or "") for n, one in enumerate(told.lines, start=1)]
    wanted = mode is Mode.BATCH_INVARIANT
    if not wanted and (bad := next((one for one in lines if TRACES.search(one.text)), None)):
        return f"it quotes {bad.text[:_QUOTE_WIDTH]!r}"
    for row in evidence_rule(version, device, told.torch_version).required:
        if row.setting:
            said = {
                one.text.endswith(f"{row.setting}={wanted}")
                for one in lines
                if f"{row.setting}=" in one.text
            }
            expected = wanted or any(row.setting in one for one in told.expected)
            if expected and said != {True}:
                return f"it does not quote {row.setting}={wanted}"
        elif wanted and sum(1 for _ in row.find(tuple(lines))) < (told.workers or 1):
            return f"it does not quote {row.words}, once for each of {told.workers or 1} worker(s)"
    return ""


def read_server_info(
    info: Mapping[str, Any], *, mode: Mode, version: str | None = None
) -> ActivationEvidence:
    """Judge an answer of ``/server_info?config_format=json``.

    It shows the environment of the API server's process, not the kernels of the worker's.
    """
    environment = info.get("vllm_env")
    value = environment.get(_MODE_VARIABLE) if isinstance(environment, Mapping) else None
    enabled = _INFO_VALUES.get(str(value).strip().lower())
    system = info.get("system_env")
    torch = system.get("torch_version") if isinstance(system, Mapping) else None
    missing: tuple[str, ...] = ()
    verdict = Verdict.CONTAMINATED if enabled else Verdict.CLEAN
    if enabled is None:
        missing, verdict = (_INFO_EXPECTED,), Verdict.INCONCLUSIVE
    elif mode is Mode.BATCH_INVARIANT and not enabled:
        missing, verdict = (f"{_MODE_VARIABLE}=1 (it is {value})",), Verdict.INCONCLUSIVE
    elif mode is Mode.BATCH_INVARIANT:
        verdict = Verdict.ACTIVE
    return ActivationEvidence(
        verdict=verdict,
        mode=mode,
        device=None,
        vllm_version=version,
        torch_version=str(torch) if torch else None,
        lines=(),
        expected=(_INFO_EXPECTED,),
        missing=missing,
        notes=(_INFO_NOTE,),
    )
