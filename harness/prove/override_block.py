"""torch's report that a kernel was replaced, read as one block.

The report spans several lines of one process, between which other processes may write. A block
counts only whole and in order; a single line that looks like part of one proves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.prove.log_lines import LogLine

__all__ = ["OverrideBlock", "find_override_blocks"]

_FIRST = re.compile(
    r"^\s*Overriding a previously registered kernel for the same operator and the same dispatch key"
)
_OPERATOR = re.compile(r"^\s*operator:\s+(aten::[\w.]+)\(")
_KEY = re.compile(r"^\s*dispatch key:\s+(\w+)\s*$")
_KERNEL = re.compile(r"^\s*new kernel: registered at (\S+?\.py):(\d+)\b")
_LENGTH = 12
_VLLM_MODULE = re.compile(r"(?:^|/)vllm/model_executor/(?:layers|determinism)/batch_invariant\.py$")


@dataclass(frozen=True, slots=True)
class OverrideBlock:
    """One report.

    Attributes:
        index: where it begins, as an index into the lines.
        lines: its lines that say something: head, operator, key, new kernel.
        operator: such as ``aten::_log_softmax``.
        dispatch_key: such as ``CUDA``.
        kernel_file: the Python file that registered the new kernel.
    """

    index: int
    lines: tuple[LogLine, ...]
    operator: str
    dispatch_key: str
    kernel_file: str

    @property
    def is_vllm_own(self) -> bool:
        """Whether the new kernel is vLLM's own batch-invariant one."""
        return bool(_VLLM_MODULE.search(self.kernel_file))

    @property
    def is_cpu_plugin(self) -> bool:
        """Whether the new kernel is a CPU kernel of a batch-invariant module outside vLLM.

        vLLM's own kernels are Triton kernels, which do not exist on a CPU.
        """
        return (
            self.dispatch_key == "CPU"
            and not self.is_vllm_own
            and any("batch_invariant" in part for part in self.kernel_file.split("/")[-3:])
        )


def find_override_blocks(lines: tuple[LogLine, ...], end: int) -> tuple[OverrideBlock, ...]:
    """Every whole block that begins before line index ``end`` and is the engine's to write."""
    found = []
    for index, line in enumerate(lines[:end]):
        if line.may_be_engine and _FIRST.match(line.text):
            block = _read_block(index, lines[:end])
            if block is not None:
                found.append(block)
    return tuple(found)


def _read_block(index: int, lines: tuple[LogLine, ...]) -> OverrideBlock | None:
    first = lines[index]
    same_process = [line for line in lines[index + 1 :] if line.process == first.process][:_LENGTH]
    values: list[str] = []
    quoted = [first]
    patterns = iter((_OPERATOR, _KEY, _KERNEL))
    pattern = next(patterns)
    for line in same_process:
        if _FIRST.match(line.text):
            return None
        match = pattern.match(line.text)
        if match is None:
            continue
        values.append(match[1])
        quoted.append(line)
        if len(values) == 3:
            return OverrideBlock(index, tuple(quoted), *values)
        pattern = next(patterns)
    return None
