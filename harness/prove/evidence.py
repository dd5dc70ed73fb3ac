"""By what a log shows the batch-invariant path: one row of `EVIDENCE` for each thing to look for.

A new release's line is a new row: its tag, its words for a reader, the releases that print it and
how it is found. Sources: ``batch_invariant.py`` of 25 releases, torch 2.10 to 2.14 run. torch
prints its override warning once a process, and from 2.12 on ``import torch`` itself has used that
up.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from harness.prove.server_log import LogLine

Version = tuple[int, int, int]
Release = tuple[int, int]

_FIRST_INVARIANT: Version = (0, 11, 1)
_FIRST_RELIABLE_NUMBER: Version = (0, 8, 0)
LAST_READ: Release = (0, 33)
"""The newest release of vLLM whose source was read; what a newer one does is not known."""
_LAST_TORCH: Release = (2, 14)
_NUMBER = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?")
_AHEAD = re.compile(r"^v?[\d.]+?[.-]?(?:a|b|rc|dev|pre)\d*(?![a-z])")


class Device(StrEnum):
    """What the server computes on, as far as the rules differ."""

    CUDA = "cuda"
    CPU = "cpu"


class EvidenceTag(StrEnum):
    """What a log line shows.

    ``A1 blas``: ``enable_batch_invariant_mode`` has reached its last statement on a GPU.
    ``A2 override``: torch reports that vLLM's batch-invariant kernel replaced an operator.
    ``B1 all-reduce``: the engine's configuration, in which the mode turns custom all-reduce off.
    ``C cpu-override``: torch reports that the CPU plugin's kernel replaced an operator.
    ``D note``: consistent with the mode, never required.
    """

    BLAS = "A1 blas"
    OVERRIDE = "A2 override"
    ALL_REDUCE = "B1 all-reduce"
    CPU_OVERRIDE = "C cpu-override"
    NOTE = "D note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One time that a worker printed it: its lines, and the operator that they name."""

    lines: tuple[LogLine, ...]
    operator: str | None = None


Finder = Callable[[tuple[LogLine, ...]], Iterator[Finding]]
"""Given the start-up lines from the first engine's own line on."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that shows the batch-invariant path.

    Attributes:
        tag: how quoted lines are marked.
        words: what is to be seen, for a reader.
        device: where it is to be seen.
        find: finds each time that it was printed; every worker must print it.
        setting: in place of ``find`` a key of the engine's configuration, which the mode sets True.
        last: the last vLLM release that shows it; ``None`` while all do.
        torch_before: the first torch release that does not show it; where torch is known, this
            decides and not ``last``.
        trace: what a standard log must not hold in any line, even where ``find`` finds nothing.
        parity: why the two modes' configurations may differ in ``setting``.
    """

    tag: EvidenceTag
    words: str
    device: Device
    find: Finder = lambda _: iter(())
    setting: str | None = None
    last: Release | None = None
    torch_before: Release | None = None
    trace: str | None = None
    parity: str = ""

    def is_shown_by(self, version: Version, torch: Release | None = None) -> bool:
        """Whether this vLLM with this torch shows it in batch-invariant mode."""
        if self.torch_before is not None and torch is not None:
            return torch < self.torch_before
        return self.last is None or version[:2] <= self.last


def line_finder(pattern: str) -> Finder:
    """Finds single lines that an engine or worker process can have written."""
    compiled = re.compile(pattern)

    def find(lines: tuple[LogLine, ...]) -> Iterator[Finding]:
        return (
            Finding((line,)) for line in lines if line.may_be_engine and compiled.match(line.text)
        )

    return find


_OVERRIDE = re.compile(
    r"^\s*Overriding a previously registered kernel for the same operator and the same dispatch key"
)
_OVERRIDE_PARTS = (
    re.compile(r"^\s*operator:\s+(aten::[\w.]+)\("),
    re.compile(r"^\s*dispatch key:\s+(\w+)\s*$"),
    re.compile(r"^\s*new kernel: registered at (.+?\.py):(\d+)\b"),
)
_OVERRIDE_LENGTH = 12
VLLM_KERNELS = r"(?:^|.*/)vllm/model_executor/(?:layers|determinism)/batch_invariant\.py$"
# a batch-invariant module outside vLLM, whose own Triton kernels do not exist on a CPU
CPU_PLUGIN_KERNELS = rf"(?!{VLLM_KERNELS}).*batch_invariant[^/]*(?:/[^/]*){{0,2}}$"


def override_finder(dispatch_key: str, kernel_file: str) -> Finder:
    """Finds torch's reports that a kernel was replaced, by key and by the new kernel's file.

    A report spans several lines of one process, between which other processes may write. It counts
    only whole and in order; a single line that looks like part of one proves nothing.
    """

    def find(lines: tuple[LogLine, ...]) -> Iterator[Finding]:
        for index, line in enumerate(lines):
            if not (line.may_be_engine and _OVERRIDE.match(line.text)):
                continue
            block = _read_override(line, lines[index + 1 :])
            if block is not None:
                quoted, (operator, key, file) = block
                if key == dispatch_key and re.match(kernel_file, file):
                    yield Finding((line, *quoted), operator)

    return find


def _read_override(
    first: LogLine, following: tuple[LogLine, ...]
) -> tuple[list[LogLine], list[str]] | None:
    """The lines and values of a whole report; ``None`` if it is cut off or another begins."""
    same_process = [line for line in following if line.process == first.process]
    quoted: list[LogLine] = []
    values: list[str] = []
    for line in same_process[:_OVERRIDE_LENGTH]:
        if _OVERRIDE.match(line.text):
            return None
        match = _OVERRIDE_PARTS[len(values)].match(line.text)
        if match is not None:
            values.append(match[1])
            quoted.append(line)
            if len(values) == len(_OVERRIDE_PARTS):
                return quoted, values
    return None


