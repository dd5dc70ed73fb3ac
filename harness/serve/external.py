"""Servers that someone else runs, one URL a mode: used, never started, never stopped.

The mode counts as proven only by a log that the spec names, or by ``/server_info`` (a vLLM with
development endpoints), whose answer is kept in the run folder. Without either the log of the
lifetime is an empty file, from which nothing is claimed.
"""

from __future__ import annotations

import itertools
import shutil
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from harness.errors import EnvironmentError_, UsageError
from harness.prove import ServerProcess, read_process
from harness.secrets import redact_values, without_url_password
from harness.serve.launch import LaunchOptions
from harness.serve.log_files import new_log
from harness.serve.protocol import Server, ServerState
from harness.settings import ExternalServer as Given
from harness.words import BackendName, Mode

_TIMEOUT_S = 5.0
_HERE = "this machine"


class ExternalBackend:
    """Knows where the servers are.

    Args:
        transport: replaces the network, for tests.
        servers: those of every mode of the run: two modes never share one.
    """

    name = BackendName.EXTERNAL

    def __init__(
        self,
        transport: httpx.BaseTransport | None = None,
        *,
        servers: Mapping[Mode, Given] | None = None,
    ) -> None:
        self._servers = servers or {}
        self._transport = transport

    def check(self, options: LaunchOptions) -> None:
        """Make sure that the URL answers, is not the other mode's, and the log can be read.

        Raises:
            UsageError: the log that the spec names is not there, or two modes share a server.
            EnvironmentError_: nothing answers at the URL.
        """
        if options.external_log and not Path(options.external_log).is_file():
            raise UsageError(
                f"external.{options.mode}.log: there is no file {options.external_log}",
                hint="give the path of the server's log, or remove the key",
            )
        for one, other in itertools.combinations(self._servers, 2):
            self._require_two_servers(one, other)
        with _client(options.base_url, self._transport) as client:
            try:
                client.get("/health")
            except httpx.HTTPError as error:
                where = without_url_password(options.base_url)
                raise EnvironmentError_(
                    f"nothing answers at {where} ({type(error).__name__})",
                    hint=f"start the {options.mode} server, or correct external.{options.mode}.url",
                ) from None

    def _require_two_servers(self, one: Mode, other: Mode) -> None:
        urls = [self._servers[mode].url.rstrip("/") for mode in (one, other)]
        shared = _addresses(urls[0]) & _addresses(urls[1])
        reason = f"both URLs are port {min(shared)[1]} of {min(shared)[0]}" if shared else ""
        if not reason:
            # read in turns, so that the same process shows itself by its clock too
            first, second, third = (self._process(url) for url in (*urls, urls[0]))
            if first and second and third and second.is_between(first, third):
                reason = f"the process behind both started at {first.started:.2f}"
        if reason:
            raise UsageError(
                f"external.{one} and external.{other} are one server: {reason}",
                hint="each mode needs a server of its own, started with its own "
                "VLLM_BATCH_INVARIANT",
            )

    def _process(self, url: str) -> ServerProcess | None:
        try:
            with _client(url, self._transport) as client:
                return read_process(client.get("/metrics").text)
        except httpx.HTTPError:
            return None

    def sweep(self, run_folder: Path) -> tuple[str, ...]:
        """Nothing of ours can be left."""
        return ()

    def start(self, options: LaunchOptions, run_folder: Path) -> ExternalServer:
        """Take note of the server; nothing is started."""
        self.check(options)
        try:
            entries = _answer(options, self._transport, "/v1/models")["data"]
            listed = {str(entry["id"]) for entry in entries}
        except (KeyError, TypeError):
            listed = set()
        # the candidates' name of our model, or its hub id
        ours = (options.served_model_name, options.model, options.hf_id)
        served = next((name for name in ours if name in listed), options.served_model_name)
        return ExternalServer(
            replace(options, served_model_name=served), run_folder, self._transport
        )


class ExternalServer(Server):
    """One mode's server for the time that we use it.

    Its ``log_path`` is a copy of the log that the spec names, refreshed by `stop`; else empty.
    """

    def __init__(
        self, options: LaunchOptions, run_folder: Path, transport: httpx.BaseTransport | None
    ) -> None:
        super().__init__(options, new_log(run_folder, options.log_stem))
        self._transport = transport
        self._copy_log()
        info = _answer(options, transport, "/server_info?config_format=json")
        self._server_info = redact_values(info) if isinstance(info, dict) else None

    def describe(self) -> Mapping[str, object]:
        """URL, log and what ``/server_info`` said, without secrets; ``None`` without that."""
        return {
            "backend": BackendName.EXTERNAL.value,
            "model": self.options.model,
            "hf_id": self.options.hf_id,
            "mode": self.options.mode.value,
            "served_model_name": self.options.served_model_name,
            "base_url": without_url_password(self.base_url),
            "external_log": self.options.external_log,
            "server_info": self._server_info,
        }

    def state(self) -> ServerState:
        """Running, as long as anything answers; more cannot be seen from here."""
        try:
            with _client(self.base_url, self._transport) as client:
                client.get("/health")
        except httpx.HTTPError as error:
            return ServerState(running=False, detail=f"no answer ({type(error).__name__})")
        return ServerState(running=True)

    def stop(self) -> None:
        """Leave the server alone and keep its log as it is now."""
        self._copy_log()

    def _copy_log(self) -> None:
        if self.options.external_log:
            shutil.copyfile(self.options.external_log, self.log_path)


def _answer(options: LaunchOptions, transport: httpx.BaseTransport | None, path: str) -> Any:
    """The JSON at ``path``; ``None`` where there is none."""
    try:
        with _client(options.base_url, transport) as client:
            answer = client.get(path)
        return answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None


def _addresses(url: str) -> set[tuple[str, int]]:
    """Host and port that a URL leads to; every address of this machine is one host.

    A server that listens on all addresses of a machine answers at each of them.
    """
    parts = urlsplit(url)
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    host = parts.hostname or ""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port)}
    except OSError:
        found = {host}
    return {(_HERE if _is_of_this_machine(address) else address, port) for address in found}


def _is_of_this_machine(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _client(base_url: str, transport: httpx.BaseTransport | None) -> httpx.Client:
    return httpx.Client(base_url=base_url, timeout=_TIMEOUT_S, transport=transport, trust_env=False)
