"""One HTTP attempt at ``/v1/completions``; whoever calls decides what to do when it fails.

A failure is ``RequestFailed`` with ``retryable``: connection errors, time-outs, 429 and 5xx are;
any other status, and an answer that does not fit the question, are not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Any

import httpx
import msgspec

from harness.records import Answer
from harness.secrets import without_url_password
from harness.settings import RequestSettings
from harness.words import LOOPBACK

_IDLE_S = 3.0
"""A connection idle for longer is not used again: vLLM's own end closes it after 5 s."""
_TAKEN_S = 1.0
"""A connection that is taken for longer, with nothing asked on it, never comes back: httpcore 1.0
leaves it so in about one of ten cases in which a request is cancelled while it begins."""
_ASIDE_S = 30.0
"""For an answer that no engine step is waited for."""
_RETRYABLE = frozenset({429, *range(500, 600)})


class RequestFailed(Exception):
    """One attempt failed. ``retryable`` says whether the same request may be sent again."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and what the server said of the prompt itself.

    Attributes:
        answer: its ``cached_tokens`` are of this prompt alone, or not known.
        prompt_ids: the prompt's tokens; ``None`` where the server does not return them.
        request_tokens: prompt tokens of the whole request; ``None`` where it does not say.
    """

    answer: Answer
    prompt_ids: tuple[int, ...] | None = None
    request_tokens: int | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    """What a completion says of its prompts."""

    prompt_tokens: int | None = None
    prompt_tokens_details: _Details | None = None

    def cached(self, *, zero_left_out: bool) -> int | None:
        """Tokens from the prefix cache; a missing number is a 0 only where one is left out."""
        details = self.prompt_tokens_details
        said = details.cached_tokens if details else None
        return 0 if said is None and zero_left_out and self.prompt_tokens is not None else said


_TokenIds = tuple[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)], ...]


class _Choice(msgspec.Struct):
    """One completion of an answer, of the types that a record can hold."""

    index: int
    text: str
    token_ids: _TokenIds | None = None
    prompt_token_ids: _TokenIds | None = None
    finish_reason: str | None = None


