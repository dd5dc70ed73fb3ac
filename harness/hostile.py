"""Model output made harmless to read: what no eye can see is named, what no file can hold goes.

Offsets are taken on the raw text, so this is the last step before a format escapes.
"""

import json
import re
import sys
from typing import TypeVar

import msgspec

__all__ = ["named", "shaped", "storable", "unreadable", "visible"]

T = TypeVar("T")

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = "\u200b\u2028\u2029\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_ILLEGAL = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
_NAMED = re.compile(f"[{_ILLEGAL}{_BIDI}{_UNSEEN}]")
_HALF = re.compile("[\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n?")


def named(character: str) -> str:
    """The code point in words, ``U+202E``, in white tortoise-shell brackets."""
    return f"⟦U+{ord(character):04X}⟧"


def storable(text: str) -> str:
    """The text as it is, but for half surrogate pairs, which no UTF-8 holds: they are named."""
    return _HALF.sub(lambda match: named(match.group()), text)


def visible(text: str) -> str:
    """The text with control, bidirectional, invisible and invalid code points named.

    Line ends become ``\\n``; tabs and line feeds stay. The result can be encoded as UTF-8 and
    is legal in HTML and XML 1.0 once the markup characters are escaped.
    """
    return _NAMED.sub(lambda match: named(match.group()), _LINE_END.sub("\n", text))


def unreadable(error: Exception) -> str:
    """Why a decoder refused what somebody wrote, in words that are not Python's."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    if isinstance(error, KeyError):
        return f"no {error}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if "integer string conversion" in str(error):
        return f"a number of more than {sys.get_int_max_str_digits():,} digits"
    return str(error)


def shaped(value: object, kind: type[T]) -> T:
    """What was decoded, as this type.

    Raises:
        msgspec.ValidationError: it is not of it. Half of a surrogate pair where something else is
            due is that too: to name it is an error inside msgspec.
    """
    try:
        return msgspec.convert(value, kind)
    except UnicodeEncodeError as error:
        raise msgspec.ValidationError("holds half of a surrogate pair") from error
