"""What the experiments that write rows of their own share: a server a mode, the rows, the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from harness import conduct
from harness.errors import GateFailed, UsageError
from harness.experiments import Row
from harness.files import append_bytes, read_lines, write_json, write_rows
from harness.hostile import shaped
from harness.jobs import Done
from harness.jobs.certifying import Asked, rows_of
from harness.jobs.experiment_proof import insist_on_proof, starts_of
from harness.records import LineFault, is_sealed, read_run_files, sealed, value_of
from harness.refused import insist_on_place
from harness.settings import LoadedSpec
from harness.words import Mode

R = TypeVar("R", bound=Row)
ROWS = {"trace": "trace.jsonl", "sample": "samples.jsonl"}
"""The file of each experiment's rows; it is there when all rows of its mode are."""
_ANEW = "the rows were changed: --fresh asks anew"


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

    def of_mode(
        self,
        loaded: LoadedSpec,
        mode: Mode,
        asked: Asked,
        count: Callable[[conduct.Prepared], int],
        work: Callable[[conduct.Prepared, list[R]], conduct.Work],
    ) -> tuple[Path, list[R]]:
        """The file and the rows of one mode, from its folder where they are there already.

        A mode of which any row is in vain is asked again, whole; its old rows are set aside.

        Args:
            asked: what the plan of its server has.
            count: how many rows are due.
            work: does the work with the server of a plan, and appends to the rows.

        Raises:
            UsageError: the rows that are there are not those that are due, or a folder is where
                they are to be, of this mode or a later one.
            HarnessError: as `harness.conduct.with_server`.
        """
        if mode is loaded.spec.modes[0]:  # a later one's rows too must have a place
            for later in loaded.spec.modes[1:]:
                self._prepared(loaded, later, asked)
        prepared, place = self._prepared(loaded, mode, asked)
        if place.is_file():
            there = self._read(place, mode, count(prepared))
            if not any(row.in_vain for row in there):
                return place, there
        rows: list[R] = []
        options = conduct.RunOptions(self.results, place.parent.name, kind=self.name)
        progress = conduct.RunProgress() if self.quiet else conduct.ConsoleProgress()
        conduct.with_server(prepared, options, progress, work(prepared, rows))
        start = len(starts_of(read_run_files(place.parent), mode)) or None
        if place.is_file():
            append_bytes(place.with_name(f"superseded_{place.name}"), place.read_bytes())
        write_rows(place, (sealed(msgspec.to_builtins(row) | {"start": start}) for row in rows))
        return place, rows

    def _prepared(
        self, loaded: LoadedSpec, mode: Mode, asked: Asked
    ) -> tuple[conduct.Prepared, Path]:
        """The plan of a mode's server, and the file of its rows."""
        changes = {"modes": (mode,), "dispatch_modes": "original", "candidates": (), "limit": None}
        own = replace(loaded, spec=loaded.spec.model_copy(update=changes))
        prepared = conduct.prepare(own, source=rows_of(asked))
        # a plan has not every prompt that may be asked, nor what an answer is judged by
        tasks = sorted(prepared.population.files.values())
        digest = sha256(f"{prepared.fingerprint} {self.mark} {tasks}".encode()).hexdigest()[:8]
        place = self.results / f"{loaded.spec.name}-{self.name}-{digest}-{mode}" / ROWS[self.name]
        if not place.is_file():
            insist_on_place(place)
        return prepared, place

    def _read(self, place: Path, mode: Mode, count: int) -> list[R]:
        """The rows of a file, all that are due, each as it was written."""
        rows = list[R]()
        for line, data in read_lines(place):
            try:
                if not is_sealed(data):
                    raise LineFault("it does not end in its checksum")
                rows.append(shaped(value_of(data), self.row))
            except (LineFault, msgspec.ValidationError) as error:
                raise UsageError(
                    f"no row of this experiment: {error}", file=place, line=line, hint=_ANEW
                ) from error
        if len(rows) != count or any(row.mode is not mode for row in rows):
            what = f"{len(rows)} rows, and {count} of {mode.words} mode are due"
            raise UsageError(what, file=place, hint=_ANEW)
        _insist_on_one_start(place, [row.start for row in rows])
        insist_on_proof(place.parent, mode, {row.start for row in rows}, _ANEW)
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
