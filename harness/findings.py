"""One shape for what a check found: its name, its status, why, and what to do about it."""

from enum import StrEnum
from typing import Self

from msgspec import Struct


class Status(StrEnum):
    """What a check says. Only ``failed`` fails what is checked."""

    OK = "ok"
    FAILED = "failed"
    WARNING = "warning"
    NOT_CHECKED = "not_checked"

    @property
    def words(self) -> str:
        """For a line that people read: ``not checked``."""
        return self.value.replace("_", " ")


class Finding(Struct, frozen=True, omit_defaults=True):
    """What one check found; ``remedy`` and ``place`` are empty and not written where there is none.

    ``check`` is the id of the check, of a rule or of what was looked at; ``message`` the reason, in
    one line; ``place`` is ``file:line`` or the path of a key.
    """

    check: str
    status: Status
    message: str
    remedy: str = ""
    place: str = ""

    @property
    def words(self) -> str:
        """The check's name for a line that people read: ``lines sealed``."""
        return self.check.replace("_", " ")

    @classmethod
    def ok(cls, check: str, message: str, *, place: str = "") -> Self:
        """The check passed."""
        return cls(check, Status.OK, message, place=place)

    @classmethod
    def failed(cls, check: str, message: str, remedy: str = "", *, place: str = "") -> Self:
        """The check failed, and with it what is checked."""
        return cls(check, Status.FAILED, message, remedy, place)

    @classmethod
    def warning(cls, check: str, message: str, remedy: str = "", *, place: str = "") -> Self:
        """Something to know that fails nothing."""
        return cls(check, Status.WARNING, message, remedy, place)

    @classmethod
    def not_checked(cls, check: str, message: str, remedy: str = "", *, place: str = "") -> Self:
        """What the check needs is not there."""
        return cls(check, Status.NOT_CHECKED, message, remedy, place)

    @classmethod
    def first(cls, check: str, *cases: tuple[object, Status, str, str], ok: str) -> Self:
        """The first case ``(test, status, message, remedy)`` whose test holds, else passed."""
        for holds, status, message, remedy in cases:
            if holds:
                return cls(check, status, message, remedy)
        return cls.ok(check, ok)

    def __str__(self) -> str:
        """``failed   disk: 3 GB free``, after its place; the remedy stands on a line below."""
        where = f"{self.place}: " if self.place else ""
        remedy = f"\n{'':11}{self.remedy}" if self.remedy else ""
        return f"{self.status.words:8} {where}{self.check}: {self.message}{remedy}"
