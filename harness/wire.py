"""What a server says over HTTP, whatever it says: an answer with a status, or why none came.

Every request of the house to a server goes through here. Proxies, overloaded engines and strangers
on the port answer with bodies that are cut, packed, endless or no text at all; none of that is an
error of ours, so all of it becomes one `NotHeard` with what it means for whoever asked: nobody is
there, somebody is busy, or what came cannot be read.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from harness.errors import UsageError
from harness.secrets import REDACTED

MAX_BYTES = 64 * 2**20
"""The longest body that is read; a batch of answers with their token ids takes a few MiB."""
_DEEPEST = 100
_QUOTED = 300
_LONGEST_LINE = 1 << 16
_PLAIN = {"Accept-Encoding": "identity"}


class NotHeard(Exception):
    """No answer, or none that can be read.

    Attributes:
        refused: nobody listens there.
        slow: nothing came in time; whoever is there may be busy.
    """

    def __init__(self, message: str, *, refused: bool = False, slow: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        self.slow = slow


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole answer.

    Attributes:
        status: of HTTP.
        body: unpacked; without the key that was sent, should the server repeat it.
        location: where a redirection leads; it is never followed.
        retry_after_s: how long the server asks to wait, in seconds; 0 where it does not.
    """

    status: int
    body: bytes
    location: str = ""
    retry_after_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the status is 200."""
        return self.status == httpx.codes.OK

    @property
    def text(self) -> str:
        """The body as UTF-8, whatever bytes it holds and whatever the server calls them."""
        return self.body.decode("utf-8", errors="replace")

    def __str__(self) -> str:
        to = f" to {self.location}" if self.location else ""
        said = " ".join(self.text.split())[:_QUOTED]
        return f"HTTP {self.status}{to}" + (f": {said}" if said else "")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            NotHeard: it is none, is nested more than 100 deep, or holds an endless number.
        """
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise NotHeard(f"not JSON ({type(error).__name__}): {self}") from None
        level: list[Any] = [value]
        for _ in range(_DEEPEST):
            level = [inner for one in level for inner in _inside(one)]
            if not level:
                return value
        raise NotHeard("JSON that is nested too deeply to be an answer")

    def member(self, name: str) -> Any:
        """A member of the JSON object that the body is; ``None`` where it has none of that name.

        Raises:
            NotHeard: the body is no JSON object.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise NotHeard(f"not a JSON object: {self}")
        return value.get(name)


def line_to(
    base_url: str,
    *,
    timeout: httpx.Timeout | float,
    headers: Mapping[str, str] | None = None,
    transport: object = None,
    limits: httpx.Limits | None = None,
) -> dict[str, Any]:
    """What a client of httpx is made with: straight to the server, past every proxy.

    The certificates are read once for all clients, which takes longer than many a request.
    """
    return {
        "base_url": base_url,
        "headers": headers,
        "timeout": timeout,
        "transport": transport,
        "limits": limits or httpx.Limits(),
        "trust_env": False,
        "verify": _certificates(),
    }


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def ask(
    client: httpx.Client,
    path: str,
    *,
    method: str = "GET",
    body: object = None,
    timeout_s: float | None = None,
) -> Heard:
    """One request, and its whole answer within the client's time-out or ``timeout_s``.

    Raises:
        NotHeard: no answer, or none that can be read.
    """
    limit = client.timeout if timeout_s is None else httpx.Timeout(timeout_s)
    deadline = time.monotonic() + (limit.read or 0.0)
    try:
        with client.stream(method, path, json=body, headers=_PLAIN, timeout=limit) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                _grow(content, chunk)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the answer was not whole after {limit.read:g} s")
            return _heard(response, content)
    except Exception as error:  # decoders raise what they like
        raise _not_heard(error, client.headers) from error


def follow(
    client: httpx.Client, path: str, *, idle_s: float, headers: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The lines of an answer that need not end, as they come, until none came for ``idle_s``.

    Raises:
        NotHeard: no answer, one that breaks off, or a status that is not 200.
    """
    limit = httpx.Timeout(client.timeout.connect, read=idle_s)
    sent, began, left = {**_PLAIN, **(headers or {})}, False, b""
    try:
        with client.stream("GET", path, headers=sent, timeout=limit) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"HTTP {response.status_code}")
            began = True
            for chunk in response.iter_bytes():
                *lines, left = (left + chunk).split(b"\n")
                yield from (_heard(response, bytearray(line)).text for line in lines)
                left = left[:_LONGEST_LINE]
    except Exception as error:  # decoders raise what they like
        if not (began and isinstance(error, httpx.ReadTimeout)):
            raise _not_heard(error, client.headers) from error


async def ask_async(
    client: httpx.AsyncClient,
    path: str,
    *,
    method: str = "GET",
    body: object = None,
    timeout: httpx.Timeout | None = None,
    extensions: Mapping[str, Any] | None = None,
) -> Heard:
    """The same without blocking.

    Raises:
        NotHeard: no answer, or none that can be read.
    """
    timeout = timeout or client.timeout
    limit = (timeout.read or 0.0) + (timeout.connect or 0.0)
    more: Any = {"headers": _PLAIN, "timeout": timeout, "extensions": dict(extensions or {})}
    try:
        async with (
            asyncio.timeout(limit),
            client.stream(method, path, json=body, **more) as response,
        ):
            content = bytearray()
            async for chunk in response.aiter_bytes():
                _grow(content, chunk)
            return _heard(response, content)
    except Exception as error:  # decoders raise what they like
        raise _not_heard(error, client.headers) from error


def authorization(variable: str | None) -> dict[str, str]:
    """The header with the key in an environment variable; none where no variable is named.

    Raises:
        UsageError: the variable is not set, or holds what no header can carry.
    """
    if variable is None:
        return {}
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UsageError(
            f"the environment variable {variable} holds no key",
            hint=f"export {variable}=…; the key itself never goes into a file",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(f"the environment variable {variable} holds characters that no key has")
    return {"Authorization": f"Bearer {key}"}


def hidden(text: str, variable: str | None) -> str:
    """Foreign text without the key in that environment variable."""
    header = authorization(variable)
    return _without_key(text.encode(), httpx.Headers(header)).decode() if header else text


def _inside(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _grow(content: bytearray, chunk: bytes) -> None:
    content += chunk
    if len(content) > MAX_BYTES:
        raise ValueError(f"a body of more than {MAX_BYTES // 2**20} MiB")


def _heard(response: httpx.Response, content: bytearray) -> Heard:
    headers = response.headers
    after, location = headers.get("retry-after", ""), headers.get("location", "")
    wait = float(after) if after.isascii() and after.isdigit() and len(after) < 7 else 0.0
    body = _without_key(bytes(content), response.request.headers)
    return Heard(response.status_code, body, location[:_QUOTED], wait)


def _not_heard(error: Exception, sent: httpx.Headers) -> NotHeard:
    said = _without_key(str(error).encode("utf-8", "replace"), sent).decode()
    name = type(error).__name__
    late = isinstance(error, httpx.TimeoutException | TimeoutError) or "Temporary failure" in said
    return NotHeard(
        f"{name}: {said[:_QUOTED]}" if said else name,
        refused=isinstance(error, httpx.ConnectError) and not late,
        slow=late,
    )


def _without_key(said: bytes, sent: httpx.Headers) -> bytes:
    key = sent.get("authorization", "").removeprefix("Bearer ").encode()
    return said.replace(key, REDACTED.encode()) if key else said
