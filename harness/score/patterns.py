"""Regular expressions that are compiled when they first search.

The scorers have a hundred, long ones among them; a process that scores nothing, or one kind of task
alone, need not compile them all when it starts.
"""

import re
from typing import Any, cast

_USED = ("search", "match", "fullmatch", "finditer", "findall", "sub", "split", "pattern")


class _Later:
    """Becomes the pattern at its first use: from then on its methods are the pattern's own."""

    def __init__(self, text: str, flags: int) -> None:
        self._given = text, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(*self._given)
        self.__dict__ |= {used: getattr(compiled, used) for used in _USED}
        return getattr(compiled, name)


def lazily(text: str, flags: int = 0) -> re.Pattern[str]:
    """What ``re.compile`` gives, compiled when it is first used; for its own methods alone.

    Args:
        text: the expression.
        flags: as of ``re.compile``.
    """
    return cast("re.Pattern[str]", _Later(text, flags))
