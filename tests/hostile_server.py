"""A loopback server that answers each path with the bytes it is told to, whatever they are."""

from __future__ import annotations

import contextlib
import gzip
import json
import socketserver
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

Says = bytes | Callable[[], bytes]


def answer(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """A whole HTTP answer; ``length`` is told instead of the true one."""
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close"]
    if not any(line.lower().startswith("transfer-encoding") for line in headers):
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def said(value: Any, status: str = "200 OK") -> bytes:
    """A value as JSON."""
    return answer(json.dumps(value).encode(), status, "Content-Type: application/json")


def slowly(seconds: float, says: bytes) -> Callable[[], bytes]:
    """An answer that comes late."""

    def wait() -> bytes:
        time.sleep(seconds)
        return says

    return wait


COMPLETION = {"choices": [{"index": 0, "text": "B", "finish_reason": "stop", "token_ids": [7]}]}
_OK = json.dumps(COMPLETION).encode()
_CHUNKED = "Transfer-Encoding: chunked"
_JSON = "Content-Type: application/json"

UNREADABLE: dict[str, bytes] = {
    "gzip that is none": answer(_OK, "200 OK", "Content-Encoding: gzip"),
    "deflate that is none": answer(b"{}\xff\xfe" * 9, "200 OK", "Content-Encoding: deflate"),
    "br that is none": answer(b"\xff\x00{" * 9, "200 OK", "Content-Encoding: br"),
    "zstd that is none": answer(b"\xff\x00{" * 9, "200 OK", "Content-Encoding: zstd"),
    "gzip cut in the middle": answer(
        gzip.compress(b"x" * 9999)[:20], "200 OK", "Content-Encoding: gzip"
    ),
    "gzip twice": answer(gzip.compress(_OK), "200 OK", "Content-Encoding: gzip, gzip"),
    "an encoding nobody knows": answer(b"\x01\x02", "200 OK", "Content-Encoding: snappy"),
    "a gzip bomb": answer(
        gzip.compress(zlib.compress(b"\0" * 70_000_000)),
        "200 OK",
        "Content-Encoding: deflate, gzip",
    ),
    "chunks cut in the middle": answer(b"ff\r\n{", "200 OK", _CHUNKED),
    "chunks without a size": answer(b"zz\r\n{}\r\n", "200 OK", _CHUNKED),
    "fewer bytes than told": answer(_OK, length=len(_OK) + 50),
    "more bytes than told": answer(_OK, length=5),
    "a length that is no number": answer(b"", "200 OK", "Content-Length: many"),
    "two lengths": answer(_OK, "200 OK", "Content-Length: 3"),
    "a charset that is no text": answer(
        b"\xff\xfe", "200 OK", "Content-Type: text/html; charset=hex"
    ),
    "a charset that refuses": answer(
        b"\xff", "200 OK", "Content-Type: text/html; charset=undefined"
    ),
    "bytes that are no UTF-8": answer(b'{"choices": "\xff\xfe\xc3"}', "200 OK", _JSON),
    "JSON nested deeply": answer(b"[" * 200_000, "200 OK", _JSON),
    "JSON nested too deep to walk": answer(b"[" * 900 + b"]" * 900, "200 OK", _JSON),
    "a number without end": answer(b"1" * 9000, "200 OK", _JSON),
    "half an object": answer(b'{"choices": [{"index"', "200 OK", _JSON),
    "an empty body": answer(b""),
    "a page": answer(b"<html><body>Sign in</body></html>", "200 OK", "Content-Type: text/html"),
    "nothing but a closed connection": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP 0.9": b"{}\r\n",
    "a header line without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n{}",
    "a status that is no number": b"HTTP/1.1 OK\r\n\r\n{}",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    "nul bytes in a header": b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n{}",
    "a redirection to nowhere": answer(b"", "308 Permanent Redirect", "Location: http://[::bad"),
    "502 from a proxy": answer(b"<html>502 Bad Gateway</html>", "502 Bad Gateway"),
    "504 from a proxy": answer(b"<html>504</html>", "504 Gateway Time-out"),
    "429": answer(b"{}", "429 Too Many Requests", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"),
    "503 without end": answer(b"", "503 Service Unavailable", "Retry-After: 99999999999999"),
}
"""Each fails an attempt at whatever is asked, and the same request may be sent again."""

REFUSALS: dict[str, bytes] = {
    "a redirection": answer(b"", "302 Found", "Location: /login"),
    "a redirection to bytes": answer(b"", "301 Moved", "Location: \xff\xfe"),
    "401": said({"error": "Unauthorized"}, "401 Unauthorized"),
    "404": answer(b"not here", "404 Not Found"),
    "a teapot": answer(b"short and stout", "418 I'm a teapot"),
}
"""Each is an answer that stays the same."""

_NAN = json.loads("NaN")
WRONG: dict[str, bytes] = {
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    **{
        f"JSON: {json.dumps(value)[:40]}": said(value)
        for value in (
            None, True, 7, _NAN, "text", [], [[]], {}, {"choices": None}, {"choices": {}},
            {"choices": "B"}, {"choices": []}, {"choices": [None]}, {"choices": [[]]},
            {"choices": [{}]}, {"choices": [{"index": 0}]},
            {"choices": [{"index": "0", "text": "B"}]},
            {"choices": [{"index": _NAN, "text": "B"}]},
            {"choices": [{"index": 0.5, "text": "B"}]},
            {"choices": [{"index": 10**30, "text": "B"}]},
            {"choices": [{"index": True, "text": "B"}]},
            {"choices": [{"index": 0, "text": None}]},
            {"choices": [{"index": 0, "text": ["B"]}]},
            {"choices": [{"index": 0, "text": "B", "finish_reason": {}}]},
            {"choices": [{"index": 0, "text": "B", "token_ids": "7"}]},
            {"choices": [{"index": 0, "text": "B", "token_ids": [None]}]},
            {"choices": [{"index": 0, "text": "B", "token_ids": [_NAN]}]},
            {"choices": [{"index": 0, "text": "B", "token_ids": [10**40]}]},
            {"choices": [{"index": 0, "text": "B", "token_ids": [-1]}]},
            {"choices": [{"index": 0, "text": "B", "prompt_token_ids": [[1]]}]},
            {"error": {"message": "no"}},
        )
    },
}  # fmt: skip
"""Each is whole and is not what was asked for."""


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        with contextlib.suppress(OSError):
            line = self.rfile.readline().decode("latin-1").split()
            headers = dict(self._headers())
            self.rfile.read(int(headers.get("content-length", 0)))
            path = line[1].partition("?")[0] if len(line) > 1 else ""
            server.asked.append((path, headers))
            says = server.says.get(path, server.says.get("*", answer(b"", "404 Not Found")))
            if isinstance(says, list):
                says = says.pop(0) if len(says) > 1 else says[0]
            self.wfile.write(says() if callable(says) else says)

    def _headers(self) -> Iterator[tuple[str, str]]:
        while line := self.rfile.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            yield name.strip().lower(), value.strip()


class _Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class HostileServer:
    """What it says by path, and what it was asked; ``*`` is any other path.

    A list is said one after the other, its last for ever.
    """

    def __init__(self, says: dict[str, Any]) -> None:
        self._server: Any = _Threads(("127.0.0.1", 0), _Handler)
        self._server.says = self.says = says
        self._server.asked = self.asked = []
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> HostileServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
