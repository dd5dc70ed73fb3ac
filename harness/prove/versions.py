"""Which evidence a vLLM version must show; the rule belongs to torch where torch is known.

Sources (``batch_invariant.py`` of 24 releases, torch 2.10 to 2.13 run): torch prints its override
warning once a process, and from 2.12 on ``import torch`` itself has used that up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Device", "EvidenceTag", "Rule", "evidence_rule", "parse_version"]

Version = tuple[int, int, int]

FIRST_INVARIANT: Version = (0, 11, 1)
_FIRST_RELIABLE_NUMBER: Version = (0, 8, 0)
_LAST_WITH_OVERRIDE = (0, 26)
_LAST_WITH_ALL_REDUCE_FLAG = (0, 31)
_LAST_READ = (0, 32)
_FIRST_TORCH_WITHOUT_OVERRIDE = (2, 12)
_NUMBER = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?")


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
class Rule:
    """What a log must show before a mode counts as proven.

    Attributes:
        required: tags that an invariant log must hold for each worker.
        all_reduce_tells: whether ``disable_custom_all_reduce`` follows the mode.
        supported: whether this version has the mode at all.
        beyond_source: the version is newer than the newest one whose source was read.
    """

    required: tuple[EvidenceTag, ...]
    all_reduce_tells: bool = False
    supported: bool = True
    beyond_source: bool = False


def parse_version(text: str | None) -> Version | None:
    """``0.19.1``, ``0.20.2rc1.dev3+g1a2b`` ... as numbers; ``None`` where they mean nothing.

    A build of an image of its own may call itself ``0.1.dev9+g...``, which tells no release.
    """
    match = _NUMBER.match(text or "")
    if match is None:
        return None
    version = (int(match[1]), int(match[2]), int(match[3] or 0))
    return version if version >= _FIRST_RELIABLE_NUMBER else None


def evidence_rule(version: Version, device: Device, torch_version: str | None = None) -> Rule:
    """The rule for a version on a device."""
    release = version[:2]
    beyond = release > _LAST_READ
    if version < FIRST_INVARIANT:
        return Rule((), supported=False)
    if device is Device.CPU:
        return Rule((EvidenceTag.CPU_OVERRIDE,), beyond_source=beyond)
    torch = _NUMBER.match(torch_version or "")
    if torch is not None:
        override = (int(torch[1]), int(torch[2])) < _FIRST_TORCH_WITHOUT_OVERRIDE
    else:
        override = release <= _LAST_WITH_OVERRIDE
    required = (EvidenceTag.BLAS, EvidenceTag.OVERRIDE) if override else (EvidenceTag.BLAS,)
    return Rule(
        required,
        all_reduce_tells=release <= _LAST_WITH_ALL_REDUCE_FLAG,
        beyond_source=beyond,
    )
