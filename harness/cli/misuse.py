"""What typer refuses of a command line, in this project's words, with the word that was meant."""

import re

import typer

from harness.errors import nearest

_SHUT = re.compile(r"[Pp]ath ('.*') is not readable")
"""What typer says of a file or folder that is there and shut to this user."""
_NO_VERB = re.compile(r"No such command '(.*?)'\.")
_NO_FLAG = re.compile(r"No such option: (\S+)")
_NOT_ONE = re.compile(r"'([^']*)' is not one of (.*?)\.?$")
_MEANT = {
    ("harness", "inspect"): "show",
    ("harness", "list"): "runs",
    ("harness", "ls"): "runs",
    ("harness images", "inspect"): "inventory",
    ("harness run", "--dry-run"): "`harness plan` with the same words shows what it would do",
    ("harness scan", "--dry-run"): "`harness ablation --dry-run` shows what a scan and a run do",
}
"""Words of other programs, and what they are called here."""
_WORDS = (
    (re.compile(r"\. Choose from:\s*(.*)", re.S), r": \1"),
    (re.compile(r"\s*,\s+"), ", "),
    (re.compile(r"Value error, "), ""),
    (re.compile(r"Input should be a valid integer.*"), "must be a whole number"),
    (re.compile(r"Input should be a valid number.*"), "must be a number"),
    (re.compile(r"Input should be"), "must be"),
)


def misuse(message: str, context: typer.Context | None) -> str:
    """What was wrong, and the next step: the word that was meant, or the help."""
    if (shut := _SHUT.search(message)) is not None:
        return f"{message} (chmod u+rwX {shut[1]}, or name another)"
    if context is None:
        return message
    for theirs, ours in _WORDS:
        message = theirs.sub(ours, message)
    see = f"see `{context.command_path} --help`"
    if (verb := _NO_VERB.search(message)) is not None:
        commands = getattr(context.command, "commands", {})
        known = [name for name, command in commands.items() if not command.hidden]
        meant = _MEANT.get((context.command_path, verb[1]))
        hint = f"did you mean '{meant}'?" if meant else nearest(verb[1], known)
        return f"{verb[0].rstrip('.')} ({f'{hint} ' if hint else ''}{see})"
    if (flag := _NO_FLAG.search(message)) is not None:
        meant = _MEANT.get((context.command_path, flag[1]))
        return f"{flag[0]} ({meant})" if meant else f"{message} ({see})"
    if (word := _NOT_ONE.search(message)) is not None:
        hint = nearest(word[1], re.findall(r"'(.*?)'", word[2]))
        return f"{message.rstrip('.')} ({f'{hint} ' if hint else ''}{see})"
    return f"{message} ({see})"
