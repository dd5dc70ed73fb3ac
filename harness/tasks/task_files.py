"""Task files in the study's form: a folder of YAML files to a population of prompts.

A prompt is the template with every ``{{ key }}`` replaced by the sample's value of that key, in one
pass: a value that itself holds ``{{ … }}`` is text. The template's trailing newline stays, and
``filters:`` are read and not applied, because the scorer sees the raw answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.families import FAMILIES, TASK_TYPES
from harness.settings import Problem, YamlFile, nearest, raise_problems, read_yaml, shown
from harness.tasks.task import Population, Prompt, Sample, Task
from harness.words import Domain

__all__ = ["inspect_task", "load_task", "load_tasks", "render", "task_files"]

_REQUIRED = ("name", "task_type", "prompt_template", "samples")
_PLACEHOLDER = re.compile(r"\{\{ (\w[\w.-]*) \}\}")
_ALMOST = re.compile(r"\{\{.*?\}\}|\{\{")


def task_files(folder: Path | str) -> tuple[Path, ...]:
    """The task files of a folder, in file-name order.

    Raises:
        UsageError: no such folder, or no ``*.yaml`` in it.
    """
    place = Path(folder)
    if not place.is_dir():
        what = "is a file; name its folder" if place.is_file() else "no such folder of task files"
        raise UsageError(what, file=folder, hint="paths start at the current folder")
    files = (path for path in place.glob("*.yaml") if not path.name.startswith("."))
    found = tuple(sorted(files, key=lambda path: path.name))
    if not found:
        hint = "rename *.yml to *.yaml" if any(place.glob("*.yml")) else None
        raise UsageError("no task files (*.yaml) here", hint=hint, file=folder)
    return found


def load_tasks(folder: Path | str) -> Population:
    """Read all task files of a folder and render every prompt.

    Returns:
        The population: tasks in file-name order, prompts in that order and then in sample order.

    Raises:
        UsageError: every mistake of every readable file, with file and line.
    """
    problems: list[Problem] = []
    tasks: dict[str, Task] = {}
    prompts: list[Prompt] = []
    for path in task_files(folder):
        task, found = _read_task(path)
        problems += found
        if task is None:
            continue
        if task.name in tasks:
            first = tasks[task.name].file
            problems.append(Problem(f"task '{task.name}' is also in {first}", file=str(path)))
        tasks.setdefault(task.name, task)
        rendered = list(_render_all(task))
        problems += [item for item in rendered if isinstance(item, Problem)]
        prompts += [item for item in rendered if isinstance(item, Prompt)]
    raise_problems(problems)
    return Population(tuple(tasks.values()), tuple(prompts))


def load_task(path: Path | str) -> Task:
    """Read one task file; its prompts are rendered once to find mistakes.

    Raises:
        UsageError: every mistake, with file and line.
    """
    task, problems = _read_task(Path(path))
    if task is not None:
        problems += [item for item in _render_all(task) if isinstance(item, Problem)]
    raise_problems(problems)
    if task is None:
        raise AssertionError("unreachable: a file without problems is a task")
    return task


def inspect_task(path: Path | str) -> tuple[Task | None, tuple[Problem, ...]]:
    """Read as much of one task file as can be read, for a linter.

    Returns:
        The task with its well-formed samples (``None`` when the file's head is at fault), and
        every mistake.
    """
    try:
        document = read_yaml(path)
    except UsageError:
        return None, tuple(_read_task(Path(path))[1])
    if not isinstance(document.data, dict):
        return None, tuple(_read_task(Path(path))[1])
    head = list(_head_problems(document))
    samples, problems = _samples(document)
    task = None if head else _task(document, samples)
    unrendered = [item for item in _render_all(task) if isinstance(item, Problem)] if task else []
    return task, (*head, *problems, *unrendered)


def render(task: Task, sample: Sample) -> str:
    """The prompt of a sample.

    Raises:
        UsageError: a placeholder without a value, at the sample's line.
    """
    missing = [key for key in _PLACEHOLDER.findall(task.prompt_template) if not _fits(sample, key)]
    if missing:
        key = missing[0]
        value = sample.fields.get(key)
        why = f"has {shown(value)}" if key in sample.fields else "has no such key"
        raise UsageError(
            f"placeholder '{{{{ {key} }}}}' has no text: sample '{sample.sample_id}' {why}",
            hint=nearest(key, sample.fields) if key not in sample.fields else "write text",
            file=task.file,
            line=sample.line,
        )
    return _PLACEHOLDER.sub(lambda match: str(sample.fields[match[1]]), task.prompt_template)


def _fits(sample: Sample, key: str) -> bool:
    return isinstance(sample.fields.get(key), (str, int, float))


def _render_all(task: Task) -> Iterator[Prompt | Problem]:
    for sample in task.samples:
        try:
            text = render(task, sample)
        except UsageError as error:
            yield Problem(error.message, error.hint, error.file, error.line)
            continue
        if text.strip():
            yield Prompt(task, sample, text)
        else:
            yield Problem(
                f"sample '{sample.sample_id}' has an empty prompt", None, task.file, sample.line
            )


def _read_task(path: Path) -> tuple[Task | None, list[Problem]]:
    """The task, or ``None``, and everything wrong with the file."""
    try:
        document = read_yaml(path)
    except UsageError as error:
        return None, [Problem(line.strip()) for line in str(error).splitlines()]
    if not isinstance(document.data, dict):
        keys = ", ".join(_REQUIRED)
        return None, [Problem(f"a task file has the keys {keys}", file=str(path), line=1)]
    problems = list(_head_problems(document))
    samples, sample_problems = _samples(document)
    problems += sample_problems
    return (None if problems else _task(document, samples)), problems


def _task(document: YamlFile, samples: tuple[Sample, ...]) -> Task:
    data = document.data
    family = TASK_TYPES.get(data["task_type"])
    return Task(
        name=data["name"],
        task_type=data["task_type"],
        scorer=data.get("scorer", family.name if family else ""),
        domain=Domain(data.get("domain", family.domain if family else Domain.SAFETY)),
        prompt_template=data["prompt_template"],
        samples=samples,
        file=document.path,
        description=str(data.get("description") or ""),
    )


def _head_problems(document: YamlFile) -> Iterator[Problem]:
    data = document.data

    def problem(key: str, message: str, hint: str | None = None) -> Problem:
        return Problem(message, hint, document.path, document.line((key,)) or 1)

    for key in _REQUIRED:
        if key not in data:
            others = [str(name) for name in data if name not in _REQUIRED]
            yield problem(key, f"key '{key}' is missing", nearest(key, others))
        elif key != "samples" and not (isinstance(data[key], str) and data[key].strip()):
            yield problem(key, f"{key}: must be text, not {shown(data[key])}")
    if "/" in str(data.get("name", "")):
        yield problem("name", "name: must not hold '/', which parts task and sample in a record")
    yield from _choice_problems(document)
    if data.get("num_fewshot") not in (None, 0):
        yield problem("num_fewshot", "num_fewshot: only 0 is supported", "write the shots out")
    template = data.get("prompt_template")
    if isinstance(template, str):
        for text in _ALMOST.findall(_PLACEHOLDER.sub("", template)):
            hint = "a placeholder is '{{ key }}', with one space on each side"
            yield problem("prompt_template", f"unreadable placeholder {shown(text)}", hint)


def _choice_problems(document: YamlFile) -> Iterator[Problem]:
    """Scorer and domain: named by the file, or implied by a known task type."""
    data = document.data
    task_type = data.get("task_type")
    for key, choices in (("scorer", tuple(FAMILIES)), ("domain", tuple(map(str, Domain)))):
        if key in data and data[key] not in choices:
            message = f"{key}: must be one of {', '.join(choices)}, not {shown(data[key])}"
            hint = nearest(data[key], choices)
            yield Problem(message, hint, document.path, document.line((key,)))
    if isinstance(task_type, str) and task_type not in TASK_TYPES and "scorer" not in data:
        hint = (
            nearest(task_type, TASK_TYPES) or f"types: {', '.join(TASK_TYPES)}; or give 'scorer:'"
        )
        message = f"task_type '{task_type}' names no scorer"
        yield Problem(message, hint, document.path, document.line(("task_type",)))


def _samples(document: YamlFile) -> tuple[tuple[Sample, ...], list[Problem]]:
    entries = document.data.get("samples")
    if "samples" not in document.data:
        return (), []
    if not isinstance(entries, list) or not entries:
        message = "samples: must be a list of entries with an id"
        return (), [Problem(message, None, document.path, document.line(("samples",)))]
    samples: dict[str, Sample] = {}
    problems: list[Problem] = []
    for entry, line in zip(entries, document.item_lines(("samples",)), strict=True):
        sample, message = _sample(entry, line)
        if sample is not None and sample.sample_id in samples:
            first = samples[sample.sample_id].line
            message = f"sample id '{sample.sample_id}' is given twice, first in line {first}"
        if message:
            problems.append(Problem(message, None, document.path, line))
        elif sample is not None:
            samples[sample.sample_id] = sample
    return tuple(samples.values()), problems


def _sample(entry: Any, line: int) -> tuple[Sample | None, str]:
    if not isinstance(entry, dict):
        return None, f"a sample is a mapping with an id, not {shown(entry)}"
    if "id" not in entry:
        return None, "key 'id' of the sample is missing"
    sample_id = entry["id"]
    is_id = isinstance(sample_id, (str, int)) and not isinstance(sample_id, bool)
    if not is_id or not str(sample_id).strip() or str(sample_id) != str(sample_id).strip():
        return None, f"id: must be text without spaces around it, not {shown(sample_id)}"
    fields = {str(key): value for key, value in entry.items()}
    return Sample(str(sample_id), fields, line), ""
