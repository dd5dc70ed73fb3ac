"""What is wrong with task files that load: fields that make a scorer say the wrong thing.

Each rule has an id, a severity and a remedy; each finding has its file and line.
"""

from harness.tasks.lint.lint_files import Hit, LintReport, Rule, Severity, lint_paths, lint_rules
from harness.tasks.lint.lint_samples import CHECKS

__all__ = ["CHECKS", "Hit", "LintReport", "Rule", "Severity", "lint_paths", "lint_rules"]
