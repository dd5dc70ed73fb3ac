"""Every key of the run spec as a long flag, so that the command line can say all that a file can.

A flag is the key's own name with dashes (``server.max_model_len`` is ``--max-model-len``); the
study's names are accepted too. Text becomes a value here; `harness.settings.loaded_spec` checks
the value by the same rules as one from a file.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from harness.errors import NOT_SET, UsageError, nearest, raise_all, shown
from harness.secrets import names_a_secret
from harness.settings.old_spellings import GONE
from harness.settings.run_spec import members_of, spec_keys
from harness.settings.yaml_lines import KeyPath
from harness.words import DispatchMode, Mode

Parse = Callable[[list[str]], Any]

MORE_ARGUMENTS = "extra_args+"
"""The key of ``server`` that adds to ``extra_args`` where the plain key replaces it."""

_URL: KeyPath = ("external", "url")
"""Stands for the three keys that ask a server that is there."""

_ALIASES: dict[KeyPath, tuple[str, ...]] = {
    ("backend",): ("--server-backend",),
    ("image",): ("--docker-image",),
    ("candidates",): ("--candidate-files",),
    ("request", "timeout_s"): ("--request-timeout-s",),
    ("expect", "rows_per_mode"): ("--expected-rows-per-mode",),
}
_SWITCH = {"on": True, "true": True, "off": False, "false": False}
_REPEATABLE: tuple[KeyPath, ...] = (("models",), ("candidates",), ("server", "env"), ("external",))


@dataclass(frozen=True, slots=True)
class Flag:
    """One long flag: its name with the dashes, the key that it sets, and what may follow, for help.

    ``parse`` makes the texts given, in order, the value of the key; ``repeatable`` says whether it
    may be given more than once, ``optional`` whether ``none`` may be;
    ``hidden`` whether the help leaves it out: an old spelling.
    """

    name: str
    path: KeyPath
    help: str
    parse: Parse
    aliases: tuple[str, ...] = ()
    repeatable: bool = False
    optional: bool = False
    hidden: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the aliases."""
        return (self.name, *self.aliases)

    def value(self, texts: list[str]) -> Any:
        """The value of the key.

        Raises:
            ValueError: a text is no value of it.
        """
        is_none = self.optional and texts[-1].lower() in ("none", "null")
        return None if is_none else self.parse(texts)


@cache
def spec_flags() -> tuple[Flag, ...]:
    """All flags, in the order of the keys; names are unique."""
    flags: list[Flag] = []
    for key in spec_keys():
        path, last = key.path, str(key.path[-1])
        parse, form = _SPECIAL.get(path) or _form_of(key.kind)
        name = "--model" if path == ("models",) else f"--{last.replace('_', '-')}"
        meaning = f"{key.meaning} ({form}{', or none' if key.optional else ''})"
        also, repeatable = _ALIASES.get(path, ()), path in _REPEATABLE
        flags.append(Flag(name, path, meaning, parse, also, repeatable, key.optional))
    log = "The log of such a server, for proof (MODE=PATH; repeatable)."
    there = "A server that is there: its root; one mode, unproven without --external-log (URL)."
    secret = "The variable with such a server's key, by name (MODE=VARIABLE; repeatable)."
    more = "One more argument for vLLM, after the file's (repeatable)."
    flags += [
        Flag("--url", _URL, there, _last(str, "a URL")),
        Flag("--external-log", ("external",), log, _pairs_of("log"), repeatable=True),
        Flag(
            "--external-api-key-env",
            ("external",),
            secret,
            _pairs_of("api_key_env", "VARIABLE"),
            repeatable=True,
        ),
        Flag("--extra-arg", ("server", MORE_ARGUMENTS), more, _arguments, repeatable=True),
    ]
    for gone, meaning in GONE.items():
        parse = _last(str if gone == "order" else int, "a whole number")
        name = f"--{gone.replace('_', '-')}"
        flags.append(Flag(name, ("controls", gone), f"Gone: {meaning}.", parse, hidden=True))
    return tuple(flags)


def flag_of(path: KeyPath) -> str:
    """The flag that sets the key at ``path`` (or the key that holds it)."""
    flags = {flag.path: flag.name for flag in reversed(spec_flags())}  # the first of a key
    holders = (path[:length] for length in range(len(path), 0, -1))
    return next((flags[key] for key in holders if key in flags), f"--{path[0]}")


