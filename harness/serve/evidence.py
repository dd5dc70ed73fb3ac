"""The kernel path of a server that we hold: its log first, else ``/server_info``."""

from __future__ import annotations

from collections.abc import Mapping

from harness.prove import ActivationEvidence, read_activation, read_server_info
from harness.serve.log_files import read_log
from harness.serve.protocol import Server
from harness.words import BackendName, Verdict

__all__ = ["server_evidence"]


def server_evidence(server: Server) -> ActivationEvidence:
    """What is known of the path that ``server`` runs, as of now.

    For an external server the environment is not ours to know, so only its log and, failing that,
    its ``/server_info`` count.
    """
    options = server.options
    external = options.backend is BackendName.EXTERNAL
    evidence = read_activation(
        read_log(server.log_path),
        mode=options.mode,
        environment=None if external else options.environment,
    )
    if not external or evidence.verdict is not Verdict.INCONCLUSIVE:
        return evidence
    info = server.describe().get("server_info")
    if not isinstance(info, Mapping):
        return evidence
    return read_server_info(info, mode=options.mode, version=evidence.vllm_version)