class CompletionsClient:
    """Asks one server for completions over connections that it keeps warm.

    Args:
        base_url: ``http://host:port``.
        model: the served model name.
        request: sampling and time-out of every request.
        tells_cached: whether the server runs with ``--enable-prompt-tokens-details``, so that a
            usage without a number means 0: vLLM 0.19.1 leaves a 0 out, 0.32 writes it.
        transport: a replacement for the network, for tests.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        request: RequestSettings,
        *,
        tells_cached: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._tells_cached = tells_cached
        self._base_url = base_url
        self._model = model
        self._request = request
        self._transport = transport
        self._connections: list[httpx.AsyncClient] = []
        self._orders: httpx.AsyncClient | None = None

    async def __aenter__(self) -> CompletionsClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        opened = [*self._connections, *([self._orders] if self._orders else ())]
        await asyncio.gather(*(connection.aclose() for connection in opened))

    async def complete_one(
        self,
        prompt: str,
        *,
        connection: int = 0,
        salt: str | None = None,
        sent: Callable[[], object] | None = None,
    ) -> Reply:
        """The completion of one prompt, sent on the numbered connection.

        Args:
            salt: what keeps the prompt's blocks in the prefix cache from every other request.
            sent: called when the request has left, its body included.

        Raises:
            RequestFailed: the attempt failed.
        """
        place = {"connection": connection, "count": 1}
        return (await self._post(prompt, salt=salt, sent=sent, **place))[0]

    async def complete_list(
        self, prompts: Sequence[str], *, salt: str | None = None
    ) -> tuple[Reply, ...]:
        """One request with a list of prompts; answers are matched by ``choices[].index``.

        The server tells the cached tokens of the last prompt only, so those of a list are not known
        from its answer.

        Raises:
            RequestFailed: the attempt failed, or the indices are not exactly 0..N-1.
        """
        return await self._post(list(prompts), count=len(prompts), connection=0, salt=salt)

    async def warm(self, connections: int) -> None:
        """Open that many connections and prove each with ``GET /health``.

        Raises:
            RequestFailed: one of them could not be opened or did not answer 200.
        """
        await self._open(connections)
        await asyncio.gather(*(self._ping(c) for c in self._connections[:connections]))

    async def metrics(self) -> str:
        """The server's Prometheus text; empty where it cannot be read."""
        try:
            response = await self._aside("GET", "/metrics")
        except httpx.TransportError:
            return ""
        return response.text if response.status_code == 200 else ""

    async def order(
        self, path: str, body: Mapping[str, Any] | None = None, *, method: str = "POST"
    ) -> httpx.Response:
        """Ask a development endpoint, over loopback only, while completions may be waited for.

        Raises:
            RequestFailed: nothing answered, or the server is not on this machine.
        """
        if httpx.URL(self._base_url).host not in LOOPBACK:
            raise RequestFailed(
                f"{path}: development endpoints are asked over loopback only, not at "
                f"{without_url_password(self._base_url)}",
                retryable=False,
            )
        try:
            return await self._aside(method, path, body)
        except httpx.TransportError as error:
            raise RequestFailed(f"{path}: {_describe(error)}", retryable=True) from error

    async def queue_behind(self, prompt: str) -> None:
        """Have the server tokenize a prompt and ask its engine, after all that it was sent before.

        Raises:
            RequestFailed: nothing answered.
        """
        await self.order("/tokenize", {"model": self._model, "prompt": prompt})
        await self.order("/is_paused", method="GET")

    async def _aside(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """Ask on a connection of its own: the others may be held at the gate, or cancelled."""
        self._orders = self._orders or self._new_connection()
        try:
            return await self._orders.request(method, path, json=body, timeout=_timeout(_ASIDE_S))
        except httpx.PoolTimeout:
            await self._orders.aclose()
            self._orders = self._new_connection()
        return await self._orders.request(method, path, json=body, timeout=_timeout(_ASIDE_S))

    async def _open(self, connections: int) -> None:
        while len(self._connections) < connections:
            self._connections.append(self._new_connection())

    def _new_connection(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._base_url,
            transport=self._transport,
            timeout=_timeout(self._request.timeout_s),
            limits=httpx.Limits(
                max_connections=1, max_keepalive_connections=1, keepalive_expiry=_IDLE_S
            ),
            trust_env=False,
        )

    async def _ping(self, connection: httpx.AsyncClient) -> None:
        try:
            response = await connection.get("/health")
        except httpx.TransportError as error:
            raise RequestFailed(_describe(error), retryable=True) from error
        if response.status_code != 200:
            raise RequestFailed(f"/health answered {response.status_code}", retryable=True)

    async def _post(
        self,
        prompt: str | list[str],
        *,
        count: int,
        connection: int,
        salt: str | None,
        sent: Callable[[], object] | None = None,
    ) -> tuple[Reply, ...]:
        await self._open(connection + 1)
        started = time.perf_counter()
        try:
            response = await self._connections[connection].post(
                "/v1/completions", json=self._body(prompt, salt), extensions=_tracing(sent)
            )
        except httpx.TransportError as error:
            raise RequestFailed(_describe(error), retryable=True) from error
        latency = time.perf_counter() - started
        if response.status_code != 200:
            raise RequestFailed(
                f"HTTP {response.status_code}: {response.text[:300]}",
                retryable=response.status_code in _RETRYABLE,
            )
        return _replies(response, count, latency, zero_left_out=self._tells_cached)

    def _body(self, prompt: str | list[str], salt: str | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": self._request.max_tokens,
            "temperature": self._request.temperature,
            "return_token_ids": True,
        }
        if self._request.seed is not None:
            body["seed"] = self._request.seed
        if salt is not None:
            body["cache_salt"] = salt
        return body


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=10.0, pool=_TAKEN_S)


def _tracing(sent: Callable[[], object] | None) -> dict[str, Any]:
    """What makes httpx tell when a request has left."""
    if sent is None:
        return {}

    async def trace(event: str, _: Mapping[str, Any]) -> None:
        if event == "http11.send_request_body.complete":
            sent()

    return {"trace": trace}


def _describe(error: httpx.TransportError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _replies(
    response: httpx.Response, count: int, latency: float, *, zero_left_out: bool
) -> tuple[Reply, ...]:
    try:
        body = response.json()
        choices = msgspec.convert(body["choices"], list[_Choice])
        by_index = {choice.index: choice for choice in choices}
        if len(choices) != count or set(by_index) != set(range(count)):
            raise RequestFailed(
                f"asked for {count} prompts, got choices with indices "
                f"{sorted(choice.index for choice in choices)}",
                retryable=False,
            )
        usage = _usage(body.get("usage"))
        # of a list the usage holds the last prompt's tokens only
        cached = usage.cached(zero_left_out=zero_left_out) if count == 1 else None
        return tuple(
            Reply(_answer(choice, latency, cached), choice.prompt_token_ids, usage.prompt_tokens)
            for _, choice in sorted(by_index.items())
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RequestFailed(
            f"the answer is not a completion: {error!r}", retryable=False
        ) from error


def _usage(said: object) -> _Usage:
    try:
        return msgspec.convert(said, _Usage)
    except msgspec.ValidationError:
        return _Usage()


def _answer(choice: _Choice, latency: float, cached: int | None) -> Answer:
    return Answer(
        text=choice.text,
        token_ids=choice.token_ids,
        finish_reason=choice.finish_reason,
        latency_s=round(latency, 6),
        cached_tokens=cached,
    )
