"""What a mode, or another axis, costs: blocks of server lifetimes, measured and set in ratio."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, cycle, islice, product
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from harness import conduct
from harness.cause import FEWEST_BLOCKS, Axis, Cost, Reading, costs
from harness.errors import UsageError, shown
from harness.files import write_rows
from harness.jobs import Done
from harness.jobs.certifying import Asked, rows_of
from harness.jobs.experiment_proof import insist_on_proof, starts_of
from harness.jobs.matrix_cells import Cells, read_axes
from harness.jobs.report_files import PAGES
from harness.jobs.together import Turns, side_by_side
from harness.plan import Lifetime
from harness.records import Answer, new_run_id, read_run_files, read_sealed, sealed
from harness.refused import insist_on_place
from harness.replay import Dispatcher
from harness.report import bench_document, write_document
from harness.settings import LoadedSpec
from harness.words import DispatchMode, Mode

_Server = tuple[int, str]
"""The block and the arm of a server lifetime."""
_READINGS = "readings.jsonl"
_ANEW = "the readings were changed: --fresh measures anew"
_ALONE = 3
"""Prompts that are asked alone in a block, for the first token and the time of each."""


def bench(
    loaded: LoadedSpec,
    axis: str,
    concurrent: Sequence[int],
    blocks: int,
    results: Path,
    out: Path | None,
    *,
    fresh: bool,
    quiet: bool,
) -> Done:
    """Measure blocks of one lifetime an arm; a block that is there is not measured again.

    Where the spec lets servers overlap, those of as many blocks as fit are up at once and are
    measured one after the other, with the others idle; then start-up is not measured.

    Raises:
        UsageError: an axis, be it one that changes nothing of the server, fewer blocks than an
            interval takes, or readings that are there and were changed or are of another server.
        HarnessError: as `harness.conduct.run`.
    """
    if blocks < FEWEST_BLOCKS:
        raise UsageError(f"--blocks: {blocks}", hint=f"at least {FEWEST_BLOCKS}, for an interval")
    (read,) = read_axes([axis])
    cells = Cells(loaded, (read,), Asked((DispatchMode.SYNCHRONIZED,), (2,), 2, 1), results, quiet)
    # turned from block to block: A B, B A, A B …
    turned = (read.values[:: 1 if block % 2 else -1] for block in range(1, blocks + 1))
    servers = [(block, arm) for block, arms in enumerate(turned, 1) for arm in arms]
    bench = _Bench(cells, read, concurrent, new_run_id(results, "") if fresh else "")
    bench.insist_apart()
    there = bench.there(servers)
    bench.ahead([server for server in servers if server not in there])
    readings = [
        reading for server in servers for reading in there.get(server) or bench.lifetime(server)
    ]
    found = costs(readings, read.base)
    lines = [f"cost of {read.name} over {read.base}, {blocks} blocks", *map(_line, found)]
    if out is not None:
        document = bench_document(found, read, blocks, loaded.spec.name)
        value: dict[str, Any] = {
            "axis": read.name,
            "base": read.base,
            "blocks": blocks,
            "costs": msgspec.to_builtins(found),
            "readings": msgspec.to_builtins(readings),
        }
        lines += [f"written   {path}" for path in write_document(document, PAGES, out, value)]
    return Done(lines, found)


def _line(one: Cost) -> str:
    room = "" if one.low is None else f" [{one.low:.2f}, {one.high:.2f}]"
    means = f"{one.base:.4g} and {one.other:.4g} {one.unit}"
    return f"  {one.measure:<22} {one.arm}: {one.ratio:.2f} times{room}  ({means})"


@dataclass(frozen=True, slots=True)
class _Bench:
    """What every server of a bench shares."""

    cells: Cells
    axis: Axis
    concurrent: Sequence[int]
    anew: str = ""
    plans: dict[str, conduct.Prepared] = field(default_factory=dict)

    def insist_apart(self) -> None:
        """Refuse an axis of which two values ask the same server in the same way.

        Raises:
            UsageError: every difference that was measured would be chance.
        """
        told = [(arm, self._spec_of(arm).spec) for arm in self.axis.values]
        for (one, own), (other, its) in combinations(told, 2):
            if own == its:
                what = f"{shown(one)} and {shown(other)} are the same server to what bench sends"
                hint = "bench times prompts alone and at once: name an axis of the server, such as "
                hint += "mode or attention; harness matrix has schedule and width"
                raise UsageError(f"--axis {self.axis.name}: {what}", hint=hint)

    def there(self, servers: Sequence[_Server]) -> dict[_Server, list[Reading]]:
        """What was measured already.

        Raises:
            UsageError: a file is damaged, of another server, or was changed; or a folder is where
                one is to be.
        """
        found = {}
        for server in servers:
            kept = self._kept(server)
            if kept.is_file():
                found[server] = self._read(kept, server)
            else:
                insist_on_place(kept)
        for arm in self.axis.values:
            conduct.insist_on_one_server(self._compared(arm, found))
        return found

    def ahead(self, left: Sequence[_Server]) -> None:
        """Have as many whole blocks up at once as may overlap, and measure one after the other."""
        arms = len(self.axis.values)
        width = self.cells.loaded.spec.server.overlap // arms * arms
        for first in range(0, len(left), width) if width else ():
            chunk = left[first : first + width]
            turns = Turns(len(chunk))
            works = [partial(self._at_once, turns, one) for one in enumerate(chunk)]
            side_by_side(works, width, turns.fail)

    def _compared(self, arm: str, servers: Iterable[_Server]) -> tuple[Path, ...]:
        """The folders of those that have to be one server with an arm's, but for the axis."""
        several = self.cells.has_several_servers
        own = [one for one in servers if one[1] == arm or not several]
        return tuple(self._kept(one).parent for one in own)

    def _at_once(self, turns: Turns, one: tuple[int, _Server], place: int) -> None:
        number, server = one
        self.lifetime(server, place, (turns, number))

    def _kept(self, server: _Server) -> Path:
        prepared, (block, arm) = self._prepared(server), server
        # servers that run already are no part of a fingerprint: the arm tells them apart; and a
        # plan has not every prompt that is asked, nor what the files hold that its settings name
        tasks = sorted(prepared.population.files.values())
        files = sorted(prepared.server_files.items())
        told = repr((self.concurrent, arm, tasks, self.anew, *([files] if files else ())))
        waves = hashlib.sha256(told.encode()).hexdigest()[:8]
        name = f"{prepared.spec.name}-bench-{prepared.fingerprint[:8]}-{waves}-{block}"
        return self.cells.results / name / _READINGS

    def _read(self, kept: Path, server: _Server) -> list[Reading]:
        """The readings of a lifetime that was measured already.

        Raises:
            UsageError: the file is damaged, of another server, or not proven.
        """
        found = list(read_sealed(kept, _Line, what="no reading", hint=_ANEW))
        seen = set[str]()
        for place, (line, one) in enumerate(found, 1):
            of = (one.block, one.arm) == server and 0 < one.value < inf and one.measure not in seen
            if not of or (one.row, one.rows) != (place, len(found)):
                what = f"no reading, or another one than number {place} of its own block and arm"
                raise UsageError(what, file=kept, line=line, hint=_ANEW)
            seen.add(one.measure)
        if not found:
            raise UsageError("it holds no readings", file=kept, hint=_ANEW)
        rest_on = {one.start for _, one in found}
        asked = self._prepared(server).fingerprint
        insist_on_proof(kept.parent, asked, self._mode(server), rest_on, _ANEW)
        return [Reading(one.block, one.arm, one.measure, one.unit, one.value) for _, one in found]

    def _mode(self, server: _Server) -> Mode:
        return self._prepared(server).plan.lifetimes[0].mode

    def _prepared(self, server: _Server) -> conduct.Prepared:
        arm = server[1]
        if arm not in self.plans:
            self.plans[arm] = conduct.prepare(self._spec_of(arm), source=rows_of(self.cells.asked))
        return self.plans[arm]

    def _spec_of(self, arm: str) -> LoadedSpec:
        cell = () if arm == self.axis.base else ((self.axis.name, arm),)
        return self.cells.spec_of(cell)[0]

    def lifetime(
        self, server: _Server, place: int = 0, turn: tuple[Turns, int] | None = None
    ) -> list[Reading]:
        """The readings of one arm in one block, from its folder where it was measured ahead."""
        kept, prepared = self._kept(server), self._prepared(server)
        if kept.is_file():
            return self._read(kept, server)
        found: list[Reading] = []
        texts = [prompt.text for prompt in prepared.population.prompts]

        async def work(_: Lifetime, dispatcher: Dispatcher, __: object) -> None:
            if turn is not None:
                await turn[0].wait(turn[1])
            measured = _measured(dispatcher, texts, self.concurrent, server)
            found.extend([one async for one in measured])
            if turn is not None:
                turn[0].over(turn[1])

        where = self.cells.results, kept.parent.name
        others = product(range(1, server[0] + 1), self.axis.values)
        beside = self._compared(server[1], (one for one in others if self._kept(one).is_file()))
        options = conduct.RunOptions(*where, kind="bench", place=place, beside=beside)
        quiet = self.cells.quiet or turn is not None
        progress = conduct.RunProgress() if quiet else conduct.ConsoleProgress(told=self.cells.told)
        folder = conduct.with_server(prepared, options, progress, work)
        starts = starts_of(read_run_files(folder), self._mode(server))
        ready = starts[-1].ready_after_s if starts and turn is None else None
        if ready:
            found.insert(0, Reading(*server, "start-up", "s", ready))
        start = len(starts) or None
        rows = (
            {**msgspec.to_builtins(one), "start": start, "row": place, "rows": len(found)}
            for place, one in enumerate(found, 1)
        )
        write_rows(folder / kept.name, map(sealed, rows))
        return found


