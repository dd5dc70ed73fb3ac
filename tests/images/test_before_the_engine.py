"""What lies on this machine is looked at before an engine is asked or an image pulled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.images import DEFAULT_LOCK


@pytest.fixture(autouse=True)
def _no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.chdir(tmp_path)


def typed(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["images", *words])
    return int(left.value.code or 0)


def test_the_images_of_the_lock_are_listed_without_an_engine(capsys) -> None:
    lock = ("--lock", str(DEFAULT_LOCK))
    assert typed("list", *lock) == 0
    assert "no engine says which of them are here: no Docker engine answers" in (
        capsys.readouterr().out
    )
    assert typed("list", *lock, "--json") == 0
    listed = json.loads(capsys.readouterr().out)["images"]
    assert listed
    assert {image["here"] for image in listed} == {None}


PAIR = ("new/vllm:1", "new/vllm:2")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("compare", *PAIR, "--candidates", "nowhere.csv"), "nowhere.csv: no such file"),
        (("compare", *PAIR, "--tasks", "nowhere"), "nowhere"),
        (("compare", PAIR[0], "Not An Image"), "'Not An Image' is not an image reference"),
        (("compare", PAIR[0], PAIR[0]), "is given twice"),
        (("compare", *PAIR, "--fail-on", "flips"), "no condition 'flips'"),
        (("compare", *PAIR, "--format", "pdf"), "pdf"),
        (("bisect", *PAIR, "--images-from", "list.txt", "--candidates", "x.csv"), "x.csv: no such"),
        (("bisect", *PAIR, "--images-from", "none.txt"), "none.txt"),
    ],
)
def test_what_is_wrong_here_is_told_before_an_engine_is_missed(capsys, words, told) -> None:
    Path("list.txt").write_text("\n".join(PAIR))
    profile = ("--profile", "demo-tiny")
    assert typed(*words, *profile) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("words", [("diff", *PAIR), ("inventory", PAIR[0]), ("compare", *PAIR)])
def test_where_only_an_engine_will_do_no_flag_is_named_to_go_without(capsys, words) -> None:
    assert typed(*words, *(("--profile", "demo-tiny") if words[0] == "compare" else ())) == 3
    told = capsys.readouterr().err
    assert "install it (https://docs.docker.com/engine/install))" in told
    assert "--backend" not in told


def test_an_engine_is_missed_once_all_else_is_right(capsys) -> None:
    assert typed("compare", *PAIR, "--profile", "demo-tiny") == 3
    assert "no Docker engine answers" in capsys.readouterr().err
