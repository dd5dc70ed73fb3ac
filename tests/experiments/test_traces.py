"""Traces are read by the columns of their sources, and refused line by line."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.experiments import clipped, read_trace, refuse_long

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
"""
BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
"""
TIMED = [
    {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]},
    {"timestamp": 30535, "input_length": 6472, "output_length": 26, "hash_ids": [46, 47]},
]
SAVED = {
    "duration": 2.0,
    "input_lens": [11, 12],
    "output_lens": [5, 6],
    "start_times": [1000.5, 1000.25],
    "generated_texts": ["a", "b"],
}
OWN = 'arrival_s,prompt\n0.5,"Two\nlines"\n0.0,One\n'


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_azures_columns_give_times_to_the_microsecond_and_lengths(write) -> None:
    found = read_trace(write("azure.csv", AZURE))
    assert [one.at_s for one in found] == pytest.approx([0, 4.314579, 4.541877], abs=2e-6)
    assert [(one.prompt_tokens, one.answer_tokens) for one in found][-1] == (879, 55)


def test_azures_times_of_2024_with_a_zone_are_read_too(write) -> None:
    rows = "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:00.017335+00:00,2399,6\n"
    found = read_trace(write("azure.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows))
    assert found[1].at_s == pytest.approx(0.007405, abs=2e-6)


def test_the_burst_trace_of_vllms_benchmark_is_read(write) -> None:
    found = read_trace(write("burst.csv", BURST))
    assert [(one.at_s, one.prompt_tokens, one.answer_tokens) for one in found] == [
        (0, 472, 18),
        (40, 1087, 230),
    ]


def test_vllms_timed_traces_are_read_in_their_unit(write) -> None:
    path = write("timed.jsonl", "".join(json.dumps(row) + "\n" for row in TIMED))
    assert read_trace(path, unit="ms")[1].at_s == pytest.approx(3.053)
    assert read_trace(path)[1].at_s == pytest.approx(3053)


def test_vllms_saved_results_are_a_trace_in_the_order_of_their_start_times(write) -> None:
    found = read_trace(write("saved.json", json.dumps(SAVED)))
    assert [(one.at_s, one.prompt_tokens) for one in found] == [(0, 12), (0.25, 11)]


def test_prompts_keep_their_lines_and_rows_their_order_of_arrival(write) -> None:
    found = read_trace(write("own.csv", OWN))
    assert [one.prompt for one in found] == ["One", "Two\nlines"]
    assert read_trace(write("own.csv", OWN), limit=1)[0].prompt == "One"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("arrival_s,prompt\n0,a\nsoon,b\n", 3, "no time of arrival"),
        ("arrival_s,prompt\nnan,a\n", 2, "no time of arrival"),
        ("when,prompt\n1,a\n", 2, "no time of arrival"),
        ("arrival_s,prompt_tokens\n0,1.5\n", 2, "must be a whole number of 1 or more, not '1.5'"),
        ("arrival_s,prompt_tokens\n0,0\n", 2, "must be a whole number of 1 or more, not '0'"),
        ("arrival_s,prompt,sample\n0,a,t/s\n", 2, "a prompt or names a sample, not both"),
        ("arrival_s,prompt\n", None, "no request in this trace"),
        ("arrival_s,prompt_tokens\n0,inf\n", 2, "must be a whole number of 1 or more, not 'inf'"),
        (f"arrival_s,prompt_tokens\n0,{'9' * 400}\n", 2, "must be a whole number of 1 or more"),
        ("arrival_s,prompt_tokens\n0,1_000\n", 2, "must be a whole number of 1 or more"),
        ("arrival_s,prompt\n0,Hello, you\n", 2, "3 cells, and the head has 2"),
        ("arrival_s,prompt\n0,a\n1\n", 3, "1 cells, and the head has 2"),
        ("arrival_s,prompt\n0,a\n1,\n", 3, "column prompt: empty"),
        ("arrival_s,sample,prompt_tokens\n0,,\n", 2, "column sample: empty"),
        ("arrival_s,arrival_s\n0,1\n", 1, "column arrival_s is there twice"),
        ('arrival_s,prompt\n0,"a\n1,b\n', 3, "not CSV: unexpected end of data"),
        (f"arrival_s,prompt\n0,{'x' * (1 << 24)}y\n", 2, "not CSV: field larger"),
        ('arrival_s,prompt\n0,"a\nb"\nsoon,c\n', 4, "no time of arrival"),
        ('arrival_s,prompt\nsoon,"a\nb"\n', 2, "no time of arrival"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(write, text, line, message) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        read_trace(write("bad.csv", text))
    assert refused.value.line == line


@pytest.mark.parametrize("text", ["{}", '{"start_times": [1], "input_lens": [1, 2]}', "[]"])
def test_a_json_file_without_vllms_columns_is_refused(write, text: str) -> None:
    with pytest.raises(UsageError):
        read_trace(write("saved.json", text))


def test_a_request_that_the_server_cannot_hold_is_refused_or_cut(write) -> None:
    path = write("azure.csv", AZURE)
    found = read_trace(path)
    with pytest.raises(UsageError, match=r"418 tokens do not fit.* 400 \(3 such rows\)") as refused:
        refuse_long(found, 400, path)
    assert refused.value.line == 2
    cut = clipped(found, 400)
    refuse_long(cut, 400, path)
    assert [(one.prompt_tokens, one.answer_tokens) for one in cut] == [
        (356, 44),
        (291, 109),
        (345, 55),
    ]


@pytest.mark.parametrize("value", ["Infinity", "1e400", "9" * 400, "NaN", "-1", "true", "[]"])
@pytest.mark.parametrize("column", ["arrival_s", "prompt_tokens"])
def test_no_number_of_json_ends_in_anything_but_a_message(write, column: str, value: str) -> None:
    cells = {"arrival_s": "0", "prompt_tokens": "3", column: value}
    row = ", ".join(f'"{name}": {told}' for name, told in cells.items())
    path = write("own.jsonl", f"{{{row}}}\n")
    if (column, value) == ("arrival_s", "-1"):
        assert read_trace(path)[0].at_s == 0
        return
    with pytest.raises(UsageError, match=f"column {column}"):
        read_trace(path)


def test_a_row_with_a_text_of_its_own_keeps_it_whatever_its_length_is_said_to_be(write) -> None:
    rows = "0,,t/one,99999,7\n1,Hello,,99999,\n2,,,12,\n"
    path = write("own.csv", f"arrival_s,prompt,sample,prompt_tokens,output_tokens\n{rows}")
    found = read_trace(path)
    assert [(one.prompt, one.sample, one.prompt_tokens) for one in found] == [
        (None, "t/one", None),
        ("Hello", None, None),
        (None, None, 12),
    ]
    assert found[0].answer_tokens == 7
    refuse_long(found, 2048, path)


def test_times_without_a_zone_are_the_same_wherever_they_are_read(write, monkeypatch) -> None:
    rows = "2024-03-31 01:59:59,1,1\n2024-03-31 03:00:01,1,1\n"  # a clock in Berlin springs here
    path = write("azure.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    for zone in ("UTC", "Europe/Berlin"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert read_trace(path)[1].at_s == 3602
    monkeypatch.undo()
    time.tzset()


def test_half_of_a_surrogate_pair_is_refused_before_it_fails_to_be_sent(write) -> None:
    with pytest.raises(UsageError, match="half of a surrogate pair"):
        read_trace(write("own.jsonl", '{"arrival_s": 0, "prompt": "x\\ud800"}\n'))


def test_a_suffix_counts_in_any_case_and_so_do_names_of_columns(write) -> None:
    assert read_trace(write("T.JSONL", '{"ARRIVAL_S": 1, " Prompt ": "x"}\n'))[0].prompt == "x"
    assert len(read_trace(write("S.JSON", json.dumps(SAVED)))) == 2
    assert read_trace(write("T.CSV", "\ufeffArrival_S , PROMPT\r\n0,x\r\n"))[0].prompt == "x"
