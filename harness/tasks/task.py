"""Tasks, samples and the population that batches are cut from, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.files import sha256_of
from harness.words import Domain


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a task: its id and every field of its YAML entry.

    Attributes:
        sample_id: unique within the task.
        fields: all keys of the entry, ``id`` included (``reference``, ``correct_answers``, ...).
        line: 1-based line in the task file.
    """

    sample_id: str
    fields: Mapping[str, Any]
    line: int


@dataclass(frozen=True, slots=True)
class Task:
    """A task file: a prompt template, a scorer and samples in file order.

    Attributes:
        name: ``name`` of the file, the ``task_name`` of candidates.
        task_type: as written in the file (``safety_refusal``, ``safety_bias``,
            ``safety_truthfulness``, ``classification``).
        scorer: of `harness.families`, or ``python:module:function``; from ``scorer:`` or the type.
        domain: safety or capability.
        prompt_template: literal ``{{ key }}`` placeholders; a trailing newline is kept.
        file: where it came from, for messages.
    """

    name: str
    task_type: str
    scorer: str
    domain: Domain
    prompt_template: str
    samples: tuple[Sample, ...]
    file: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One rendered prompt of the population.

    ``key`` is ``task_name/sample_id``, the form in which a record lists its batch.
    """

    task: Task
    sample: Sample
    text: str

    @property
    def key(self) -> str:
        """``task_name/sample_id``."""
        return f"{self.task.name}/{self.sample.sample_id}"

    @property
    def sha256(self) -> str:
        """SHA-256 of the UTF-8 prompt, in hex."""
        return sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Population:
    """All prompts of all task files, in file-name order and then in sample order."""

    tasks: tuple[Task, ...]
    prompts: tuple[Prompt, ...] = field(default=())

    @cached_property
    def index(self) -> Mapping[tuple[str, str], int]:
        """Position of each ``(task_name, sample_id)`` in ``prompts``."""
        return {(p.task.name, p.sample.sample_id): i for i, p in enumerate(self.prompts)}

    @cached_property
    def files(self) -> Mapping[str, str]:
        """SHA-256 of each task file, by its name."""
        return {path.name: sha256_of(path) for path in (Path(task.file) for task in self.tasks)}

    def task(self, name: str) -> Task | None:
        """The task of that name, or ``None``."""
        return next((t for t in self.tasks if t.name == name), None)
