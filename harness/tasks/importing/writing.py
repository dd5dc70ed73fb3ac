"""A task file in the study's form, with its source and licence in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UsageError
from harness.tasks.importing.build import ImportedTask
from harness.tasks.task_files import load_task

__all__ = ["task_document", "write_task"]


class _Quoted(str):
    """Text that is written in double quotes, so that ``No`` and ``1e5`` stay text."""

    __slots__ = ()


class _Block(str):
    """Text that is written as a block."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """The safe dumper with indented lists and the two kinds of text."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below their key, as the study's files do."""
        del indentless
        super().increase_indent(flow, False)


_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)
_Dumper.add_representer(
    _Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
)


def task_document(task: ImportedTask) -> dict[str, Any]:
    """The content of the task file."""
    dataset = task.dataset
    return {
        "name": _Quoted(task.name),
        "description": _Quoted(f"{dataset.title}; imported, {len(task.samples)} samples."),
        "licence": _Quoted(dataset.licence),
        "source": _quoted(
            {
                "dataset": dataset.name,
                "home": dataset.home,
                **task.source,
                "rows_read": task.rows,
                "rows_not_chosen": task.filtered,
                "rows_not_convertible": dict(task.skipped),
            }
        ),
        "task_type": dataset.task_type,
        "prompt_template": _Block(dataset.template),
        "samples": [_quoted(sample) for sample in task.samples],
    }


def write_task(task: ImportedTask, path: Path) -> None:
    """Write the task file, and only if it can be read back.

    Raises:
        UsageError: the folder cannot be written to, or the result would not load.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = yaml.dump(
        task_document(task), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        load_task(temporary)
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=path) from None
    finally:
        temporary.unlink(missing_ok=True)


def _quoted(value: Any) -> Any:
    if isinstance(value, str):
        return _Quoted(value)
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_quoted(item) for item in value]
    return value
