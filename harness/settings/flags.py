"""Every key of the run spec as a long flag, so that the command line can say all that a file can.

A flag is the key's own name with dashes (``server.max_model_len`` is ``--max-model-len``); the
study's names are accepted too. Text becomes a value here; `harness.settings.load` checks the value
by the same rules as one from a file.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from harness.secrets import names_a_secret
from harness.settings.problems import Problem, nearest, raise_problems, shown
from harness.settings.spec_keys import annotation_at, is_optional, leaf_keys, meaning
from harness.settings.yaml_file import KeyPath

__all__ = ["MORE_ARGUMENTS", "Flag", "apply_flags", "flag_of", "spec_flags"]

Parse = Callable[[list[str]], Any]

_ALIASES: dict[KeyPath, tuple[str, ...]] = {
    ("backend",): ("--server-backend",),
    ("image",): ("--docker-image",),
    ("candidates",): ("--candidate-files",),
    ("request", "timeout_s"): ("--request-timeout-s",),
    ("expect", "rows_per_mode"): ("--expected-rows-per-mode",),
}
_REPEATABLE: tuple[KeyPath, ...] = (("models",), ("candidates",), ("server", "env"), ("external",))
MORE_ARGUMENTS: KeyPath = ("server", "extra_args+")
"""The override that adds to ``server.extra_args`` where the plain key replaces it."""

_NO_VALUE = ("none", "null")


@dataclass(frozen=True, slots=True)
class Flag:
    """One long flag.

    Attributes:
        name: with its dashes.
        path: the key it sets.
        help: what may follow it, for ``--help``.
        parse: the texts given, in order, to the value of the key.
        aliases: other names of the same flag.
        repeatable: whether it may be given more than once.
    """

    name: str
    path: KeyPath
    help: str
    parse: Parse
    aliases: tuple[str, ...] = ()
    repeatable: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the aliases."""
        return (self.name, *self.aliases)


@cache
def spec_flags() -> tuple[Flag, ...]:
    """All flags, in the order of the keys; names are unique."""
    return (*(_flag(path) for path in leaf_keys()), *_further_flags())


def flag_of(path: KeyPath) -> str:
    """The flag that sets the key at ``path`` (or the key that holds it)."""
    for length in range(len(path), 0, -1):
        for flag in spec_flags():
            if flag.path == path[:length]:
                return flag.name
    return f"--{path[0]}"


