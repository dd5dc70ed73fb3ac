"""What is asked of the fields of a sample, by the kind of its task."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.errors import shown
from harness.families import (
    BBQ,
    CHOICE,
    EXACT,
    FAMILIES,
    MMLU,
    NUMBER,
    REGEX,
    TRUTHFULQA,
    Family,
)
from harness.tasks.answer_numbers import read_number
from harness.tasks.answer_options import (
    STUDY_UNKNOWN,
    is_unknown_option,
    options_of,
    unknown_index,
)

Broken = Iterator[tuple[str, str]]
"""Ids of the rules that a sample breaks, each with the facts of the place."""
SampleCheck = Callable[[Mapping[str, Any]], Broken]

CHECKS: Mapping[str, list[SampleCheck]] = {name: [] for name in FAMILIES}
"""What is checked of a sample of each kind of task; a refusal's prompt is all there is of it."""

_BIASED, _ANTI = BBQ.fields["biased"], BBQ.fields["anti"]
_INDICES = (*_BIASED, *_ANTI, *BBQ.fields["unknown"], *BBQ.fields["correct"])
_PAPER_LETTERS = 4
_MOST_LETTERS = 26


def _asked_of(family: Family) -> Callable[[SampleCheck], SampleCheck]:
    """The function is a check of this kind of task."""

    def register(check: SampleCheck) -> SampleCheck:
        CHECKS[family.name].append(check)
        return check

    return register


@_asked_of(BBQ)
def _bbq_indices(fields: Mapping[str, Any]) -> Broken:
    """Options of a bias question, and the indices that point at them."""
    options = options_of(fields)
    if len(options) < 2:
        yield "bbq-options", f"{len(options)} options"
        return
    index = _indices(fields, len(options))
    for key in _INDICES:
        if (value := fields.get(key)) is not None and key not in index:
            yield "bbq-index-range", f"{key} is {shown(value)}, options are 0 to {len(options) - 1}"
    if all(fields.get(key) is None for key in _BIASED):
        yield "bbq-no-biased-index", "no biased_idx, no stereotyped_idx"
    correct, reference = index.get("correct_label"), fields.get("reference")
    if correct is not None and reference is not None and str(reference) != options[correct]:
        message = f"reference {shown(reference)}, correct_label {shown(options[correct])}"
        yield "bbq-reference-mismatch", message
    for biased, anti in zip(_BIASED, _ANTI, strict=True):
        if biased in index and index[biased] == index.get(anti):
            yield "bbq-biased-is-anti", f"{biased} and {anti} are {index[biased]}"


@_asked_of(BBQ)
def _bbq_unknown(fields: Mapping[str, Any]) -> Broken:
    """The option of a bias question that says "unknown", and what its biased answer is."""
    options = options_of(fields)
    if len(options) < 2:
        return
    index, unknown = _indices(fields, len(options)), unknown_index(fields, options)
    if unknown is None:
        yield "bbq-no-unknown-option", " | ".join(options)[:80]
    elif 0 <= unknown < len(options):
        wording = options[unknown]
        for rule, keys in (("bbq-biased-is-unknown", _BIASED), ("bbq-anti-is-unknown", _ANTI)):
            for key in keys:
                if index.get(key) == unknown:
                    yield rule, f"{key} {unknown} is the option {shown(wording)}"
        if not is_unknown_option(wording):
            yield "bbq-unknown-idx-wording", shown(wording)
        elif not any(pattern.search(wording) for _, pattern in STUDY_UNKNOWN):
            yield "bbq-unknown-unread-by-paper", shown(wording)
    polarity = fields.get("question_polarity")
    if polarity not in ("neg", "nonneg") and fields.get("biased_idx") is None:
        message = "no question_polarity" if polarity is None else f"polarity {shown(polarity)}"
        yield "bbq-no-polarity", message


def _indices(fields: Mapping[str, Any], options: int) -> dict[str, int]:
    """The keys whose value is an index of one of so many options."""
    given = {key: fields.get(key) for key in _INDICES}
    return {k: v for k, v in given.items() if type(v) is int and 0 <= v < options}


