"""Images pinned and listed, and what is inside one or differs between two."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from msgspec import to_builtins

from harness.errors import UsageError
from harness.hostile import visible
from harness.images import (
    ImageLock,
    ImageRow,
    Inventory,
    LockEntry,
    compare_images,
    load_inventory,
    lock_status,
    pin_image,
    take_inventory,
)
from harness.jobs.run_numbers import report_formats
from harness.report import (
    FILES,
    Look,
    image_difference_document,
    inventory_document,
    inventory_lines,
    rendered,
    write_document,
)
from harness.serve.docker import connect

Progress = Callable[[str], None]


def pin(images: Iterable[str], lock: Path, progress: Progress) -> list[LockEntry]:
    """Pin images by digest, each written to the lock file as soon as it is known.

    Raises:
        UsageError: a name is not a reference.
        EnvironmentError_: an image cannot be had.
    """
    known, client, entries = ImageLock.load(lock), connect(), []
    for image in images:
        entry = pin_image(image, client, progress=progress)
        known = known.with_entry(entry)
        known.save(lock)
        entries.append(entry)
    return entries


def locked(lock: Path) -> tuple[ImageRow, ...]:
    """Each image of the lock, and whether this machine has it."""
    return tuple(lock_status(ImageLock.load(lock), connect()))


def inventory(image: str, form: str, progress: Progress, *, timeout_s: int) -> str:
    """What an image is and holds, as ``text``, ``md`` or ``json``.

    Raises:
        UsageError: another form.
        EnvironmentError_: the image cannot be had or read.
    """
    if form not in {"text", "md", "json"}:
        raise UsageError(f"--format: '{form}' is not text, md or json")
    found = take_inventory(image, connect(), progress=progress, timeout_s=timeout_s)
    if form == "json":
        return json.dumps(to_builtins(found)) + "\n"
    if form == "md":
        return rendered(inventory_document(found), "md")
    return "".join(f"{visible(line)}\n" for line in inventory_lines(found))


def difference(a: str, b: str, formats: str, out: Path | None, progress: Progress) -> Iterator[str]:
    """What changed from A to B, each an image of the engine or a saved inventory.

    Args:
        formats: of `harness.report.FILES`, separated by commas; several need a folder.
        out: the folder to write to; else the one report itself is the answer.

    Raises:
        UsageError: an unknown format, or a side that is neither image nor inventory.
        EnvironmentError_: an image cannot be had or read.
    """
    chosen = report_formats(formats, FILES[Look.IMAGES])
    if len(chosen) > 1 and out is None:
        raise UsageError("several formats need a folder", hint="add -o FOLDER")
    client = cache(connect)  # the engine is asked only for a side that is an image

    def side(name: str) -> Inventory:
        path = Path(name)
        if name.endswith(".json") and path.is_file():
            return load_inventory(path)
        return take_inventory(name, client(), progress=progress)

    found = compare_images(side(a), side(b))
    document, content = image_difference_document(found), to_builtins(found)
    if out is None:
        yield rendered(document, chosen[0], content)
        return
    yield f"{visible(found.headline)}\n"
    for path in write_document(document, chosen, out, content):
        yield f"written   {path}\n"
