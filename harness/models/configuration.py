"""A model's own ``config.json``, where its files are on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from harness.errors import UsageError
from harness.files import read_json
from harness.machine import this_host
from harness.models.shelf import PREFIX, weights_folder

_INNER: Final = ("text_config", "llm_config", "language_config")
_TELLING: Final = (
    *("architectures", "model_type", "torch_dtype", "dtype", "quantization_config"),
    *("compression_config", "num_local_experts", "num_experts", "n_routed_experts"),
    *("moe_intermediate_size", "kv_lora_rank", "index_topk", "vision_config"),
    *_INNER,
)
"""Keys by which a defect of batch invariance may hang on a model."""
_LARGEST: Final = 2000
"""Characters of a list that is kept: some name every layer that is left unquantised."""


def model_config(hf_id: str, revision: str | None = None) -> dict[str, Any] | None:
    """A model's configuration from its folder or the hub's cache; ``None`` where neither has it.

    What ModelOpt writes of its quantisation lies beside it in a file of its own.
    """
    folder = None
    with suppress(FileNotFoundError):  # of a user without a home, who keeps no models
        folder = weights_folder(hf_id)
        if folder is None and not hf_id.startswith(PREFIX):
            kept = this_host().huggingface_home / "hub" / f"models--{hf_id.replace('/', '--')}"
            found = sorted(kept.glob(f"snapshots/{revision or '*'}/config.json"))
            folder = found[-1].parent if found else None
    config = _object(folder / "config.json") if folder else None
    if folder and config is not None and "quantization_config" not in config:
        beside = (_object(folder / "hf_quant_config.json") or {}).get("quantization")
        if isinstance(beside, Mapping):
            config["quantization_config"] = {"quant_method": "modelopt", **beside}
    return config


def telling(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration is kept with a run, so that a copy of the run can be judged."""
    return {
        key: _short(telling(value) if key in _INNER and isinstance(value, Mapping) else value)
        for key in _TELLING
        if (value := config.get(key)) is not None
    }


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _short(one) for key, one in value.items()}
    return None if isinstance(value, list) and len(str(value)) > _LARGEST else value


def _object(file: Path) -> dict[str, Any] | None:
    with suppress(UsageError):
        read = read_json(file) if file.is_file() else None
        return read if isinstance(read, dict) else None
    return None
