"""What is wrong with task files that load: fields that make a scorer say the wrong thing.

Each rule has an id, a severity and a remedy; each finding has its file and line.
"""

from harness.tasks.lint.lint_files import CHECKS, RULES, LintReport, lint_paths
from harness.tasks.lint.rule import Hit, Rule, Severity

__all__ = [
    "CHECKS",
    "RULES",
    "Hit",
    "LintReport",
    "Rule",
    "Severity",
    "lint_paths",
]
