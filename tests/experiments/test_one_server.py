"""Answers that are compared come from one server: another release, image or file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.conduct import insist_on_one_server
from harness.errors import UsageError
from harness.jobs import certifying
from harness.jobs.certifying import Asked
from harness.jobs.matrix_cells import Cells, read_axes
from harness.settings import load_spec
from harness.words import DispatchMode

TOLD = {
    "versions": {"vllm": "0.32.0+cpu", "harness": "1.0.0", "scipy": "1.0"},
    "device": {"kind": "cpu", "name": "a processor"},
    "image": {"reference": "vllm@sha256:1", "image_id": "sha256:1"},
    "scorers": {"refusal/strict": 1},
    "model_files": {"m": "a"},
    "server_files": {"template.jinja": "a"},
    "task_files": {"t.yaml": "a"},
    "resolved_spec": {"backend": "native"},
}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    found = [tmp_path / name for name in ("one", "other")]
    for folder in found:
        folder.mkdir()
        tell(folder)
    return found


def tell(folder: Path, **changes: object) -> None:
    (folder / "metadata.json").write_text(json.dumps({**TOLD, **changes}))


def test_folders_of_one_server_are_let_through(folders) -> None:
    insist_on_one_server(folders)
    tell(folders[1], versions={"vllm": "0.32.0", "harness": "2.0.0", "scipy": "1.1"})
    insist_on_one_server(folders)  # the harness's own packages answer nothing


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"versions": {"vllm": "0.33.0"}}, "vllm: '0.33.0', beside '0.32.0'"),
        ({"device": {"kind": "cpu", "name": "another"}}, "cpu device: 'another'"),
        ({"image": {"image_id": "sha256:2"}}, "image image_id: 'sha256:2'"),
        ({"scorers": {"refusal/strict": 2}}, "scorer refusal/strict: 2"),
        ({"model_files": {"m": "b"}}, "weights of m: 'b'"),
        ({"server_files": {"template.jinja": "b"}}, "the server's template.jinja: 'b'"),
        ({"task_files": {"t.yaml": "b"}}, "task file t.yaml: 'b'"),
    ],
)
def test_what_differs_is_named_with_the_command_that_goes_on(folders, change, told: str) -> None:
    tell(folders[1], **change)
    with pytest.raises(UsageError) as refused:
        insist_on_one_server(folders)
    assert refused.value.file == str(folders[1] / "metadata.json")
    assert any(told in line for line in refused.value.detail)
    assert "--fresh" in str(refused.value)
    with pytest.raises(UsageError):
        insist_on_one_server(folders[::-1])


def test_a_server_that_never_answered_tells_no_release(folders) -> None:
    tell(folders[1], versions={"vllm": "0.33.0"}, device=None)
    insist_on_one_server(folders)


def test_of_somebody_elses_server_its_release_alone_is_compared(folders) -> None:
    theirs = {"resolved_spec": {"backend": "external"}}
    for folder in folders:
        tell(folder, **theirs)
    tell(folders[1], **theirs, device={"kind": "cpu", "name": "another"})
    insist_on_one_server(folders)
    tell(folders[1], **theirs, versions={"vllm": "0.33.0"})
    with pytest.raises(UsageError):
        insist_on_one_server(folders)


@pytest.mark.parametrize("text", ['{"versions": 7}', "[]", "{"])
def test_metadata_that_is_none_is_one_message_with_its_file(folders, text: str) -> None:
    (folders[1] / "metadata.json").write_text(text)
    with pytest.raises(UsageError) as refused:
        insist_on_one_server(folders)
    assert refused.value.file == str(folders[1] / "metadata.json")


ONE = Asked((DispatchMode.SYNCHRONIZED,), (2,), 2, 2)


def cells(axis: str, results: Path) -> Cells:
    return Cells(load_spec("demo-tiny"), read_axes([axis]), ONE, results)


def test_every_run_of_a_matrix_is_held_against_the_bases_first(tmp_path: Path) -> None:
    asked = cells("prefix_cache=off|on", tmp_path)
    (_, first), (_, second) = (asked.work_of((), number) for number in (1, 2))
    _, other = asked.work_of((("prefix_cache", "on"),), 1)
    assert second.beside == other.beside == (tmp_path / str(first.run_id),)


def test_servers_that_are_an_axis_need_not_be_one(tmp_path: Path) -> None:
    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2")
    asked = cells(f"server={'|'.join(urls)}", tmp_path)
    assert not asked.work_of((("server", urls[1]),), 1)[1].beside


def test_every_run_of_a_certificate_is_held_against_the_others(tmp_path, monkeypatch) -> None:
    seen = list[tuple[str, tuple[str, ...]]]()

    def note(works) -> None:
        seen.extend((own.run_id, tuple(one.name for one in own.beside)) for _, own in works)
        raise UsageError("seen")

    monkeypatch.setattr(certifying, "at_once", note)
    with pytest.raises(UsageError, match="seen"):
        certifying.certify_stack(
            load_spec("demo-tiny"), ONE, tmp_path, None, quiet=True, fresh=False
        )
    (one, beside), (other, beside_other) = seen
    assert (beside, beside_other) == ((other,), (one,))
