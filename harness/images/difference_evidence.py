"""Which activation evidence a server of an image has to show, by the rules of `harness.prove`."""

from __future__ import annotations

from harness.images.difference_model import ExpectedEvidence
from harness.images.inventory_model import Inventory
from harness.prove import Device, EvidenceTag, Rule, evidence_rule, parse_version

__all__ = ["expected_evidence"]


def expected_evidence(inventory: Inventory) -> ExpectedEvidence:
    """What must be in the log of a batch-invariant server, and must not be in a standard one's."""
    device = _device(inventory)
    version = parse_version(inventory.vllm_version)
    if device is None or version is None:
        reason = "the image is for a device that no rule is known for"
        if version is None:
            reason = (
                f"vLLM {inventory.vllm_version} names no release"
                if inventory.vllm_version
                else "no vLLM was found in the image"
            )
        return ExpectedEvidence(None, supported=False, notes=(reason,))
    rule = evidence_rule(version, device, inventory.torch_version)
    if not rule.supported:
        note = f"vLLM {inventory.vllm_version} has no batch-invariant mode (it came with 0.11.1)"
        return ExpectedEvidence(device.value, supported=False, notes=(note,))
    return ExpectedEvidence(
        device.value,
        supported=True,
        required=rule.in_words(),
        notes=_notes(inventory, device, rule),
    )


def _device(inventory: Inventory) -> Device | None:
    torch = inventory.contents.torch
    if torch is not None and (torch.hip or torch.xpu):
        return None
    return Device.CUDA if inventory.config.needs_gpu else Device.CPU


def _notes(inventory: Inventory, device: Device, rule: Rule) -> tuple[str, ...]:
    notes = []
    if rule.beyond_source:
        notes.append("newer than the newest release whose source was read: the rule may have moved")
    if device is Device.CUDA and not rule.requires(EvidenceTag.OVERRIDE):
        notes.append("PyTorch 2.12 and later print no override report: import torch uses it up")
    plugged = {plugin.name for plugin in inventory.contents.plugins}
    if device is Device.CPU and not any("batch_invariant" in name for name in plugged):
        notes.append("no batch-invariant plugin: the mode starts on a CPU and dies at once")
    return tuple(notes)
