"""What a certificate counts in the records of its lifetimes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from harness.cause.given import Given
from harness.records import Closeness, Record
from harness.vllm_arguments import number_of
from harness.words import MODES, Asking, Effect, Mode

_INVARIANT = Mode.BATCH_INVARIANT
_BOUNDARY = (255, 256, 257)
"""Tokens of a step round which kernels are known to change (vllm#48271)."""
_GPUS = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
"""What a server with several is given."""


class Counts(Struct, frozen=True):
    """Rows of one schedule and width in one mode, over all lifetimes; B against S1, by text.

    Attributes:
        rows, changed: rows, and those that change with the batch.
        prompts, changed_prompts: the same by prompt.
    """

    schedule: str
    width: int
    mode: Mode
    rows: int
    changed: int
    prompts: int
    changed_prompts: int


@dataclass(slots=True)
class Gathered:
    """What is gathered from the records of all lifetimes.

    Attributes:
        steps: by mode, tokens of the largest step of each batch.
        pieces: by mode, whether a prompt of each batch was prefilled in pieces; rows that share a
            batch tell it of one, and one sent by another lifetime or start is another.
    """

    rows: dict[tuple[str, int, Mode], list[tuple[str, bool]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    alone: dict[tuple[Mode, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    noise: dict[Mode, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    steps: dict[Mode, set[int]] = field(default_factory=lambda: {mode: set() for mode in MODES})
    pieces: dict[Mode, dict[Hashable, bool]] = field(
        default_factory=lambda: {mode: {} for mode in MODES}
    )
    closeness: list[Closeness] = field(default_factory=list)
    cache: int = 0

    def add(self, record: Record, lifetime: int) -> None:
        """Count one record of a lifetime that is ok."""
        batch, noise = record.effect(Effect.BATCH), record.effect(Effect.NOISE)
        asked = record.prompt_sha256 or f"{record.task_name}/{record.sample_id}"
        prompt = f"{record.model}: {asked}"  # two models answer one prompt otherwise
        changed = bool(batch and batch.text)
        self.rows[record.dispatch_mode, record.batch_size, record.mode].append((prompt, changed))
        self.noise[record.mode] += bool(noise and noise.text)
        if text := record.hash_of(Asking.S1):
            self.alone[record.mode, prompt].add(text)
        cache = record.effect(Effect.CACHE)
        self.cache += record.mode is _INVARIANT and bool(cache and cache.text)
        seen = record.witness.B if record.witness else None
        if seen is not None:
            if seen.split_prefills is not None:
                sent = record.batch if record.group else record.key
                self.pieces[record.mode][lifetime, record.start, sent] = seen.split_prefills > 0
            self.steps[record.mode] |= {seen.largest_step} if seen.largest_step else set()
        if changed and record.mode is _INVARIANT and record.divergence:
            self.closeness.append(record.divergence.closeness)

    def cells(self) -> tuple[Counts, ...]:
        """Each schedule and width in each mode."""
        found = []
        for (schedule, width, mode), rows in sorted(self.rows.items()):
            changed = {prompt for prompt, moved in rows if moved}
            prompts = {prompt for prompt, _ in rows}
            moved = sum(moved for _, moved in rows)
            counts = (len(rows), moved, len(prompts), len(changed))
            found.append(Counts(schedule, width, mode, *counts))
        return tuple(found)

    def prompts(self, mode: Mode) -> tuple[int, int]:
        """Prompts of a mode that change in any row of any lifetime, of all of its prompts."""
        rows = [row for key, found in self.rows.items() if key[2] is mode for row in found]
        return len({prompt for prompt, moved in rows if moved}), len({prompt for prompt, _ in rows})

    def split(self, mode: Mode) -> tuple[int, int]:
        """Batches of a mode with a prompt that was prefilled in pieces, of all that tell it."""
        return sum(self.pieces[mode].values()), len(self.pieces[mode])

    @property
    def boundary(self) -> tuple[int, ...]:
        """The sizes of a step round which kernels change, of those that were seen."""
        return tuple(size for size in _BOUNDARY if size in self.steps[_INVARIANT])

    def moved(self, mode: Mode) -> int:
        """Prompts whose text alone is another one in another lifetime or row."""
        return sum(len(texts) > 1 for (of, _), texts in self.alone.items() if of is mode)


def not_covered(
    counted: Gathered, wanted: Iterable[str], lifetimes: int, *given: Mapping[Mode, Given]
) -> Iterable[str]:
    """What a certificate's lifetimes do not speak of, each in a few words.

    Args:
        counted: from their records.
        wanted: schedules that were to be seen.
        lifetimes: how many there are.
        given: what the servers of each logged that they were given.
    """
    seen = {schedule for schedule, _, _ in counted.rows}
    if missing := [one for one in wanted if one not in seen]:
        yield f"schedules: {', '.join(missing)}"
    if missing := [str(size) for size in _BOUNDARY if size not in counted.boundary]:
        yield f"engine steps of {', '.join(missing)} tokens"
    if not counted.split(_INVARIANT)[0]:
        yield "a prompt that is prefilled in pieces"
    if lifetimes < 2:
        yield "more than one server lifetime"
    told = [one for modes in given for one in modes.values()]
    several = any((number_of(one, size) or 1) > 1 for one in told for size in _GPUS)
    gpus = "another number of GPUs" if several else "more than one GPU"
    yield f"{gpus}, other models, other arguments than these"
