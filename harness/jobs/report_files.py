"""A job's report in the formats asked for; one that is refused says so in the same files.

What an earlier call left there would else be read as the result of this one.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from harness import report
from harness.errors import HarnessError
from harness.files import append_text, write_json


def add_step_summary(text: str) -> Path | None:
    """Add Markdown to the summary of the CI step that this runs in; where that is, if anywhere."""
    target = _step_summary()
    if target is not None:
        append_text(target, text)
    return target


def _step_summary() -> Path | None:
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(target) if target else None


def write_formats(
    document: report.Document, formats: Sequence[str], folder: Path, value: Mapping[str, Any]
) -> Iterator[Path]:
    """Write a report, and say where each file is.

    ``github`` goes to ``$GITHUB_STEP_SUMMARY`` where that is set; ``json`` is ``value``.
    """
    files = [name for name in formats if name != "github"]
    yield from report.write_document(document, files, folder, value)
    if "github" in formats:
        step = add_step_summary(report.rendered(document, "github"))
        yield from [step] if step else report.write_document(document, ["github"], folder)


PAGES = ("md", "json", "html")
"""The formats of a report that is written in all of them."""


@contextmanager
def told_if_refused(
    look: report.Look,
    names: Sequence[str],
    formats: Sequence[str],
    folder: Path | None,
    *,
    anew: bool = True,
) -> Iterator[None]:
    """Where what is done inside is refused, write that in place of its report.

    Args:
        folder: ``None`` where no report was asked for.
        anew: also where no file is there, as of a folder that was asked for.
    """
    try:
        yield
    except HarnessError as error:
        if folder is not None:
            there = [name for name in formats if anew or _is_there(look, name, folder)]
            document = report.refusal_document(look, names, error)
            value = {**_refused(error), "of": [*names]}
            with suppress(HarnessError):  # the refusal itself is what is told
                list(write_formats(document, there, folder, value))
        raise


def _is_there(look: report.Look, name: str, folder: Path) -> bool:
    in_step = name == "github" and _step_summary() is not None
    return in_step or (folder / report.FILES[look][name]).is_file()


def pages_if_refused(look: str, name: str, folder: Path | None) -> AbstractContextManager[None]:
    """The same, of a report of one name in all formats, in place of files that are there."""
    return told_if_refused(report.Look(look), [name], PAGES, folder, anew=False)


@contextmanager
def told_in_json_if_refused(path: Path | None, *, anew: bool = False) -> Iterator[None]:
    """The same, of a result that is one JSON file."""
    try:
        yield
    except HarnessError as error:
        if path is not None and (anew or path.is_file()):
            with suppress(HarnessError):
                write_json(path, _refused(error), parents=True)
        raise


def _refused(error: HarnessError) -> dict[str, Any]:
    return {"schema_version": 1, "kind": "refused", "why": str(error)}
