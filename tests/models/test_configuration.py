"""A model's own configuration: where it is found, and what a run keeps of it."""

from __future__ import annotations

import json

import pytest

from harness.cause.model_traits import features_of, quantizations_of
from harness.models import model_config, telling

MOE = {
    "architectures": ["MixtralForCausalLM"],
    "model_type": "mixtral",
    "num_local_experts": 8,
    "vocab_size": 32000,
    "quantization_config": {"quant_method": "fp8", "ignored_layers": ["a" * 50] * 100},
}


def put(folder, name="config.json", value=MOE):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(value))
    return folder


def test_it_is_read_from_a_folder_or_from_the_hubs_cache(tmp_path, monkeypatch):
    assert model_config(str(put(tmp_path / "model"))) == MOE
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert model_config("org/moe") is None
    snapshots = tmp_path / "home/hub/models--org--moe/snapshots"
    put(snapshots / "aaa")
    put(snapshots / "bbb", value={"model_type": "llama"})
    assert model_config("org/moe", "aaa") == MOE
    assert model_config("org/moe", "ccc") is None
    assert model_config("org/moe") == {"model_type": "llama"}


@pytest.mark.parametrize("text", ["[]", "{", "\x00", '"text"'])
def test_what_is_no_configuration_is_not_read_as_one(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert model_config(str(tmp_path)) is None


def test_what_modelopt_writes_beside_it_is_read_too(tmp_path):
    put(tmp_path, value={"model_type": "llama"})
    put(tmp_path, "hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}})
    assert quantizations_of([model_config(str(tmp_path))]) == {"fp8"}


def test_what_a_run_keeps_is_enough_to_judge_it_and_small():
    kept = telling(MOE)
    assert "vocab_size" not in kept
    assert len(json.dumps(kept)) < 1000
    for read in (features_of, quantizations_of):
        assert read([kept]) == read([MOE])
    nested = {"vision_config": {"depth": 2}, "text_config": MOE}
    assert features_of([telling(nested)]) == features_of([nested]) == {"moe", "vision"}
    assert quantizations_of([telling(nested)]) == {"fp8"}
