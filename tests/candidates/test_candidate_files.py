from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from harness.candidates import Candidate, candidate_hashes, check_candidates, load_candidates
from harness.errors import MAX_SHOWN, UsageError
from harness.settings import RunSpec
from harness.tasks import Population
from harness.words import DispatchMode

from .conftest import Write

HEADER = "model,task_name,sample_id,batch_size,dispatch_mode"
ROW = "tiny,knowledge,k_0,2,synchronized"
OTHER = "tiny,refusals,r_1,4,prompt_list"


class Loader:
    """Loads text as a candidate file of a small run."""

    def __init__(self, write: Write, spec: RunSpec, population: Population) -> None:
        self._write, self.spec, self.population = write, spec, population

    def __call__(self, text: str, name: str = "c.csv", **changes: object) -> tuple[Candidate, ...]:
        spec = self.spec.model_copy(update=changes)
        file = self._write(name, text)
        return load_candidates([file], spec=spec, population=self.population)

    def error(self, text: str, name: str = "c.csv") -> str:
        with pytest.raises(UsageError) as caught:
            self(text, name)
        return str(caught.value)


@pytest.fixture
def load(write: Write, spec: RunSpec, population: Population) -> Loader:
    return Loader(write, spec, population)


def _csv(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows]) + "\n"


def test_rows_come_in_file_order_with_what_came_with_them(load: Loader) -> None:
    header = f"{HEADER},phase,original_direction,original_solo_score,original_batch_score,note"
    rows = (f'{ROW},1,incorrect_to_correct,0,1.0,"a, b"', f"{OTHER},5,,,,")
    first, second = load(_csv(*rows, header=header))
    assert first.key == ("tiny", "knowledge", "k_0", 2, "synchronized")
    assert (first.phase, first.original_direction) == ("1", "incorrect_to_correct")
    assert (first.original_solo_score, first.original_batch_score) == (0.0, 1.0)
    assert first.extra == {"note": "a, b"}
    assert (second.original_direction, second.original_solo_score) == (None, None)


def test_a_row_without_a_domain_has_that_of_its_task(load: Loader) -> None:
    assert [item.domain for item in load(_csv(ROW, OTHER))] == ["capability", "safety"]


def test_a_row_with_a_domain_keeps_it(load: Loader) -> None:
    (row,) = load(_csv(f"{ROW},safety", header=f"{HEADER},domain"))
    assert row.domain == "safety"


def test_json_lines_give_the_same_candidates_as_csv(load: Loader) -> None:
    keys = HEADER.split(",")
    line = json.dumps(dict(zip(keys, ["tiny", "knowledge", "k_0", 2, "synchronized"], strict=True)))
    assert load(f"{line}\n\n", "c.jsonl") == load(_csv(ROW))


def test_json_values_pass_through_as_they_are(load: Loader) -> None:
    row = {"model": "tiny", "task_name": "knowledge", "sample_id": 7, "batch_size": 2}
    text = json.dumps({**row, "dispatch_mode": "prompt_list", "phase": 5, "tags": [1, {"a": None}]})
    (candidate,) = load(text, "c.jsonl")
    assert (candidate.sample_id, candidate.phase) == ("7", "5")
    assert candidate.extra == {"tags": [1, {"a": None}]}


def test_mark_line_ends_spaces_and_empty_lines_are_tolerated(load: Loader) -> None:
    text = f"\ufeff{HEADER}\r\n\r\n tiny , knowledge,k_0 , 2 ,synchronized\r\n"
    assert load(text) == load(_csv(ROW))


def test_a_file_of_another_suffix_is_read_as_told(load: Loader) -> None:
    assert load(_csv(ROW), "c.txt", candidate_source="csv") == load(_csv(ROW))


def test_a_file_of_another_suffix_asks_for_its_form(load: Loader) -> None:
    assert "neither .csv nor .jsonl" in load.error(_csv(ROW), "c.txt")


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("model", "tny", "unknown model 'tny' (did you mean 'tiny'?)"),
        ("model", "", "is empty"),
        ("task_name", "knowlege", "unknown task 'knowlege' (did you mean 'knowledge'?)"),
        ("sample_id", "k_1", "unknown sample 'k_1' of task 'knowledge' (did you mean 'k_0'?)"),
        ("sample_id", "r_1", "(it is a sample of task 'refusals')"),
        ("batch_size", "1", "must be 2 or more, not 1"),
        ("batch_size", "5", "5 is more than the 4 prompts of the population"),
        ("batch_size", "2.0", "must be a whole number, not '2.0'"),
        ("batch_size", "many", "must be a whole number, not 'many'"),
        ("dispatch_mode", "synchronised", "(did you mean 'synchronized'?)"),
        ("dispatch_mode", "held", "unknown dispatch mode 'held' (known: synchronized, "),
        ("domain", "safty", "unknown domain 'safty' (did you mean 'safety'?)"),
        ("original_direction", "up", "unknown direction 'up' (known: refuse_to_comply, "),
        ("original_solo_score", "high", "must be a number or empty, not 'high'"),
        ("original_batch_score", "nan", "must be a number or empty, not 'nan'"),
        ("hf_id", "org/else", "'org/else', but model 'tiny' is 'org/tiny' in this run"),
    ],
)
def test_a_wrong_cell_names_file_line_and_column(
    load: Loader, column: str, cell: str, message: str
) -> None:
    cells = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | {column: cell}
    error = load.error(
        _csv(OTHER + "," * (len(cells) - 5), ",".join(cells.values()), header=",".join(cells))
    )
    assert f"c.csv:3: column {column}: " in error
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_name_of_any_length_is_cut_where_it_is_known_too(load: Loader) -> None:
    model, *_ = load.spec.models
    load.spec = load.spec.model_copy(
        update={"models": (model.model_copy(update={"name": "9" * 20_000}),)}
    )
    error = load.error(_csv(ROW))
    assert "unknown model 'tiny' (known: 999" in error
    assert len(error) < 1_000