def apply_flags(pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Flags as typed, ``("--port", "18001")`` in the order given, to overrides for `load_spec`.

    A flag given again replaces the former, unless it is repeatable.

    Raises:
        UsageError: an unknown flag or a text that is no value; all of them, one line each.
    """
    known = {name: flag for flag in spec_flags() for name in flag.names}
    texts: dict[str, tuple[Flag, str, list[str]]] = {}
    mistakes: list[UsageError] = []
    for name, text in pairs:
        if (flag := known.get(name)) is None:
            mistakes.append(UsageError(f"no flag {name}", hint=nearest(name, known)))
        elif flag.repeatable and flag.name in texts:
            texts[flag.name][2].append(text)
        else:
            texts[flag.name] = (flag, name, [text])
    overrides: dict[str, object] = {}
    for flag, name, given in texts.values():
        try:
            # --external and --external-log are of one mapping, so they add up
            overrides = merged(overrides, {".".join(map(str, flag.path)): flag.value(given)})
        except ValueError as error:
            mistakes.append(UsageError(f"{name}: {error}"))
    raise_all(mistakes)
    return _of_url(overrides)


def _of_url(overrides: dict[str, object]) -> dict[str, object]:
    """With ``--url``: the external backend, one mode (standard unless said), and its server."""
    url = overrides.pop(".".join(map(str, _URL)), None)
    if url is None:
        return overrides
    modes = overrides.setdefault("modes", [str(Mode.STANDARD)])
    if not isinstance(modes, list) or len(modes) != 1:
        hint = "--external MODE=URL once for each mode"
        raise UsageError("--url is the server of one mode", hint=hint)
    # its own key, so that a message names --url
    return {"backend": "external", **overrides, f"external.{modes[0]}.url": url}


def nested(overrides: Mapping[str, object], below: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides by dotted key as a file would say them; ``below`` is what the files said."""
    data: dict[str, Any] = {}
    for key, value in overrides.items():
        *sections, last = key.split(".")
        here = data
        for section in sections:
            here = here.setdefault(section, {})
        here[last] = value
    server, under = data.get("server", {}), below.get("server")
    if added := server.pop(MORE_ARGUMENTS, None):
        of_files = under.get("extra_args") if isinstance(under, dict) else None
        standing = server.get("extra_args", of_files)
        server["extra_args"] = [*(standing if isinstance(standing, list) else ()), *added]
    return data


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Key by key; a mapping over a mapping is merged, anything else replaces."""
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        out[key] = merged(old or {}, value) if both else value
    return out


def _form_of(kind: Any) -> tuple[Parse, str]:
    """How a text becomes a value of this type, and the help that says so."""
    if kind is float:
        return _last(float, "a number"), "a number"
    if kind is bool:
        return _last(lambda text: _SWITCH[text.lower()], "on or off"), "on or off"
    if get_origin(kind) is tuple:
        members = members_of(get_args(kind)[0])
        which = f" of {', '.join(members)}" if members else ""
        return _list, f"list{which}, separated by commas"
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    words = " or ".join(map(str, choices or members_of(kind)))
    if kind is int or (choices and all(isinstance(choice, int) for choice in choices)):
        return _last(int, "a whole number"), words or "a whole number"
    return _last(str, "text"), words or "text"


def _last(read: Callable[[str], Any], what: str) -> Parse:
    def parse(texts: list[str]) -> Any:
        try:
            return read(texts[-1])
        except (ValueError, KeyError):
            raise ValueError(f"must be {what}, not {shown(texts[-1])}") from None

    return parse


def _list(texts: list[str]) -> list[str]:
    items = [item.strip() for text in texts for item in text.split(",") if item.strip()]
    if not items:
        raise ValueError(f"nothing is named ({NOT_SET})")
    return items


def _arguments(texts: list[str]) -> list[str]:
    arguments: list[str] = []
    for text in texts:
        try:
            arguments += shlex.split(text)
        except ValueError as error:
            raise ValueError(f"{str(error).lower()} in {shown(text)}") from None
    return arguments


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


def _pairs_of(key: str, value: str = "") -> Parse:
    def parse(texts: list[str]) -> dict[str, dict[str, str]]:
        pairs = [_pair(text, f"MODE={value or key.upper()}") for text in texts]
        return {mode: {key: value} for mode, value in pairs}

    return parse


_SPECIAL: dict[KeyPath, tuple[Parse, str]] = {
    ("models",): (_models, "NAME=HF_ID[@REVISION]; repeatable, replaces the models"),
    ("server", "env"): (_environment, "NAME=VALUE; repeatable, adds to the file's"),
    ("server", "extra_args"): (_arguments, "one quoted text; replaces the file's"),
    ("external",): (_pairs_of("url"), "MODE=URL; repeatable"),
    ("dispatch_modes",): (_list, f"original, {', '.join(DispatchMode)}, separated by commas"),
}
"""Keys whose text is read in a way of its own, each with the help that says so."""
