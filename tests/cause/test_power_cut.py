"""What a power cut leaves: no record without the part of its server's log that it rests on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cause.conftest import WORDS
from sealing import seal

from harness.records import RECORDS

_LOG = "native_standard_tiny.log"
_ALONE = 3
"""Requests that each row's prompt is asked alone: S0, S1 and S2."""


def test_no_record_is_on_disk_before_what_its_servers_log_tells_of_it(place, monkeypatch):
    rows = "".join(f"tiny,letters,{word},4,synchronized\n" for word in WORDS[:4])
    header = "model,task_name,sample_id,batch_size,dispatch_mode\n"
    (place.folder / "candidates.csv").write_text(header + rows)
    place.causes()
    kept: dict[str, bytes] = {}
    after_each, synced = [], os.fsync

    def fsync(descriptor):
        synced(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            kept[path.name] = path.read_bytes()
        if path.name == RECORDS:
            after_each.append(kept.get(_LOG, b"").count(b'"POST /v1/completions'))

    monkeypatch.setattr(os, "fsync", fsync)
    code, _, said = place.harness("run", "-c", "spec.yaml", "--run-id", "r", "--modes", "standard")
    assert code == 0, said
    assert len(after_each) == len(WORDS[:4])
    for records, requests in enumerate(after_each, start=1):
        assert requests >= records * _ALONE


@pytest.mark.parametrize("ended", [False, True], ids=["killed", "whole"])
def test_a_log_that_was_cut_after_all_has_its_records_asked_again(place, ended):
    rows = "".join(f"tiny,letters,{word},4,synchronized\n" for word in WORDS[:4])
    header = "model,task_name,sample_id,batch_size,dispatch_mode\n"
    (place.folder / "candidates.csv").write_text(header + rows)
    place.causes()
    words = ("run", "-c", "spec.yaml", "--run-id", "r", "--modes", "standard")
    assert place.harness(*words)[0] == 0
    run = place.folder / "results/r"
    file, log, records = (run / name for name in ("startup_standard_tiny.json", _LOG, RECORDS))
    startup, told = json.loads(file.read_text()), "logs_unchanged: missing or changed since"
    if not ended:
        told = "logs_whole: logs that end before what was written of them"
        startup["attempts"][0] |= {
            "records": 0,
            "ended_at": None,
            "log_sha256": None,
            "metrics": {},
        }
        seal(file, startup)
        records.write_bytes(b"".join(records.read_bytes().splitlines(keepends=True)[:3]))
    log.write_bytes(log.read_bytes()[: log.stat().st_size * 3 // 4])
    code, _, said = place.harness(*words)
    assert code == 1
    assert told in said
    assert "with --retry-errors asks again" in said
    assert "asked_as_logged" not in said
    code, _, said = place.harness(*words, "--retry-errors")
    assert code == 0, said
    assert len((run / "superseded_records.jsonl").read_bytes().splitlines()) == len(WORDS[:4])
    assert place.harness("validate", run)[0] == 0


@pytest.mark.parametrize("harm", ["log", "start-up file"])
def test_modes_that_cannot_be_compared_for_what_is_lost_are_once_it_is_asked_again(place, harm):
    """The same command, which concludes, comes between: what it writes down is in nobody's way."""
    rows = "".join(f"tiny,letters,{word},4,synchronized\n" for word in WORDS[:4])
    header = "model,task_name,sample_id,batch_size,dispatch_mode\n"
    (place.folder / "candidates.csv").write_text(header + rows)
    place.causes({"mode": "standard"})
    words = ("run", "-c", "spec.yaml", "--run-id", "r")
    assert place.harness(*words)[0] == 0
    run = place.folder / "results/r"
    file, log = run / "startup_standard_tiny.json", run / _LOG
    startup = json.loads(file.read_text())
    killed = {"records": 0, "ended_at": None, "log_sha256": None, "metrics": {}}
    startup["attempts"][0] |= killed
    seal(file, startup)
    log.write_text("")
    if harm == "start-up file":
        file.unlink()
    code, _, said = place.harness(*words)
    assert code == (1 if harm == "log" else 4), said  # 4: a mode is not proven
    assert "with --retry-errors asks again" in said
    assert "mode_parity" not in said
    assert place.harness("validate", run)[0] == 1
    code, _, said = place.harness(*words, "--retry-errors")
    assert code == 0, said
    assert place.harness("validate", run)[0] == 0
