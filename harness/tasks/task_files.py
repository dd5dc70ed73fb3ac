"""Task files in the study's form: a folder of YAML files to a population of prompts.

A prompt is the template with every ``{{ key }}`` replaced by the sample's value of that key, in one
pass: a value that itself holds ``{{ … }}`` is text. The template's trailing newline stays, and
``filters:`` are read and not applied, because the scorer sees the raw answer.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import UsageError, nearest, raise_all, shown
from harness.families import FAMILIES, PYTHON, TASK_TYPES
from harness.settings import YamlFile, read_yaml
from harness.tasks.task import Population, Prompt, Sample, Task
from harness.words import Domain

_REQUIRED = ("name", "task_type", "prompt_template", "samples")
_PLACEHOLDER = re.compile(r"\{\{ (\w[\w.-]*) \}\}")
_PLACEHOLDER_FORM = "a placeholder is '{{ key }}', with one space on each side"
_OWN_SCORER = re.compile(re.escape(PYTHON) + r"[\w.]+:\w+")
_ALMOST = re.compile(r"\{\{.*?\}\}|\{\{")


class TaskReading(NamedTuple):
    """As much of one task file as can be read.

    Attributes:
        document: the file; ``None`` where it is no YAML or no mapping of keys.
        task: with its well-formed samples; ``None`` when the file's head is at fault.
        prompts: the samples' prompts, in order, without those that cannot be rendered.
        mistakes: everything wrong with the file, each with its line.
    """

    document: YamlFile | None = None
    task: Task | None = None
    prompts: tuple[Prompt, ...] = ()
    mistakes: tuple[UsageError, ...] = ()


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
    mistakes: list[UsageError] = []
    tasks: dict[str, Task] = {}
    prompts: list[Prompt] = []
    for path in task_files(folder):
        reading = read_task(path)
        mistakes += reading.mistakes
        prompts += reading.prompts
        task = reading.task
        if task is not None and tasks.setdefault(task.name, task) is not task:
            first = tasks[task.name].file
            mistakes.append(UsageError(f"task '{task.name}' is also in {first}", file=path))
    raise_all(mistakes)
    return Population(tuple(tasks.values()), tuple(prompts))


def load_task(path: Path | str) -> Task:
    """Read one task file; its prompts are rendered once to find mistakes.

    Raises:
        UsageError: every mistake, with file and line.
    """
    reading = read_task(path)
    raise_all(reading.mistakes)
    if reading.task is None:
        raise AssertionError("unreachable: a file without mistakes is a task")
    return reading.task


def read_task(path: Path | str) -> TaskReading:
    """Read as much of one task file as can be read; nothing is raised."""
    try:
        document = read_yaml(path)
    except UsageError as error:
        return TaskReading(mistakes=(error,))
    data = document.data
    if not isinstance(data, dict):
        why = f"a task file has the keys {', '.join(_REQUIRED)}"
        return TaskReading(mistakes=(UsageError(why, file=path, line=1),))
    mistakes = [
        UsageError(why, hint=hint, file=path, line=document.line((key,)) or 1)
        for key, why, hint in _head_mistakes(data)
    ]
    is_task = not mistakes
    samples = list(_samples(document, mistakes))
    if not is_task:
        return TaskReading(document, mistakes=tuple(mistakes))
    scorer = str(data.get("scorer", ""))
    family = TASK_TYPES.get(data.get("task_type", "")) or FAMILIES.get(scorer)
    task = Task(
        name=data["name"],
        task_type=str(data.get("task_type", scorer)),
        scorer=scorer or (family.name if family else ""),
        domain=Domain(data.get("domain", family.domain if family else Domain.SAFETY)),
        prompt_template=data["prompt_template"],
        samples=tuple(samples),
        file=document.path,
        description=str(data.get("description") or ""),
    )
    prompts: list[Prompt] = []
    for sample in samples:
        try:
            prompts.append(Prompt(task, sample, render(task, sample)))
        except UsageError as error:
            mistakes.append(error)
    return TaskReading(document, task, tuple(prompts), tuple(mistakes))


def render(task: Task, sample: Sample) -> str:
    """The prompt of a sample.

    Raises:
        UsageError: a placeholder without a value, or nothing to ask, at the sample's line.
    """
    for key in _PLACEHOLDER.findall(task.prompt_template):
        value = sample.fields.get(key)
        if isinstance(value, (str, int, float)):
            continue
        is_there = key in sample.fields
        why = f"has {shown(value)}" if is_there else "has no such key"
        raise UsageError(
            f"placeholder '{{{{ {key} }}}}' has no text: sample '{sample.sample_id}' {why}",
            hint="write text" if is_there else nearest(key, sample.fields),
            file=task.file,
            line=sample.line,
        )
    text = _PLACEHOLDER.sub(lambda match: str(sample.fields[match[1]]), task.prompt_template)
    if not text.strip():
        why = f"sample '{sample.sample_id}' has an empty prompt"
        raise UsageError(why, file=task.file, line=sample.line)
    return text


def _head_mistakes(data: Mapping[Any, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Key, what is wrong, and what to do; scorer and domain may follow from a known task type."""
    for key in _REQUIRED:
        if key == "task_type" and key not in data and "scorer" in data:
            continue
        if key not in data:
            others = [str(name) for name in data if name not in _REQUIRED]
            yield key, f"key '{key}' is missing", nearest(key, others)
        elif key != "samples" and not (isinstance(data[key], str) and data[key].strip()):
            yield key, f"{key}: must be text, not {shown(data[key])}", None
    if "/" in str(data.get("name", "")):
        yield "name", "name: must not hold '/', which parts task and sample in a record", None
    if data.get("num_fewshot") not in (None, 0):
        yield "num_fewshot", "num_fewshot: only 0 is supported", "write the shots out"
    template, task_type = data.get("prompt_template"), data.get("task_type")
    for text in _ALMOST.findall(
        _PLACEHOLDER.sub("", template if isinstance(template, str) else "")
    ):
        yield "prompt_template", f"unreadable placeholder {shown(text)}", _PLACEHOLDER_FORM
    for key, choices in (("scorer", tuple(FAMILIES)), ("domain", tuple(map(str, Domain)))):
        own = key == "scorer" and _OWN_SCORER.fullmatch(str(data.get(key)))
        if key in data and data[key] not in choices and not own:
            why = f"{key}: must be one of {', '.join(choices)}, not {shown(data[key])}"
            yield key, why, nearest(data[key], choices)
    if isinstance(task_type, str) and task_type not in TASK_TYPES and "scorer" not in data:
        types = f"types: {', '.join(TASK_TYPES)}; or give 'scorer:'"
        why = f"task_type '{task_type}' names no scorer"
        yield "task_type", why, nearest(task_type, TASK_TYPES) or types


