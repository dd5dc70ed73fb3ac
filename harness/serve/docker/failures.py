"""What the engine says when it refuses to start a container, with the cause and a remedy.

The engine's own words come before any server log, so they are a table of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import EnvironmentError_, HarnessError, StartupFailed

__all__ = ["engine_refusal"]


@dataclass(frozen=True, slots=True)
class _Refusal:
    pattern: str
    message: str
    hint: str
    error: type[HarnessError] = EnvironmentError_


_REFUSALS = (
    _Refusal(
        r"port is already allocated|bind: address already in use|address already in use",
        "port {port} on 127.0.0.1 is taken",
        "end what listens there (ss -ltnp shows it), run harness clean if it is a container of "
        "ours, or choose another with --port",
    ),
    _Refusal(
        r"could not select device driver|unknown or invalid runtime name|no known GPU vendor",
        "the engine has no NVIDIA runtime",
        "install the NVIDIA Container Toolkit and run: sudo nvidia-ctk runtime configure "
        "--runtime=docker && sudo systemctl restart docker",
    ),
    _Refusal(
        r"unresolvable CDI devices|CDI device injection failed",
        "the engine does not know the CDI device nvidia.com/gpu",
        "make the device list: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    ),
    _Refusal(
        r"unsatisfied condition: (cuda>=[\d.]+)",
        "the NVIDIA driver is too old for the image: it needs {match}",
        "update the driver, or choose an image built for an older CUDA",
    ),
    _Refusal(
        r"No such image|pull access denied|manifest unknown",
        "there is no image {image} on this machine",
        "pull or build it; harness pin {image} does the first",
    ),
    _Refusal(
        r"exec format error",
        "the image {image} is for another processor architecture",
        "choose the image of this machine's architecture",
        StartupFailed,
    ),
    _Refusal(
        r"executable file not found|no such file or directory: unknown",
        "the image {image} has no program {program}",
        "the image must have python3 and vLLM; check that --image names a vLLM image",
        StartupFailed,
    ),
    _Refusal(
        r"no space left on device",
        "the engine's disk is full",
        "free space: docker system df shows what uses it",
    ),
)


def engine_refusal(text: str, *, image: str, port: int, program: str) -> HarnessError:
    """The error for what the engine said when a container was created or started.

    Args:
        text: the engine's message.
        image: the reference that was asked for.
        port: the host port that was asked for.
        program: the entrypoint's first word.

    Returns:
        An error to raise; the engine's own words are its detail.
    """
    said = " ".join(text.split())
    for refusal in _REFUSALS:
        found = re.search(refusal.pattern, said)
        if found:
            match = found.group(1) if found.groups() else ""
            fill = {"image": image, "port": port, "program": program, "match": match}
            return refusal.error(
                refusal.message.format(**fill),
                hint=refusal.hint.format(**fill),
                detail=(f"Docker: {said}",),
            )
    return StartupFailed(
        "the Docker engine refused to start the container",
        hint="its message is below; docker info and the engine's log say more",
        detail=(f"Docker: {said}",),
    )
