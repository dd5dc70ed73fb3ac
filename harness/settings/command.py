"""The flags of the run spec on a typer command, without writing them out in every verb.

`with_spec_flags` gives a command ``--profile``, ``--config`` and one option for every key; the
command itself sees one argument, the loaded spec.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from harness.errors import UsageError
from harness.settings.flags import Flag, apply_flags, spec_flags
from harness.settings.layers import profile_names
from harness.settings.load import load_spec

__all__ = ["DEFAULT_PROFILE", "spec_source", "with_spec_flags"]

DEFAULT_PROFILE = "study-d"
"""The profile under the flags where a command names none: the study's own command line."""

_PANEL = "Run spec (every key of the file; the flag wins)"


def with_spec_flags(
    command: Callable[..., None], *, default: str = DEFAULT_PROFILE
) -> Callable[..., None]:
    """The command with all spec flags in place of its first parameter.

    Args:
        command: its first parameter receives a `harness.settings.LoadedSpec`; the others are typer
            options of its own and come first in the help. A spec flag of the same name gives way.
        default: the profile that the flags build on when neither ``--profile`` nor ``--config`` is
            given.

    Raises:
        UsageError: from the returned command, when the spec is wrong or both were given.
    """
    own = list(inspect.signature(command).parameters.values())
    hints = get_type_hints(command, include_extras=True)
    first, others = own[0], [_annotated(item, hints) for item in own[1:]]
    taken = {item.name for item in others} | {"profile", "config"}
    flags = {_python_name(flag): flag for flag in spec_flags() if _python_name(flag) not in taken}

    def run(**arguments: Any) -> None:
        profile, config = arguments.pop("profile"), arguments.pop("config")
        given = {name: arguments.pop(name) for name in flags}
        source = spec_source(profile, config, default)
        loaded = load_spec(source, apply_flags(_pairs(flags, given)))
        command(**{first.name: loaded}, **arguments)

    parameters = [*_source_parameters(default), *others]
    parameters += [_parameter(name, flag) for name, flag in flags.items()]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    return run


def spec_source(profile: str | None, config: Path | None, default: str) -> str | Path:
    """What `load_spec` is to read.

    Raises:
        UsageError: both ``--profile`` and ``--config`` were given.
    """
    if profile is not None and config is not None:
        raise UsageError("--profile and --config exclude each other", hint="use one of them")
    return config or profile or default


def _pairs(flags: dict[str, Flag], given: dict[str, Any]) -> list[tuple[str, str]]:
    """The flags that were given, each with its text, as `apply_flags` takes them."""
    pairs: list[tuple[str, str]] = []
    for name, value in given.items():
        texts = value if isinstance(value, (list, tuple)) else [value]
        pairs += [(flags[name].name, text) for text in texts if text is not None]
    return pairs


def _python_name(flag: Flag) -> str:
    return flag.name.removeprefix("--").replace("-", "_")


def _annotated(parameter: inspect.Parameter, hints: dict[str, Any]) -> inspect.Parameter:
    """The parameter by keyword, with its annotation as a value and not as text."""
    annotation = hints.get(parameter.name, parameter.annotation)
    return parameter.replace(annotation=annotation, kind=inspect.Parameter.KEYWORD_ONLY)


def _source_parameters(default: str) -> list[inspect.Parameter]:
    names = ", ".join(profile_names())
    profile = typer.Option(
        "--profile", "-p", help=f"A shipped spec: {names}. Without one: {default}."
    )
    config = typer.Option("--config", "-c", help="A spec file (YAML).")
    return [
        _keyword("profile", Annotated[str | None, profile]),
        _keyword("config", Annotated[Path | None, config]),
    ]


def _parameter(name: str, flag: Flag) -> inspect.Parameter:
    option = typer.Option(*flag.names, help=flag.help, rich_help_panel=_PANEL, metavar="…")
    kind: Any = list[str] | None if flag.repeatable else str | None
    return _keyword(name, Annotated[kind, option])


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=annotation)
