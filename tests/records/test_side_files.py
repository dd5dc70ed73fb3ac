"""What lies beside the records is sealed as a whole: a change that no check compares is told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from golden.folders import FOLDERS
from sealing import edit, seal

from harness.analyse import validate_run
from harness.conduct.startups import supersede
from harness.errors import UsageError
from harness.records import (
    SIDE_SCHEMA,
    RunFolder,
    read_run_files,
    read_side_file,
    sealed,
    write_side_file,
)

ROOT = Path(__file__).parents[2]
METADATA: dict[str, Any] = {
    "schema_version": SIDE_SCHEMA,
    "run_id": "r",
    "resolved_spec": {"backend": "native", "request": {"temperature": 0.0}},
    "host": {"processor": "a", "cores": 2, "é\ud800": [1.5, None, True]},
    "sessions": [{"exit": 0}],
}
STARTUP: dict[str, Any] = {
    "schema_version": SIDE_SCHEMA,
    "model": "m",
    "mode": "standard",
    "attempts": [{"server": {"backend": "native"}, "log": "m.log", "records": 0}],
    "verdict": "clean",
}
FILES = {"metadata.json": METADATA, "startup_standard_m.json": STARTUP}
MENDED = {
    "metadata.json": "no command makes it anew",
    "startup_standard_m.json": "with --retry-errors asks its server's records again",
}
OTHER = {
    bool: lambda v: not v,
    int: lambda v: v + 1,
    float: lambda v: v + 0.5,
    str: lambda v: f"{v}x",
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "vllm_records.jsonl").write_text("")
    for name, value in FILES.items():
        write_side_file(folder / name, value)
    return folder


def changes(value: Any) -> Iterator[Any]:
    """The value once with each leaf, name and entry of it changed or gone."""
    if isinstance(value, dict):
        for name, held in value.items():
            yield {k: v for k, v in value.items() if k != name}
            yield {k + "_" * (k == name): v for k, v in value.items()}
            yield from ({**value, name: other} for other in changes(held))
    elif isinstance(value, list):
        yield [*value, None]
        for at, held in enumerate(value):
            yield from ([*value[:at], other, *value[at + 1 :]] for other in changes(held))
    else:
        yield OTHER.get(type(value), lambda _: "x")(value)


@pytest.mark.parametrize("name", FILES)
def test_no_value_of_a_side_file_is_changed_unseen(run: Path, name: str) -> None:
    path = run / name
    assert read_side_file(path) == FILES[name]
    whole = json.loads(path.read_text())
    tried = list(changes(whole))
    assert len(tried) > 20
    for changed in tried:
        path.write_text(json.dumps(changed))
        with pytest.raises(UsageError, match=r"damaged: .* checksum"):
            read_side_file(path)


@pytest.mark.parametrize("name", FILES)
def test_every_reader_tells_a_changed_side_file_with_what_mends_it(run: Path, name: str) -> None:
    read_run_files(run)
    told = json.loads((run / name).read_text())
    told["sum"] = "00000000"
    (run / name).write_text(json.dumps(told))
    for look in (read_run_files, validate_run):
        with pytest.raises(UsageError) as refused:
            look(run)
        assert refused.value.file == str(run / name)
        assert "damaged: the file does not have its checksum" in str(refused.value)
        assert MENDED[name] in str(refused.value)


def test_a_changed_start_up_file_is_kept_aside_when_its_records_are_asked_again(run: Path) -> None:
    name = "startup_standard_m.json"
    text = (run / name).read_text().replace('"native"', '"external"')
    (run / name).write_text(text)
    with RunFolder(run) as folder:
        supersede(folder, name)
    assert (run / f"{name}.damaged").read_text() == text
    assert not (run / name).exists()


@pytest.mark.parametrize("told", [{}, {"schema_version": 1, "run_id": "r"}])
def test_metadata_without_a_checksum_is_damaged_beside_start_up_files_that_have_one(
    run: Path, told: dict[str, Any]
) -> None:
    """As where it was emptied: it is written before them, and in their form."""
    (run / "metadata.json").write_text(json.dumps(told))
    with pytest.raises(UsageError, match="damaged: it has no checksum") as refused:
        validate_run(run)
    assert refused.value.file == str(run / "metadata.json")
    assert MENDED["metadata.json"] in str(refused.value)


def test_a_file_of_an_older_version_is_read_without_a_checksum(run: Path) -> None:
    for name, value in FILES.items():
        (run / name).write_text(json.dumps(value | {"schema_version": 1}))
        assert read_side_file(run / name)["schema_version"] == 1
    assert read_run_files(run).run_id == "r"
    with RunFolder(run) as folder:  # and gets one as soon as it is written
        supersede(folder, "startup_standard_m.json")
    edited = json.loads((run / "startup_standard_m.json").read_text())
    assert edited == sealed(edited)
    assert edited["schema_version"] == SIDE_SCHEMA


def test_a_test_edits_a_file_by_one_helper(run: Path) -> None:
    edit(run / "metadata.json", lambda told: told.update(host={}))
    assert read_side_file(run / "metadata.json")["host"] == {}
    seal(run / "metadata.json", METADATA)
    assert read_side_file(run / "metadata.json") == METADATA


@pytest.mark.parametrize("folder", ["results", "tests/golden/runs", "tests/data"])
def test_side_files_that_were_kept_are_read(folder: str) -> None:
    for pattern in ("metadata.json", "startup_*.json"):
        for path in (ROOT / folder).rglob(pattern):
            assert read_side_file(path), path


TYPED = {
    "metadata.json": [
        ("schema_version",),
        *(("resolved_spec", "controls", name) for name in ("warmup_requests", "order")),
        *(("resolved_spec", "request", name) for name in ("temperature", "max_tokens", "seed")),
        ("resolved_spec", "tasks"),
        *(("resolved_spec", "server", name) for name in ("dtype", "max_model_len", "extra_args")),
    ],
    "startup_standard_demo-llama.json": [
        ("schema_version",),
        ("attempts", 0, "server", "command"),
        ("attempts", 0, "server", "environment", "VLLM_BATCH_INVARIANT"),
    ],
}


@pytest.mark.parametrize("told", [[[1]], {"a": 1}, True], ids=str)
@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, paths in TYPED.items() for path in paths], ids=str
)
def test_a_value_of_another_type_is_refused_before_any_check_reads_it(
    tmp_path: Path, name: str, path: tuple[str | int, ...], told: object
) -> None:
    folder = tmp_path / "run"
    FOLDERS["demo"](folder)

    def change(value: Any) -> None:
        for key in path[:-1]:
            value = value[key]
        value[path[-1]] = told

    edit(folder / name, change)
    with pytest.raises(UsageError, match=name):
        validate_run(folder)
