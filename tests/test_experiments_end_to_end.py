"""The experiments on real vLLM CPU servers of both modes."""

from __future__ import annotations

import json

import pytest
from real_servers import ROOT, at, external

from harness.cli import main
from harness.words import Mode

pytestmark = [pytest.mark.vllm_cpu, pytest.mark.timeout(1200)]


@pytest.fixture
def flags(servers):
    """The flags of what asks both of the shared servers."""
    asked = external(**{str(mode): at(server) for mode, server in servers.items()})
    return ("--profile", "demo-tiny", *asked, "--prefix-caching", "server_default", "--quiet")


def said(capsys, monkeypatch, *words):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    told = capsys.readouterr()
    return left.value.code, told.out + told.err


def test_a_trace_has_a_witness_on_every_row_and_says_whom_each_met(
    flags, tmp_path, capsys, monkeypatch
):
    trace = tmp_path / "trace.csv"
    rows = "".join(f"{n * 0.05:.2f},{20 + n},{6 + n % 3}\n" for n in range(16))
    trace.write_text(f"arrival_s,prompt_tokens,output_tokens\n{rows}")
    command = ("trace", trace, *flags, "--factor", 2, "--results", tmp_path)
    code, text = said(capsys, monkeypatch, *command, "-o", tmp_path / "found.json")
    assert code == 0, text
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found["by_mode"]) == set(Mode)
    for of in found["by_mode"].values():
        assert (of["rows"], of["witnessed"], of["errors"], of["noise"]) == (16, 16, 0, 0)
    asked = [json.loads(line) for file in tmp_path.glob("*/trace.jsonl") for line in file.open()]
    assert [row["answer"]["prompt_tokens"] for row in asked] == [20 + n for n in range(16)] * 2
    assert all(len(row["answer"]["token_ids"]) == row["asked_answer_tokens"] for row in asked)
    assert any(row["neighbours"] for row in asked)
    again, text = said(capsys, monkeypatch, *command)  # what is there is not asked again
    assert (again, text.count("16 of 16 answered rows")) == (0, 2)


def test_the_same_seed_is_asked_alone_and_in_the_batch_in_both_modes(
    flags, tmp_path, capsys, monkeypatch
):
    command = ("sample", *flags, "--temperature", 0.7, "--max-tokens", 12, "--results", tmp_path)
    command += ("--samples", 3, "--prompts", 4, "--width", 4, "-o", tmp_path / "found.json")
    code, text = said(capsys, monkeypatch, *command)
    assert code == 0, text
    found = json.loads((tmp_path / "found.json").read_text())
    for of in found["by_mode"].values():
        assert (of["rows"], of["errors"], of["vacuous"], of["noise"]) == (12, 0, 0, 0)
        assert of["several"] > 0
    assert found["by_mode"]["batch_invariant"]["text_changes"] == 0
    rows = [json.loads(line) for file in tmp_path.glob("*/samples.jsonl") for line in file.open()]
    assert len({row["seed"] for row in rows}) == 12  # the same ones in both modes


def test_nothing_is_drawn_at_temperature_0_or_with_one_seed_for_all(
    flags, tmp_path, capsys, monkeypatch
):
    code, text = said(capsys, monkeypatch, "sample", *flags, "--results", tmp_path)
    assert (code, "a temperature above 0" in text) == (2, True), text
    command = ("sample", *flags, "--temperature", 1, "--schedule", "prompt_list")
    code, text = said(capsys, monkeypatch, *command)
    assert (code, "has one seed for all its prompts" in text) == (2, True), text
