"""One HTTP attempt at a completion; whoever calls decides what to do when it fails.

A failure is ``RequestFailed`` with ``retryable``: connection errors, time-outs, 429, 5xx and what
cannot be read are; any other status, and an answer that does not fit the question, are not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx

from harness.replay.completion import Reply, RequestFailed, replies
from harness.secrets import without_url_password
from harness.settings import RequestSettings
from harness.wire import Heard, NotHeard, ask_async, line_to
from harness.words import LOOPBACK, RequestEndpoint

_IDLE_S = 3.0
"""A connection idle for longer is not used again: vLLM's own end closes it after 5 s."""
_TAKEN_S = 1.0
"""A connection that is taken for longer, with nothing asked on it, never comes back: httpcore 1.0
leaves it so in about one of ten cases in which a request is cancelled while it begins."""
_ASIDE_S = 30.0
"""For an answer that no engine step is waited for."""
_RETRYABLE = frozenset({408, 425, 429, *range(500, 600)})


class CompletionsClient:
    """Asks one server for completions over connections that it keeps warm.

    Args:
        base_url: ``http://host:port``.
        model: the served model name.
        request: sampling and time-out of every request.
        tells_cached: whether the server runs with ``--enable-prompt-tokens-details``, so that a
            usage without a number means 0: vLLM 0.19.1 leaves a 0 out, 0.32 writes it.
        headers: sent with every request: the key of a server that someone else runs.
        transport: a replacement for the network, for tests.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        request: RequestSettings,
        *,
        tells_cached: bool = False,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._tells_cached = tells_cached
        self._base_url = base_url
        self._model = model
        self._request = request
        self._chat = request.endpoint is RequestEndpoint.CHAT
        self._headers = headers
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
        prompt: str | Sequence[int],
        *,
        connection: int = 0,
        salt: str | None = None,
        sent: Callable[[], object] | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Reply:
        """The completion of one prompt, a text or its tokens, sent on the numbered connection.

        Args:
            own: what this request says in place of the settings: ``seed``, ``max_tokens`` …
            salt: what keeps the prompt's blocks in the prefix cache from every other request.
            sent: called when the request has left, its body included.

        Raises:
            RequestFailed: the attempt failed.
        """
        place = {"connection": connection, "count": 1}
        return (await self._post(prompt, salt=salt, sent=sent, own=own, **place))[0]

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
        await asyncio.gather(*map(self._ping, range(connections)))

    async def metrics(self) -> str:
        """The server's Prometheus text; empty where it cannot be read."""
        try:
            heard = await self._aside("GET", "/metrics")
        except NotHeard:
            return ""
        return heard.text if heard.ok else ""

    async def order(
        self, path: str, body: Mapping[str, Any] | None = None, *, method: str = "POST"
    ) -> Heard:
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
        except NotHeard as error:
            raise RequestFailed(f"{path}: {error}", retryable=True) from error

    async def queue_behind(self, prompt: str) -> None:
        """Have the server tokenize a prompt and ask its engine, after all that it was sent before.

        Raises:
            RequestFailed: nothing answered.
        """
        await self.order("/tokenize", {"model": self._model, "prompt": prompt})
        await self.order("/is_paused", method="GET")

    async def _aside(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Heard:
        """Ask on a connection of its own: the others may be held at the gate, or cancelled."""
        more: Any = {"method": method, "body": body, "timeout": _timeout(_ASIDE_S)}
        self._orders = self._orders or self._new_connection()
        try:
            return await ask_async(self._orders, path, **more)
        except NotHeard as error:
            if not _is_taken(error):
                raise
            await self._orders.aclose()
            self._orders = self._new_connection()
        return await ask_async(self._orders, path, **more)

    async def _on(self, connection: int, path: str, **more: Any) -> Heard:
        """Ask on a numbered connection; one that stays taken is replaced for the next time."""
        try:
            return await ask_async(self._connections[connection], path, **more)
        except NotHeard as error:
            if _is_taken(error):
                await self._connections[connection].aclose()
                self._connections[connection] = self._new_connection()
            raise

    async def _open(self, connections: int) -> None:
        while len(self._connections) < connections:
            self._connections.append(self._new_connection())

    def _new_connection(self) -> httpx.AsyncClient:
        line = line_to(
            self._base_url,
            timeout=_timeout(self._request.timeout_s),
            headers=self._headers,
            transport=self._transport,
            limits=httpx.Limits(
                max_connections=1, max_keepalive_connections=1, keepalive_expiry=_IDLE_S
            ),
        )
        return httpx.AsyncClient(**line)

    async def _ping(self, connection: int) -> None:
        try:
            heard = await self._on(connection, "/health")
        except NotHeard as error:
            raise RequestFailed(f"/health: {error}", retryable=True) from error
        if not heard.ok:
            raise RequestFailed(f"/health: {heard}", retryable=True, after_s=heard.retry_after_s)

    async def _post(
        self,
        prompt: str | Sequence[str] | Sequence[int],
        *,
        count: int,
        connection: int,
        salt: str | None,
        sent: Callable[[], object] | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> tuple[Reply, ...]:
        await self._open(connection + 1)
        started = time.perf_counter()
        try:
            heard = await self._on(
                connection,
                self._request.endpoint.path,
                method="POST",
                body=self._body(prompt, salt) | dict(own or {}),
                extensions=_tracing(sent),
            )
            latency = time.perf_counter() - started
            if not heard.ok:
                retryable = heard.status in _RETRYABLE
                raise RequestFailed(str(heard), retryable=retryable, after_s=heard.retry_after_s)
            said = heard.json()
        except NotHeard as error:
            raise RequestFailed(str(error), retryable=True) from error
        return replies(said, count, latency, zero_left_out=self._tells_cached, chat=self._chat)

    def _body(
        self, prompt: str | Sequence[str] | Sequence[int], salt: str | None
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": self._request.max_tokens,
            "temperature": self._request.temperature,
            "return_token_ids": True,
        }
        if self._chat and not isinstance(prompt, str):
            raise RequestFailed("the chat endpoint takes one text, no tokens", retryable=False)
        turn = {"role": "user", "content": prompt}
        body |= {"messages": [turn]} if self._chat else {"prompt": prompt}
        if self._request.seed is not None:
            body["seed"] = self._request.seed
        if self._request.logprobs is not None:
            most = self._request.logprobs
            body |= {"logprobs": True, "top_logprobs": most} if self._chat else {"logprobs": most}
            body["return_tokens_as_token_ids"] = True
        if salt is not None:
            body["cache_salt"] = salt
        return body


def _is_taken(error: NotHeard) -> bool:
    return isinstance(error.__cause__, httpx.PoolTimeout)


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
