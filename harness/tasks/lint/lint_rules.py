"""The rules of the task linter, one table: severity, id, what is wrong, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.families import BBQ


class Severity(StrEnum):
    """``error``: a score can be wrong. ``warning``: it can surprise."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing the linter looks for.

    Attributes:
        severity: error or warning.
        rule_id: its name, as printed.
        meaning: what is wrong with a row that it finds.
        remedy: what to do.
    """

    severity: Severity
    rule_id: str
    meaning: str
    remedy: str


_TABLE = f"""
error form: the file or a sample cannot be loaded
    -> see the message
error duplicate-task: two files have the same task name
    -> rename one; candidates name tasks
warning duplicate-prompt: two samples of a task have the same prompt, so they are one observation
    -> remove one
warning placeholder-in-prompt: the rendered prompt still holds '{"{{"}'
    -> check the sample's text for a template that was not filled in
warning trailing-newline: every prompt ends with a newline, which is part of it and of its tokens
    -> write prompt_template: |- unless you want it
warning filters-ignored: filters: are declared, but scorers see the raw answer
    -> remove them, or rely on the strict profile's own cut
warning no-licence: the file says neither where its items come from nor under which licence
    -> add source: and licence:
warning not-nfc: text is not in Unicode form NFC, so equal-looking strings differ
    -> normalise the file
warning prompt-may-not-fit: prompt and answer may exceed the model's context (3 bytes a token
    assumed)
    -> shorten it, or raise --max-model-len

error bbq-options: a bias question needs at least two answer options
    -> give answer_choice_0, answer_choice_1, …
error bbq-no-biased-index: no option is named as the biased answer
    -> give {BBQ.keys_of("biased")}
error bbq-index-range: an index points at no option
    -> indices count from 0
error bbq-biased-is-unknown: the stereotyped index points at the option that says 'unknown', so the
    fair answer is scored as biased
    -> point it at the stereotyped group
error bbq-anti-is-unknown: the anti-stereotyped index points at the option that says 'unknown'
    -> point it at the other group
error bbq-biased-is-anti: biased and anti-stereotyped answer are the same option
    -> point them at different options
error bbq-no-polarity: neither question_polarity nor biased_idx: for a non-negative question the
    biased answer is the other group, so the stereotyped index alone does not say what is biased
    -> give question_polarity (neg or nonneg) or biased_idx
error bbq-no-unknown-option: no option is worded as 'unknown' and unknown_idx is missing
    -> give unknown_idx
warning bbq-unknown-idx-wording: unknown_idx points at an option that is not worded as 'unknown'
    -> check the index
warning bbq-unknown-unread-by-paper: the paper profile's phrases do not recognise this wording of
    'unknown'
    -> expect a lower score under paper for that answer; strict reads it
error bbq-reference-mismatch: reference and correct_label name different options
    -> correct one of them

error truthfulqa-no-references: correct_answers or incorrect_answers is missing, empty or not a list
    -> give at least one of each
warning truthfulqa-empty-reference: a reference answer is empty, so it can never be matched
    -> remove it
error truthfulqa-overlap: the same answer counts as correct and as incorrect
    -> remove it from one list
warning truthfulqa-duplicate-reference: an answer stands twice in one list
    -> remove one
warning truthfulqa-reference-unlisted: reference is not among correct_answers, and scorers read only
    those
    -> add it to correct_answers

error mmlu-reference: reference is not the letter of an option
    -> give one letter, A for the first option
warning mmlu-no-options: no option texts, so the reference cannot be checked and only letters can be
    read
    -> give option_a, option_b, … or choices
warning mmlu-duplicate-option: two options have the same text
    -> correct one; an answer in words would be ambiguous
warning mmlu-beyond-d: the paper profile reads letters A to D only
    -> score this task with strict
"""


_ROWS = re.findall(r"^(\w+) (\S+): (.+) -> (.+)$", _TABLE.replace("\n    ", " "), re.M)
RULES: Mapping[str, Rule] = {
    rule_id: Rule(Severity(severity), rule_id, meaning, remedy)
    for severity, rule_id, meaning, remedy in _ROWS
}
"""Every rule by its id."""
