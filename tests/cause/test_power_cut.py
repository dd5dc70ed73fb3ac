"""What a power cut leaves: no record without the part of its server's log that it rests on."""

from __future__ import annotations

import os
from pathlib import Path

from cause.conftest import WORDS

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
