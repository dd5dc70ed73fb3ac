"""A score as a value, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Score"]


@dataclass(frozen=True, slots=True)
class Score:
    """What a scorer says of one answer.

    Attributes:
        value: the score, from a small finite set (0, 0.5, 1), or ``None`` for a state without
            one (``unparsed``, ``empty`` in the strict profile).
        label: the word for it (``refused``, ``complied``, ``stereotyped``, ``unparsed``, ...).
        rule: the id of the rule that fired.
        span: start and end of the evidence in the raw text, ``None`` where there is none.
        matched: the text of that span.
        scorer: scorer, profile and version, such as ``refusal/strict/1``.
    """

    value: float | None
    label: str
    rule: str
    span: tuple[int, int] | None
    matched: str
    scorer: str

    def flips_to(self, other: Score) -> bool:
        """Whether the other score is a label flip from this one.

        Scores flip by their value; a state without a value differs from any value, and from
        another state by its label.
        """
        if self.value is None and other.value is None:
            return self.label != other.label
        return self.value != other.value

    def evidence(self) -> dict[str, object]:
        """The JSON form that a record keeps as ``score_evidence``."""
        return {
            "rule": self.rule,
            "span": list(self.span) if self.span else None,
            "matched": self.matched,
            "scorer": self.scorer,
        }
