"""The form of a doctor's finding."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Check", "Level", "failed", "ok", "warning"]


class Level(StrEnum):
    """Whether a run could start: ``failed`` means that it could not."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, what was found, and what to do about it."""

    name: str
    level: Level
    found: str
    remedy: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """The check as JSON values."""
        return {
            "name": self.name,
            "level": self.level.value,
            "found": self.found,
            "remedy": self.remedy,
        }

    def __str__(self) -> str:
        remedy = f"\n{'':11}{self.remedy}" if self.remedy else ""
        return f"{self.level.value:8} {self.name}: {self.found}{remedy}"


def ok(name: str, found: str) -> Check:
    """Nothing to do."""
    return Check(name, Level.OK, found)


def warning(name: str, found: str, remedy: str) -> Check:
    """A run may start, and this may spoil it."""
    return Check(name, Level.WARNING, found, remedy)


def failed(name: str, found: str, remedy: str) -> Check:
    """A run would not get far."""
    return Check(name, Level.FAILED, found, remedy)
