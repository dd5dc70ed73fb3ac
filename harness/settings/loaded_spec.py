"""A run spec from a profile or a YAML file with flags on top, and the command that takes them.

A later layer wins key by key; lists are replaced whole. Every mistake names the file and line, or
the flag, that it came from.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from pydantic import ValidationError

from harness.errors import UsageError, nearest, raise_all, shown
from harness.places import placed, shipped
from harness.settings.old_spellings import replaced
from harness.settings.run_spec import RunSpec
from harness.settings.spec_flags import apply_flags, flag_of, merged, nested, spec_flags
from harness.settings.spec_rules import complaint_of, complaints_about
from harness.settings.their_servers import (
    NOT_STARTED,
    are_theirs,
    left_out,
    refused_flags,
    without_starts,
)
from harness.settings.yaml_lines import KeyPath, YamlFile, read_yaml
from harness.words import BackendName

DEFAULT_PROFILE = "study-d"
"""The profile under the flags where a command names none: the study's own command line."""

_PROFILES = shipped("profiles")
_PANEL = "Run spec (every key of the file; the flag wins; --help-all shows all)"
_OVERLAP, _PROFILE = "--overlap", " (profile)"
_OFTEN = ("--model", "--modes", "--candidates", "--tasks")
_OF_CANDIDATES = ("run", "plan")
_ASKING = ("run", "plan", "scan", "ablation")
_TEXT_LISTS = ("extra_args", "gpu_device_ids")
_ONE_OR_MORE: tuple[KeyPath, ...] = (
    ("candidates",),
    ("modes",),
    ("dispatch_modes",),
    ("server", "volumes"),
    *(("server", key) for key in _TEXT_LISTS),
)


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A checked run spec, defaults included, and where it came from.

    ``given`` is only what the file, what it extends, and the flags said; ``file`` is the profile or
    YAML file, as it was named; ``notes`` are what a person should know of how it was read.
    ``asks_for_models``: the flags name servers of somebody else and no model, so it is theirs.
    ``first_try``: they name no prompts either, so a few of the shipped ones are asked.
    """

    spec: RunSpec
    given: dict[str, Any]
    file: str
    notes: tuple[str, ...] = ()
    asks_for_models: bool = False
    first_try: bool = False

    @property
    def is_profile(self) -> bool:
        """Whether ``file`` is a shipped profile."""
        return self.file.endswith(_PROFILE)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One source of keys, tidied: a file, or the flags (``document`` is ``None``)."""

    data: dict[str, Any]
    document: YamlFile | None = None
    url: KeyPath = ()
    """The key that ``--url`` set."""

    def __contains__(self, key: KeyPath) -> bool:
        if self.document is not None:
            return key in self.document
        here: Any = self.data
        for part in key:
            entries = dict(enumerate(here)) if isinstance(here, list) else here
            if not isinstance(entries, dict) or part not in entries:
                return False
            here = entries[part]
        return bool(key)


def profile_names() -> tuple[str, ...]:
    """The profiles that ship with the harness, in alphabetical order."""
    return tuple(sorted(path.stem for path in _PROFILES.glob("*.yaml")))


def load_spec(source: str | Path, overrides: Mapping[str, object] | None = None) -> LoadedSpec:
    """Read, merge and check a run spec: a shipped profile by its name, or the path of a YAML file.

    ``overrides`` is what the flags said, by dotted key (``{"server.port": 18001}``), as
    `apply_flags` gives it. Mappings are merged, lists replace. What a layer expects of its
    candidates is asked of no others.

    Raises:
        UsageError: every mistake found, each with file and line or the flag, and what is allowed.
    """
    notes: list[str] = []
    layers = [_without_gone(layer, notes) for layer in _file_layers(source)]
    flags, file = overrides or {}, f"{source}{_PROFILE}" if _is_profile(source) else str(source)
    backends = [layer.data.get("backend") for layer in layers]
    if are_theirs(
        {"backend": flags.get("backend") or next(filter(None, reversed(backends)), None)}
    ):
        raise_all(list(refused_flags(flags)))
        layers = _without_our_starts(layers, file, notes)
    given: dict[str, Any] = {}
    for layer in layers:
        given = _over(given, layer.data)
    url = next((tuple(key.split(".")) for key in flags if key.endswith(".url")), ())
    layers.append(_without_gone(_Layer(_tidy(nested(flags, given)), url=url), notes))
    given = _over(given, layers[-1].data)
    try:
        # by JSON's rules: a quoted number is text, and true is no number
        spec = RunSpec.model_validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        mistakes: dict[KeyPath, UsageError] = {}
        for complaint in map(complaint_of, error.errors()):
            mistakes.setdefault(complaint[0], _located(layers, *complaint))
        # files before flags, and from top to bottom
        raise_all(sorted(mistakes.values(), key=lambda one: (one.line is None, one.line or 0)))
        raise
    raise_all([_located(layers, *complaint) for complaint in complaints_about(spec)])
    return LoadedSpec(spec, given, file, tuple(notes))


