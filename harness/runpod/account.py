"""RunPod's REST API, version 2: pods, prices and templates as values, refusals as our errors.

Documented at https://docs.runpod.io/api-reference-v2; version 1, at rest.runpod.io, was
announced to end by 1 December 2026 and tells neither prices nor logs. Errors are problem objects
(RFC 9457). RunPod stands behind Cloudflare, which refuses programs that do not say who they are,
and whose own pages may come instead of an answer.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from harness import __version__
from harness.errors import EnvironmentError_, HarnessError, UsageError
from harness.hostile import shaped, visible
from harness.secrets import redact_text
from harness.wire import Heard, NotHeard, ask, authorization, follow, line_to

KEY = "RUNPOD_API_KEY"
"""The environment variable that holds the key; nothing else does."""
NAMES_ITSELF = {"User-Agent": f"batchflip/{__version__}"}
_API, _DEFAULT = "HARNESS_RUNPOD_API", "https://api.runpod.io/v2"
_CONSOLE = "https://console.runpod.io/user"
_ATTEMPTS, _LONGEST_PAUSE_S, _TIMEOUT_S = 4, 60.0, 30.0
_QUOTED, _MOST_PAGES = 240, 50
_T = TypeVar("_T")
Sleep = Callable[[float], None]


class Unavailable(EnvironmentError_):
    """No answer that can be read came; it may come later.

    Attributes:
        carried_out: whether what was asked for may have happened all the same.
        wait_s: how long the other side asks to wait, in seconds.
    """

    carried_out: bool = True
    wait_s: float = 0.0


class NotPlaced(EnvironmentError_):
    """RunPod has no room for the pod, or no credit for it."""


class Price(msgspec.Struct, frozen=True):
    """List prices of one GPU in USD an hour; 0 where a cloud does not offer it."""

    secure: float | None = None
    community: float | None = None


class Gpu(msgspec.Struct, frozen=True):
    """A kind of GPU; ``availability`` is NONE, LOW, MEDIUM or HIGH, or not told."""

    id: str
    memory: int | None = None
    price: Price = Price()
    availability: str | None = None


class PodGpu(msgspec.Struct, frozen=True):
    """What a pod has."""

    id: str
    count: int = 1


class Pod(msgspec.Struct, frozen=True, rename="camel"):
    """A pod as RunPod tells it; ``cost`` is in USD an hour, 0 when it is stopped.

    ``status``: PROVISIONING, STARTING, RUNNING, EXITED, ERROR or TERMINATED.
    """

    id: str
    name: str
    status: str
    cost: float | None = None
    gpu: PodGpu | None = None
    image: str = ""
    disk: int = 0
    mounts: dict[str, Any] = {}
    env: dict[str, str] = {}
    ports: list[str] = []
    cloud: str = "SECURE"
    created_at: str = ""

    def __post_init__(self) -> None:
        """Refuse an id that would lead elsewhere as a part of an address or of a path."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.id):
            raise ValueError("the id of a pod has other characters than letters and digits")


class LogLine(msgspec.Struct, frozen=True):
    """A line of a pod's log: its time (RFC 3339), its source (container or system), its id."""

    line: str
    ts: str = ""
    source: str = ""
    id: str = ""


class _Page(msgspec.Struct, rename="camel"):
    has_next_page: bool = False
    next_cursor: str | None = None


class _Pods(msgspec.Struct):
    pods: list[Pod]
    pagination: _Page = msgspec.field(default_factory=_Page)


class _Gpus(msgspec.Struct):
    gpus: list[Gpu]


class _Problem(msgspec.Struct):
    detail: str = ""
    errors: list[str] = []


class _Made(msgspec.Struct):
    id: str


def insist_https(url: str, variable: str) -> str:
    """The address, where a key may be sent to it: over TLS, or to this machine.

    Raises:
        UsageError: neither.
    """
    with suppress(ValueError, httpx.InvalidURL):
        parts = httpx.URL(url)
        here = parts.scheme == "http" and parts.host in ("127.0.0.1", "localhost")
        if here or (parts.scheme == "https" and re.fullmatch(r"[\w.-]+", parts.host)):
            return url.rstrip("/")
    raise UsageError(
        f"{variable} is no https address, and a key would be sent to it",
        hint=f"unset {variable}, or set it to https://…",
    )


