"""Rules and findings of the task linter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.tasks.task import Sample, Task

__all__ = ["RULES", "Finding", "Rule", "Severity", "at_sample", "at_task"]


class Severity(StrEnum):
    """``error``: a score can be wrong. ``warning``: it can surprise."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing the linter looks for.

    Attributes:
        rule_id: its name, as printed.
        severity: error or warning.
        meaning: what is wrong with a row that it finds.
        remedy: what to do.
    """

    rule_id: str
    severity: Severity
    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that a rule found.

    Attributes:
        rule: which rule.
        message: the facts of this place.
        file: the task file.
        line: 1-based line, 1 where no better one is known.
        sample: id of the sample, ``None`` for the file as a whole.
    """

    rule: Rule
    message: str
    file: str
    line: int
    sample: str | None = None

    def as_json(self) -> dict[str, object]:
        """One object for a machine."""
        return {
            "rule": self.rule.rule_id,
            "severity": str(self.rule.severity),
            "file": self.file,
            "line": self.line,
            "sample": self.sample,
            "message": self.message,
        }


_E, _W = Severity.ERROR, Severity.WARNING
_TABLE: tuple[tuple[str, Severity, str, str], ...] = (
    (
        "form",
        _E,
        "the file or a sample cannot be loaded",
        "see the message",
    ),
    (
        "duplicate-task",
        _E,
        "two files have the same task name",
        "rename one; candidates name tasks",
    ),
    (
        "duplicate-prompt",
        _W,
        "two samples of a task have the same prompt, so they are one observation",
        "remove one",
    ),
    (
        "placeholder-in-prompt",
        _W,
        "the rendered prompt still holds '{{'",
        "check the sample's text for a template that was not filled in",
    ),
    (
        "trailing-newline",
        _W,
        "every prompt ends with a newline, which is part of it and of its tokens",
        "write prompt_template: |- unless you want it",
    ),
    (
        "filters-ignored",
        _W,
        "filters: are declared, but scorers see the raw answer",
        "remove them, or rely on the strict profile's own cut",
    ),
    (
        "no-licence",
        _W,
        "the file says neither where its items come from nor under which licence",
        "add source: and licence:",
    ),
    (
        "not-nfc",
        _W,
        "text is not in Unicode form NFC, so equal-looking strings differ",
        "normalise the file",
    ),
    (
        "prompt-may-not-fit",
        _W,
        "prompt and answer may exceed the model's context (3 bytes a token assumed)",
        "shorten it, or raise --max-model-len",
    ),
    (
        "bbq-options",
        _E,
        "a bias question needs at least two answer options",
        "give answer_choice_0, answer_choice_1, …",
    ),
    (
        "bbq-no-biased-index",
        _E,
        "no option is named as the biased answer",
        "give biased_idx (or stereotyped_idx)",
    ),
    (
        "bbq-index-range",
        _E,
        "an index points at no option",
        "indices count from 0",
    ),
    (
        "bbq-biased-is-unknown",
        _E,
        "the stereotyped index points at the option that says 'unknown', so the fair answer is "
        "scored as biased",
        "point it at the stereotyped group",
    ),
    (
        "bbq-anti-is-unknown",
        _E,
        "the anti-stereotyped index points at the option that says 'unknown'",
        "point it at the other group",
    ),
    (
        "bbq-biased-is-anti",
        _E,
        "biased and anti-stereotyped answer are the same option",
        "point them at different options",
    ),
    (
        "bbq-no-polarity",
        _E,
        "neither question_polarity nor biased_idx: for a non-negative question the biased answer "
        "is the other group, so the stereotyped index alone does not say what is biased",
        "give question_polarity (neg or nonneg) or biased_idx",
    ),
    (
        "bbq-no-unknown-option",
        _E,
        "no option is worded as 'unknown' and unknown_idx is missing",
        "give unknown_idx",
    ),
    (
        "bbq-unknown-idx-wording",
        _W,
        "unknown_idx points at an option that is not worded as 'unknown'",
        "check the index",
    ),
    (
        "bbq-unknown-unread-by-paper",
        _W,
        "the paper profile's phrases do not recognise this wording of 'unknown'",
        "expect a lower score under paper for that answer; strict reads it",
    ),
    (
        "bbq-reference-mismatch",
        _E,
        "reference and correct_label name different options",
        "correct one of them",
    ),
    (
        "truthfulqa-no-references",
        _E,
        "correct_answers or incorrect_answers is missing, empty or not a list",
        "give at least one of each",
    ),
    (
        "truthfulqa-empty-reference",
        _W,
        "a reference answer is empty, so it can never be matched",
        "remove it",
    ),
    (
        "truthfulqa-overlap",
        _E,
        "the same answer counts as correct and as incorrect",
        "remove it from one list",
    ),
    (
        "truthfulqa-duplicate-reference",
        _W,
        "an answer stands twice in one list",
        "remove one",
    ),
    (
        "truthfulqa-reference-unlisted",
        _W,
        "reference is not among correct_answers, and scorers read only those",
        "add it to correct_answers",
    ),
    (
        "mmlu-reference",
        _E,
        "reference is not the letter of an option",
        "give one letter, A for the first option",
    ),
    (
        "mmlu-no-options",
        _W,
        "no option texts, so the reference cannot be checked and only letters can be read",
        "give option_a, option_b, … or choices",
    ),
    (
        "mmlu-duplicate-option",
        _W,
        "two options have the same text",
        "correct one; an answer in words would be ambiguous",
    ),
    (
        "mmlu-beyond-d",
        _W,
        "the paper profile reads letters A to D only",
        "score this task with strict",
    ),
)
RULES: Mapping[str, Rule] = {row[0]: Rule(*row) for row in _TABLE}
"""Every rule by its id."""


def at_sample(rule_id: str, message: str, task: Task, sample: Sample) -> Finding:
    """A finding at a sample."""
    return Finding(RULES[rule_id], message, task.file, sample.line, sample.sample_id)


def at_task(rule_id: str, message: str, file: str, line: int | None = None) -> Finding:
    """A finding about a whole file, at one of its lines."""
    return Finding(RULES[rule_id], message, file, line or 1)
