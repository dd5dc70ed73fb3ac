"""A run for Python and for other programs: its records as a table, its numbers, flips and page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import report
from harness.analyse import Claim, RunState, Summary, Validation, state_of
from harness.errors import EnvironmentError_, UsageError, nearest
from harness.files import write_whole
from harness.hostile import storable
from harness.jobs import Done
from harness.jobs.raster import png_of
from harness.jobs.run_numbers import numbers_of
from harness.records import Answer, Record, RunFiles, iter_records, read_run_files
from harness.words import Asking

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "parquet", "svg", "png")
_COLUMNS = (
    *("run_id", "model", "task_name", "sample_id", "batch_size", "dispatch_mode", "mode"),
    *("status", "error", "phase", "domain", "original_direction", "pattern"),
    *("solo_score", "solo_label", "batch_score", "batch_label", "label_flip", "text_change"),
    *("prompt_sha256", "solo_response_hash", "batch_response_hash"),
)


@dataclass(frozen=True)
class OpenedRun:
    """A run folder or a records file, read when it is asked for.

    Attributes:
        files: where it lies, with its metadata and start-ups.
    """

    files: RunFiles

    @property
    def path(self) -> Path:
        """What was opened: the run folder, or the records file that is not one's own."""
        return self.files.folder if self.files.is_run_folder else self.files.records_path

    @cached_property
    def records(self) -> pd.DataFrame:
        """A row a candidate and mode: its key, scores, hashes, pattern; each asking's text and end.

        ``S0_text`` to ``S2_text`` are the answers, ``S0_finish_reason`` how each ended, and
        ``S0_latency_s`` its seconds.
        """
        pandas = import_module("pandas")
        rows = (_flat(record) for _, record in iter_records(self.files.records_path))
        found: pd.DataFrame = pandas.DataFrame(rows)
        return found

    @cached_property
    def _numbers(self) -> tuple[Summary, Validation | None]:
        return numbers_of(self.path)

    @property
    def summary(self) -> Summary:
        """All numbers: those of ``summary.json``, or made anew where it is missing or stale."""
        return self._numbers[0]

    @property
    def countable(self) -> bool | None:
        """Whether the run counts; ``None`` where nobody asked, or the records changed since."""
        return None if self.state is RunState.NOT_VALIDATED else self.state is RunState.COUNTS

    @property
    def state(self) -> RunState:
        """What `harness runs` says: ``counts``, ``unfinished``, ``unproven``, and what else."""
        return state_of(self.files, self._numbers[1])

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The claim ledger."""
        return self.summary.claims

    def flips(self) -> list[Record]:
        """The records whose label flipped between alone and batched, in file order."""
        found = (record for _, record in iter_records(self.files.records_path))
        return [record for record in found if record.label_flip]

    def to_html(self) -> str:
        """The report's page, self-contained."""
        summary, validation = self._numbers
        return report.rendered(report.load_report(self.path, summary, validation), "html")

    def __repr__(self) -> str:
        """Where it lies and how many records it has."""
        return f"<run {self.path}: {self.summary.n_ok} of {self.summary.n_records} records ok>"


def open_run(path: Path | str) -> OpenedRun:
    """Open a run folder or a records file.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    return OpenedRun(read_run_files(path))


def _flat(record: Record) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in _COLUMNS}
    for asking in Asking:
        answer = record.asked(asking) or Answer()
        row |= {
            f"{asking}_text": answer.text,
            f"{asking}_finish_reason": answer.finish_reason,
            f"{asking}_latency_s": answer.latency_s,
        }
    return {
        name: storable(str(value)) if isinstance(value, str) else value
        for name, value in row.items()
    }


def export(run: Path, form: str, out: Path | None) -> Done:
    """Write a run's records as a table, or its rates as a drawing.

    Raises:
        UsageError: an unknown form, or a run that cannot be read.
        EnvironmentError_: Parquet without pyarrow, a PNG without a program that draws one, or a
            file that cannot be written.
    """
    if form not in FORMATS:
        raise UsageError(f"--format: no '{form}'", hint=nearest(form, FORMATS, "known"))
    opened = open_run(run)
    name = f"rates.{form}" if form in {"svg", "png"} else f"records.{form}"
    target = out or opened.files.folder / name
    if form == "csv":
        write_whole(target, opened.records.to_csv(index=False), parents=True)
    elif name.startswith("rates."):
        drawing = report.rates_svg(opened.summary)
        write_whole(target, drawing if form == "svg" else png_of(drawing), parents=True)
    else:
        _parquet(opened.records, target)
    return Done(_told(target, opened))


def _told(target: Path, opened: OpenedRun) -> Iterator[str]:
    yield f"{target}: {opened.summary.n_records} records"


def _parquet(table: pd.DataFrame, target: Path) -> None:
    try:
        data = table.to_parquet()
    except ImportError as error:
        hint = "pip install 'pyarrow>=17', or --format csv"
        raise EnvironmentError_("Parquet needs pyarrow, which is not here", hint=hint) from error
    write_whole(target, data, parents=True)
