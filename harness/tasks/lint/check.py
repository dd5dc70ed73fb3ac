"""Run every rule over task files, and group what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import families
from harness.settings import Problem, read_yaml
from harness.tasks.lint.bias import bias_findings
from harness.tasks.lint.general import head_findings, sample_findings
from harness.tasks.lint.model import RULES, Finding, Severity, at_task
from harness.tasks.lint.references import knowledge_findings, truthfulness_findings
from harness.tasks.task import Sample, Task
from harness.tasks.task_files import inspect_task, task_files

__all__ = ["CHECKS", "LintReport", "lint_paths"]

CHECKS: Mapping[str, Callable[[Task, Sample], Iterator[Finding]]] = {
    families.REFUSAL.name: lambda _task, _sample: iter(()),
    families.BBQ.name: bias_findings,
    families.TRUTHFULQA.name: truthfulness_findings,
    families.MMLU.name: knowledge_findings,
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
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Findings of one severity."""
        return sum(finding.rule.severity is severity for finding in self.findings)

    def grouped(self) -> dict[tuple[str, str], list[Finding]]:
        """Findings by (file, rule id): files in order, errors before warnings."""
        groups: dict[tuple[str, str], list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault((finding.file, finding.rule.rule_id), []).append(finding)
        order = list(RULES)

        def rank(key: tuple[str, str]) -> tuple[int, bool, int]:
            file, rule = key
            warning = RULES[rule].severity is Severity.WARNING
            return self.files.index(file), warning, order.index(rule)

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
            "findings": [finding.as_json() for finding in self.findings],
        }


def lint_paths(
    paths: Iterable[Path], *, max_model_len: int = 2048, max_tokens: int = 256
) -> LintReport:
    """Lint task files, and folders of them.

    Args:
        paths: files or folders.
        max_model_len: tokens of the model's context.
        max_tokens: tokens of it that are kept for the answer.

    Raises:
        UsageError: a folder that is missing or holds no task file. A file that cannot be read is
            a finding.
    """
    files = list(dict.fromkeys(file for path in paths for file in _files(path)))
    findings: list[Finding] = []
    names: dict[str, str] = {}
    samples = 0
    for file in files:
        task, problems = inspect_task(file)
        findings += [_form(problem, str(file)) for problem in problems]
        if task is None:
            continue
        samples += len(task.samples)
        if names.setdefault(task.name, task.file) != task.file:
            message = f"task '{task.name}' is also in {names[task.name]}"
            findings.append(at_task("duplicate-task", message, task.file))
        findings += head_findings(read_yaml(file), task)
        findings += sample_findings(task, max_model_len - max_tokens)
        findings += _scorer_findings(task)
    return LintReport(tuple(map(str, files)), samples, tuple(findings))


def _files(path: Path) -> Iterable[Path]:
    return (path,) if path.is_file() else task_files(path)


def _form(problem: Problem, file: str) -> Finding:
    hint = f" ({problem.hint})" if problem.hint else ""
    return at_task("form", f"{problem.message}{hint}", problem.file or file, problem.line)


def _scorer_findings(task: Task) -> Iterator[Finding]:
    check = CHECKS.get(task.scorer)
    if check is not None:
        for sample in task.samples:
            yield from check(task, sample)
