"""What a server's log, metrics and configuration say: kernel path, batching, parity of the modes.

Pure: text in, values out; nothing here starts, asks or reads anything.
"""

from harness.prove.activation import (
    ActivationEvidence,
    EvidenceLine,
    read_activation,
    read_server_info,
)
from harness.prove.evidence import Device, EvidenceTag, Rule, evidence_rule, parse_version
from harness.prove.iterations import BatchWitness, EngineStep, batch_witness, read_steps
from harness.prove.metrics import EngineMetrics, metrics_delta, read_metrics
from harness.prove.parity import Difference, mode_parity
from harness.prove.server_facts import ServerFacts, read_facts

__all__ = [
    "ActivationEvidence",
    "BatchWitness",
    "Device",
    "Difference",
    "EngineMetrics",
    "EngineStep",
    "EvidenceLine",
    "EvidenceTag",
    "Rule",
    "ServerFacts",
    "batch_witness",
    "evidence_rule",
    "metrics_delta",
    "mode_parity",
    "parse_version",
    "read_activation",
    "read_facts",
    "read_metrics",
    "read_server_info",
    "read_steps",
]
