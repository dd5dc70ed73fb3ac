"""One HTTP attempt at ``/v1/completions``; whoever calls decides what to do when it fails.

A failure is ``RequestFailed`` with ``retryable``: connection errors, time-outs, 429 and 5xx are;
any other status, and an answer that does not fit the question, are not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx

from harness.records import Answer
from harness.settings import RequestSettings

_IDLE_S = 3.0
"""A connection idle for longer is not used again: vLLM's own end closes it after 5 s."""
_RETRYABLE = frozenset({429, *range(500, 600)})


class RequestFailed(Exception):
    """One attempt failed. ``retryable`` says whether the same request may be sent again."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class CompletionsClient:
    """Asks one server for completions over connections that it keeps warm.

    Args:
        base_url: ``http://host:port``.
        model: the served model name.
        request: sampling and time-out of every request.
        transport: a replacement for the network, for tests.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        request: RequestSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base_url = base_url
        self._model = model
        self._request = request
        self._transport = transport
        self._connections: list[httpx.AsyncClient] = []

    async def __aenter__(self) -> CompletionsClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(connection.aclose() for connection in self._connections))

    async def complete_one(self, prompt: str, *, connection: int = 0) -> Answer:
        """The completion of one prompt, sent on the numbered connection.

        Raises:
            RequestFailed: the attempt failed.
        """
        return (await self._post(prompt, count=1, connection=connection))[0]

    async def complete_list(self, prompts: Sequence[str]) -> tuple[Answer, ...]:
        """One request with a list of prompts; answers are matched by ``choices[].index``.

        Raises:
            RequestFailed: the attempt failed, or the indices are not exactly 0..N-1.
        """
        return await self._post(list(prompts), count=len(prompts), connection=0)

    async def warm(self, connections: int) -> None:
        """Open that many connections and prove each with ``GET /health``.

        Raises:
            RequestFailed: one of them could not be opened or did not answer 200.
        """
        await self._open(connections)
        await asyncio.gather(*(self._ping(c) for c in self._connections[:connections]))

    async def metrics(self) -> str:
        """The server's Prometheus text; empty where it cannot be read."""
        await self._open(1)
        try:
            response = await self._connections[0].get("/metrics")
        except httpx.TransportError:
            return ""
        return response.text if response.status_code == 200 else ""

    async def _open(self, connections: int) -> None:
        while len(self._connections) < connections:
            self._connections.append(self._new_connection())

    def _new_connection(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._base_url,
            transport=self._transport,
            timeout=httpx.Timeout(self._request.timeout_s, connect=10.0),
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
        self, prompt: str | list[str], *, count: int, connection: int
    ) -> tuple[Answer, ...]:
        await self._open(connection + 1)
        started = time.perf_counter()
        try:
            response = await self._connections[connection].post(
                "/v1/completions", json=self._body(prompt)
            )
        except httpx.TransportError as error:
            raise RequestFailed(_describe(error), retryable=True) from error
        latency = time.perf_counter() - started
        if response.status_code != 200:
            raise RequestFailed(
                f"HTTP {response.status_code}: {response.text[:300]}",
                retryable=response.status_code in _RETRYABLE,
            )
        return _answers(response, count, latency)

    def _body(self, prompt: str | list[str]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": self._request.max_tokens,
            "temperature": self._request.temperature,
            "return_token_ids": True,
        }
        if self._request.seed is not None:
            body["seed"] = self._request.seed
        return body


def _describe(error: httpx.TransportError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _answers(response: httpx.Response, count: int, latency: float) -> tuple[Answer, ...]:
    try:
        choices = response.json()["choices"]
        by_index = {int(choice["index"]): choice for choice in choices}
        if len(choices) != count or set(by_index) != set(range(count)):
            raise RequestFailed(
                f"asked for {count} prompts, got choices with indices "
                f"{sorted(int(choice['index']) for choice in choices)}",
                retryable=False,
            )
        return tuple(_answer(by_index[i], latency) for i in range(count))
    except (KeyError, TypeError, ValueError) as error:
        raise RequestFailed(
            f"the answer is not a completion: {error!r}", retryable=False
        ) from error


def _answer(choice: Mapping[str, Any], latency: float) -> Answer:
    text = choice["text"]
    if not isinstance(text, str):
        raise TypeError("choices[].text is not a string")
    ids = choice.get("token_ids")
    return Answer(
        text=text,
        token_ids=tuple(ids) if ids is not None else None,
        finish_reason=choice.get("finish_reason"),
        latency_s=round(latency, 6),
    )
