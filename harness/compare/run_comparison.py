"""Two runs, or two modes of one, candidate by candidate."""

from collections.abc import Sequence

from msgspec import Struct

from harness.analyse import StackDifference, stack_differences, stack_gaps
from harness.compare.alignment import Alignment, Side, align, choose_modes, require_comparable
from harness.compare.compared_modes import ModeComparison, compare_mode
from harness.errors import UsageError
from harness.words import Mode


class SideFacts(Struct, frozen=True):
    """What a comparison keeps of a run.

    Attributes:
        name: the run's id.
        path: its records file.
        device: ``cpu``, ``cuda`` or ``None`` where it is not recorded.
        unproven: servers of the compared modes whose kernel path is not proven, in words.
    """

    name: str
    path: str
    device: str | None
    unproven: tuple[str, ...]


class Comparison(Struct, frozen=True, kw_only=True):
    """Run A against run B, as ``comparison.json`` holds it.

    Attributes:
        modes: one comparison a pair of modes.
        stack: what differs between the runs' stacks.
        not_checked: what the files do not hold, and so was not compared.
        left_out: candidates and modes without a partner, in words; only with ``allow_subset``.
    """

    schema_version: int = 1
    kind: str = "runs"
    a: SideFacts
    b: SideFacts
    modes: tuple[ModeComparison, ...]
    stack: tuple[StackDifference, ...]
    not_checked: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def unproven(self) -> tuple[str, ...]:
        """What is not proven on either side, each once."""
        return tuple(dict.fromkeys((*self.a.unproven, *self.b.unproven)))


def compare_runs(
    a: Side,
    b: Side,
    *,
    mode_a: Mode | None = None,
    mode_b: Mode | None = None,
    allow_subset: bool = False,
) -> Comparison:
    """Compare two runs of the same candidates.

    Args:
        a, b: what `read_side` gave; both may be the same run where the modes differ.
        mode_a, mode_b: one mode against another; with neither, every mode against itself, with
            one, that mode on both sides.
        allow_subset: compare what both have, where one has more.

    Raises:
        UsageError: the runs are not comparable; the message names the first record that differs.
    """
    chosen = choose_modes(a, b, mode_a, mode_b, allow_subset=allow_subset)
    if a.records.path == b.records.path and all(one == other for one, other in chosen):
        raise UsageError(
            "this is one run, set against itself",
            file=a.records.path,
            hint="give two runs, or two modes: --mode-a standard --mode-b batch_invariant",
        )
    aligned = [align(a, b, *modes, allow_subset=allow_subset) for modes in chosen]
    notes = [note for found in aligned for note in require_comparable(a, b, found)]
    left_out = []
    if all(one == other for one, other in chosen):
        lone = (set(a.modes) ^ set(b.modes)) - {mode for mode, _ in chosen}
        left_out = [f"mode {m} is only in {'A' if m in a.modes else 'B'}" for m in sorted(lone)]
    left_out += [
        f"{found.mode_a}: {len(found.pairs)} candidates compared, "
        f"{found.only_a} only in A, {found.only_b} only in B"
        for found in aligned
        if found.only_a or found.only_b
    ]
    return Comparison(
        a=_facts(a, [(found.mode_a, found) for found in aligned]),
        b=_facts(b, [(found.mode_b, found) for found in aligned]),
        modes=tuple(compare_mode(a, b, found) for found in aligned),
        stack=stack_differences(a.files, b.files, chosen),
        not_checked=(*dict.fromkeys(notes), *stack_gaps(a.files, b.files)),
        left_out=tuple(left_out),
    )


def _facts(side: Side, served: Sequence[tuple[Mode, Alignment]]) -> SideFacts:
    by_name = {(startup.model, startup.mode): startup for startup in side.files.startups}
    unproven = [] if by_name else ["no startup_*.json, so nothing shows which kernels ran"]
    for mode, aligned in served if by_name else ():
        for model in aligned.models:
            startup = by_name.get((model, str(mode)))
            if startup is None or not startup.answered():
                unproven.append(f"{model} in mode {mode} has no start that gave its records")
            else:
                for number, verdict in startup.unproven():
                    unproven.append(f"{startup.file}: start {number} is {verdict}")
    named = tuple(f"{side.name}: {text}" for text in unproven)
    return SideFacts(side.name, side.records.path, side.files.device_kind, named)
