from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.settings import read_yaml


def _read(tmp_path: Path, content: bytes) -> object:
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    return read_yaml(path).data


def _error(tmp_path: Path, content: bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        _read(tmp_path, content)
    return caught.value


@pytest.mark.parametrize("word", ["on", "off", "yes", "No", "2024-01-01", "007", "1_000", "1:30"])
def test_plain_words_that_yaml_1_1_would_turn_into_something_else_stay_text(
    tmp_path: Path, word: str
) -> None:
    assert _read(tmp_path, f"a: {word}\n".encode()) == {"a": word}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("0.80", 0.8),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_booleans_numbers_and_nothing_are_what_they_look_like(
    tmp_path: Path, text: str, value: object
) -> None:
    read = _read(tmp_path, f"a: {text}\n".encode())
    assert read == {"a": value}
    assert type(read["a"]) is type(value)


def test_a_byte_order_mark_and_windows_line_ends_are_tolerated(tmp_path: Path) -> None:
    assert _read(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: 2\r\n") == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a: 1\nb:\n\tc: 1\n", 3),
        (b"a: b: c\n", 1),
        (b"a: 1\nb: caf\xe9\n", 2),
        (b"a: 1\n\nb: \x01\n", 3),
        (b"a: 1\n---\nb: 2\n", 2),
        (b"a: 1\nb: !!python/object:os.system x\n", 2),
        (b"a: 1\nb: &x [*x]\n", 2),
    ],
    ids=["tab", "colon", "latin-1", "control", "two documents", "foreign tag", "self-alias"],
)
def test_an_unreadable_file_is_an_error_of_one_line_at_its_line(
    tmp_path: Path, content: bytes, line: int
) -> None:
    error = _error(tmp_path, content)
    assert error.line == line
    assert "\n" not in str(error)


def test_a_number_too_long_to_read_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    assert "not readable" in str(_error(tmp_path, b"a: " + b"9" * 5000 + b"\n"))


def test_a_key_given_twice_names_both_lines(tmp_path: Path) -> None:
    error = _error(tmp_path, b"a: 1\nb:\n  c: 1\n  c: 2\n")
    assert error.line == 4
    assert "'c' is given twice, first in line 3" in error.message


def test_every_double_key_is_told_at_once(tmp_path: Path) -> None:
    error = _error(tmp_path, b"a: 1\na: 2\nb: 1\nb: 2\n")
    assert error.line == 2
    assert [row.rpartition(":4: ")[2] for row in error.detail] == [
        "key 'b' is given twice, first in line 3"
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_yaml(tmp_path / "nowhere.yaml")
    assert "nowhere.yaml: no such file" in str(caught.value)


def test_lines_of_keys_and_items_are_found_by_path(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a: 1\nlist:\n  - x: 1\n  - x: 2\n    y: 3\n")
    document = read_yaml(path)
    assert document.line(("a",)) == 1
    assert document.line(("list", 1, "y")) == 5
    assert document.line(("list", 2)) is None
    assert [document.line(("list", index)) for index in range(2)] == [3, 4]


def test_a_mapping_taken_over_by_an_anchor_is_merged(tmp_path: Path) -> None:
    data = _read(tmp_path, b"b: &b {x: 1}\nc: {<<: *b, y: 2}\n")
    assert data == {"b": {"x": 1}, "c": {"x": 1, "y": 2}}


def test_a_key_written_over_an_anchors_has_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("b: &b\n  x: 1\nc:\n  <<: *b\n  x: 2\n")
    document = read_yaml(path)
    assert document.data["c"] == {"x": 2}
    assert document.line(("c", "x")) == 5


def test_aliases_that_multiply_are_refused_and_not_walked(tmp_path):
    names = "abcdefghi"
    rows = [f"{names[0]}: &{names[0]} [x, x, x, x, x, x, x, x, x]"]
    rows += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in itertools.pairwise(names)
    ]
    (tmp_path / "bomb.yaml").write_text("\n".join(rows))
    with pytest.raises(UsageError, match="aliases stand for more than 1,000,000 values"):
        read_yaml(tmp_path / "bomb.yaml")