@pytest.mark.parametrize("value", ["2", 2.0, True])
def test_a_batch_size_in_json_is_a_whole_number(load: Loader, value: object) -> None:
    row = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | {"batch_size": value}
    message = "c.jsonl:1: column batch_size: must be a whole number"
    assert message in load.error(json.dumps(row), "c.jsonl")


def test_a_cell_over_two_lines_does_not_shift_the_lines_told(load: Loader) -> None:
    text = _csv(f'{ROW},"a\nb"', "tiny,knowledge,k_9,2,synchronized,", header=f"{HEADER},note")
    assert "c.csv:4: column sample_id: " in load.error(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.csv: the file is empty"),
        (f"{HEADER}\n", "no candidates in this file"),
        (
            HEADER.replace("sample_id", "sampleid") + "\n",
            "column sample_id is missing (did you mean",
        ),
        (HEADER + ",model\n", "column model is there twice"),
        (HEADER.replace(",", ";") + "\n", "not separated by commas"),
        (f"{HEADER}\ntiny,knowledge\n", "c.csv:2: 2 cells where the header has 5 columns"),
        (f'{HEADER}\n"tiny,knowledge\n', "c.csv:2: not readable as CSV"),
    ],
)
def test_a_file_that_is_no_table_says_why(load: Loader, text: str, message: str) -> None:
    assert message in load.error(text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "c.jsonl:1: not readable as JSON"),
        ("[1]", "a line is a JSON object, not [1]"),
        ("{}", "column model: is missing"),
        ('{"model": "a", "model": "b"}', "column model is there twice"),
        ("[" * 100_000, "c.jsonl:1: "),
    ],
    ids=["cut", "list", "empty", "double", "deep"],
)
def test_a_line_that_is_no_object_says_why(load: Loader, line: str, message: str) -> None:
    assert message in load.error(line, "c.jsonl")


def test_the_same_candidate_twice_names_both_places(load: Loader) -> None:
    error = load.error(_csv(ROW, OTHER, ROW))
    assert "c.csv:4: column sample_id: the same candidate as " in error
    assert "c.csv:2: tiny, knowledge, k_0, 2, synchronized" in error


def test_the_same_candidate_in_two_files_is_found(
    write: Write, spec: RunSpec, population: Population
) -> None:
    files = [write("a.csv", _csv(ROW)), write("b.csv", _csv(ROW))]
    with pytest.raises(UsageError, match=r"b\.csv:2: column sample_id: the same candidate as"):
        load_candidates(files, spec=spec, population=population)


def test_many_mistakes_are_told_up_to_a_cap(load: Loader) -> None:
    rows = [f"tiny,knowledge,x_{number},2,synchronized" for number in range(MAX_SHOWN + 5)]
    lines = load.error(_csv(*rows)).splitlines()
    assert len(lines) == MAX_SHOWN + 1
    assert lines[-1].strip() == "and 5 more"


def test_a_list_of_dispatch_modes_replaces_the_candidates_own(load: Loader) -> None:
    modes = (DispatchMode.PROMPT_LIST, DispatchMode.SYNCHRONIZED)
    found = [
        (item.sample_id, item.dispatch_mode)
        for item in load(_csv(ROW, OTHER), dispatch_modes=modes)
    ]
    assert found == [
        ("k_0", "prompt_list"),
        ("k_0", "synchronized"),
        ("r_1", "prompt_list"),
        ("r_1", "synchronized"),
    ]


def test_a_list_with_the_word_original_adds_to_the_candidates_own(load: Loader) -> None:
    twin = ROW.replace("synchronized", "prompt_list")
    modes = ("original", DispatchMode.GATED)
    found = [
        (item.sample_id, item.dispatch_mode) for item in load(_csv(ROW, twin), dispatch_modes=modes)
    ]
    assert found == [("k_0", "synchronized"), ("k_0", "gated"), ("k_0", "prompt_list")]


def test_candidates_that_become_alike_count_once(load: Loader) -> None:
    twin = ROW.replace("synchronized", "prompt_list")
    assert len(load(_csv(ROW, twin), dispatch_modes=(DispatchMode.PROMPT_LIST,))) == 1


def test_a_limit_keeps_the_first(load: Loader) -> None:
    assert [item.sample_id for item in load(_csv(ROW, OTHER), limit=1)] == ["k_0"]


def test_without_models_any_model_name_will_do(write: Write, population: Population) -> None:
    file = write("c.csv", _csv(ROW.replace("tiny", "someone-elses")))
    (candidate,) = check_candidates([file], population=population)
    assert candidate.model == "someone-elses"


def test_no_file_at_all_is_an_error(spec: RunSpec, population: Population) -> None:
    with pytest.raises(UsageError, match="no candidate file is named"):
        load_candidates([], spec=spec, population=population)


def test_a_missing_file_is_an_error(spec: RunSpec, population: Population, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_candidates([tmp_path / "c.csv"], spec=spec, population=population)


def test_the_hash_is_that_of_the_bytes(write: Write) -> None:
    file = write("c.csv", "\ufeffa\r\n")
    assert candidate_hashes([file]) == {str(file): hashlib.sha256(b"\xef\xbb\xbfa\r\n").hexdigest()}
