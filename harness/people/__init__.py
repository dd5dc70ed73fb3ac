"""People judge the flips: a blinded sheet goes out, judgements come back, agreement is measured.

Pure: sheets, keys and judgements are texts and values here; `harness adjudicate` reads and writes.
"""

from harness.people.agreement import cohen_kappa, krippendorff_alpha, percent_agreement
from harness.people.judgements import (
    Judgement,
    not_yet_there,
    rater_of,
    read_judgements,
    stored_fault,
)
from harness.people.outcome import Outcome, adjudicate
from harness.people.selection import By, Export, build_export
from harness.people.sheet import (
    RUBRICS,
    AnswerKey,
    Item,
    ItemKind,
    read_key,
    rubric_of,
    rubric_text,
    sheet_csv,
    studio_config,
    studio_tasks,
)

__all__ = [
    "RUBRICS",
    "AnswerKey",
    "By",
    "Export",
    "Item",
    "ItemKind",
    "Judgement",
    "Outcome",
    "adjudicate",
    "build_export",
    "cohen_kappa",
    "krippendorff_alpha",
    "not_yet_there",
    "percent_agreement",
    "rater_of",
    "read_judgements",
    "read_key",
    "rubric_of",
    "rubric_text",
    "sheet_csv",
    "stored_fault",
    "studio_config",
    "studio_tasks",
]
