"""A vLLM log as lines with numbers and processes, its starts and engines, where serving begins.

A log that was appended to holds more than one start of a server; only the last one is read. What
Compose, Kubernetes, the journal or a clock put before each line is taken off.
Everything that proves a kernel path is printed while the engine starts. What follows the first
sign of serving may carry text from requests, so no proof is looked for there.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

HEADER = r"(?:INFO|WARNING|ERROR|DEBUG) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]+\] "
"""How vLLM's own logger begins a line, after the process prefix."""

GAP = "[harness] the log has a gap here: "
"""How a line begins that a follower of the log writes where lines are lost."""

_CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CLOCK = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_BEFORE = re.compile(
    rf"""
    (?P<compose>[\w.@/-]+)[ ]+\|[ ]?                      # docker compose logs, docker service logs
    | \[(?P<pod>[\w./-]+)\][ ]                            # kubectl logs --prefix
    | (?:[A-Z][a-z]{{2}}[ ]+\d+[ ][\d:.]+|{_CLOCK})        # journald
      [ ][\w.-]+[ ](?P<unit>[\w@.-]+(?:\[\d+\])?):[ ]
    | {_CLOCK}[ ](?:std(?:out|err)[ ][FP][ ])?              # docker logs -t, CRI
    """,
    re.X,
)
_LAYERS = 3
_PREFIX = re.compile(r"^\(([A-Za-z][\w-]*) pid=(\d+)\) ?")
_SECOND = re.compile(rf"{_PREFIX.pattern}(?={HEADER})")
_OWN = re.compile(rf"{HEADER}|\([A-Za-z][\w-]* pid=\d+\) |INFO:     ")
"""How a line of vLLM begins, so that what stands before it was put there by somebody else."""
_WITHIN = re.compile(rf"(.+?)(?:\([A-Za-z][\w-]* pid=\d+\) )?{HEADER}")
_READY = re.compile(
    rf"^(?:INFO:\s+Application startup complete\.|{HEADER}Starting vLLM (?:API )?server\b)"
)
_REQUEST = re.compile(
    r'^INFO:\s+\S+ - "[A-Z]+ \S+ HTTP/[\d.]+" \d{3}\b'
    rf"|^{HEADER}(?:Received request\b|Added request\b)"
)
_TALK = re.compile(
    r"^(?:DEBUG|INFO) \d\d-\d\d [\d:]+|^INFO: "
    r"|\b(?:[Pp]rompt|prompt_token_ids|[Rr]equest body|messages)['\"]?\s*[:=]"
)
"""What quotes somebody or tells of work: never a cause."""
_GOES_ON = re.compile(
    r"^INFO \d\d-\d\d [\d:]+ (?!.*(?:shut|stop|exit|clean|terminat|kill|complete))"
)
_LEVEL = re.compile(r"^(?:INFO|WARNING|ERROR|DEBUG|CRITICAL) \d\d-\d\d [\d:]+ \[[^\]]*\]\s?")
_ENGINE_NAMES = ("EngineCore", "Worker", "VllmWorker")
_ENGINE = re.compile(
    rf"^{HEADER}Initializing an? V\d+ LLM engine \(v([^)\s]+)\) with config: (.*)$"
)
_START_SIGNS = (
    re.compile(rf"^{HEADER}(?:\W* +version \d+\.\d+|vLLM API server version \d)"),
    re.compile(rf"^{HEADER}non-default args: "),
)
"""What a server says first, each once; the first is its banner."""
_OPEN, _CLOSE = "([{<", ")]}>"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line.

    Attributes:
        number: 1-based, as an editor counts.
        process: ``name pid`` of the prefix; ``None`` for a line without one.
        text: the line without prefix and colours.
    """

    number: int
    process: str | None
    text: str

    @property
    def may_be_engine(self) -> bool:
        """Whether an engine or worker process can have written it.

        A line from C++ has no prefix, and from 0.32 on neither has what a process writes to
        stderr; a line that is marked as the API server's is not the engine's.
        """
        return self.process is None or self.process.startswith(_ENGINE_NAMES)


@dataclass(frozen=True, slots=True)
class EngineLine:
    """The line in which an engine names its version and its whole configuration, as text."""

    line: LogLine
    version: str
    config: Mapping[str, str]

    @property
    def workers(self) -> int:
        """Processes that run the model for this engine: tensor times pipeline parallel size."""
        product = 1
        for kind in ("tensor", "pipeline"):
            size = self.config.get(f"{kind}_parallel_size", "1")
            product *= int(size) if size.isdigit() else 1
        return product


@dataclass(frozen=True, slots=True)
class ServerLog:
    """One lifetime's log: the last one's, where several stand in it.

    Attributes:
        lines: all of it.
        startup: its lines before the first sign of serving; all of them if there is none.
        engine_lines: those of ``startup`` from the first engine's own line on.
        engines: every engine that was initialised in ``startup``.
        starts: starts of a server that the whole log holds.
        mixed: why it cannot be told which lines are the last start's; empty where it can.
        gap: whether lines of the start-up are lost.
    """

    lines: tuple[LogLine, ...]
    startup: tuple[LogLine, ...]
    engine_lines: tuple[LogLine, ...]
    engines: tuple[EngineLine, ...]
    starts: int = 1
    mixed: str = ""
    gap: bool = False

    @classmethod
    def read(cls, log: str) -> ServerLog:
        """Split a log at its first engine and at the first sign of serving."""
        every, sources = _read(log)
        first_lines = _starts(every)
        lines = every[first_lines[-1] :]
        serving = (
            index
            for index, line in enumerate(lines)
            if _READY.match(line.text) or _REQUEST.match(line.text)
        )
        startup = lines[: next(serving, len(lines))]
        engines = tuple(
            EngineLine(line, match[1], split_config(match[2]))
            for line in startup
            if (match := _ENGINE.match(line.text))
        )
        first = engines[0].line.number - 1 if engines else len(startup)
        mixed = _foreign(log, every, sources) or _mixed(every, first_lines, lines[len(startup) :])
        # before the first line too: what an engine says of itself is its first lines
        gap = any(line.text.startswith(GAP) for line in every[: first_lines[-1] + len(startup)])
        first -= first_lines[-1] if engines else 0
        return cls(lines, startup, startup[first:], engines, len(first_lines), mixed, gap)

    @property
    def complaints(self) -> tuple[str, ...]:
        """Lines of the last start that may name what went wrong, without level, time and place.

        A request is none, whatever its prompt says, nor is what a process said before it went on.
        """
        last_work: dict[str | None, int] = {}
        for line in self.lines:
            if _GOES_ON.match(line.text):
                last_work[line.process] = line.number
        return tuple(
            _LEVEL.sub("", line.text, count=1)
            for line in self.lines
            if line.number > last_work.get(line.process, 0)
            and not _REQUEST.match(line.text)
            and not _TALK.search(line.text)
        )

    @property
    def serves(self) -> bool:
        """Whether there is any sign that the server came up."""
        return len(self.startup) < len(self.lines)

    @property
    def version(self) -> str | None:
        """The one vLLM version that all engines name."""
        names = {engine.version for engine in self.engines}
        return names.pop() if len(names) == 1 else None

    @property
    def workers(self) -> int:
        """Processes that run the model, in all engines.

        Of data parallel engines only the first may name its configuration.
        """
        sizes = [str(engine.config.get("data_parallel_size")) for engine in self.engines]
        parallel = max((int(size) for size in sizes if size.isdigit()), default=1)
        unnamed = max(0, parallel - len(self.engines)) * max(
            (e.workers for e in self.engines), default=0
        )
        return sum(engine.workers for engine in self.engines) + unnamed or 1

    def setting(self, key: str) -> str | None:
        """The text of a top-level key of the configuration, if all engines have the same."""
        values = {engine.config.get(key) for engine in self.engines}
        return values.pop() if len(values) == 1 else None


def _starts(lines: tuple[LogLine, ...]) -> list[int]:
    """Where each start of a server begins; at least one, from the first line."""
    found: list[int] = [0]
    seen: set[int] = set()
    for index, line in enumerate(lines):
        if line.process is not None and not line.process.startswith("APIServer "):
            continue
        sign = next((n for n, sign in enumerate(_START_SIGNS) if sign.match(line.text)), None)
        if sign is not None and sign in seen:
            # the banner comes first, so whatever was seen belongs to the start before
            found.append(index)
            seen = set()
        if sign is not None:
            seen.add(sign)
    return found


def _mixed(lines: tuple[LogLine, ...], starts: list[int], serving: tuple[LogLine, ...]) -> str:
    """Why the last start's lines cannot be told from another's; ``serving`` is what follows it."""
    if any(_ENGINE.match(line.text) for line in serving):
        return "an engine starts after the server serves, and no start of a server stands before it"
    if len(starts) < 2:
        return ""
    speakers = [_server_of(lines[start:end]) for start, end in itertools.pairwise([*starts, None])]
    if any(
        line.process in set(speakers[:-1]) - {speakers[-1], None} for line in lines[starts[-1] :]
    ):
        return "an earlier server writes on after the last one has started"
    return ""


def _server_of(lines: tuple[LogLine, ...]) -> str | None:
    """The process that serves HTTP in one start."""
    return next((line.process for line in lines if _START_SIGNS[1].match(line.text)), None)


def read_lines(log: str) -> tuple[LogLine, ...]:
    """Split a log into lines; what a progress bar overwrote in its line is dropped."""
    return _read(log)[0]


def _read(log: str) -> tuple[tuple[LogLine, ...], frozenset[str]]:
    """The lines, and the sources that are named before them."""
    texts = [_CONTROL.sub("", raw.rstrip("\r")).rpartition("\r")[2] for raw in log.split("\n")]
    # a word and a bar may begin any line; a source is what stands before a line of vLLM's
    parts = [_split(text) for text in texts]
    sources = frozenset(source for source, rest in parts if source and _OWN.match(rest))
    lines = []
    for number, (text, (source, rest)) in enumerate(zip(texts, parts, strict=True), start=1):
        said = rest if not source or source in sources else text
        lines.append(LogLine(number, *_said_by(said)))
    return tuple(lines), sources


def _said_by(line: str) -> tuple[str | None, str]:
    """The process that wrote a line, and its words.

    vLLM writes prefix and words apart, so that two processes at once leave both prefixes before
    the words of one. Which one's cannot be told: it counts as no engine's if it may be another's.
    """
    match = _PREFIX.match(line)
    if match is None:
        return None, line
    names, words = [f"{match[1]} {match[2]}"], line[match.end() :]
    if second := _SECOND.match(words):
        names.append(f"{second[1]} {second[2]}")
        words = words[second.end() :]
    return min(names, key=lambda name: name.startswith(_ENGINE_NAMES)), words


def _split(text: str) -> tuple[str, str]:
    """Who is named before a line, if anybody, and the line without what stands before it."""
    source = ""
    for _ in range(_LAYERS):
        found = None if _OWN.match(text) else _BEFORE.match(text)
        if found is None:
            break
        source = found["compose"] or found["pod"] or found["unit"] or source
        text = text[found.end() :]
    return source, text


def _foreign(log: str, lines: tuple[LogLine, ...], sources: frozenset[str]) -> str:
    """Why a log is not one server's, or not as the server wrote it; empty where it is."""
    if len(sources) > 1:
        return (
            f"it holds the lines of {', '.join(sorted(sources))}; write one server's only: "
            "docker compose logs --no-log-prefix SERVICE > FILE"
        )
    if any(line.process or _OWN.match(line.text) for line in lines):
        return ""
    within = next((m for line in log.split("\n") if (m := _WITHIN.match(line))), None)
    if within is None:
        return ""
    return (
        f"each begins with something that is not vLLM's, such as {within[1][:40]!r}; write the log "
        "without it, as the server does: docker logs CONTAINER, docker compose logs "
        "--no-log-prefix SERVICE, kubectl logs POD, srun without --label"
    )


def split_config(text: str) -> dict[str, str]:
    """``a=1, b=C(x=1, y=2), c={'k': 1}`` as its top-level keys and the text of their values."""
    parts, depth, start, quote = [], 0, 0, ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    pairs = (part.partition("=") for part in [*parts, text[start:]])
    return {key.strip(): value.strip() for key, found, value in pairs if found}