def with_patience(once: Callable[[], Heard], sleep: Sleep, *, repeatable: bool = True) -> Heard:
    """Ask, and again where that helps: at most four times, waiting as the other side asks.

    Args:
        once: asks; raises `Unavailable` where no answer came.
        sleep: waits so many seconds.
        repeatable: whether to ask twice does no harm. Otherwise it is asked again only where the
            first time surely did nothing.
    """
    policy = Retrying(
        retry=retry_if_exception(
            lambda error: isinstance(error, Unavailable) and (repeatable or not error.carried_out)
        ),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=_pause,
        sleep=sleep,
        reraise=True,
    )
    return policy(once)


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait_s if isinstance(error, Unavailable) else 0.0
    return min(asked or 2.0 ** (state.attempt_number - 1), _LONGEST_PAUSE_S)


def unavailable(
    message: str, hint: str, *, carried_out: bool = True, wait_s: float = 0.0
) -> Unavailable:
    """An `Unavailable` with all that is known of it."""
    error = Unavailable(message, hint=hint)
    error.carried_out, error.wait_s = carried_out, wait_s
    return error


def unheard(error: NotHeard, who: str, hint: str) -> Unavailable:
    """That somebody did not answer, as an error of ours."""
    return unavailable(
        f"{who} did not answer: {told(str(error))}", hint, carried_out=not error.refused
    )


def told(text: str) -> str:
    """Foreign words in one line of ours: short, without control characters and secrets."""
    line = " ".join(visible(redact_text(text)).split())
    return line if len(line) <= _QUOTED else f"{line[: _QUOTED - 1]}…"


class Account:
    """What the key in `KEY` opens.

    Args:
        sleep: waits so many seconds between two attempts.

    Raises:
        UsageError: there is no key, or the address is none for it.
    """

    def __init__(self, sleep: Sleep | None = None) -> None:
        url = insist_https(os.environ.get(_API) or _DEFAULT, _API)
        self.sleep: Sleep = sleep or time.sleep
        headers = {**NAMES_ITSELF, **authorization(KEY)}
        self._client = httpx.Client(**line_to(f"{url}/", timeout=_TIMEOUT_S, headers=headers))

    def gpus(self, cloud: str, count: int) -> list[Gpu]:
        """Every kind of GPU with its price, and its stock in this cloud (SECURE, COMMUNITY)."""
        asked = f"catalog/gpus?include=AVAILABILITY&product=POD&cloud={cloud}&count={count}"
        return self._read(self._ask(asked), _Gpus).gpus

    def pods(self) -> list[Pod]:
        """Every pod of the account, ours or not."""
        found: list[Pod] = []
        path = "pods"
        for _ in range(_MOST_PAGES):
            page = self._read(self._ask(path), _Pods)
            found += page.pods
            if not (page.pagination.has_next_page and page.pagination.next_cursor):
                break
            path = f"pods?cursor={quote(page.pagination.next_cursor, safe='')}"
        return found

    def pod(self, pod_id: str) -> Pod | None:
        """A pod; ``None`` where there is none any more."""
        with suppress(_Gone):
            return self._read(self._ask(_of(pod_id)), Pod)
        return None

    def create(self, body: Mapping[str, Any]) -> Pod:
        """Start a pod.

        Raises:
            NotPlaced: no room, or no credit.
            Unavailable: no answer; where ``carried_out``, the pod may be there all the same.
        """
        return self._read(self._ask("pods", "POST", body, repeatable=False), Pod)

    def stop(self, pod_id: str) -> None:
        """End a pod's compute and keep its volume, which is billed on; one that is over is left."""
        with suppress(_Gone, _NotNow):
            self._ask(f"{_of(pod_id)}/action", "POST", {"action": "stop"})

    def start(self, pod_id: str) -> None:
        """Start a stopped pod again, on the machine where its volume is."""
        self._ask(f"{_of(pod_id)}/action", "POST", {"action": "start"}, repeatable=False)

    def delete(self, pod_id: str) -> None:
        """End a pod and all that is on its volume."""
        with suppress(_Gone):
            self._ask(_of(pod_id), "DELETE")

    def register(self, template: Mapping[str, Any]) -> str:
        """Make a template of the account; its id."""
        return self._read(self._ask("templates", "POST", template, repeatable=False), _Made).id

    def log(self, pod_id: str, tail: int, idle_s: float, after: str = "") -> Iterator[LogLine]:
        """A pod's last lines, then what comes, until nothing came for ``idle_s``.

        ``after`` is the id of the last line that is known, which is not told again; ``tail`` then
        does not count.
        """
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        path, known = f"{_of(pod_id)}/logs?tail={tail}", ""
        try:
            for line in follow(self._client, path, idle_s=idle_s, headers=headers):
                if line.startswith("id:"):
                    known = line[3:].strip()
                elif line.startswith("data:") and (not known or known != after):
                    with suppress(msgspec.MsgspecError):
                        said = msgspec.json.decode(line[5:], type=LogLine)
                        yield msgspec.structs.replace(said, id=known or said.ts)
        except NotHeard as error:
            hint = "the same command again, or the pod's page at https://console.runpod.io/pods"
            raise unheard(error, "RunPod's log", hint) from error

    def _ask(
        self, path: str, method: str = "GET", body: object = None, *, repeatable: bool = True
    ) -> Heard:
        def once() -> Heard:
            try:
                heard = ask(self._client, path, method=method, body=body)
            except NotHeard as error:
                raise unheard(
                    error, "RunPod", "is there a network? the same command again"
                ) from error
            if heard.status // 100 == 2:
                return heard
            raise _refusal(heard)

        return with_patience(once, self.sleep, repeatable=repeatable)

    def _read(self, heard: Heard, kind: type[_T]) -> _T:
        try:
            return shaped(heard.json(), kind)
        except (NotHeard, msgspec.ValidationError) as error:
            raise unavailable(
                f"RunPod's answer is none of its API: {told(str(error))}",
                f"see https://uptime.runpod.io, or what {_API} names; the same command again",
            ) from error


