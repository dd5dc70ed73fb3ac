"""One image against another by what they answer: the same candidates run on each.

Runs are named after the image's digest. One that is complete is not run again, and one that was cut
is taken up, so every verb built on this can simply be typed again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import docker
from msgspec import structs, to_builtins

from harness.analyse import read_validation
from harness.compare import (
    Comparison,
    ModeComparison,
    Side,
    compare_runs,
    read_side,
)
from harness.conduct import ConsoleProgress, RunOptions, RunProgress, prepare, run
from harness.errors import RunError, UsageError, nearest
from harness.files import write_json
from harness.hostile import visible
from harness.images import (
    Bisection,
    ImageDifference,
    ImageReference,
    ResolvedImage,
    Seen,
    compare_images,
    find_step,
    image_range,
    read_image_list,
    resolve_and_pin,
    take_inventory,
)
from harness.jobs.compare_runs import (
    Compared,
    Gate,
    chosen_formats,
    compare_run_folders,
    write_comparison,
)
from harness.jobs.run_numbers import named
from harness.report import headline_clauses, image_difference_document, write_document
from harness.serve.docker import connect
from harness.settings import LoadedSpec
from harness.words import BackendName

Progress = Callable[[str], None]
_SHORT = 12


@dataclass(frozen=True, slots=True)
class ImageRuns:
    """How to run a spec on an image.

    Attributes:
        loaded: the spec; its image and backend are replaced.
        results: the folder of run folders.
        quiet: whether progress is not shown.
        retry_errors: ask failed records again.
    """

    loaded: LoadedSpec
    results: Path
    quiet: bool = False
    retry_errors: bool = False

    def run_on(self, image: ResolvedImage) -> Path:
        """Run, or complete, or find complete, the run on this image; its folder.

        Raises:
            UsageError: an input is wrong.
            EnvironmentError_, RunError, Interrupted: as `harness.conduct.run`.
        """
        # by digest; a local image has only its name, and the run's name has its id
        reference = image.requested if image.entry.digest is None else image.reference
        changes = {"image": reference, "backend": BackendName.DOCKER}
        spec = self.loaded.spec.model_copy(update=changes)
        given = {**self.loaded.given, "image": reference, "backend": str(BackendName.DOCKER)}
        prepared = prepare(replace(self.loaded, spec=spec, given=given))
        digest = (image.entry.identity or image.image_id).removeprefix("sha256:")[:_SHORT]
        name = f"image-{digest}-{prepared.fingerprint[:8]}"
        options = RunOptions(self.results, name, retry_errors=self.retry_errors)
        progress = RunProgress() if self.quiet else ConsoleProgress()
        return run(prepared, options, progress).folder


def _short_name(image: str) -> str:
    """The last part of an image's name with its tag, fit for a folder's name."""
    reference = ImageReference.parse(image)
    tag = reference.tag or (reference.digest or "").removeprefix("sha256:")[:_SHORT]
    return re.sub(r"[^\w.-]+", "-", f"{reference.repository.rpartition('/')[2]}-{tag}")


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
        yield visible(self.difference.headline)
        yield from map(visible, _clauses(self.compared))
        yield ""
        for name, folder in zip("AB", self.runs, strict=True):
            yield f"run {name}     {folder}"
        for path in self.written:
            yield f"report    {path}"


def compare_by_answers(
    a: str,
    b: str,
    runs: ImageRuns,
    *,
    fail_on: str,
    max_flip_rate: float | None,
    formats: str,
    out: Path | None,
    progress: Progress,
) -> ImagesCompared:
    """Pin both, read both, run the candidates on both, compare, and write one report.

    Args:
        fail_on, max_flip_rate: the gate, as of `harness compare`.
        formats: reports of the answers, as of `harness compare`.
        out: the folder of all reports; one below the results by default.

    Raises:
        UsageError: an input is wrong, or both names mean the same image.
        EnvironmentError_: an image cannot be had.
        ImageMismatch: an image is not the one that the lock names, or changed in between.
        RunError, Interrupted: a run could not be completed; the same command goes on.
    """
    gate = Gate.parse(fail_on, max_flip_rate, samples=False)
    chosen = chosen_formats(formats, out)
    client = connect()
    images = [resolve_and_pin(image, client, progress=progress) for image in (a, b)]
    if images[0].image_id == images[1].image_id:
        raise UsageError(
            f"{a} and {b} are the same image", hint="compare two runs of it with harness compare"
        )
    one, other = (
        structs.replace(
            take_inventory(found.reference, client, progress=progress), image=found.requested
        )
        for found in images
    )
    difference = compare_images(one, other)
    progress(difference.headline)
    folders = []
    for name, image in zip("AB", images, strict=True):
        progress(f"run {name}: {image.requested}")
        folders.append(runs.run_on(image))
    compared = compare_run_folders(folders[0], folders[1], (None, None), gate, allow_subset=False)
    target = out or runs.results / f"images-{_short_name(a)}-vs-{_short_name(b)}"
    document = image_difference_document(difference, compared.document(), _clauses(compared))
    joined = write_document(document, ("md", "html", "json"), target, to_builtins(difference))
    written = (*joined, *write_comparison(compared, chosen, target))
    return ImagesCompared(difference, compared, (folders[0], folders[1]), written)


def _clauses(compared: Compared) -> tuple[str, ...]:
    """A clause a mode; the versions are in the images' own headline."""
    comparison = compared.comparison
    clauses = headline_clauses(comparison)
    modes = len(comparison.modes) if isinstance(comparison, Comparison) else len(clauses)
    return clauses[len(clauses) - modes :]


