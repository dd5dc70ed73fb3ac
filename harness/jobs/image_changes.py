"""Images pinned, listed and read, and two of them set against each other by what they answer.

Runs are named after the image's digest. One that is complete is not run again, and one that was cut
is taken up, so every verb that runs can simply be typed again.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

import docker
from msgspec import structs, to_builtins

from harness import conduct, images, report
from harness.analyse import read_validation
from harness.compare import Comparison, ModeComparison, Side, compare_runs, read_side
from harness.errors import EnvironmentError_, HarnessError, RunError, UsageError, nearest
from harness.files import write_json
from harness.hostile import visible
from harness.jobs import Done
from harness.jobs.compare_runs import (
    Asked,
    Gate,
    chosen_formats,
    compare_run_folders,
    write_comparison,
)
from harness.jobs.report_files import PAGES, told_if_refused, told_in_json_if_refused
from harness.jobs.run_numbers import named, report_formats
from harness.jobs.runs import conducted, prepared
from harness.serve.docker import connect
from harness.settings import LoadedSpec, RunSpec
from harness.words import BackendName

Progress = Callable[[str], None]
_SHORT = 12


def pin(names: Iterable[str], lock: Path, progress: Progress) -> Done:
    """Pin images by digest, each written to the lock file as soon as it is known.

    Raises:
        UsageError: a name is not a reference.
        EnvironmentError_: an image cannot be had.
    """
    images.ImageLock.load(lock)  # refused before anything is pulled
    client, entries = connect(), []
    for name in names:
        entry = images.pin_image(name, client, progress=progress)
        images.ImageLock.add(lock, entry)
        entries.append(entry)
    lines = [f"{one.image}: {one.status} {one.identity}\n  {one.versions}" for one in entries]
    return Done(lines, {"lock": str(lock), "images": entries})


def locked(lock: Path) -> Done:
    """Each image of the lock, and whether this machine has it: unknown without an engine."""
    known, client, why = images.ImageLock.load(lock).entries, None, ""
    try:
        client = connect()
    except EnvironmentError_ as error:
        why = f"no engine says which of them are here: {error}"
    rows = [
        (entry, images.presence(entry, client).value if client else None)
        for _, entry in sorted(known.items())
    ]
    lines = [
        f"{entry.image}: {entry.status}{f', {here}' if here else ''}\n"
        f"  {entry.identity or 'no digest yet'}\n  {entry.versions}"
        for entry, here in rows
    ]
    found = [{**to_builtins(entry), "here": here} for entry, here in rows]
    return Done([*lines, *filter(None, [why])], {"lock": str(lock), "images": found})


def inventory(image: str, form: str, progress: Progress, *, timeout_s: int) -> str:
    """What an image is and holds, as ``text``, ``md`` or ``json``.

    Raises:
        UsageError: another form.
        EnvironmentError_: the image cannot be had or read.
    """
    if form not in {"text", "md", "json"}:
        raise UsageError(f"--format: '{form}' is not text, md or json")
    found = images.take_inventory(image, connect(), progress=progress, timeout_s=timeout_s)
    if form == "json":
        return json.dumps(to_builtins(found)) + "\n"
    if form == "md":
        return report.rendered(report.inventory_document(found), "md")
    return "".join(f"{visible(line)}\n" for line in report.inventory_lines(found))


def difference(a: str, b: str, formats: str, out: Path | None, progress: Progress) -> Iterator[str]:
    """What changed between two images or saved inventories: a report, or files in a folder.

    Raises:
        UsageError: an unknown format, or a side that is neither image nor inventory.
        EnvironmentError_: an image cannot be had or read.
    """
    chosen = report_formats(formats, report.FILES[report.Look.IMAGES])
    if len(chosen) > 1 and out is None:
        raise UsageError("several formats need a folder", hint="add -o FOLDER")
    client = cache(connect)  # the engine is asked only for a side that is an image

    def side(name: str) -> images.Inventory:
        if name.endswith(".json") and Path(name).is_file():
            return images.load_inventory(Path(name))
        return images.take_inventory(name, client(), progress=progress)

    with told_if_refused(report.Look.IMAGES, (a, b), chosen, out):
        found = images.compare_images(side(a), side(b))
    document, content = report.image_difference_document(found), to_builtins(found)
    if out is None:
        yield report.rendered(document, chosen[0], content)
        return
    yield f"{visible(found.headline)}\n"
    for path in report.write_document(document, chosen, out, content):
        yield f"written   {path}\n"


@dataclass(frozen=True, slots=True)
class ImageRuns:
    """How to run a spec on an image.

    The spec's image and backend are replaced; ``progress`` is told what is being done to an image,
    and ``quiet`` hides a run's own. ``retry_errors`` asks failed records again.
    """

    loaded: LoadedSpec
    results: Path
    progress: Progress
    quiet: bool
    retry_errors: bool

    def check(self, *names: str) -> None:
        """Look at all that lies on this machine, before an engine is asked or an image pulled.

        Raises:
            UsageError: a name is no image's, or the lock, the spec or its candidates are wrong.
        """
        for name in names:
            images.ImageReference.parse(name)
        images.ImageLock.load(images.DEFAULT_LOCK)
        prepared(replace(self.loaded, spec=self._spec_on(names[0])))

    def _spec_on(self, image: str) -> RunSpec:
        changes = {"image": image, "backend": BackendName.DOCKER}
        return self.loaded.spec.model_copy(update=changes)

    def run_on(self, image: images.ResolvedImage) -> Path:
        """Run, or complete, or find complete, the run on this image; its folder.

        Raises:
            UsageError: an input is wrong.
            EnvironmentError_, RunError, Interrupted: as `harness.conduct.run`.
        """
        # by digest; a local image has only its name, and the run's name has its id
        reference = image.requested if image.entry.digest is None else image.reference
        given = {**self.loaded.given, "image": reference, "backend": str(BackendName.DOCKER)}
        ready = prepared(replace(self.loaded, spec=self._spec_on(reference), given=given))
        digest = (image.entry.identity or image.image_id).removeprefix("sha256:")[:_SHORT]
        name = f"image-{digest}-{ready.fingerprint[:8]}"
        options = conduct.RunOptions(self.results, name, retry_errors=self.retry_errors)
        try:
            return conducted(ready, options, quiet=self.quiet).folder
        except HarnessError as error:
            conduct.without_flags(error, retries=False)
            raise


def _short_name(image: str) -> str:
    """The last part of an image's name with its tag, fit for a folder's name."""
    reference = images.ImageReference.parse(image)
    tag = reference.tag or (reference.digest or "").removeprefix("sha256:")[:_SHORT]
    return re.sub(r"[^\w.-]+", "-", f"{reference.repository.rpartition('/')[2]}-{tag}")


def compare_by_answers(
    a: str, b: str, runs: ImageRuns, asked: Asked, *, formats: str, out: Path | None
) -> Done:
    """Pin, read and run both, compare, and write all reports to one folder, by default of results.

    Raises:
        UsageError: an input is wrong, or both names mean the same image.
        EnvironmentError_: an image cannot be had.
        ImageMismatch: an image is not the one that the lock names, or changed in between.
        RunError, Interrupted: a run could not be completed; the same command goes on.
    """
    chosen = chosen_formats(formats, out)
    target = out or runs.results / f"images-{_short_name(a)}-vs-{_short_name(b)}"
    looks, anew = ((report.Look.COMPARISON, chosen), (report.Look.IMAGES, PAGES)), out is not None
    with ExitStack() as stack:
        for look, forms in looks:
            stack.enter_context(told_if_refused(look, (a, b), forms, target, anew=anew))
        return _compared_by_answers(a, b, runs, Gate.parse(*asked, samples=False), chosen, target)


def _compared_by_answers(
    a: str, b: str, runs: ImageRuns, gate: Gate, chosen: Sequence[str], target: Path
) -> Done:
    if a == b:
        raise UsageError(f"{a} is given twice", hint="compare two runs with harness compare")
    runs.check(a, b)
    client, progress = connect(), runs.progress
    pinned = [images.resolve_and_pin(image, client, progress=progress) for image in (a, b)]
    if pinned[0].image_id == pinned[1].image_id:
        hint = "compare two runs of it with harness compare"
        raise UsageError(f"{a} and {b} are the same image", hint=hint)
    inside = [images.take_inventory(found.reference, client, progress=progress) for found in pinned]
    named_images = zip(inside, pinned, strict=True)
    sides = (structs.replace(found, image=image.requested) for found, image in named_images)
    difference = images.compare_images(*sides)
    progress(difference.headline)
    folders = []
    for name, image in zip("AB", pinned, strict=True):
        progress(f"run {name}: {image.requested}")
        folders.append(runs.run_on(image))
    compared = compare_run_folders(folders[0], folders[1], (None, None), gate, allow_subset=False)
    comparison, clauses = compared.comparison, report.headline_clauses(compared.comparison)
    if isinstance(comparison, Comparison):  # the versions are in the images' own headline
        clauses = clauses[len(clauses) - len(comparison.modes) :]
    document = report.image_difference_document(difference, compared.document(), clauses)
    content = to_builtins(difference)
    joined = report.write_document(document, PAGES, target, content)
    reports = (*joined, *write_comparison(compared, chosen, target))
    lines = [*map(visible, (difference.headline, *clauses)), ""]
    lines += (f"run {name}     {folder}" for name, folder in zip("AB", folders, strict=True))
    return Done([*lines, *(f"report    {path}" for path in reports)], failure=compared.failure)


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
    """Runs images and observes what each answers, beside GOOD's answers.

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
    folders: dict[str, Path] = field(default_factory=dict)
    good_id: str | None = None

    def observe(self, image: str) -> tuple[images.Seen, str]:
        found = images.resolve_and_pin(image, self.client, progress=self.runs.progress)
        if found.image_id == self.good_id:
            return images.Seen.SAME, "the same image as GOOD"
        try:
            folder = self.folders[image] = self.runs.run_on(found)
        except RunError as error:
            if image in self.ends:
                raise
            return images.Seen.UNUSABLE, f"{type(error).__name__}: {error.message}"
        if failures := read_validation(folder / "validation.json").failures:
            return images.Seen.UNUSABLE, f"its run does not count: {failures[0].message}"
        if image == self.ends[0]:
            self.good_id = found.image_id
            return images.Seen.SAME, f"GOOD itself (run {folder.name})"
        modes = compare_runs(self._good_side, read_side(folder)).modes
        counts = [(mode, watch, WATCHES[watch](mode)) for mode in modes for watch in self.watches]
        words = [f"{mode.title} {watch} {count} of {mode.n}" for mode, watch, count in counts]
        for again in (mode.noise_floor.a.solo for mode in modes):
            # a step can only be told from noise where asking GOOD again changes nothing
            if again and (own := again.text_changes.count):
                words.append(f"but GOOD changes {own} of its own when asked again")
        changed = any(count for *_, count in counts)
        seen = images.Seen.CHANGED if changed else images.Seen.SAME
        return seen, f"{', '.join(words)} (run {folder.name})"

    @cached_property
    def _good_side(self) -> Side:
        return read_side(self.folders[self.ends[0]])