def apply_flags(pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Flags as typed, to overrides for `load_spec`.

    Args:
        pairs: flag and text, in the order of the command line (``("--port", "18001")``). A flag
            given again replaces the former, unless it is repeatable.

    Raises:
        UsageError: an unknown flag or a text that is no value; all of them, one line each.
    """
    known = {name: flag for flag in spec_flags() for name in flag.names}
    texts: dict[str, tuple[Flag, str, list[str]]] = {}
    problems: list[Problem] = []
    for name, text in pairs:
        flag = known.get(name)
        if flag is None:
            problems.append(Problem(f"no flag {name}", nearest(name, known)))
        elif flag.repeatable and flag.name in texts:
            texts[flag.name][2].append(text)
        else:
            texts[flag.name] = (flag, name, [text])
    overrides: dict[str, object] = {}
    for flag, name, given in texts.values():
        try:
            _put(overrides, flag, flag.parse(given))
        except ValueError as error:
            problems.append(Problem(f"{name}: {error}"))
    raise_problems(problems)
    return overrides


def _put(overrides: dict[str, object], flag: Flag, value: Any) -> None:
    """Set one key; two flags of one mapping (``--external``, ``--external-log``) add up."""
    key = ".".join(str(part) for part in flag.path)
    old = overrides.get(key)
    if isinstance(old, dict) and isinstance(value, dict):
        for name, entry in value.items():
            merged = {**old[name], **entry} if isinstance(entry, dict) and name in old else entry
            old[name] = merged
    else:
        overrides[key] = value


def _flag(path: KeyPath) -> Flag:
    name = "--model" if path == ("models",) else f"--{str(path[-1]).replace('_', '-')}"
    parse, text = _parser(path)
    if is_optional(path):
        parse, text = _or_none(parse), f"{text}, or none"
    text = f"{meaning(path)} ({text})"
    return Flag(name, path, text, parse, _ALIASES.get(path, ()), path in _REPEATABLE)


def _further_flags() -> tuple[Flag, ...]:
    """Second flags of a key: one part of ``external``, and arguments added and not replaced."""
    log = "The log of such a server, for proof (MODE=PATH; repeatable)."
    more = "One more argument for vLLM, after the file's (repeatable)."
    return (
        Flag("--external-log", ("external",), log, _pairs_of("log"), repeatable=True),
        Flag("--extra-arg", MORE_ARGUMENTS, more, _more_arguments, repeatable=True),
    )


def _parser(path: KeyPath) -> tuple[Parse, str]:
    """How the text of a flag becomes the value of its key, and the help that says so."""
    special: dict[KeyPath, tuple[Parse, str]] = {
        ("models",): (_models, "NAME=HF_ID[@REVISION]; repeatable, replaces the models"),
        ("server", "env"): (_environment, "NAME=VALUE; repeatable, adds to the file's"),
        ("server", "extra_args"): (_arguments, "one quoted text; replaces the file's"),
        ("external",): (_pairs_of("url"), "MODE=URL; repeatable"),
        ("dispatch_modes",): (
            _dispatch,
            "original, or synchronized, prompt_list separated by commas",
        ),
    }
    if path in special:
        return special[path]
    kind = annotation_at(path)
    if kind is int:
        return _number(int, "a whole number"), "a whole number"
    if kind is float:
        return _number(float, "a number"), "a number"
    if kind is bool:
        return _switch, "on or off"
    if get_origin(kind) is tuple:
        members = getattr(get_args(kind)[0], "__members__", {})
        which = f" of {', '.join(map(str, members.values()))}" if members else ""
        return _list, f"list{which}, separated by commas"
    if get_origin(kind) is Literal:
        if all(isinstance(choice, int) for choice in get_args(kind)):
            return _number(int, "a whole number"), " or ".join(map(str, get_args(kind)))
        return _last, " or ".join(map(str, get_args(kind)))
    members = getattr(kind, "__members__", {})
    return _last, " or ".join(map(str, members.values())) or "text"


def _last(texts: list[str]) -> str:
    return texts[-1]


def _or_none(parse: Parse) -> Parse:
    return lambda texts: None if texts[-1].lower() in _NO_VALUE else parse(texts)


def _number(kind: type[int] | type[float], what: str) -> Parse:
    def parse(texts: list[str]) -> int | float:
        try:
            return kind(texts[-1])
        except ValueError:
            raise ValueError(f"must be {what}, not {shown(texts[-1])}") from None

    return parse


def _switch(texts: list[str]) -> bool:
    words = {"on": True, "true": True, "off": False, "false": False}
    if texts[-1].lower() not in words:
        raise ValueError(f"must be on or off, not {shown(texts[-1])}")
    return words[texts[-1].lower()]


def _list(texts: list[str]) -> list[str]:
    return [item.strip() for text in texts for item in text.split(",") if item.strip()]


def _dispatch(texts: list[str]) -> str | list[str]:
    items = _list(texts)
    return "original" if items == ["original"] else items


def _arguments(texts: list[str]) -> list[str]:
    try:
        return shlex.split(texts[-1])
    except ValueError as error:
        raise ValueError(f"{str(error).lower()} in {shown(texts[-1])}") from None


def _more_arguments(texts: list[str]) -> list[str]:
    return [argument for text in texts for argument in _arguments([text])]


def _pair(text: str, form: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip() or not value.strip():
        raise ValueError(f"must be {form}, not {shown(text)}")
    return name.strip(), value.strip()


def _models(texts: list[str]) -> list[dict[str, str | None]]:
    models: list[dict[str, str | None]] = []
    for text in _list(texts):
        name, place = _pair(text, "NAME=HF_ID or NAME=HF_ID@REVISION")
        hf_id, _, revision = place.partition("@")
        models.append({"name": name, "hf_id": hf_id, "revision": revision or None})
    return models


def _environment(texts: list[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if names_a_secret(name):
            raise ValueError(f"{name} is a secret: export it in your shell, never as a flag")
        if not sign or not name:
            raise ValueError(f"must be NAME=VALUE, not {shown(text)}")
        out[name] = value
    return out


def _pairs_of(key: str) -> Parse:
    def parse(texts: list[str]) -> dict[str, dict[str, str]]:
        pairs = [_pair(text, f"MODE={key.upper()}") for text in texts]
        return {mode: {key: value} for mode, value in pairs}

    return parse
