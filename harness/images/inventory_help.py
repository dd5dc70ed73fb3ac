"""The server's printed ``--help`` as arguments, where its parser could not be asked.

Less is known this way: a default is text, and only where the help names one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.images.inventory_model import ServerArgument

__all__ = ["read_help"]

_OPTION = re.compile(r"^ {2}(-{1,2}[A-Za-z].*)$")
_FLAG = re.compile(r"--?[A-Za-z][\w-]*")
_DEFAULT = re.compile(r"\(default: (.*?)\)(?:\s|$)", re.S)
_CHOICES = re.compile(r"\{([^{}]+)\}")
_MOST_CHARACTERS = 1_000_000


def read_help(text: str) -> tuple[ServerArgument, ...]:
    """The options of an argparse help text, in order; empty where there are none."""
    found: dict[str, ServerArgument] = {}
    for block in _blocks(text[:_MOST_CHARACTERS]):
        argument = _argument(block)
        if argument is not None and argument.name != "--help":
            found.setdefault(argument.name, argument)
    return tuple(found.values())


def _blocks(text: str) -> Iterator[list[str]]:
    """Lines from one option to the next."""
    block: list[str] = []
    for line in text.splitlines():
        if _OPTION.match(line):
            if block:
                yield block
            block = [line]
        elif block and (line.startswith("   ") or not line.strip()):
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _argument(block: list[str]) -> ServerArgument | None:
    head, words = _head(block)
    spellings = (_FLAG.match(part) for part in _CHOICES.sub("", head).split(", "))
    flags = tuple(dict.fromkeys(found[0] for found in spellings if found))
    if not flags:
        return None
    default = _DEFAULT.search(words)
    choices = _CHOICES.search(head)
    negated = any(flag.startswith("--no-") for flag in flags)
    return ServerArgument(
        flags=flags,
        default=" ".join(default[1].split()) if default else None,
        choices=[part.strip() for part in choices[1].split(",")] if choices else None,
        kind="BooleanOptionalAction" if negated else "",
    )


def _head(block: list[str]) -> tuple[str, str]:
    """The part that names the option, and the words about it."""
    head, _, words = block[0].strip().partition("   ")
    return head, " ".join([words, *(line.strip() for line in block[1:])])