WATCHES: Mapping[str, Callable[[ModeComparison], int]] = {
    "solo-texts": lambda mode: mode.solo.text_changes.count,
    "solo-labels": lambda mode: mode.solo.label_changes.count,
    "batched-texts": lambda mode: mode.batched.text_changes.count,
    "batched-labels": lambda mode: mode.batched.label_changes.count,
    "label-flips": lambda mode: mode.label_flips.appeared + mode.label_flips.vanished,
    "text-changes": lambda mode: mode.text_changes.appeared + mode.text_changes.vanished,
}
"""What can be watched, each a count of candidates that differ from GOOD's."""


@dataclass
class _Observer:
    """Runs images and sets each against the first one.

    Attributes:
        watches: keys of `WATCHES`.
        ends: GOOD and BAD, which must run; an image between them may fail.
        good_id: GOOD's id, known once it was run.
        folders: run folders by image, in the order in which they were tried.
    """

    client: docker.DockerClient
    runs: ImageRuns
    watches: tuple[str, ...]
    ends: tuple[str, str]
    progress: Progress
    folders: dict[str, Path] = field(default_factory=dict)
    good_id: str | None = None

    def observe(self, image: str) -> tuple[Seen, str]:
        """What an image answers, beside GOOD's answers."""
        found = resolve_and_pin(image, self.client, progress=self.progress)
        if found.image_id == self.good_id:
            return Seen.SAME, "the same image as GOOD"
        try:
            folder = self.folders[image] = self.runs.run_on(found)
        except RunError as error:
            if image in self.ends:
                raise
            return Seen.UNUSABLE, f"{type(error).__name__}: {error.message}"
        failures = read_validation(folder / "validation.json").failures
        if failures:
            return Seen.UNUSABLE, f"its run does not count: {failures[0].message}"
        if image == self.ends[0]:
            self.good_id = found.image_id
            return Seen.SAME, f"GOOD itself (run {folder.name})"
        return self._set_against_good(folder)

    @cached_property
    def _good_side(self) -> Side:
        return read_side(self.folders[self.ends[0]])

    def _set_against_good(self, folder: Path) -> tuple[Seen, str]:
        comparison = compare_runs(self._good_side, read_side(folder))
        counts = [
            (f"{mode.title} {watch}", WATCHES[watch](mode), mode.n)
            for mode in comparison.modes
            for watch in self.watches
        ]
        words = ", ".join(f"{name} {count} of {n}" for name, count, n in counts)
        words += "".join(map(_noise, comparison.modes))
        changed = any(count for _, count, _ in counts)
        return (Seen.CHANGED if changed else Seen.SAME), f"{words} (run {folder.name})"


def _noise(mode: ModeComparison) -> str:
    """A step can only be told from noise where asking GOOD again changes nothing."""
    again = mode.noise_floor.a.solo
    changed = again.text_changes.count if again else 0
    return f", but GOOD changes {changed} of its own when asked again" if changed else ""


def bisect_images(
    good: str,
    bad: str,
    images_from: Path,
    runs: ImageRuns,
    *,
    watch: str,
    out: Path | None,
    progress: Progress,
) -> Bisection:
    """Find the step between two images of a list, and write the way to it.

    Args:
        good, bad: the first image, which sets the answers, and the last one.
        images_from: a file with one image a line, from old to new.
        watch: keys of `WATCHES`, separated by commas: what counts as a change.
        out: the JSON file; else in the folder of run folders.

    Raises:
        UsageError: an input is wrong, or the ends are not what they are called.
        EnvironmentError_: an image cannot be had.
        ImageMismatch: an image is not the one that the lock names.
        RunError: GOOD or BAD could not be run to its end; the same command goes on.
        Interrupted: the same command goes on.
    """
    watches = tuple(named(watch))
    for name in watches:
        if name not in WATCHES:
            hint = nearest(name, WATCHES) or f"known: {', '.join(WATCHES)}"
            raise UsageError(f"--watch: nothing is called '{name}'", hint=hint)
    if not watches:
        raise UsageError("--watch names nothing", hint=f"known: {', '.join(WATCHES)}")
    images = image_range(read_image_list(images_from), good, bad, images_from)
    target = out or runs.results / f"bisect-{_short_name(good)}-{_short_name(bad)}.json"
    observer = _Observer(connect(), runs, watches, (images[0], images[-1]), progress)
    found = find_step(images, observer.observe, log=progress)
    folders = {image: str(folder) for image, folder in observer.folders.items()}
    content = {"images": list(images), "watch": list(watches), "runs": folders}
    write_json(target, to_builtins(found) | content, parents=True)
    return found
