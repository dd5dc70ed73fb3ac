"""Keys of ``controls`` that are gone, read as what replaces them.

``solo_repeats`` and ``batched_repeats`` were numbers of answers more; ``order`` said which of solo
and batched came first. What is asked of a row is ``controls.askings``, always in one order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.words import Asking

GONE: Mapping[str, str] = {
    "solo_repeats": "S1 and S2 unless it is 0",
    "batched_repeats": "B2 unless it is 0",
    "order": "the askings of a row have one order",
}
"""Each with what stands for it now."""


class Replaced(NamedTuple):
    """A section without the keys that are gone.

    Attributes:
        controls: what is left, and what replaces them.
        note: what to tell of it; empty where none was there.
        wrong: the keys whose wish cannot be granted, each with the reason.
    """

    controls: dict[str, Any]
    note: str
    wrong: Mapping[str, str]


def replaced(controls: Mapping[str, Any]) -> Replaced:
    """Read the keys that are gone as ``askings``."""
    old = {key: value for key, value in controls.items() if key in GONE}
    kept = {key: value for key, value in controls.items() if key not in GONE}
    if not old:
        return Replaced(kept, "", {})
    wrong = {}
    if old.pop("order", "solo_first") != "solo_first":
        wrong["order"] = f"{GONE['order']}: {_list(Asking)}"
    for key, number in old.items():
        if "askings" in kept:
            wrong[key] = "controls.askings says it, and is given too"
        elif isinstance(number, bool) or not isinstance(number, int) or number < 0:
            wrong[key] = f"it was a whole number, and now it is {GONE[key]}"
    asked = ""
    if old and not wrong:
        left_out = set() if old.get("solo_repeats", 1) else {Asking.S1, Asking.S2}
        left_out |= set() if old.get("batched_repeats", 0) else {Asking.B2}
        kept["askings"] = [str(asking) for asking in Asking if asking not in left_out]
        asked = f", here {_list(kept['askings'])}"
    names = ", ".join(f"controls.{key} ({GONE[key]})" for key in controls if key in GONE)
    return Replaced(kept, f"gone: {names}; what is asked is controls.askings{asked}", wrong)


def _list(askings: Any) -> str:
    return f"[{', '.join(map(str, askings))}]"