def spec_source(profile: str | None, config: Path | None, default: str) -> str | Path:
    """What `load_spec` is to read.

    Raises:
        UsageError: both ``--profile`` and ``--config`` were given.
    """
    if profile is not None and config is not None:
        raise UsageError("--profile and --config exclude each other", hint="use one of them")
    return config or profile or default


def with_spec_flags(
    command: Callable[..., None], *, default: str = DEFAULT_PROFILE, whole_help: bool = True
) -> Callable[..., None]:
    """The command with all spec flags in place of its first parameter.

    The command's first parameter receives a `LoadedSpec`; the others are typer options of its own
    and come first in the help; a spec flag of the same name gives way. ``default`` is the profile
    that the flags build on when neither ``--profile`` nor ``--config`` is given. The help shows
    all flags with ``whole_help``, else those that most runs need.

    Raises:
        UsageError: from the returned command, when the spec is wrong or both were given.
    """
    first, *others = inspect.signature(command).parameters.values()
    hints = get_type_hints(command, include_extras=True)
    flags = {flag.name.removeprefix("--").replace("-", "_"): flag for flag in spec_flags()}
    for taken in others:
        flags.pop(taken.name, None)

    def run(**arguments: Any) -> None:
        source = spec_source(arguments.pop("profile"), arguments.pop("config"), default)
        pairs: list[tuple[str, str]] = []
        for name, flag in flags.items():
            value = arguments.pop(name)
            texts = value if isinstance(value, (list, tuple)) else [value]
            pairs += [(flag.name, text) for text in texts if text is not None]
        overrides, of_jobs = apply_flags(pairs), _said_by_jobs(arguments.get("workers"), pairs)
        loaded = load_spec(source, overrides)
        theirs = loaded.spec.backend is BackendName.EXTERNAL
        if theirs and of_jobs:
            raise UsageError(f"--jobs: {NOT_STARTED}", hint="leave --jobs out")
        if of_jobs:
            loaded = load_spec(source, apply_flags([*pairs, *of_jobs]))
        if theirs and source == default and "models" not in overrides:
            loaded = replace(loaded, asks_for_models=True)
        if theirs and source == default and not {"tasks", "limit"} & set(overrides):
            loaded = replace(loaded, first_try=True)
        if command.__name__ in _OF_CANDIDATES and source == default and not pairs:
            _refuse_nothing(command.__name__, loaded.spec)
        for note in loaded.notes:
            typer.echo(note, err=True)
        command(**{first.name: loaded}, **arguments)

    often = _OFTEN if command.__name__ in _ASKING else ()
    names = (f"{n} (default)" if n == default else n for n in profile_names())
    named = f"Shipped: {', '.join(names)}."
    profile = typer.Option("--profile", "-p", help=named)
    config = typer.Option("--config", "-c", help="A spec file (YAML).")
    parameters = [
        _keyword("profile", Annotated[str | None, profile]),
        _keyword("config", Annotated[Path | None, config]),
    ]
    for own in others:
        annotation = hints.get(own.name, own.annotation)
        parameters.append(own.replace(annotation=annotation, kind=inspect.Parameter.KEYWORD_ONLY))
    for name, flag in flags.items():
        option = typer.Option(
            *flag.names,
            help=flag.help if whole_help else flag.help.partition(" (")[0],
            rich_help_panel=_PANEL,
            metavar="…",
            hidden=flag.hidden or not (whole_help or flag.name in often),
        )
        kind: Any = list[str] | None if flag.repeatable else str | None
        parameters.append(_keyword(name, Annotated[kind, option]))
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    return run


def _said_by_jobs(jobs: int | None, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """``--jobs N`` is ``--overlap N`` whose servers are played by processes of their own."""
    if jobs is None:
        return []
    if any(name == _OVERLAP for name, _ in pairs):
        hint = f"leave {_OVERLAP} out: --jobs says how many servers run at once"
        raise UsageError(f"--jobs and {_OVERLAP} exclude each other", hint=hint)
    return [(_OVERLAP, str(jobs))]


def _refuse_nothing(verb: str, spec: RunSpec) -> None:
    """Where nothing was named and the default's candidates are not here, say what can be."""
    missing = [file for file in spec.candidates if not Path(file).exists()]
    if missing:
        hint = (
            f"`harness {verb} --profile demo` needs no GPU; `harness init DIR` writes your own; "
            f"the study: put {missing[0]} there, or name yours with --candidates"
        )
        raise UsageError(f"harness {verb}: nothing to {verb} was named", hint=hint)


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=annotation)


