"""Run every rule over task files, and group what it found."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from harness.errors import UsageError, shown
from harness.files import packaged
from harness.tasks.lint.lint_samples import CHECKS
from harness.tasks.task import Sample, Task
from harness.tasks.task_files import read_task, render, task_files

_BYTES_A_TOKEN = 3


class Severity(StrEnum):
    """``error``: a score can be wrong. ``warning``: it can surprise."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing the linter looks for: its name as printed, what is wrong, and what to do."""

    rule_id: str
    severity: Severity
    meaning: str
    remedy: str


@cache
def lint_rules() -> Mapping[str, Rule]:
    """Every rule by its id, in the order of ``lint_rules.yaml``."""
    listed = packaged("harness.tasks.lint", "lint_rules.yaml", list[Rule])
    return {rule.rule_id: rule for rule in listed}


@dataclass(frozen=True, slots=True)
class Hit:
    """One place that a rule found, with its facts.

    ``line`` counts from 1 and is 1 where no better one is known; ``sample`` is a sample's id, or
    ``None`` for the file as a whole.
    """

    rule: Rule
    message: str
    file: str
    line: int
    sample: str | None = None


@dataclass(frozen=True, slots=True)
class LintReport:
    """Everything found in task files with so many samples; by file, general findings first."""

    files: tuple[str, ...]
    samples: int
    findings: tuple[Hit, ...]

    def count(self, severity: Severity) -> int:
        """Findings of one severity."""
        return sum(finding.rule.severity is severity for finding in self.findings)

    def grouped(self) -> dict[tuple[str, str], list[Hit]]:
        """Findings by (file, rule id): files in order, errors before warnings."""
        groups: dict[tuple[str, str], list[Hit]] = {
            (file, rule.rule_id): []
            for file in self.files
            for rule in sorted(lint_rules().values(), key=lambda rule: rule.severity)
        }
        for finding in self.findings:
            groups[finding.file, finding.rule.rule_id].append(finding)
        return {key: found for key, found in groups.items() if found}

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
    rules, hits = lint_rules(), list[Hit]()
    first: dict[str, Task] = {}
    samples = 0
    for file in files:
        document, task, _, mistakes = read_task(file)
        for one in mistakes:
            hint = f" ({one.hint})" if one.hint else ""
            hits.append(Hit(rules["form"], one.message + hint, one.file or file, one.line or 1))
            hits += [Hit(rules["form"], line, file, 1) for line in one.detail]
        if document is None or task is None:
            continue
        samples += len(task.samples)
        if (twin := first.setdefault(task.name, task)) is not task:
            message = f"task '{task.name}' is also in {twin.file}"
            hits.append(Hit(rules["duplicate-task"], message, file, 1))
        head = document.data
        filters, newline = head.get("filters"), task.prompt_template.endswith("\n")
        ending = f"prompt_template ends with a newline ({len(task.samples)} prompts)"
        is_named = any(head.get(key) for key in ("licence", "license", "source"))
        for is_broken, rule_id, message, key in (
            (newline, "trailing-newline", ending, ("prompt_template",)),
            (filters, "filters-ignored", f"{len(filters or ())} filters", ("filters",)),
            (not is_named, "no-licence", "no source: and no licence:", ()),
        ):
            if is_broken:
                hits.append(Hit(rules[rule_id], message, task.file, document.line(key) or 1))
        for rule_id, message, sample in _of_samples(task, max_model_len - max_tokens):
            hits.append(Hit(rules[rule_id], message, task.file, sample.line, sample.sample_id))
    return LintReport(tuple(files), samples, tuple(hits))


def _of_samples(task: Task, longest: int) -> Iterator[tuple[str, str, Sample]]:
    """The rules that samples break; a prompt may have ``longest`` tokens beside its answer."""
    first: dict[str, Sample] = {}
    for sample in task.samples:
        for key, value in sample.fields.items():
            if not unicodedata.is_normalized("NFC", json.dumps(value, ensure_ascii=False)):
                yield "not-nfc", f"{key} is not NFC", sample
        try:
            prompt = render(task, sample)
        except UsageError:
            continue
        if (at := prompt.find("{{")) >= 0:
            yield "placeholder-in-prompt", shown(prompt[max(0, at - 20) : at + 30]), sample
        tokens = len(prompt.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN
        if tokens > longest:
            message = f"about {tokens} prompt tokens, room for {longest}"
            yield "prompt-may-not-fit", message, sample
        if (twin := first.setdefault(prompt, sample)) is not sample:
            message = f"same prompt as {twin.sample_id}, line {twin.line}"
            yield "duplicate-prompt", message, sample
    for sample in task.samples:
        for check in CHECKS.get(task.scorer, ()):
            yield from ((rule_id, message, sample) for rule_id, message in check(sample.fields))
