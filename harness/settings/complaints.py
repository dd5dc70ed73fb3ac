"""pydantic's complaints about a run spec, in this project's words and with a suggestion."""

from __future__ import annotations

from pydantic_core import ErrorDetails

from harness.settings.checks import Finding
from harness.settings.problems import nearest, shown
from harness.settings.spec_keys import dotted, keys_at, suggest_key
from harness.settings.yaml_file import KeyPath
from harness.words import DispatchMode

__all__ = ["finding"]

_WORDS = (
    ("Input should be", "must be"),
    ("Tuple should", "must"),
    (" after validation, not 0", ""),
    ("a valid string", "text"),
    ("a valid integer", "a whole number"),
    ("a valid number", "a number"),
    ("a valid array", "a list"),
    ("a valid boolean", "true or false"),
    ("an object", "a section with keys"),
)


def finding(details: ErrorDetails) -> Finding:
    """Path, message and hint of one complaint."""
    key: KeyPath = tuple(part for part in details["loc"] if part != "[key]")
    kind, value = details["type"], details["input"]
    if key[0] == "dispatch_modes":
        return _dispatch_modes(value)
    if kind == "missing":
        hint = "models: [{name: …, hf_id: …}]" if key == ("models",) else None
        return key, f"key '{dotted(key)}' is missing", hint
    if kind == "extra_forbidden" or "[key]" in details["loc"]:
        return key, f"unknown key '{dotted(key)}'", suggest_key(key)
    if kind == "model_type":
        message = f"{dotted(key)}: must be a section with keys, not {shown(value)}"
        return key, message, f"keys: {', '.join(keys_at(key))}"
    rule = details["msg"]
    for theirs, ours in _WORDS:
        rule = rule.replace(theirs, ours)
    seen = "" if "env" in key else f", not {shown(value)}"
    return key, f"{dotted(key)}: {rule}{seen}", nearest(value, _expected(details))


def _dispatch_modes(value: object) -> Finding:
    """One complaint for the two that a union gives."""
    modes = [str(mode) for mode in DispatchMode]
    word = value[0] if isinstance(value, list) and len(value) == 1 else value
    rule = f"must be 'original' or a list of {', '.join(modes)}"
    message = f"dispatch_modes: {rule}, not {shown(word)}"
    return ("dispatch_modes",), message, nearest(word, ["original", *modes])


def _expected(details: ErrorDetails) -> list[str]:
    """The words that would have been right, where pydantic knows a few."""
    text = str((details.get("ctx") or {}).get("expected", ""))
    return [word for word in text.replace(" or ", ", ").replace("'", "").split(", ") if word]
