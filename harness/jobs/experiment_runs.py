"""What the experiments that write rows of their own share: a server a mode, the rows, the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from harness import conduct
from harness.errors import GateFailed, UsageError, shown
from harness.experiments import Row
from harness.files import write_json, write_rows
from harness.jobs import Done
from harness.jobs.certifying import Asked, rows_of
from harness.jobs.experiment_proof import insist_on_proof, starts_of
from harness.records import add_aside, read_run_files, read_sealed, sealed
from harness.refused import insist_on_place
from harness.settings import LoadedSpec
from harness.words import Mode

R = TypeVar("R", bound=Row)
ROWS = {"trace": "trace.jsonl", "sample": "samples.jsonl"}
"""The file of each experiment's rows; it is there when all rows of its mode are."""
_ANEW = "the rows were changed: --fresh asks anew"
Due = Mapping[str, object]
"""What tells a row from the others: fields, with what they have to be."""


@dataclass(frozen=True, slots=True)
class Experiment(Generic[R]):
    """An experiment: its name (of `ROWS`), what a row is, and what sets it apart.

    ``mark`` goes into the folder's name beside the settings: other questions are another folder.
    """

    name: str
    row: type[R]
    mark: str
    results: Path
    quiet: bool

    def of_modes(
        self,
        loaded: LoadedSpec,
        asked: Asked,
        due: Callable[[conduct.Prepared], Sequence[Due]],
        work: Callable[[Mode, conduct.Prepared, list[R]], conduct.Work],
    ) -> tuple[list[Path], list[R]]:
        """The file of each mode, and the rows of all, from its folder where they are there already.

        A mode of which any row is in vain is asked again, whole; its old rows are set aside.

        Args:
            asked: what the plan of its server has.
            due: what the rows of a mode are of, in their order.
            work: does the work with the server of a plan, and appends to the rows.

        Raises:
            UsageError: the rows that are there are not those that are due or are of several
                servers, or a folder is where they are to be.
            HarnessError: as `harness.conduct.with_server`.
        """
        plans = {mode: self._prepared(loaded, mode, asked) for mode in loaded.spec.modes}
        there = {
            mode: self._read(place, prepared, mode, due(prepared))
            for mode, (prepared, place) in plans.items()
            if place.is_file()
        }
        conduct.insist_on_one_server([plans[mode][1].parent for mode in there])
        for mode, (prepared, place) in plans.items():
            if mode not in there or any(row.in_vain for row in there[mode]):
                beside = tuple(plans[other][1].parent for other in there if other is not mode)
                there[mode] = self._asked(prepared, place, mode, beside, work)
        files = [place for _, place in plans.values()]
        return files, [row for mode in plans for row in there[mode]]

    def _asked(
        self,
        prepared: conduct.Prepared,
        place: Path,
        mode: Mode,
        beside: tuple[Path, ...],
        work: Callable[[Mode, conduct.Prepared, list[R]], conduct.Work],
    ) -> list[R]:
        """The rows of a mode, asked of a server that has to be the one of those beside."""
        rows: list[R] = []
        name = place.parent.name
        options = conduct.RunOptions(self.results, name, kind=self.name, beside=beside)
        progress = conduct.RunProgress() if self.quiet else conduct.ConsoleProgress()
        conduct.with_server(prepared, options, progress, work(mode, prepared, rows))
        start = len(starts_of(read_run_files(place.parent), mode)) or None
        if place.is_file():
            old = place.read_bytes().splitlines(keepends=True)
            add_aside(place.with_name(f"superseded_{place.name}"), old)
        write_rows(place, (sealed(msgspec.to_builtins(row) | {"start": start}) for row in rows))
        return rows

    def _prepared(
        self, loaded: LoadedSpec, mode: Mode, asked: Asked
    ) -> tuple[conduct.Prepared, Path]:
        """The plan of a mode's server, and the file of its rows."""
        changes = {"modes": (mode,), "dispatch_modes": "original", "candidates": (), "limit": None}
        own = replace(loaded, spec=loaded.spec.model_copy(update=changes))
        prepared = conduct.prepare(own, source=rows_of(asked))
        # a plan has not every prompt that may be asked, nor what an answer is judged by
        tasks = sorted(prepared.population.files.values())
        told = f"{prepared.fingerprint} {self.mark} {tasks}"
        if prepared.server_files:  # an edited one is another server
            told += f" {sorted(prepared.server_files.items())}"
        digest = sha256(told.encode()).hexdigest()[:8]
        place = self.results / f"{loaded.spec.name}-{self.name}-{digest}-{mode}" / ROWS[self.name]
        if not place.is_file():
            insist_on_place(place)
        return prepared, place

    def _read(
        self, place: Path, prepared: conduct.Prepared, mode: Mode, due: Sequence[Due]
    ) -> list[R]:
        """The rows of a file, all that are due in their order, each as it was written."""
        found = list(read_sealed(place, self.row, what="no row of this experiment", hint=_ANEW))
        for (line, row), wanted in zip(found, due, strict=False):
            for name, value in {"mode": mode, **wanted}.items():
                if (told := getattr(row, name)) != value:
                    what = f"its {name} is {shown(told)}, and {shown(value)} is due here"
                    raise UsageError(what, file=place, line=line, hint=_ANEW)
        if len(found) != len(due):
            what = f"{len(found)} rows, and {len(due)} of {mode.words} mode are due"
            raise UsageError(what, file=place, hint=_ANEW)
        rows = [row for _, row in found]
        _insist_on_one_start(place, [row.start for row in rows])
        rest_on = {row.start for row in rows}
        insist_on_proof(place.parent, prepared.fingerprint, mode, rest_on, _ANEW)
        return rows


def _insist_on_one_start(place: Path, starts: Sequence[int | None]) -> None:
    """Refuse rows of several starts: a file of rows is written whole, after one."""
    for line, start in enumerate(starts, 1):
        if start != starts[0]:
            what = f"it is of start {start} of its server, and line 1 of start {starts[0]}"
            raise UsageError(what, file=place, line=line, hint=_ANEW)


def ended(
    lines: Sequence[str],
    files: Sequence[Path],
    rows: Sequence[Row],
    found: Any,
    gaps: Sequence[str],
    out: Path | None,
) -> Done:
    """What an experiment tells at its end; written to ``out`` too, where it is given."""

    def told() -> Iterator[str]:
        yield from lines
        yield from (f"rows      {file}" for file in files)
        if out is not None:
            write_json(out, msgspec.to_builtins(found), parents=True)
            yield f"written   {out}"

    vain = dict.fromkeys(row.mode.words for row in rows if row.in_vain)
    again = f"the same command asks again in {' and '.join(vain)} mode"
    hint = again if vain else "--fresh asks again"
    failure = GateFailed("not countable", hint=hint, detail=tuple(gaps))
    return Done(list(told()), found, failure=failure if gaps else None)
