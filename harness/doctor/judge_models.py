"""Model findings: are the weights here, is there room for them, and may they be had."""

from __future__ import annotations

from harness.doctor.checks import Check, failed, ok, warning
from harness.doctor.facts import Facts, ModelFacts

__all__ = ["model_checks"]

_GB = 1e9
_RESERVE = 1.1


def model_checks(facts: Facts) -> list[Check]:
    """A line a model that is not here, and one for the disk that they need."""
    missing = [model for model in facts.models if not (model.local or model.cached)]
    if not missing:
        return [ok("model weights", "all on this machine")] if facts.models else []
    checks = [_access(model, has_token=facts.has_token) for model in missing]
    return [*checks, _disk(missing, facts)]


def _access(model: ModelFacts, *, has_token: bool) -> Check:
    name = f"model {model.name}"
    if model.gated and not has_token:
        return failed(
            name,
            f"{model.hf_id} is gated and HF_TOKEN is not set",
            "accept its licence on the hub and export HF_TOKEN=<your token>",
        )
    if model.gated is None:
        return warning(
            name,
            f"{model.hf_id} is not on this machine and the hub did not answer",
            "check the network, or give the path of a local folder as hf_id",
        )
    return ok(name, f"{model.hf_id} will be downloaded")


def _disk(missing: list[ModelFacts], facts: Facts) -> Check:
    name = "disk for weights"
    if facts.weights_free_bytes is None:
        return warning(name, f"{facts.weights_folder} cannot be seen", "check HF_HOME")
    free = facts.weights_free_bytes / _GB
    known = [model.weight_bytes for model in missing if model.weight_bytes is not None]
    wanted = _RESERVE * sum(known) / _GB
    found = f"{free:.0f} GB free at {facts.weights_folder}, about {wanted:.0f} GB needed"
    if free < wanted:
        return failed(name, found, "free space there, or set HF_HOME to a larger disk")
    if len(known) < len(missing):
        return warning(
            name,
            f"{free:.0f} GB free at {facts.weights_folder}; not every model's size is known",
            "see that it suffices",
        )
    return ok(name, found)
