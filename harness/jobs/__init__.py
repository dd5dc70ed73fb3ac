"""What a verb does, once its arguments are parsed: one module for each thing that is worked on.

A job takes values, calls the rooms below and returns what there is to tell; an argument named as a
flag means what the flag's help says. A module (``jobs.runs``) is imported when a verb first names
it, so that none loads what another one needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.jobs import (
        ablation_steps,
        adjudicating,
        benching,
        cases,
        certifying,
        clusters,
        compare_runs,
        demo,
        image_changes,
        input_files,
        matrix,
        opened_run,
        pods,
        replaying,
        report_files,
        rescoring,
        run_list,
        run_numbers,
        runs,
        sampling,
        stack_check,
        starting,
        this_machine,
        tracing,
    )
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(name)
        return import_module(f"{__name__}.{name}")


__all__ = [
    "Done",
    "Remark",
    "ablation_steps",
    "adjudicating",
    "benching",
    "cases",
    "certifying",
    "clusters",
    "compare_runs",
    "demo",
    "image_changes",
    "input_files",
    "matrix",
    "opened_run",
    "pods",
    "replaying",
    "report_files",
    "rescoring",
    "run_list",
    "run_numbers",
    "runs",
    "sampling",
    "stack_check",
    "starting",
    "this_machine",
    "tracing",
]


class Remark(str):
    """A line beside a result, for stderr."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What a job came to, in the order in which it is told.

    ``lines`` are for a person or ``value`` for a machine, ``remarks`` for stderr after either;
    ``failure`` then sets the exit code.
    """

    lines: Iterable[object]
    value: Any = None
    remarks: Iterable[str] = ()
    failure: HarnessError | None = None
