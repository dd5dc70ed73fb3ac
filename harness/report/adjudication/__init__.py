"""People judge the flips: a blinded sheet goes out, judgements come back, agreement is measured.

Pure: sheets, keys and judgements are texts and values here; `harness adjudicate` reads and writes.
"""

from harness.report.adjudication.agreement import (
    cohen_kappa,
    krippendorff_alpha,
    percent_agreement,
)
from harness.report.adjudication.judgements import Judgement, read_judgements, refuse_repeats
from harness.report.adjudication.key import AnswerKey, Item, ItemKind, KeyRow, read_key
from harness.report.adjudication.label_studio import studio_config, studio_tasks
from harness.report.adjudication.outcome import adjudicate
from harness.report.adjudication.outcome_lines import outcome_lines
from harness.report.adjudication.rubric import RUBRICS, rubric_of, rubric_text
from harness.report.adjudication.selection import Export, build_export
from harness.report.adjudication.sheet import sheet_csv

__all__ = [
    "RUBRICS",
    "AnswerKey",
    "Export",
    "Item",
    "ItemKind",
    "Judgement",
    "KeyRow",
    "adjudicate",
    "build_export",
    "cohen_kappa",
    "krippendorff_alpha",
    "outcome_lines",
    "percent_agreement",
    "read_judgements",
    "read_key",
    "refuse_repeats",
    "rubric_of",
    "rubric_text",
    "sheet_csv",
    "studio_config",
    "studio_tasks",
]