class _Gone(UsageError):
    """RunPod knows no such thing."""


class _NotNow(UsageError):
    """RunPod knows it, and this cannot be done to it in its state."""


def _of(pod_id: str) -> str:
    return f"pods/{quote(pod_id, safe='')}"


def _refusal(heard: Heard) -> HarnessError:
    """What a status of RunPod's means, with what to do."""
    said = told(heard.text) or f"HTTP {heard.status}"
    with suppress(NotHeard, msgspec.ValidationError):
        problem = shaped(heard.json(), _Problem)
        said = told("; ".join([problem.detail, *problem.errors]).strip("; ")) or said
    rights = f"make a key that may write pods at {_CONSOLE}/settings, then export {KEY}=…"
    match heard.status:
        case 401:
            return EnvironmentError_(f"RunPod refused the key in {KEY} (401): {said}", hint=rights)
        case 403:
            return EnvironmentError_(f"the key in {KEY} may not do this (403): {said}", hint=rights)
        case 402:
            return NotPlaced(f"no credit (402): {said}", hint=f"add some at {_CONSOLE}/billing")
        case 404:
            hint = "`harness runpod status` lists the pods that are there"
            return _Gone(f"RunPod does not know it (404): {said}", hint=hint)
        case 409:
            hint = "`harness runpod status` says how the pods stand"
            return _NotNow(f"RunPod cannot do this now (409): {said}", hint=hint)
        case 400:
            hint = "another --gpu or --cloud, or later; the words are RunPod's"
            return NotPlaced(f"RunPod did not take it (400): {said}", hint=hint)
        case 422:
            hint = "see the template file and the flags; docs/runpod.md tells the fields"
            return UsageError(f"RunPod does not take these values (422): {said}", hint=hint)
        case 429:
            wait = heard.retry_after_s
            hint = f"wait {wait:.0f} s, then the same command" if wait else "wait a minute"
            message = f"RunPod limits the rate of requests (429): {said}"
            return unavailable(message, hint, carried_out=False, wait_s=wait)
    hint = "see https://uptime.runpod.io; the same command again"
    return unavailable(f"RunPod answered HTTP {heard.status}: {said}", hint)
