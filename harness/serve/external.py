"""Servers that someone else runs, one URL a mode: used, never started, never stopped.

The mode counts as proven only by a log that the spec names, or by ``/server_info`` (a vLLM with
development endpoints), whose answer is kept in the run folder. Without either the log of the
lifetime is an empty file, from which nothing is claimed. A server that wants a key gets the one in
the environment variable that the spec names; it is sent and never written down.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from harness.errors import EnvironmentError_, HarnessError, UsageError
from harness.hostile import visible
from harness.prove import ServerProcess, read_process
from harness.secrets import without_url_password
from harness.serve.launch import LaunchOptions
from harness.serve.log_files import copy_log, new_log
from harness.serve.own_endpoints import server_info
from harness.serve.protocol import Server, ServerState
from harness.serve.readiness import (
    is_final,
    is_page,
    listed_models,
    naming_it,
    remedy,
    told_error,
)
from harness.settings import ExternalServer as Given
from harness.wire import Heard, NotHeard, ask, authorization, hidden, line_to
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
        """Make sure that the URL answers us, is not the other mode's, and the log can be read.

        A server that is still loading or busy passes; waiting for it comes later.

        Raises:
            UsageError: the log that the spec names is not there, the variable with the key is not
                set, or two modes share a server.
            EnvironmentError_: nothing answers at the URL, or who answers refuses.
        """
        if options.external_log and not Path(options.external_log).is_file():
            raise UsageError(
                f"external.{options.mode}.log: there is no file {options.external_log}",
                hint="give the path of the server's log, or remove the key",
            )
        for one, other in itertools.combinations(self._servers, 2):
            self._require_two_servers(one, other)
        server = Given(url=options.base_url, api_key_env=options.key_variable)
        if refusal := external_refusal(options.mode, server, self._transport):
            raise refusal
        listed = self._listed(options)
        if listed and not {*_ours(options)} & {*listed}:
            names = ", ".join(map(visible, listed))
            where = without_url_password(options.base_url)
            raise UsageError(
                f"the server at {where} serves {names}, not {options.model}",
                hint=naming_it(options.model, [*map(visible, listed)]),
            )

    def _listed(self, options: LaunchOptions) -> tuple[str, ...]:
        """What the server says that it serves; nothing where it does not say, as while it loads."""
        with _client(options.base_url, self._transport, options.headers) as client:
            heard = _whatever(client, "/v1/models")
        with suppress(NotHeard):
            return listed_models(heard) if isinstance(heard, Heard) and heard.ok else ()
        return ()

    def _require_two_servers(self, one: Mode, other: Mode) -> None:
        urls = [self._servers[mode].url.rstrip("/") for mode in (one, other)]
        shared = _addresses(urls[0]) & _addresses(urls[1])
        reason = f"both URLs are port {min(shared)[1]} of {min(shared)[0]}" if shared else ""
        if not reason:
            # read in turns, so that the same process shows itself by its clock too
            first, second, third = (self._process(mode) for mode in (one, other, one))
            if first and second and third and second.is_between(first, third):
                reason = f"the process behind both started at {first.started:.2f}"
        if reason:
            raise UsageError(
                f"external.{one} and external.{other} are one server: {reason}",
                hint="each mode needs a server of its own, started with its own "
                "VLLM_BATCH_INVARIANT",
            )

    def _process(self, mode: Mode) -> ServerProcess | None:
        server = self._servers[mode]
        headers = authorization(server.api_key_env)
        with _client(server.url, self._transport, headers) as client:
            heard = _whatever(client, "/metrics")
        return read_process(heard.text) if isinstance(heard, Heard) else None

    def sweep(self, run_folder: Path) -> tuple[str, ...]:
        """Nothing of ours can be left."""
        return ()

    def start(self, options: LaunchOptions, run_folder: Path) -> ExternalServer:
        """Take note of the server; nothing is started."""
        self.check(options)
        listed = self._listed(options)
        served = next((n for n in _ours(options) if n in listed), options.served_model_name)
        return ExternalServer(
            replace(options, served_model_name=served), run_folder, self._transport
        )


def _ours(options: LaunchOptions) -> tuple[str, ...]:
    """The names that may be our model's: as it is served here, of the candidates, of the hub."""
    return options.served_model_name, options.model, options.hf_id


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
        with _client(options.base_url, transport, options.headers) as client:
            self._server_info = server_info(client)

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
        """Running, unless nobody listens there; more cannot be seen from here."""
        with _client(self.base_url, self._transport, self.options.headers) as client:
            heard = _whatever(client, "/health")
        if isinstance(heard, Heard):
            return ServerState(running=True)
        return ServerState(running=not heard.refused, detail=f"no answer ({heard})")

    def stop(self) -> None:
        """Leave the server alone and keep its log as it is now."""
        self._copy_log()

    def _copy_log(self) -> None:
        if self.options.external_log:
            # an engine may print its arguments, its key among them
            copy_log(
                Path(self.options.external_log),
                self.log_path,
                lambda text: hidden(text, self.options.key_variable),
            )


def external_refusal(
    mode: Mode, server: Given, transport: httpx.BaseTransport | None = None
) -> HarnessError | None:
    """Why a server that someone else runs cannot be used; one that loads or is busy can be."""
    where = without_url_password(server.url)
    try:
        client = _client(server.url, transport, authorization(server.api_key_env))
    except UsageError as error:
        return error
    with client:
        for path in ("/health", "/v1/models"):
            heard = _whatever(client, path)
            if isinstance(heard, NotHeard) and not heard.slow and path == "/health":
                hint = f"start the {mode} server, or correct {_where(mode)}"
                return EnvironmentError_(f"nothing answers at {where} ({heard})", hint=hint)
            if isinstance(heard, Heard) and (
                is_final(heard) or (path == "/v1/models" and told_error(heard))
            ):
                message = f"the {mode} server at {where} refuses {path}: {heard}"
                return EnvironmentError_(message, hint=remedy(heard, mode))
            if isinstance(heard, Heard) and path == "/v1/models" and is_page(heard):
                return EnvironmentError_(
                    f"{where} answers {path} with a web page, not with a list of models",
                    hint=f"{_where(mode)} leads to a log-in, a gateway or another program: "
                    "give the root of the vLLM server itself",
                )
    return None


def served_models(
    mode: Mode, server: Given, transport: httpx.BaseTransport | None = None
) -> tuple[str, ...]:
    """The names that a server of someone else lists.

    Raises:
        UsageError: no URL of a server, or the variable with its key is not set.
        EnvironmentError_: it does not answer, refuses us, or lists nothing.
    """
    if refusal := external_refusal(mode, server, transport):
        raise refusal
    with _client(server.url, transport, authorization(server.api_key_env)) as client:
        heard = _whatever(client, "/v1/models")
    with suppress(NotHeard):
        if isinstance(heard, Heard) and heard.ok and (names := listed_models(heard)):
            return names
    message = f"{without_url_password(server.url)} lists no model: {heard}"
    hint = "wait until the server is ready, or name what it serves with --model NAME=NAME"
    raise EnvironmentError_(message, hint=hint)


def _where(mode: Mode) -> str:
    """Where a person gave the server's address."""
    return f"--url (in a file: external.{mode}.url)"


def _whatever(client: httpx.Client, path: str) -> Heard | NotHeard:
    try:
        return ask(client, path)
    except NotHeard as error:
        return error


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


def _client(
    base_url: str, transport: httpx.BaseTransport | None, headers: Mapping[str, str]
) -> httpx.Client:
    line = line_to(base_url, timeout=_TIMEOUT_S, headers=headers, transport=transport)
    return httpx.Client(**line)
