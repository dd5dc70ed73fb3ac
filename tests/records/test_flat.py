"""Lines of the required columns are read a block at a time: as one by one, and as strictly."""

import json
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.records import numbered, read_records, reader, scan_records
from harness.records.rows import decode_flat

KEYS = ("model", "task_name", "sample_id", "phase", "mode", "solo_score")


def row(number, **other):
    told = sha256(str(number % 5).encode()).hexdigest()
    return {
        "model": "m",
        "task_name": f"t{number % 2}",
        "sample_id": f"s{number}",
        "batch_size": 8,
        "dispatch_mode": "synchronized",
        "phase": number % 3 or None,
        "domain": "safety",
        "original_direction": None,
        "mode": ("standard", "batch_invariant")[number % 2],
        "status": "ok",
        "solo_score": 1.0,
        "batch_score": None if number == 3 else float(number % 2),
        "solo_response_hash": told,
        "batch_response_hash": sha256(b"x").hexdigest() if number == 4 else told,
        **other,
    }


LINES = [json.dumps(row(number)) for number in range(9)]


def lines(**other):
    """The lines with some of them replaced: ``L3="…"``."""
    return [other.get(f"L{number}", line) for number, line in enumerate(LINES)]


def twice(line, key, colon='": '):
    return f'{line[:-1]}, "{key}{colon}{json.dumps(json.loads(line)[key])}}}'


def blanked(line):
    """A line with a blank before one colon, which is one key fewer to a count of signs."""
    return line.replace('": ', '" : ', 1)


OTHERS = {
    "an empty line": [*LINES[:4], "", *LINES[4:]],
    "a line of another column": lines(L3=json.dumps(row(3, note="x"))),
    "a record in error": lines(L3=json.dumps(row(3, status="error", batch_response_hash=None))),
    "a record without a hash": lines(L3=json.dumps(row(3, batch_response_hash=None))),
    "a score that is no number": lines(
        L3=LINES[3].replace('"solo_score": 1.0', '"solo_score": NaN')
    ),
    "a line that is cut": [*LINES[:8], LINES[8][:50]],
    "two records on a line": [*LINES[:3], LINES[3] + LINES[4], *LINES[5:]],
    "two on one line, and one on two": [
        *LINES[:3],
        LINES[3] + LINES[4],
        *LINES[5].split(" ", 4)[:1],
        LINES[5].split(" ", 1)[1],
        *LINES[6:],
    ],
    **{f"{key} twice": lines(L3=twice(LINES[3], key)) for key in KEYS},
    **{f"{key} twice, spaced": lines(L3=twice(LINES[3], key, '" : ')) for key in KEYS},
    **{
        f"{key} twice, and a blank": lines(L3=twice(LINES[3], key), L5=blanked(LINES[5]))
        for key in KEYS
    },
}


def told(path, read):
    """All that is read, or why it is not."""
    try:
        records = read(path)
    except UsageError as error:
        return str(error)
    frame = records.frame.drop(columns=["solo_said", "batch_said"]).astype(object)
    problems = [(one.line, one.message, one.truncated) for one in records.problems]
    return frame.to_json(), records.candidates.to_json(), records.errors, problems


@pytest.mark.parametrize("name", OTHERS)
def test_a_block_with_a_line_of_another_kind_is_read_line_by_line(name, tmp_path, monkeypatch):
    path, text = (
        tmp_path / "records.jsonl",
        "\n".join(OTHERS[name]) + "\n" * (len(OTHERS[name]) != 9),
    )
    path.write_text(text)
    assert decode_flat(text.encode(), len(OTHERS[name])) is None
    found = [told(path, read) for read in (read_records, scan_records)]
    monkeypatch.setattr(reader, "decode_flat", lambda block, lines: None)
    assert found == [told(path, read) for read in (read_records, scan_records)]


@pytest.mark.parametrize("end", ["\n", ""])
def test_lines_of_the_required_columns_are_read_as_one_by_one(end, tmp_path, monkeypatch):
    path, text = tmp_path / "records.jsonl", "\n".join(LINES) + end
    path.write_text(text)
    assert decode_flat(text.encode(), len(LINES)) is not None
    found = told(path, scan_records)
    monkeypatch.setattr(reader, "decode_flat", lambda block, lines: None)
    assert found == told(path, scan_records)


def test_a_key_twice_is_refused_by_its_name(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(OTHERS["phase twice"]))
    with pytest.raises(UsageError, match="the key 'phase' stands there twice"):
        read_records(path)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 3)), max_size=20))
def test_rows_are_numbered_by_their_first_appearance(rows):
    columns = np.array(rows, np.int64).reshape(-1, 2)
    number, first = numbered(*columns.T)
    names = pd.DataFrame(columns).apply(tuple, axis=1).tolist() if rows else []
    assert [names[at] for at in first] == list(dict.fromkeys(names))
    assert [names[first[one]] for one in number] == names
