"""`trace` and `sample` on the stand-in server: what is gone on with, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sealing import seal

TRACE = "arrival_s,prompt,sample\n" + "".join(
    (
        *(f"{n * 0.05:.2f},What is {n} and one?,\n" for n in range(4)),
        *(f"{0.02 + n * 0.05:.2f},,letters/{word}\n" for n, word in enumerate(("amber", "birch"))),
    )
)
COMMANDS = {
    "trace": ("trace", "trace.csv", "-c", "spec.yaml", "--json"),
    "sample": (
        *("sample", "-c", "spec.yaml", "--temperature", "0.7", "--samples", "2", "--json"),
        *("--prompts", "4", "--width", "4"),
    ),
}


@pytest.mark.parametrize("verb", ["trace", "sample"])
def test_rows_are_held_against_the_plan_and_their_servers_against_each_other(place, verb):
    place.causes()
    Path("trace.csv").write_text(TRACE)
    code, first, err = place.harness(*COMMANDS[verb])
    assert code in (0, 1), err  # a request may have met nobody
    assert place.harness(*COMMANDS[verb], "--quiet")[:2] == (code, first)
    files = sorted(Path("results").glob(f"*/{'trace' if verb == 'trace' else 'samples'}.jsonl"))
    assert len(files) == 2
    standard = next(file for file in files if file.parent.name.endswith("-standard"))
    lines = standard.read_text().splitlines()
    assert {json.loads(line)["start"] for line in lines} == {1}
    for changed, line in (
        ([*lines[:3], lines[2], *lines[4:]], 4),
        ([*lines[:3], lines[4], lines[3], *lines[5:]], 4),
    ):
        standard.write_text("\n".join(changed))
        code, out, err = place.harness(*COMMANDS[verb])
        assert (code, out) == (2, "")
        assert f"{standard}:{line}: its " in err
        assert "is due here (the rows were changed: --fresh asks anew)" in err
    standard.write_text("\n".join([*lines, ""]))
    metadata = standard.with_name("metadata.json")
    whole = metadata.read_text()
    for name in ("run_id", "fingerprint"):  # as in a copy of a folder of other settings
        seal(metadata, json.loads(whole) | {name: "0"})
        code, out, err = place.harness(*COMMANDS[verb])
        assert (code, out, f"{metadata}: its {name} is '0'" in err) == (2, "", True), err
        assert "--fresh asks anew" in err
    metadata.write_text(whole)
    (other,) = {file.parent for file in files} - {standard.parent}
    shutil.move(other, "aside")
    engine = Path(".venv-cpu/bin/python")
    engine.write_text(engine.read_text().replace("0.32.0", "0.33.0"))
    code, out, err = place.harness(*COMMANDS[verb])
    assert (code, out) == (2, "")
    assert "vllm: '0.32.0', now '0.33.0'" in err
    assert not list(other.glob("native_*"))  # nothing was started