def _samples(document: YamlFile, mistakes: list[UsageError]) -> Iterator[Sample]:
    """The well-formed entries, in order; what is wrong with the others goes to ``mistakes``."""
    entries, path = document.data.get("samples"), document.path
    if "samples" in document.data and not (isinstance(entries, list) and entries):
        why, line = "samples: must be a list of entries with an id", document.line(("samples",))
        mistakes.append(UsageError(why, file=path, line=line))
    first: dict[str, int] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        line = document.line(("samples", index)) or 1
        sample_id = entry.get("id") if isinstance(entry, dict) else None
        is_id = isinstance(sample_id, (str, int)) and not isinstance(sample_id, bool)
        if not isinstance(entry, dict):
            why = f"a sample is a mapping with an id, not {shown(entry)}"
        elif "id" not in entry:
            why = "key 'id' of the sample is missing"
        elif not is_id or not str(sample_id).strip() or str(sample_id) != str(sample_id).strip():
            why = f"id: must be text without spaces around it, not {shown(sample_id)}"
        elif str(sample_id) in first:
            why = f"sample id '{sample_id}' is given twice, first in line {first[str(sample_id)]}"
        else:
            first[str(sample_id)] = line
            yield Sample(str(sample_id), {str(key): value for key, value in entry.items()}, line)
            continue
        mistakes.append(UsageError(why, file=path, line=line))
