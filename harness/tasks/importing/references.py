"""What a scorer needs of an imported sample, out of the forms in which evaluations write it.

A worked answer ends in its number, behind ``####`` in GSM8K's form; a right option is told by its
place, its letter or its text.
"""

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from harness.families import CHOICE, EXACT, NUMBER, REGEX, Family
from harness.tasks.answer_numbers import numbers_in
from harness.tasks.answer_options import options_of
from harness.tasks.importing.source_rows import RowSkipped, answer_index

_MARK = "####"
_JUDGED = {EXACT.name: EXACT, REGEX.name: REGEX, NUMBER.name: NUMBER, CHOICE.name: CHOICE}


def for_scorer(sample: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The sample with its reference as the scorer of that name reads it.

    Raises:
        RowSkipped: it has none, or none that the scorer could read without a guess.
    """
    family = _JUDGED.get(name)
    if family is None:
        return dict(sample)
    value = _reference(sample, family)
    if family is NUMBER:
        key = next(key for key in family.fields["reference"] if sample.get(key) is value)
        read = [_number(str(one)) for one in value] if isinstance(value, list) else None
        return {**sample, key: _number(str(value)) if read is None else read}
    return {**sample, "reference": _letter(sample, value)} if family is CHOICE else dict(sample)


def _reference(sample: Mapping[str, Any], family: Family) -> Any:
    try:
        value = family.value(sample, "reference")
    except KeyError:
        value = None
    if value in (None, "", []):
        raise RowSkipped(f"no reference, which scorer {family.name} needs")
    return value


def _number(text: str) -> str:
    """The last number of a text, or of what stands behind its mark."""
    found = numbers_in(text.rpartition(_MARK)[2])
    if not found:
        raise RowSkipped("no number in the reference, which scorer number needs")
    return found[-1].group().replace(",", "").rstrip(".")


def _letter(sample: Mapping[str, Any], value: Any) -> str:
    """The letter of the right option."""
    if not (options := options_of(sample)):
        raise RowSkipped("no options (choices), which scorer choice needs")
    by_text = [at for at, option in enumerate(options) if option.strip() == str(value).strip()]
    try:
        by_place = [answer_index(value, options)]
    except RowSkipped:
        by_place = []
    found = {*by_text, *by_place}
    if len(found) != 1:
        why = "may be an option's place or its text" if found else "names no option"
        raise RowSkipped(f"the reference {why}")
    return ascii_uppercase[found.pop()]
