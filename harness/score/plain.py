"""Scorers for one's own prompts: exact, regex, number, choice, none, and one's own function.

They are the same under both profiles. What they need of a sample is in `docs/formats.md`.
"""

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from harness import families
from harness.errors import UsageError
from harness.families import Family
from harness.score import mmlu
from harness.score.answer import Score
from harness.tasks import numbers_in, options_of, read_number

_FORM = "python:module:function"
_Read = Callable[[str, Mapping[str, Any], str], Score]
_OWN_VERSION = 1


class PlainScorer:
    """One of them, as the module of a family: ``paper`` and ``strict`` are the same."""

    def __init__(self, family: Family, read: _Read) -> None:
        self.PAPER, self.STRICT = (f"{family.name}/{profile}/1" for profile in ("paper", "strict"))
        self._read = read

    def paper(self, text: str, fields: Mapping[str, Any]) -> Score:
        """Under the name of the paper's profile."""
        return self._read(text, fields, self.PAPER)

    def strict(self, text: str, fields: Mapping[str, Any]) -> Score:
        """Under the name of the strict profile."""
        return self._read(text, fields, self.STRICT)


def _judged(right: bool, rule: str, span: tuple[int, int] | None, text: str, name: str) -> Score:
    label = "correct" if right else "incorrect"
    return Score(float(right), label, rule, span, text[slice(*span)] if span else "", name)


def _references(family: Family, fields: Mapping[str, Any]) -> list[Any]:
    value = family.value(fields, "reference")
    return value if isinstance(value, list) else [value]


def _exact(text: str, fields: Mapping[str, Any], name: str) -> Score:
    """``correct`` where the answer, without spaces around it, is one of the references."""
    said, given = text.strip(), _references(families.EXACT, fields)
    if not said:
        return Score(None, "empty", "empty", None, "", name)
    right = said in [str(one).strip() for one in given]
    start = text.index(said)
    return _judged(right, "whole_answer", (start, start + len(said)), text, name)


def _regex(text: str, fields: Mapping[str, Any], name: str) -> Score:
    """``correct`` where the pattern is found anywhere in the answer (Python's ``re``)."""
    found = re.search(str(families.REGEX.value(fields, "reference")), text)
    return _judged(
        bool(found), "pattern", found.span() if found and found.group() else None, text, name
    )


def _number(text: str, fields: Mapping[str, Any], name: str) -> Score:
    """``correct`` where the last number of the answer is a reference, within ``tolerance``."""
    given = [read_number(one) for one in _references(families.NUMBER, fields)]
    numbers = numbers_in(text)
    if not numbers:
        return Score(None, "unparsed", "no_number", None, "", name)
    said, most = read_number(numbers[-1].group()), float(fields.get("tolerance", 0))
    right = any(abs(said - one) <= most for one in given)
    return _judged(right, "last_number", numbers[-1].span(), text, name)


def _choice(text: str, fields: Mapping[str, Any], name: str) -> Score:
    """As ``mmlu/strict``; the reference is a letter, a place from 0, or the option itself."""
    reference, options = families.CHOICE.value(fields, "reference"), options_of(fields)
    at = reference if isinstance(reference, int) else None
    if at is None and str(reference) in options:
        at = options.index(str(reference))
    letter = str(reference) if at is None else ascii_uppercase[at]
    said = mmlu.strict(text, {**fields, "reference": letter})
    return Score(said.value, said.label, said.rule, said.span, said.matched, name)


def _none(text: str, fields: Mapping[str, Any], name: str) -> Score:
    """No score and one label: texts alone are compared."""
    del text, fields
    return Score(None, "unscored", "none", None, "", name)


PLAIN: Mapping[str, PlainScorer] = {
    family.name: PlainScorer(family, read)
    for family, read in (
        (families.EXACT, _exact),
        (families.REGEX, _regex),
        (families.NUMBER, _number),
        (families.CHOICE, _choice),
        (families.NONE, _none),
    )
}


@cache
def own_scorer(scorer: str, folder: str) -> Callable[[str, Mapping[str, Any]], Score]:
    """The scorer of ``python:module:function``; the module may lie beside the task file.

    The function takes the answer and the sample's fields and gives a finite number, a truth value,
    ``None`` for an answer that it cannot judge, or a pair of that and a label.

    Raises:
        UsageError: there is no such function.
    """
    module, _, name = scorer.removeprefix(families.PYTHON).partition(":")
    sys.path[:0] = [folder, str(Path.cwd())]
    try:
        judge = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        hint = f"write {_FORM}; the module lies beside the task file, or is installed"
        raise UsageError(f"no scorer '{scorer}': {error}", hint=hint) from error
    finally:
        del sys.path[:2]

    def scored(text: str, fields: Mapping[str, Any]) -> Score:
        said = judge(text, fields)
        value, label = said if isinstance(said, tuple) else (said, "")
        value = None if value is None else float(value)
        label = str(label) or ("unparsed" if value is None else f"{value:g}")
        return Score(value, label, "own", None, "", f"{scorer}/{_OWN_VERSION}")

    return scored
