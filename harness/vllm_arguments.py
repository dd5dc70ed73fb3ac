"""What a server was given on its command line, read as vLLM reads it: one reader for everybody.

vLLM takes dashes and underscores alike, short forms, the beginning of a name where it is one
option's alone, JSON or dotted keys for a group, and of a flag that is said twice the last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Arguments = Mapping[str, Any]
"""By vLLM's own names with underscores (``max_num_seqs``), as its log tells them too."""
_SHORT = {
    "-tp": "tensor_parallel_size",
    "-pp": "pipeline_parallel_size",
    "-dp": "data_parallel_size",
    "-ep": "enable_expert_parallel",
    "-q": "quantization",
    "-sc": "speculative_config",
    "-cc": "compilation_config",
    "-ac": "attention_config",
}
_SWITCHES = frozenset(
    {
        *("enforce_eager", "enable_prefix_caching", "async_scheduling", "disable_cascade_attn"),
        *("disable_log_stats", "enable_prompt_tokens_details", "enable_chunked_prefill"),
        *("enable_logging_iteration_details", "enable_expert_parallel", "enable_lora"),
        *("trust_remote_code", "disable_custom_all_reduce"),
    }
)
"""Flags without a value, each with its ``--no-``."""
_WHOLE = _SWITCHES.union(
    _SHORT.values(),
    ("api-key".replace("-", "_"),),
    ("model", "model_impl", "served_model_name", "host", "port", "revision", "dtype", "seed"),
    ("config", "config_format", "max_model_len", "max_num_seqs", "max_num_batched_tokens"),
    ("gpu_memory_utilization", "kv_cache_memory_bytes", "kv_cache_dtype", "attention_backend"),
    ("worker_extension_cls", "uds", "cpu_offload_gb", "load_format"),
    ("data_parallel_size_local", "quantization_config", "generation_config", "api_server_count"),
    ("optimization_level", "middleware", "tokenizer", "enable_lora_bias"),
)
"""Names that are asked about, and those that could be taken for the beginning of one."""
_FEWEST = 4
_SCALES = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kmgKMG]?)")
_MODULE = re.compile(r".*\bapi_server(?:\.py)?|serve")


class Argument(NamedTuple):
    """One argument of a command line.

    Attributes:
        at: the place of its word.
        flag: as it was given, with dashes, its beginning written out: ``--no-enforce-eager``.
        name: ``enforce_eager``; of a dotted one what stands before the first dot.
        value: its text, an object where JSON or dotted keys make one, or whether a switch is on.
        dotted: whether it is one key of a group.
    """

    at: int
    flag: str
    name: str
    value: Any
    dotted: bool = False


def each_argument(words: Sequence[str]) -> Iterator[Argument]:
    """Every argument in its order; what belongs to none is passed over."""
    at = 0
    while at < len(words):
        word = words[at]
        key, joined, text = word.partition("=")
        if word[:2] == "-O":
            found, taken = _optimization(at, words)
        elif word[:2] == "--" and len(word) > 2:
            found, taken = _long(at, key[2:], text if joined else None, words)
        elif short := _short(key):
            rest = key[len(short) :]
            value = text if joined else rest if rest and rest[0] != "." else None
            keys = rest if rest[:1] == "." else ""
            found, taken = _long(at, _SHORT[short] + keys, value, words)
        else:
            at += 1
            continue
        yield found
        at += 1 + taken


def read_arguments(words: Sequence[str]) -> dict[str, Any]:
    """What a command line gives, by name; of a name that is said twice the last.

    Dotted keys of a group are put together, and stand in place of the same group as JSON.
    """
    found: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for one in each_argument(words):
        if one.dotted:
            _merge(groups.setdefault(one.name, {}), one.value)
        else:
            found[one.name] = one.value
    return found | groups


def kept_arguments(spec: Mapping[str, Any]) -> Arguments:
    """The further arguments in a run's kept settings; none where they are of another form."""
    server = spec.get("server")
    given = server.get("extra_args") if isinstance(server, Mapping) else None
    return read_arguments([*map(str, given)] if isinstance(given, list | tuple) else [])


def of_command(words: Sequence[str]) -> Sequence[str] | None:
    """The words behind vLLM's own module in a command; ``None`` where it names none."""
    places = [at for at, word in enumerate(words) if _MODULE.fullmatch(word)]
    return words[places[0] + 1 :] if places else None


def number_of(arguments: Arguments, name: str) -> int | None:
    """A number among them, as vLLM reads ``2k`` too; ``None`` where there is none."""
    found = _NUMBER.fullmatch(str(arguments.get(name)))
    return int(float(found[1]) * _SCALES.get(found[2], 1)) if found else None


def _long(at: int, name: str, value: str | None, words: Sequence[str]) -> tuple[Argument, int]:
    """An argument by its long name without dashes, and how many further words it takes."""
    head, _, keys = name.partition(".")
    head = head.replace("-", "_")
    off = head[:3] == "no_"
    head = _written_out(head[3:] if off else head)
    flag = f"--{'no-' if off else ''}{head.replace('_', '-')}"
    taken = 0
    if value is None and not off and (head not in _SWITCHES or keys):
        after = words[at + 1] if at + 1 < len(words) else None
        if after is not None and (after[:1] != "-" or _NUMBER.fullmatch(after[1:])):
            value, taken = after, 1
    if keys:
        return Argument(at, flag, head, _nested(keys, value), dotted=True), taken
    told: Any = not off if value is None else value
    if isinstance(told, str) and told[:1] == "{":
        told = _json(told)
    return Argument(at, flag, head, told), taken


def _optimization(at: int, words: Sequence[str]) -> tuple[Argument, int]:
    """``-O3``, ``-O 3`` and ``-O=3``; JSON and dotted keys are the compiler's in older releases."""
    rest, flag = words[at][2:].removeprefix("="), "--optimization-level"
    taken = 0 if rest and (rest[0] != "." or "=" in rest) else 1
    after = words[at + 1] if taken and at + 1 < len(words) else ""
    if rest[:1] == ".":
        keys, _, value = rest[1:].partition("=")
        nested = _nested(keys, value or after)
        return Argument(at, "--compilation-config", "compilation_config", nested, True), taken
    if (told := rest or after)[:1] == "{":
        return Argument(at, "--compilation-config", "compilation_config", _json(told)), taken
    return Argument(at, flag, "optimization_level", told), taken


def _short(key: str) -> str | None:
    """The short form that a word is or begins with: ``-cc.mode``; of one letter also ``-qfp8``."""
    head = key.partition(".")[0]
    if head in _SHORT:
        return head
    return key[:2] if key[:2] in _SHORT else None


def _written_out(name: str) -> str:
    """A name whose beginning was given, where it is the beginning of one alone."""
    if name in _WHOLE or len(name) < _FEWEST:
        return name
    begun = [one for one in _WHOLE if one.startswith(name)]
    return begun[0] if len(begun) == 1 else name


def _nested(keys: str, value: Any) -> dict[str, Any]:
    told: Any = _json(value) if isinstance(value, str) else value
    for key in reversed(keys.rstrip("+").split(".")):
        told = {key: told}
    return dict(told)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _merge(group: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(group.get(key), dict):
            _merge(group[key], value)
        else:
            group[key] = value
