"""What the script printed as `Contents`: each section read for itself, every bound checked.

Where vLLM's parser could not be asked, its printed ``--help`` is read. Less is known that way: a
default is text, and only where the help names one.
"""

import re
from typing import Any, TypeVar

from msgspec import Struct, json
from msgspec.structs import replace

from harness.hostile import shaped
from harness.images.inventory.contents import (
    Contents,
    InvariantModule,
    KernelFile,
    OsPackages,
    Plugin,
    PythonFacts,
    ServerArgument,
    ServerArguments,
    TorchFacts,
    Versions,
    VllmFacts,
)
from harness.images.inventory.effects import read_effects
from harness.secrets import REDACTED, names_a_secret, redact_text

T = TypeVar("T")
_MOST_LINES = 50
_MOST_NOTE = 500
_MOST_HELP = 1_000_000
_OPTION = re.compile(r"^ {2}-{1,2}[A-Za-z].*(?:\n(?: {3}.*|[^\S\n]*$))*", re.M)
_FLAG = re.compile(r"--?[A-Za-z][\w-]*")
_DEFAULT = re.compile(r"\(default: (.*?)\)(?:\s|$)", re.S)
_CHOICES = re.compile(r"\{([^{}]+)\}")


class _Section(Struct):
    """One line of the script: a section with its value, or why it has none."""

    section: str
    value: Any = None
    error: Any = None


def read_contents(text: str, notes: tuple[str, ...] = ()) -> Contents:
    """Read the script's lines; a part that is missing or malformed becomes a note.

    ``text`` is JSON lines; ``notes`` are known already, and say it all where there is no text.
    """
    if not text.strip():
        return Contents(notes=notes or ("the image said nothing",))
    said = _Sections(text)
    contents = Contents(
        python=said.read("python", PythonFacts),
        os_packages=said.read("os_packages", OsPackages) or OsPackages(),
        python_packages=said.read("python_packages", Versions) or {},
        plugins=said.read("plugins", tuple[Plugin, ...]) or (),
        torch=said.read("torch", TorchFacts),
        vllm=said.read("vllm", VllmFacts),
        batch_invariant=_module(said),
        kernels=said.read("kernels", tuple[KernelFile, ...]) or (),
        arguments=_arguments(said),
    )
    return replace(contents, notes=tuple(note[:_MOST_NOTE] for note in (*notes, *said.notes)))


class _Sections:
    """The first answer of each section, and a note for one that is missing or does not fit."""

    def __init__(self, text: str) -> None:
        self.found: dict[str, _Section] = {}
        self.notes: list[str] = []
        for line in text.splitlines()[:_MOST_LINES]:
            try:
                section = json.decode(line, type=_Section)
            except (ValueError, RecursionError):
                continue
            self.found.setdefault(section.section, section)

    def value(self, name: str) -> dict[str, Any]:
        """The value where it is an object."""
        value = self.found[name].value if name in self.found else None
        return value if isinstance(value, dict) else {}

    def read(self, name: str, kind: type[T]) -> T | None:
        if name not in self.found:
            self.notes.append(f"{name}: not said")
            return None
        section = self.found[name]
        if section.error is not None:
            self.notes.append(f"{name}: {redact_text(str(section.error))}")
            return None
        try:
            return None if section.value is None else shaped(section.value, kind)
        except ValueError as error:
            self.notes.append(f"{name}: does not have the expected form: {error}")
            return None


def _module(said: _Sections) -> InvariantModule | None:
    module = said.read("batch_invariant", InvariantModule)
    source = said.value("batch_invariant").get("source")
    if module is None:
        return None
    if not isinstance(source, str):
        return replace(module, note="too long to be read for the operators that it replaces")
    try:
        return replace(module, effects=read_effects(source))
    except ValueError as error:
        return replace(module, note=str(error))


def _arguments(said: _Sections) -> ServerArguments:
    read = said.read("arguments", ServerArguments) or ServerArguments()
    value = said.value("arguments")
    if value.get("source") == "help":
        found = read_help(str(value.get("help") or ""))
        return ServerArguments("help" if found else None, found, read.reasons)
    # a default that the image's environment set may be a key
    shown = (
        replace(one, default=REDACTED)
        if names_a_secret(one.name) and isinstance(one.default, str | list)
        else one
        for one in read.arguments
    )
    return replace(read, arguments=tuple(shown))


def read_help(text: str) -> tuple[ServerArgument, ...]:
    """The options of an argparse help text, in order; empty where there are none."""
    found: dict[str, ServerArgument] = {}
    for block in _OPTION.findall("\n".join(text[:_MOST_HELP].splitlines())):
        first, *more = block.splitlines()
        head, _, words = first.strip().partition("   ")
        words = " ".join([words, *(line.strip() for line in more)])
        spellings = (_FLAG.match(part) for part in _CHOICES.sub("", head).split(", "))
        flags = tuple(dict.fromkeys(flag[0] for flag in spellings if flag))
        if not flags:
            continue
        default, choices = _DEFAULT.search(words), _CHOICES.search(head)
        negated = any(flag.startswith("--no-") for flag in flags)
        argument = ServerArgument(
            flags=flags,
            default=" ".join(default[1].split()) if default else None,
            choices=[part.strip() for part in choices[1].split(",")] if choices else None,
            kind="BooleanOptionalAction" if negated else "",
        )
        if argument.name != "--help":
            found.setdefault(argument.name, argument)
    return tuple(found.values())