def bisect_images(
    good: str, bad: str, images_from: Path, runs: ImageRuns, *, watch: str, out: Path | None
) -> Done:
    """Find the step between two images of a list, and write the way to it, by default to results.

    Raises:
        UsageError: an input is wrong, or the ends are not what they are called.
        EnvironmentError_: an image cannot be had.
        ImageMismatch: an image is not the one that the lock names.
        RunError, Interrupted: GOOD or BAD was not run to its end; the same command goes on.
    """
    target = out or runs.results / f"bisect-{_short_name(good)}-{_short_name(bad)}.json"
    with told_in_json_if_refused(target, anew=out is not None):
        watches = _watches(watch)
        steps = images.image_range(images.read_image_list(images_from), good, bad, images_from)
        runs.check(*steps)
        observer = _Observer(connect(), runs, watches, (steps[0], steps[-1]))
        found = images.find_step(steps, observer.observe, log=runs.progress)
    folders = {image: str(folder) for image, folder in observer.folders.items()}
    content = {"images": list(steps), "watch": list(watches), "runs": folders}
    write_json(target, to_builtins(found) | content, parents=True)
    return Done(found.lines(), found)


def _watches(text: str) -> tuple[str, ...]:
    watches = tuple(named(text, "--watch"))
    for name in (name for name in watches if name not in WATCHES):
        hint = nearest(name, WATCHES, "known")
        raise UsageError(f"--watch: nothing is called '{name}'", hint=hint)
    return watches
