"""What a run asks of servers that someone else runs, found out before anything is asked of them.

A server of ours is started with the development endpoints that its run needs. Another's may lack
them: then nothing begins, or gated batches are sent as the spec's fall-back says, and the run says
so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.conduct.prepare import Prepared, sent_instead
from harness.conduct.progress import RunProgress
from harness.errors import EnvironmentError_
from harness.secrets import without_url_password
from harness.serve import why_not_held
from harness.wire import authorization
from harness.words import BackendName, CachePolicy, DispatchMode

_START_WITH = "start it with VLLM_SERVER_DEV_MODE=1 on 127.0.0.1"


def settled(prepared: Prepared, progress: RunProgress) -> Prepared:
    """The run as it can be done with the servers that there are.

    Raises:
        EnvironmentError_: a server lacks what the run needs, and there is no fall-back.
    """
    spec = prepared.spec
    if spec.backend is not BackendName.EXTERNAL:
        return prepared
    if spec.controls.prefix_caching == CachePolicy.RESET and (why := _first(_lacks(prepared))):
        raise EnvironmentError_(
            f"controls.prefix_caching reset: {why}",
            hint=f"{_START_WITH}, or --prefix-caching salted, which needs no such endpoint",
        )
    if DispatchMode.GATED not in prepared.schedules:
        return prepared
    why = _first((*_lacks(prepared), *_shows_no_steps(prepared)))
    if why and spec.controls.gated_fallback == "none":
        raise EnvironmentError_(
            f"dispatch mode gated: {why}",
            hint=f"{_START_WITH} and give its log, or --gated-fallback synchronized",
        )
    if not why:
        return prepared
    note = f"sent as synchronized (controls.gated_fallback): {why}"
    progress.remark(f"gated batches are {note}")
    instead = DispatchMode(spec.controls.gated_fallback)
    return sent_instead(prepared, instead, of=DispatchMode.GATED, note=note)


def _lacks(prepared: Prepared) -> Iterator[str]:
    """Servers that cannot hold a batch or empty their cache, and why."""
    for mode in prepared.spec.modes:
        server = prepared.spec.external[mode]
        url = server.url
        if why := why_not_held(url, headers=authorization(server.api_key_env)):
            yield f"the {mode.words} server at {without_url_password(url)}: {why}"


def _shows_no_steps(prepared: Prepared) -> Iterator[str]:
    """Servers whose log is not given, so that nothing shows how a batch was admitted."""
    for mode in prepared.spec.modes:
        if prepared.spec.external[mode].log is None:
            yield f"the {mode.words} server's log is not given (--external-log {mode}=FILE)"


def _first(reasons: Iterable[str]) -> str:
    return next(iter(reasons), "")
