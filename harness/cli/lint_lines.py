"""A lint report for a person."""

from __future__ import annotations

from collections.abc import Iterator

from harness.tasks.lint import RULES, LintReport, Severity

__all__ = ["lint_lines"]


def lint_lines(report: LintReport, show: int) -> Iterator[str]:
    """The report's lines: a heading for each file and rule, then its first places.

    Args:
        report: what was found.
        show: places to print for each rule; 0 for all.
    """
    for (file, rule_id), findings in report.grouped().items():
        rule = RULES[rule_id]
        yield f"{file}: {rule.severity} {rule_id}: {len(findings)} × {rule.meaning}"
        yield f"  remedy: {rule.remedy}"
        shown = findings[:show] if show else findings
        for finding in shown:
            sample = f"{finding.sample}: " if finding.sample else ""
            yield f"  {finding.file}:{finding.line}: {sample}{finding.message}"
        if left := len(findings) - len(shown):
            yield f"  and {left} more (--show 0)"
    files = "1 file" if len(report.files) == 1 else f"{len(report.files)} files"
    yield (
        f"{files}, {report.samples} samples: "
        f"{report.count(Severity.ERROR)} errors, {report.count(Severity.WARNING)} warnings"
    )