class _Line(Reading, frozen=True, kw_only=True):
    """A line of a file of readings: the start that gave it, which line it is, and of how many."""

    start: int | None
    row: int
    rows: int


async def _measured(
    dispatcher: Dispatcher, texts: Sequence[str], concurrent: Sequence[int], server: _Server
) -> AsyncIterator[Reading]:
    """Alone first, then ever more at once; each wave is of other prompts than the one before."""
    prompts = cycle(texts)
    firsts, rest = list[float](), list[float]()
    for prompt in islice(prompts, _ALONE):
        one = await dispatcher.solo(prompt, own={"max_tokens": 1})
        whole = await dispatcher.solo(prompt)
        firsts.append(one.latency_s or 0.0)
        more = len(whole.token_ids or ()) - 1
        if more > 0:
            rest.append(((whole.latency_s or 0.0) - firsts[-1]) / more)
    yield Reading(*server, "first token alone", "s", sum(firsts) / len(firsts))
    if rest and sum(rest) > 0:
        yield Reading(*server, "each token alone", "s", sum(rest) / len(rest))
    for width in concurrent:
        batch = list(islice(prompts, width))
        if width == 1:
            answers: Sequence[Answer] = (await dispatcher.solo(batch[0]),)
        else:
            answers = await dispatcher.batch(batch, DispatchMode.SYNCHRONIZED)
        tokens = sum(len(answer.token_ids or ()) for answer in answers)
        wall = max(answer.latency_s or 0.0 for answer in answers)
        if wall and tokens:
            yield Reading(*server, f"throughput at {width}", "tokens/s", tokens / wall)
