"""What a server's log, metrics and configuration say: kernel path, batching, parity of the modes.

Pure: text in, values out; nothing here starts, asks or reads anything.
"""

from harness.prove.activation import (
    ActivationEvidence,
    EvidenceLine,
    gap_in_quotes,
    judge_server,
    read_activation,
    read_server_info,
)
from harness.prove.evidence import (
    LAST_READ,
    Device,
    EvidenceTag,
    Rule,
    ahead_of_release,
    beyond_read,
    evidence_rule,
    parse_version,
)
from harness.prove.iterations import EngineStep, log_witness, metrics_witness, read_steps
from harness.prove.metrics import (
    EngineMetrics,
    ServerProcess,
    metrics_delta,
    read_metrics,
    read_process,
    tells_one_process,
)
from harness.prove.parity import WHERE_IT_LISTENS, Difference, by_the_mode, mode_parity
from harness.prove.server_facts import ServerFacts, parse_literal, read_architecture, read_facts
from harness.prove.server_log import GAP, ServerLog
from harness.prove.worker_proof import (
    WORKER_EXTENSION,
    WorkerProof,
    agreed,
    find_tell,
    gap_in_proof,
    read_worker_proof,
    worker_question,
)

__all__ = [
    "GAP",
    "LAST_READ",
    "WHERE_IT_LISTENS",
    "WORKER_EXTENSION",
    "ActivationEvidence",
    "Device",
    "Difference",
    "EngineMetrics",
    "EngineStep",
    "EvidenceLine",
    "EvidenceTag",
    "Rule",
    "ServerFacts",
    "ServerLog",
    "ServerProcess",
    "WorkerProof",
    "agreed",
    "ahead_of_release",
    "beyond_read",
    "by_the_mode",
    "evidence_rule",
    "find_tell",
    "gap_in_proof",
    "gap_in_quotes",
    "judge_server",
    "log_witness",
    "metrics_delta",
    "metrics_witness",
    "mode_parity",
    "parse_literal",
    "parse_version",
    "read_activation",
    "read_architecture",
    "read_facts",
    "read_metrics",
    "read_process",
    "read_server_info",
    "read_steps",
    "read_worker_proof",
    "tells_one_process",
    "worker_question",
]
