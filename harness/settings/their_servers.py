"""What a spec says of servers that the harness starts, where those asked are somebody else's.

From a profile or a file it is left out and told once, since such a file is meant for both; a flag
that somebody typed is refused, since it would change nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.errors import UsageError
from harness.settings.spec_flags import MORE_ARGUMENTS, flag_of
from harness.settings.yaml_lines import KeyPath
from harness.vllm_arguments import each_argument
from harness.words import BackendName

NOT_STARTED = "servers that someone else runs are not started here"
_OF_A_START = (
    *("port", "gpu_memory_utilization", "attention_backend", "stop_timeout_s", "native_command"),
    *("tensor_parallel", "pipeline_parallel", "gpu_device_ids", "shm_size", "volumes"),
    *("extra_args", MORE_ARGUMENTS, "env", "overlap"),
)
_STATED = {"max_num_seqs"}
"""Arguments that tell a run what it may send, whoever started the server."""


def are_theirs(given: Mapping[str, Any]) -> bool:
    """Whether these keys ask servers that someone else runs."""
    return given.get("backend") == BackendName.EXTERNAL


def without_starts(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A file's keys without those that say how a server of ours is started, and which those were.

    How many requests a server runs at once stays where the file itself names somebody else's.
    """
    server = data.get("server")
    under = server if isinstance(server, Mapping) else {}
    of_theirs = are_theirs(data)
    gone = [
        key
        for key in _OF_A_START
        if key in under and not (of_theirs and key == "extra_args" and _only_stated(under[key]))
    ]
    left = {key: value for key, value in data.items() if key != "image"}
    if gone:
        left["server"] = {key: value for key, value in under.items() if key not in gone}
    return left, [*(["image"] if "image" in data else ()), *(f"server.{key}" for key in gone)]


def refused_flags(overrides: Mapping[str, object]) -> Iterator[UsageError]:
    """A mistake for each flag that was typed and would say nothing."""
    for key, value in overrides.items():
        path: KeyPath = tuple(key.split("."))
        stated = str(path[-1]).startswith("extra_args") and _only_stated(value)
        if key == "image" or (path[0] == "server" and path[-1] in _OF_A_START and not stated):
            name = flag_of(path)
            yield UsageError(f"{name}: {NOT_STARTED}", hint=f"leave {name} out")


def left_out(names: Iterable[str], where: object) -> str:
    """The note of what a file's keys no longer say."""
    told = ", ".join(dict.fromkeys(names))
    return f"{where}: {NOT_STARTED}, so this says nothing of them: {told}"


def _only_stated(arguments: object) -> bool:
    words = arguments if isinstance(arguments, list) else []
    texts = [str(one) for one in words]
    return bool(texts) and all(one.name in _STATED for one in each_argument(texts))
