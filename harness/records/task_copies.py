"""The task files that a run used: copied into its folder, so that it is whole wherever it lies."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from harness.errors import UsageError
from harness.files import sha256_of, write_whole
from harness.records.run_files import METADATA, RunFiles

_COPIES: Final = "tasks"
_TASK_FILES: Final = "task_files"


def keep_tasks(run: Path, files: Iterable[str | Path]) -> None:
    """Copy task files into a run's folder.

    Raises:
        EnvironmentError_: they cannot be written.
    """
    for file in map(Path, files):
        write_whole(run / _COPIES / file.name, file.read_bytes(), parents=True)


def task_folder(files: RunFiles) -> Path:
    """The folder of a run's task files: its own copies; of an older run the folder that it names.

    Raises:
        UsageError: the run names none, they are not here, or what lies there is not what the run
            used.
    """
    used, copies = files.metadata.get(_TASK_FILES), files.folder / _COPIES
    if files.is_run_folder and isinstance(used, Mapping):
        for name, digest in used.items():
            copy = copies / Path(str(name)).name
            if not copy.is_file() or sha256_of(copy) != digest:
                what = "is not what the run used" if copy.is_file() else "is gone"
                message = f"the run's copy of a task file {what}"
                raise UsageError(message, file=copy, hint="give the right ones with --tasks")
        own = {Path(str(name)).name for name in used}
        for file in sorted(copies.glob("*.yaml")):
            if file.name not in own:
                message, hint = "is no task file that the run used", "take it out of the folder"
                raise UsageError(message, file=file, hint=hint)
        return copies
    named = files.spec.get("tasks")
    if not named:
        message, hint = "the run does not say which tasks it used", "give --tasks"
        raise UsageError(message, file=files.records_path, hint=hint)
    if not Path(named).is_dir():
        raise UsageError(
            "the run's tasks are not here",
            file=files.folder / METADATA,
            hint=f"no folder {named}: go to where the run was started, or give --tasks",
        )
    return Path(named)
