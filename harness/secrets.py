"""What a secret is, told once: which names hold one, and how it is kept out of files and logs.

Every writer of an environment, a command line or foreign text goes through here. A name is judged
by its words, so that ``HF_TOKEN`` is hidden and ``max_tokens`` is not; a value whose name says
nothing is judged by its form (``hf_…``, ``ghp_…``, a private key, a login in a URL).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

REDACTED = "[redacted]"

# "token" is also a unit of text: a count, an id, a limit or a special token is no secret.
_NAME = re.compile(
    r"""
    (?<!EOS_)(?<!BOS_)(?<!PAD_)(?<!UNK_)(?<!MASK_)(?<!STOP_)(?<!FIRST_)(?<!LAST_)(?<!NEXT_)
    (?<!INPUT_)(?<!OUTPUT_)(?<!PROMPT_)(?<!IMAGE_)(?<!SPECIAL_)(?<!PER_)(?<!ECHO_)(?<!NEW_)
    TOKEN(?!IZ|S|_?IDS?(?:_|$)|_(?:NUM|THRESHOLD|COUNT|LIMIT|BUDGET|LENGTH|LATENCY|SECONDS|LEVEL|STEP
        |TYPE_IDS|INDEX|TEXT|TEXTS|LOGPROBS?|USAGE|RATE))
    | (?:API|ACCESS|REFRESH|BEARER|SESSION|HF|HUB|GITHUB)_?TOKENS
    | SECRET(?!_VARIABLES)              # a launch's list of names that are passed on
    | PASSWORD | PASSWD | PASSPHRASE | PASSCODE | _PASS$ | _PWD$ | ^PGPASSFILE$
    | CREDENTIAL | BEARER | COOKIE | (?:^|_)JWT(?:_|$) | (?:GIT(?:HUB|LAB)?|GH|AZURE)_PAT$
    | (?:API|ACCESS|PRIVATE|SSH|DEPLOY|SIGNING|ENCRYPTION|MASTER|ACCOUNT|OPENAI|ANTHROPIC|WANDB)
        _?KEY(?!WORD)
    | AUTH(?!OR) | AUTHORIZATION
    """,
    re.I | re.X,
)
_FORM = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|sk-[A-Za-z0-9_-]{20,}|rpa_[A-Za-z0-9]{20,}|xox[abpr]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
    r"|(?<=\bBearer )(?=\S*\d)[\w.~+/=-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.S,
)
# A scheme is required: name:tag@sha256:… is an image and no login. git@ is everybody's name.
_LOGIN = re.compile(r"(?<=://)(?!git@)[^/\s?#\"'<>]+(?=@)")
_ASSIGNED = re.compile(r"\b([A-Za-z_][\w.-]*)=(?!\$)(\"[^\"]*\"|'[^']*'|[^\s|;&]+)")
_JSON_PAIR = re.compile(r"([\"'])([\w.-]+)\1(\s*:\s*)(\"(?:[^\"\\]|\\.)+\"|'(?:[^'\\]|\\.)+')")
_HEADER = re.compile(r"([A-Za-z][\w-]*):\s+\S.*", re.S)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def names_a_secret(name: str) -> bool:
    """Whether a variable, label, option or key of this name may hold a secret.

    The words count, not their spelling: ``apiKey``, ``api-key`` and ``APIKEY`` are one name.
    """
    return bool(_NAME.search(re.sub(r"[-.\s]", "_", _CAMEL.sub("_", name))))


def without_url_password(text: str) -> str:
    """``text`` with the login of every URL in it hidden: ``postgres://[redacted]@host/db``."""
    return _LOGIN.sub(REDACTED, text)


def redact_text(text: str) -> str:
    """Free text, such as a build step or an error, without what looks like a secret."""
    text = without_url_password(_FORM.sub(REDACTED, text))
    text = _JSON_PAIR.sub(_json_pair, text)
    return _ASSIGNED.sub(_assignment, text)


def _json_pair(match: re.Match[str]) -> str:
    quote, name, between, _ = match.groups()
    if not names_a_secret(name):
        return match[0]
    return f"{quote}{name}{quote}{between}{quote}{REDACTED}{quote}"


def _assignment(match: re.Match[str]) -> str:
    name, value = match.groups()
    # --env=HF_TOKEN=x: the value may be an assignment itself
    return f"{name}={REDACTED if names_a_secret(name) else _ASSIGNED.sub(_assignment, value)}"


def redact_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables or labels sorted by name; a secret keeps its name and loses its value."""
    return {
        name: REDACTED if value and names_a_secret(name) else redact_text(value)
        for name, value in sorted(environment.items())
    }


def redact_values(value: Any) -> Any:
    """JSON values, at any depth, without secrets by name of the key or by form of the text.

    ``None``, ``True``, ``False`` and empty values stay: that nothing is set is no secret.
    """
    if isinstance(value, Mapping):
        return {str(key): _value_of(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_values(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def _value_of(name: str, value: Any) -> Any:
    is_set = not isinstance(value, bool | None) and value not in ("", [], {}, ())
    return REDACTED if is_set and names_a_secret(name) else redact_values(value)


def redact_command(arguments: Iterable[str]) -> list[str]:
    """A command line without secrets: ``--api-key X``, ``--api-key=X``, ``-e HF_TOKEN=X``, URLs.

    An option that names a secret hides the argument after it, unless that is an option too.
    """
    shown: list[str] = []
    hides_next = False
    for argument in arguments:
        is_option = argument.startswith("-")
        shown.append(
            REDACTED if hides_next and not argument.startswith("--") else _argument(argument)
        )
        hides_next = is_option and "=" not in argument and names_a_secret(argument)
    return shown


def _argument(argument: str) -> str:
    """One argument; as it is one, its value reaches to the end, spaces included."""
    name, assigned, value = argument.partition("=")
    if assigned and re.fullmatch(r"[\w.-]+", name):
        return f"{name}={REDACTED if names_a_secret(name) else _argument(value)}"
    header = _HEADER.fullmatch(argument)
    if header and names_a_secret(header[1]):
        return f"{header[1]}: {REDACTED}"
    return redact_text(argument)
