"""The server's environment: the mode's variable, quiet logs, and what must be kept out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.errors import UsageError
from harness.words import Mode

__all__ = [
    "CLEARED_VARIABLES",
    "MODE_VARIABLE",
    "SECRET_VARIABLES",
    "is_secret_name",
    "redacted",
    "server_environment",
]

MODE_VARIABLE = "VLLM_BATCH_INVARIANT"
CLEARED_VARIABLES = ("PYTHONWARNINGS", "TORCH_CPP_LOG_LEVEL")
"""Each hides one of the two activation lines, so neither may reach a server."""
SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

_SECRET_NAME = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_KEY", re.I
)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name is treated as a secret: passed on, never written down."""
    return bool(_SECRET_NAME.search(name))


def redacted(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a file: secrets keep their name and lose their value."""
    return {
        name: "(secret)" if is_secret_name(name) else value
        for name, value in sorted(environment.items())
    }


def server_environment(
    spec_env: Mapping[str, str],
    mode: Mode,
    *,
    native_cache: str | None,
    native_gpus: tuple[str, ...] | None = None,
) -> dict[str, str]:
    """Variables to set for a server of ``mode``.

    Args:
        spec_env: ``server.env`` of the spec; it may override the quiet-log defaults.
        mode: sets ``VLLM_BATCH_INVARIANT`` to 1 or, explicitly, to 0.
        native_cache: compile-cache folder of this mode; ``None`` in a container, where a volume
            does it.
        native_gpus: GPU ids for a native server; a container gets its own by the GPU request.

    Raises:
        UsageError: ``spec_env`` sets the mode, hides the evidence, moves the cache or holds a
            secret.
    """
    for name in spec_env:
        _check(name)
    environment = {
        "NO_COLOR": "1",
        "VLLM_LOGGING_COLOR": "0",
        "VLLM_NO_USAGE_STATS": "1",
        **spec_env,
        MODE_VARIABLE: "1" if mode is Mode.BATCH_INVARIANT else "0",
    }
    if native_cache is not None:
        environment["VLLM_CACHE_ROOT"] = native_cache
    if native_gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(native_gpus)
    return environment


def _check(name: str) -> None:
    reason = {
        MODE_VARIABLE: "the mode sets it; choose with modes:",
        "VLLM_CACHE_ROOT": "each mode has a compile cache of its own",
        **dict.fromkeys(CLEARED_VARIABLES, "it hides the activation evidence"),
    }.get(name)
    if reason is None and is_secret_name(name):
        reason = "a secret does not belong into a spec; export it in the shell, it is passed on"
    if reason is not None:
        raise UsageError(f"server.env sets {name}: {reason}", hint=f"remove {name} from server.env")
