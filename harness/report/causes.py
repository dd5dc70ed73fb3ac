"""What moved an answer, in a sentence: the batch, the cache, both, or nothing but time."""

from __future__ import annotations

from harness.numbers import NONE, score_text
from harness.records import Record
from harness.report.wording import wording
from harness.words import Effect, Pattern

_UNKNOWN = "unknown"


def change_sentence(record: Record) -> str:
    """What changed between the first answer alone and the one in the batch, and what changed it."""
    alone = score_text(record.solo_score, record.solo_label)
    kind = "words" if not alone.startswith(NONE) else "unscored"
    told = wording("example/label" if record.label_flip else f"example/{kind}").prose
    causes = wording("example/causes").names
    batched = score_text(record.batch_score, record.batch_label)
    return told.format(
        cause=causes.get(_cause(record), causes[_UNKNOWN]), alone=alone, batched=batched
    )


def _cause(record: Record) -> str:
    """The row's pattern; where cache and batch both moved the text, which of them the label."""
    if record.pattern is Pattern.BOTH and record.label_flip:
        moved = {e: record.effect(e) for e in (Effect.BATCH, Effect.CACHE)}
        by = [e for e, difference in moved.items() if difference and difference.label]
        if len(by) == 1:
            return f"label_{by[0].words.split()[0]}"
    return str(record.pattern or _UNKNOWN)
