"""``harness images compare``: two images pinned, read, run and compared, in one report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import to_builtins

from harness.compare import Comparison, headline_clauses
from harness.errors import UsageError
from harness.images import ImageDifference, compare_images, take_inventory
from harness.jobs.comparing import Compared, Gate, compare_run_folders, write_comparison
from harness.jobs.image_runs import ImageRuns, pinned, short_name
from harness.report import AnswersPart, write_image_difference
from harness.report.comparison import build_comparison_report
from harness.serve.docker import connect

__all__ = ["ImagesCompared", "compare_images_by_answers"]

_PAGE = "comparison.html"
_FORMATS = ("md", "html", "json")


@dataclass(frozen=True, slots=True)
class ImagesCompared:
    """Two images, what differs between them, and what that did to the answers.

    Attributes:
        runs: the run folders of A and B.
        written: the reports.
    """

    difference: ImageDifference
    compared: Compared
    runs: tuple[Path, Path]
    written: tuple[Path, ...]

    def lines(self) -> Iterator[str]:
        """The result for a terminal: images first, then a line a mode, then where it all is."""
        yield self.difference.headline
        yield from _clauses(self.compared)
        yield ""
        for name, run in zip("AB", self.runs, strict=True):
            yield f"run {name}     {run}"
        for path in self.written:
            yield f"report    {path}"


def compare_images_by_answers(
    a: str,
    b: str,
    runs: ImageRuns,
    gate: Gate,
    *,
    formats: Sequence[str],
    out: Path | None,
    progress: Callable[[str], None],
) -> ImagesCompared:
    """Pin both, read both, run the candidates on both, compare, and write one report.

    Args:
        formats: reports of the answers, as of `harness compare`.
        out: the folder of all reports; one below the results by default.

    Raises:
        UsageError: an input is wrong, or both names mean the same image.
        EnvironmentError_: an image cannot be had.
        ImageMismatch: an image is not the one that the lock names, or changed in between.
        RunError, Interrupted: a run could not be completed; the same command goes on.
    """
    client = connect()
    images = [pinned(image, client, progress) for image in (a, b)]
    if images[0].image_id == images[1].image_id:
        raise UsageError(
            f"{a} and {b} are the same image", hint="compare two runs of it with harness compare"
        )
    one, other = (
        replace(take_inventory(found.reference, client, progress=progress), image=found.requested)
        for found in images
    )
    difference = compare_images(one, other)
    progress(difference.headline)
    folders = []
    for name, image in zip("AB", images, strict=True):
        progress(f"run {name}: {image.requested}")
        folders.append(runs.run_on(image))
    compared = compare_run_folders(folders[0], folders[1], (None, None), gate, allow_subset=False)
    target = out or runs.results / f"images-{short_name(a)}-vs-{short_name(b)}"
    return ImagesCompared(
        difference,
        compared,
        (folders[0], folders[1]),
        tuple(_write(difference, compared, formats, target)),
    )


def _write(
    difference: ImageDifference, compared: Compared, formats: Sequence[str], target: Path
) -> list[Path]:
    report = build_comparison_report(compared.comparison, compared.verdicts, compared.defects)
    answers = AnswersPart(
        clauses=_clauses(compared),
        banner=report.banner,
        nature=report.nature,
        measures=report.measures,
        sections=report.sections,
        page=_PAGE,
    )
    joined = write_image_difference(to_builtins(difference), _FORMATS, target, answers)
    return [*joined, *write_comparison(compared, formats, target)]


def _clauses(compared: Compared) -> tuple[str, ...]:
    """A clause a mode; the versions are in the images' own headline."""
    comparison = compared.comparison
    clauses = headline_clauses(comparison)
    modes = len(comparison.modes) if isinstance(comparison, Comparison) else len(clauses)
    return clauses[len(clauses) - modes :]
