"""Run every rule over task files, and group what it found; first the rules of every task."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import families
from harness.errors import UsageError, shown
from harness.settings import YamlFile
from harness.tasks.lint import lint_bbq, lint_mmlu, lint_truthfulqa
from harness.tasks.lint.rule import Hit, Rule, SampleCheck, Severity, error, warning
from harness.tasks.task import Sample, Task
from harness.tasks.task_files import read_task, render, task_files

_BYTES_A_TOKEN = 3

_GENERAL = (
    error("form", "the file or a sample cannot be loaded", "see the message"),
    error(
        "duplicate-task", "two files have the same task name", "rename one; candidates name tasks"
    ),
    warning(
        "duplicate-prompt",
        "two samples of a task have the same prompt, so they are one observation",
        "remove one",
    ),
    warning(
        "placeholder-in-prompt",
        "the rendered prompt still holds '{{'",
        "check the sample's text for a template that was not filled in",
    ),
    warning(
        "trailing-newline",
        "every prompt ends with a newline, which is part of it and of its tokens",
        "write prompt_template: |- unless you want it",
    ),
    warning(
        "filters-ignored",
        "filters: are declared, but scorers see the raw answer",
        "remove them, or rely on the strict profile's own cut",
    ),
    warning(
        "no-licence",
        "the file says neither where its items come from nor under which licence",
        "add source: and licence:",
    ),
    warning(
        "not-nfc",
        "text is not in Unicode form NFC, so equal-looking strings differ",
        "normalise the file",
    ),
    warning(
        "prompt-may-not-fit",
        "prompt and answer may exceed the model's context (3 bytes a token assumed)",
        "shorten it, or raise --max-model-len",
    ),
)
RULES: Mapping[str, Rule] = {
    rule.rule_id: rule
    for rule in (*_GENERAL, *lint_bbq.RULES, *lint_truthfulqa.RULES, *lint_mmlu.RULES)
}
"""Every rule by its id."""
CHECKS: Mapping[str, SampleCheck] = {
    families.REFUSAL.name: lambda _fields: iter(()),
    families.BBQ.name: lint_bbq.check_bbq,
    families.TRUTHFULQA.name: lint_truthfulqa.check_truthfulqa,
    families.MMLU.name: lint_mmlu.check_mmlu,
}
"""What is checked of a sample of each kind of task; a refusal's prompt is all there is of it."""


@dataclass(frozen=True, slots=True)
class LintReport:
    """Everything found in some task files.

    Attributes:
        files: the files read, in order.
        samples: how many samples they hold.
        findings: in file order, general findings first.
    """

    files: tuple[str, ...]
    samples: int
    findings: tuple[Hit, ...]

    def count(self, severity: Severity) -> int:
        """Findings of one severity."""
        return sum(finding.rule.severity is severity for finding in self.findings)

    def grouped(self) -> dict[tuple[str, str], list[Hit]]:
        """Findings by (file, rule id): files in order, errors before warnings."""
        groups: dict[tuple[str, str], list[Hit]] = {}
        for finding in self.findings:
            groups.setdefault((finding.file, finding.rule.rule_id), []).append(finding)
        order = list(RULES)

        def rank(key: tuple[str, str]) -> tuple[int, bool, int]:
            file, rule = key
            return (
                self.files.index(file),
                RULES[rule].severity is Severity.WARNING,
                order.index(rule),
            )

        return {key: groups[key] for key in sorted(groups, key=rank)}

    def as_json(self) -> dict[str, object]:
        """Counts by rule, and every finding."""
        return {
            "schema_version": 1,
            "files": list(self.files),
            "samples": self.samples,
            "errors": self.count(Severity.ERROR),
            "warnings": self.count(Severity.WARNING),
            "rules": dict(sorted(Counter(f.rule.rule_id for f in self.findings).items())),
            "findings": [
                {
                    "rule": finding.rule.rule_id,
                    "severity": str(finding.rule.severity),
                    "file": finding.file,
                    "line": finding.line,
                    "sample": finding.sample,
                    "message": finding.message,
                }
                for finding in self.findings
            ],
        }