@_asked_of(TRUTHFULQA)
def _truthfulqa(fields: Mapping[str, Any]) -> Broken:
    """The two lists of reference answers."""
    lists: dict[str, dict[str, str]] = {}
    for key in (*TRUTHFULQA.fields["correct"], *TRUTHFULQA.fields["incorrect"]):
        value, lists[key] = fields.get(key), {}
        listed = value if isinstance(value, list) else []
        texts = (str(item) for item in listed if isinstance(item, str | int | float))
        answers = [text for text in texts if text.strip()]
        if not answers:
            said = "missing" if value is None else shown(value)
            yield "truthfulqa-no-references", f"{key}: {said}"
        elif gaps := len(listed) - len(answers):
            message = f"{key}: {gaps} of {len(listed)} are empty or no text"
            yield "truthfulqa-empty-reference", message
        for answer in answers:
            if _plain(answer) in lists[key]:
                yield "truthfulqa-duplicate-reference", f"{key}: {shown(answer)}"
            lists[key][_plain(answer)] = answer
    correct, incorrect = lists.values()
    for shared in correct.keys() & incorrect.keys():
        yield "truthfulqa-overlap", shown(correct[shared])
    reference = fields.get("reference")
    if correct and reference is not None and _plain(str(reference)) not in correct:
        yield "truthfulqa-reference-unlisted", shown(reference)


def _plain(answer: str) -> str:
    """An answer without case, punctuation at its end and Unicode variants."""
    folded = unicodedata.normalize("NFKC", answer).replace("’", "'").casefold()
    return " ".join(folded.split()).rstrip(" .!?")


@_asked_of(MMLU)
def _mmlu(fields: Mapping[str, Any]) -> Broken:
    """The letter of the reference, and the options."""
    options = options_of(fields)
    reference = str(fields.get("reference", "")).strip()
    letters = len(options) or _MOST_LETTERS
    if not (re.fullmatch("[A-Z]", reference) and ord(reference) - ord("A") < letters):
        message = f"reference {shown(reference)}, {len(options) or 'unknown number of'} options"
        yield "mmlu-reference", message
    elif ord(reference) - ord("A") >= _PAPER_LETTERS:
        yield "mmlu-beyond-d", f"reference {reference}"
    if not options:
        yield "mmlu-no-options", "no options"
    for option in sorted({option for option in options if options.count(option) > 1}):
        yield "mmlu-duplicate-option", shown(option)


@_asked_of(EXACT)
@_asked_of(NUMBER)
@_asked_of(REGEX)
@_asked_of(CHOICE)
def _reference(fields: Mapping[str, Any]) -> Broken:
    """That there is something to judge an answer by."""
    given = [fields[key] for key in ("reference", "references", "pattern") if fields.get(key)]
    if not given and fields.get("reference") != 0:
        yield "plain-no-reference", "no reference"


@_asked_of(REGEX)
def _pattern(fields: Mapping[str, Any]) -> Broken:
    """That a pattern can be read."""
    try:
        re.compile(str(fields.get("pattern") or fields.get("reference") or ""))
    except re.error as error:
        yield "plain-bad-pattern", str(error)


@_asked_of(CHOICE)
def _options(fields: Mapping[str, Any]) -> Broken:
    """That the reference is one of the options."""
    options, reference = options_of(fields), fields.get("reference")
    letters = [chr(ord("A") + at) for at in range(len(options) or _MOST_LETTERS)]
    known = reference in options or str(reference).strip().upper() in letters
    if not known and not (type(reference) is int and 0 <= reference < len(letters)):
        yield "plain-no-such-option", f"reference {shown(reference)}"


@_asked_of(NUMBER)
def _is_number(fields: Mapping[str, Any]) -> Broken:
    """That references and tolerance are numbers."""
    value = fields.get("references") or fields.get("reference")
    for one in (*(value if isinstance(value, list) else [value]), fields.get("tolerance", 0)):
        try:
            read_number(one)
        except ValueError:
            yield "plain-no-number", shown(one)
