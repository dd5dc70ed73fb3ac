"""A case file is closed under arithmetic: what is changed in it by one byte is told."""

from __future__ import annotations

import json
import random

import pytest

from harness.cause import Case, CaseAnswer, CasePrompt, CaseStack, check_case, write_case
from harness.errors import UsageError
from harness.findings import Status
from harness.records import Answer, Likely, diverged, text_hash
from harness.words import Mode

ALONE = Answer(
    text="a b c",
    token_ids=(1, 2, 3),
    likely=tuple((Likely(n, -0.1), Likely(n + 9, -2.0)) for n in (1, 2, 3)),
)
BATCHED = Answer(
    text="a x c",
    token_ids=(1, 11, 3),
    likely=tuple((Likely(n, -0.25), Likely(n + 1, -0.5)) for n in (1, 11, 3)),
)


@pytest.fixture
def case(tmp_path):
    parted = diverged(ALONE, BATCHED)
    made = Case(
        source={"run": "r", "record": "1"},
        mode=Mode.BATCH_INVARIANT,
        stack=CaseStack("0.32.0", "cpu", "a CPU", None, None, {}),
        spec={"name": "s"},
        schedule="gated",
        prompts=tuple(CasePrompt(t, text_hash(t), (7,)) for t in ("one\ud83d", "two")),
        target=1,
        alone=CaseAnswer.of(ALONE),
        batched=CaseAnswer.of(BATCHED),
        divergence=parted,
        closeness=parted.closeness,
        witness=None,
        trials={"changed": 3, "same": 0, "vacuous": 0},
        asked={"trials": 9, "companions": 7},
    )
    write_case(made, tmp_path / "case.json")
    return tmp_path / "case.json"


def failed(path):
    return [one.check for one in check_case(path) if one.status is Status.FAILED]


def test_a_case_as_it_was_written_has_nothing_wrong(case):
    assert failed(case) == []


def test_one_changed_byte_is_always_told(case):
    data, rng = case.read_bytes(), random.Random(5)
    value = json.loads(data)
    for _ in range(400):
        place, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        case.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
        try:
            told = failed(case)
        except UsageError:
            continue
        assert told or json.loads(case.read_bytes()) == value  # white space alone


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda c: c["divergence"].update(token=2), "divergence"),
        (lambda c: c.update(closeness="tie"), "closeness"),
        (lambda c: c["alone"].update(text="other"), "alone"),
        (lambda c: c["prompts"][0].update(text="three"), "prompts"),
        (lambda c: c.update(target=5), "target"),
        (lambda c: c["batched"]["likely"][0].reverse(), "batched order"),
        (lambda c: c["trials"].update(changed=0), "trials"),
        (lambda c: c["divergence"]["alone"][0].__setitem__(0, 5), "chosen"),
    ],
)
def test_each_number_that_does_not_follow_is_named(case, change, check):
    value = json.loads(case.read_text())
    change(value)
    case.write_text(json.dumps(value))
    assert {check, "sum"} <= set(failed(case))


def test_what_is_no_case_file_is_refused(case):
    case.write_text('{"schema_version": 1}')
    with pytest.raises(UsageError, match="is no case file"):
        check_case(case)
