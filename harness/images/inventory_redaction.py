"""Secrets that an image carries are named and not shown.

An image's variables, labels and build steps are its maker's; now and then one holds a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["REDACTED", "is_secret_name", "redacted_pairs", "redacted_text"]

REDACTED = "(secret)"
_NAME = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|AUTH(?!OR)",
    re.I,
)
_VALUE = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|sk-[A-Za-z0-9_-]{20,}|xox[abpr]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.S,
)
_LOGIN = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_ASSIGNED = re.compile(r"\b([A-Za-z_][A-Za-z0-9_]*)=(?!\$)(\"[^\"]*\"|'[^']*'|[^\s|;&]+)")


def is_secret_name(name: str) -> bool:
    """Whether a variable, label or option of this name may hold a secret."""
    return bool(_NAME.search(name.replace("-", "_")))


def redacted_text(text: str) -> str:
    """Free text, such as a build step, without what looks like a secret."""
    text = _LOGIN.sub(REDACTED, _VALUE.sub(REDACTED, text))
    return _ASSIGNED.sub(_keep_unless_secret, text)


def _keep_unless_secret(match: re.Match[str]) -> str:
    return f"{match[1]}={REDACTED}" if is_secret_name(match[1]) else match[0]


def redacted_pairs(pairs: Mapping[str, str]) -> dict[str, str]:
    """Variables or labels, by name, without values that look like secrets by name or by form."""
    return {
        name: REDACTED if value and is_secret_name(name) else redacted_text(value)
        for name, value in sorted(pairs.items())
    }