_BLAS_TEXT = "preferred_blas_library is an experimental feature"
_PLUGIN_TEXT = r"batch_invariant \S+: batch-invariant kernels active"

EVIDENCE = (
    Evidence(
        EvidenceTag.OVERRIDE,
        "torch's override warning for dispatch key CUDA with a kernel of "
        "vllm/model_executor/.../batch_invariant.py",
        Device.CUDA,
        override_finder("CUDA", VLLM_KERNELS),
        last=(0, 26),
        torch_before=(2, 12),
        trace=r"new kernel: registered at .*batch_invariant",
    ),
    Evidence(
        EvidenceTag.CPU_OVERRIDE,
        "torch's override warning for dispatch key CPU with a kernel of a batch-invariant plugin",
        Device.CPU,
        override_finder("CPU", CPU_PLUGIN_KERNELS),
        trace=_PLUGIN_TEXT,
    ),
    Evidence(
        EvidenceTag.BLAS,
        "torch's preferred_blas_library line",
        Device.CUDA,
        line_finder(
            rf"^\[W\S*(?: [\d:.]+)? Context\.cpp:\d+\] Warning: torch\.\S*{_BLAS_TEXT}",
        ),
        trace=_BLAS_TEXT,
    ),
    Evidence(
        EvidenceTag.ALL_REDUCE,
        "disable_custom_all_reduce=True in the engine's configuration",
        Device.CUDA,
        setting="disable_custom_all_reduce",
        last=(0, 31),
        parity="the mode turns custom all-reduce off; with one GPU there is none",
    ),
)
"""In the order in which lines are quoted; what is required is told in the order of the tags."""

NOTES = re.compile(
    r"Disabling cascade attention when VLLM_BATCH_INVARIANT is enabled"
    r"|VLLM_BATCH_INVARIANT=1: auto-enabling VLLM_USE_BREAKABLE_CUDAGRAPH=1"
    r"|Disabling prefix caching for \S+ with batch invariance"
    r"|Forcibly updating attention backend to FLASH_ATTN for batch_invariant"
    r"|Cannot use FA version 4 with batch invariance"
    rf"|{_PLUGIN_TEXT}"
)
"""Lines that are consistent with the mode and never required."""
TRACES = re.compile("|".join(row.trace for row in EVIDENCE if row.trace))
"""Texts that no standard server's start-up may hold."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a log must show before a mode counts as proven.

    Attributes:
        required: what an invariant log must hold, and a standard one must not.
        supported: whether this version has the mode at all.
        beyond_source: what is newer than the newest release whose source was read (vLLM) or that
            was run (torch), in words; empty where nothing is.
    """

    required: tuple[Evidence, ...]
    supported: bool = True
    beyond_source: str = ""

    def requires(self, tag: EvidenceTag) -> bool:
        """Whether evidence of this tag is required."""
        return any(row.tag is tag for row in self.required)

    def in_words(self) -> tuple[str, ...]:
        """What is required, for a reader."""
        return tuple(f"{row.tag}: {row.words}" for row in self.required)


def parse_version(text: str | None) -> Version | None:
    """``0.19.1``, ``0.20.2rc1.dev3+g1a2b`` ... as numbers; ``None`` where they mean nothing.

    A build of an image of its own may call itself ``0.1.dev9+g...``, which tells no release.
    """
    match = _NUMBER.match(text or "")
    if match is None:
        return None
    version = (int(match[1]), int(match[2]), int(match[3] or 0))
    return version if version >= _FIRST_RELIABLE_NUMBER else None


def ahead_of_release(text: str | None) -> bool:
    """Whether a build comes before the release whose number it bears, as ``0.20.2rc1.dev3``."""
    return _AHEAD.match(text or "") is not None


def evidence_rule(version: Version, device: Device, torch_version: str | None = None) -> Rule:
    """The rule for a version on a device; with torch's version, where it is known."""
    if version < _FIRST_INVARIANT:
        return Rule((), supported=False)
    match = _NUMBER.match(torch_version or "")
    torch = (int(match[1]), int(match[2])) if match else None
    rows = (row for row in EVIDENCE if row.device is device and row.is_shown_by(version, torch))
    required = tuple(sorted(rows, key=lambda row: row.tag))
    newer = [beyond_read(".".join(map(str, version)))]
    if torch is not None and torch > _LAST_TORCH:
        newer.append(_newer("torch", torch_version, _LAST_TORCH, "run"))
    return Rule(required, beyond_source="; ".join(filter(None, newer)))


def beyond_read(release: str | None) -> str:
    """Says that a release of vLLM is newer than all that were read; empty where it is not."""
    version = parse_version(release)
    newer = version is not None and version[:2] > LAST_READ
    return _newer("vLLM", release, LAST_READ, "read") if newer else ""


def _newer(what: str, release: str | None, last: Release, how: str) -> str:
    return f"{what} {release} is newer than {last[0]}.{last[1]}, the last release that was {how}"


def may_differ(setting: str, version: Version | None) -> str:
    """Why the modes' engines may differ in ``setting``; empty if the mode does not change it."""
    for row in EVIDENCE:
        if setting == row.setting and version is not None and row.is_shown_by(version):
            return row.parity
    return ""