def lint_paths(
    paths: Iterable[Path], *, max_model_len: int = 2048, max_tokens: int = 256
) -> LintReport:
    """Lint task files, or all task files of folders.

    Args:
        paths: files and folders.
        max_model_len: tokens of prompt and answer together.
        max_tokens: tokens of the answer.

    Raises:
        UsageError: a folder is missing or empty.
    """
    listed = ((path,) if path.is_file() else task_files(path) for path in paths)
    files = list(dict.fromkeys(str(file) for some in listed for file in some))
    hits: list[Hit] = []
    names: dict[str, str] = {}
    samples = 0
    for file in files:
        document, task, _, mistakes = read_task(file)
        hits += [hit for mistake in mistakes for hit in _of_mistake(mistake, file)]
        if document is None or task is None:
            continue
        samples += len(task.samples)
        if names.setdefault(task.name, file) != file:
            message = f"task '{task.name}' is also in {names[task.name]}"
            hits.append(Hit(RULES["duplicate-task"], message, file, 1))
        hits += _of_head(document, task)
        hits += _of_samples(task, max_model_len - max_tokens)
        for sample in task.samples:
            for rule_id, message in CHECKS[task.scorer](sample.fields):
                hits.append(_at_sample(rule_id, message, task, sample))
    return LintReport(tuple(files), samples, tuple(hits))


def _at_sample(rule_id: str, message: str, task: Task, sample: Sample) -> Hit:
    return Hit(RULES[rule_id], message, task.file, sample.line, sample.sample_id)


def _of_mistake(mistake: UsageError, file: str) -> Iterator[Hit]:
    """What keeps a file or a sample from being loaded."""
    hint = f" ({mistake.hint})" if mistake.hint else ""
    yield Hit(RULES["form"], f"{mistake.message}{hint}", mistake.file or file, mistake.line or 1)
    for line in mistake.detail:
        yield Hit(RULES["form"], line, file, 1)


def _of_head(document: YamlFile, task: Task) -> Iterator[Hit]:
    """What the head of a task file says or leaves out."""

    def hit(rule_id: str, message: str, *key: str) -> Hit:
        return Hit(RULES[rule_id], message, task.file, document.line(key) or 1)

    data = document.data
    if task.prompt_template.endswith("\n"):
        message = f"prompt_template ends with a newline ({len(task.samples)} prompts)"
        yield hit("trailing-newline", message, "prompt_template")
    if data.get("filters"):
        yield hit("filters-ignored", f"{len(data['filters'])} filters", "filters")
    if not (data.get("licence") or data.get("license")) and not data.get("source"):
        yield hit("no-licence", "no source: and no licence:")


def _of_samples(task: Task, longest_prompt_tokens: int) -> Iterator[Hit]:
    """What is wrong with texts and prompts, sample by sample.

    Args:
        task: a loaded task.
        longest_prompt_tokens: tokens that a prompt may have beside its answer.
    """
    first: dict[str, Sample] = {}
    for sample in task.samples:
        for key, value in sample.fields.items():
            if any(not unicodedata.is_normalized("NFC", text) for text in _texts(value)):
                yield _at_sample("not-nfc", f"{key} is not NFC", task, sample)
        try:
            prompt = render(task, sample)
        except UsageError:
            continue
        if (at := prompt.find("{{")) >= 0:
            around = shown(prompt[max(0, at - 20) : at + 30])
            yield _at_sample("placeholder-in-prompt", around, task, sample)
        tokens = len(prompt.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN
        if tokens > longest_prompt_tokens:
            message = f"about {tokens} prompt tokens, room for {longest_prompt_tokens}"
            yield _at_sample("prompt-may-not-fit", message, task, sample)
        twin = first.setdefault(prompt, sample)
        if twin is not sample:
            message = f"same prompt as {twin.sample_id}, line {twin.line}"
            yield _at_sample("duplicate-prompt", message, task, sample)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
