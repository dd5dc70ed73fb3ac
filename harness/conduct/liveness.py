"""Is the server behind a failed request still there? If not, say what killed it."""

from __future__ import annotations

import asyncio

import httpx

from harness.errors import ServerDied
from harness.serve import Server, ServerState, describe_death

__all__ = ["Liveness"]

_GRACE_S = 5.0
_TICK_S = 0.2


class Liveness:
    """The dispatcher's probe: raises ``ServerDied`` when the process or its engine is gone.

    A dying vLLM closes its connections a moment before its process ends, and an API server whose
    engine died answers ``/health`` with 503 before it gives up; both are given a few seconds to
    show what they are before a failed request counts as only that.
    """

    def __init__(
        self, server: Server, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._server = server
        self._transport = transport

    async def __call__(self) -> None:
        """Look; returns at once when the server is healthy.

        Raises:
            ServerDied: with the cause, the last log lines and the log's path.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _GRACE_S
        healthy = False
        while loop.time() < deadline and not healthy:
            state = self._server.state()
            if not state.running:
                raise self._died(state)
            healthy = await self._is_healthy()
            if not healthy:
                await asyncio.sleep(_TICK_S)
        if not healthy:
            raise self._died(self._server.state())

    async def _is_healthy(self) -> bool:
        async with httpx.AsyncClient(transport=self._transport, trust_env=False) as client:
            try:
                response = await client.get(f"{self._server.base_url}/health", timeout=5.0)
            except httpx.TransportError:
                return False
        return response.status_code == 200

    def _died(self, state: ServerState) -> ServerDied:
        return describe_death(self._server, state)