def _is_profile(source: str | Path) -> bool:
    """Whether ``source`` names a profile; a bare word that is no file is taken for one."""
    if isinstance(source, Path):
        return False
    path = Path(source)
    looks_like_file = "/" in source or path.suffix != "" or path.is_file()
    return source in profile_names() or not looks_like_file


def _file_layers(source: str | Path) -> list[_Layer]:
    """The layers of a file: first those of the profiles it ``extends``, last its own.

    Raises:
        UsageError: unreadable, no mapping, or extending what is no shipped profile.
    """
    path = Path(source)
    if _is_profile(source):
        if source not in profile_names():
            hint = _profile_hint(source)
            raise UsageError(f"no profile and no file named '{source}'", hint=hint)
        path = _PROFILES / f"{source}.yaml"
    document = read_yaml(path)
    if not isinstance(document.data, dict):
        raise UsageError("a run spec is a mapping of keys", file=path, line=document.line(()))
    data = {str(key): value for key, value in document.data.items()}
    base = data.pop("extends", None)
    own = _Layer(_tidy(data), document)
    if base is None:
        return [own]
    if not isinstance(base, str) or base not in profile_names():
        message, line = f"extends names no profile: {shown(base)}", document.line(("extends",))
        raise UsageError(message, hint=_profile_hint(base), file=path, line=line)
    return [*_file_layers(base), own]


def _without_gone(layer: _Layer, notes: list[str]) -> _Layer:
    """The layer with what replaces the keys that are gone; a note of each layer that had some.

    Raises:
        UsageError: what such a key asks for cannot be asked any more.
    """
    controls = layer.data.get("controls")
    if not isinstance(controls, dict):
        return layer
    found = replaced(controls)
    mistakes = [
        _located(
            *([layer], ("controls", key)),
            *(f"controls.{key} is gone: {reason}", "use controls.askings"),
        )
        for key, reason in found.wrong.items()
    ]
    raise_all(mistakes)
    if found.note:
        where = f"{layer.document.path}: " if layer.document else ""
        notes.append(f"{where}{found.note}")
    return replace(layer, data={**layer.data, "controls": found.controls})


def _without_our_starts(layers: list[_Layer], file: str, notes: list[str]) -> list[_Layer]:
    """The files' layers for servers of somebody else; one note of what they no longer say."""
    found = [without_starts(layer.data) for layer in layers]
    if gone := [name for _, names in found for name in names]:
        notes.append(left_out(gone, file))
    return [replace(layer, data=data) for layer, (data, _) in zip(layers, found, strict=True)]


def _profile_hint(name: object) -> str:
    return nearest(name, profile_names()) or f"profiles: {', '.join(profile_names())}"


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A layer over those below it; rows that were expected of candidates go with the candidates."""
    expected = below.get("expect")
    is_replaced = above.get("candidates") not in (None, below.get("candidates"))
    if is_replaced and isinstance(expected, dict):
        kept = {key: value for key, value in expected.items() if key != "rows_per_mode"}
        below = {**below, "expect": kept}
    return merged(below, above)


def _located(layers: list[_Layer], key: KeyPath, message: str, hint: str | None) -> UsageError:
    """The mistake at the uppermost layer that has the key, or else the nearest key above it."""
    for there in (key[:length] for length in range(len(key), -1, -1)):
        for layer in reversed(layers):
            if there in layer and layer.document is None:
                name = "--url" if there == layer.url else flag_of(there)
                return UsageError(f"{name}: {message}", hint=hint)
            if there in layer and layer.document is not None:
                line = layer.document.line(there)
                return UsageError(message, hint=hint, file=layer.document.path, line=line)
    return UsageError(message, hint=hint)


def _tidy(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with one value written for a list of one, and numbers for text where text is meant.

    ``candidates: a.csv`` becomes a list, and ``gpu_device_ids: [0]``, ``extra_args: [--n, 4]`` and
    ``env: {A: 1}`` hold text.
    """
    out = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for *sections, key in _ONE_OR_MORE:
        here: Any = out.get("server") if sections else out
        if isinstance(here, dict) and here.get(key) is not None and not isinstance(here[key], list):
            here[key] = [here[key]]
    if isinstance(tasks := data.get("tasks"), str):
        out["tasks"] = placed(tasks)
    if isinstance(out.get("candidates"), list):
        out["candidates"] = [placed(a) if isinstance(a, str) else a for a in out["candidates"]]
    server = out.get("server")
    if isinstance(server, dict):
        for key in _TEXT_LISTS:
            if server.get(key) is not None:
                server[key] = [_as_text(item) for item in server[key]]
        if isinstance(server.get("env"), dict):
            server["env"] = {name: _as_text(item) for name, item in server["env"].items()}
    if out.get("dispatch_modes") == ["original"]:
        out["dispatch_modes"] = "original"
    return out


def _as_text(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number else value
