"""What is wrong with task files that load: fields that make a scorer say the wrong thing.

Each rule has an id, a severity and a remedy; each finding has its file and line.
"""

from harness.tasks.lint.lint_files import Hit, LintReport, lint_paths
from harness.tasks.lint.lint_rules import RULES, Rule, Severity
from harness.tasks.lint.lint_samples import CHECKS

__all__ = ["CHECKS", "RULES", "Hit", "LintReport", "Rule", "Severity", "lint_paths"]
