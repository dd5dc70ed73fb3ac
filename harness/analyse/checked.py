"""What a check of a run is: a function of what is `Checked` that says its status and why."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from msgspec import Struct

from harness.files import sha256_unpacked, text_unpacked
from harness.findings import Status
from harness.numbers import shortened
from harness.prove import ServerFacts, read_facts, tells_one_process
from harness.records import BoolArray, Pairing, RecordKey, Records, RunFiles, Start, object_in
from harness.words import BackendName, Mode


class Expectations(Struct, frozen=True):
    """What a run must show; ``None`` and an empty tuple ask nothing.

    Attributes:
        modes: modes that must be there.
        rows_per_mode: records that each of these modes (or each mode there is) must have.
    """

    modes: tuple[Mode, ...] = ()
    rows_per_mode: int | None = None


class ModeCounts(Struct, frozen=True):
    """The records of one mode."""

    records: int
    ok: int
    errors: int


@dataclass(frozen=True, slots=True)
class Checked:
    """What is checked: records, what lies beside them, and what is expected of both.

    Attributes:
        cut_logs: as `harness.analyse.cut_logs` finds them, which no check goes by.
    """

    records: Records
    pairing: Pairing
    files: RunFiles
    expected: Expectations
    counts: Mapping[Mode, ModeCounts]
    cut_logs: Mapping[str, str] = field(default_factory=dict)
    _facts: dict[str, ServerFacts] = field(default_factory=dict)

    def lines(self, chosen: BoolArray) -> list[int]:
        """The lines of the chosen records."""
        lines: list[int] = self.records.column("line")[chosen].tolist()
        return lines

    def log_of(self, start: Start) -> str | None:
        """The log of a server of ours as it was written; ``None``: not at hand, or not ours.

        Nor is one at hand that is known to be cut short.
        """
        return None if start.log in self.cut_logs else log_of(self.files, start)

    def facts_of(self, start: Start) -> ServerFacts | None:
        """What that log tells of its server, read once."""
        name = str(start.log)
        if name not in self._facts and (log := self.log_of(start)) is not None:
            self._facts[name] = read_facts(log)
        return self._facts.get(name)

    @property
    def device_kinds(self) -> set[str]:
        """``cuda`` or ``cpu``, as metadata.json and each start that answered tell it."""
        told = {self.files.device_kind}
        for startup in self.files.startups:
            told |= {self.device_of(start) for _, start in startup.answering()}
        return {kind for kind in told if kind is not None}

    def device_of(self, start: Start) -> str | None:
        """What a start answered on, by its evidence or what its engine logged."""
        read = self.facts_of(start)
        engine = object_in(asdict(read) if read is not None else start.facts, "engine")
        kind = start.evidence.device or engine.get("device_config")
        return None if kind is None else str(kind)

    def tells_process(self, start: Start) -> bool:
        """Whether a run of this form must tell the process of ``/metrics``, which it read."""
        facts = self.facts_of(start) or ServerFacts()
        told = tells_one_process(
            facts.arguments,
            object_in(start.server, "environment"),
            platform=str(object_in(self.files.metadata, "host").get("platform", "Linux")),
        )
        return bool(self.records.checks.sealed and start.metrics and told)


def log_of(files: RunFiles, start: Start) -> str | None:
    """The log of a server of ours in this folder as it was written; ``None``: there is none."""
    path = files.folder / str(start.log)
    ours = start.server.get("backend") != BackendName.EXTERNAL
    known = start.log and ours and sha256_unpacked(path)
    return text_unpacked(path) if known and known == (start.log_sha256 or known) else None


class Outcome(NamedTuple):
    """What a check says and why; ``places`` are all that it names."""

    status: Status
    message: str
    places: tuple[str, ...] = ()


Look = Callable[[Checked], Outcome]


def check(among: dict[str, Look]) -> Callable[[Look], Look]:
    """Add a check to others, under its function's name."""

    def added(look: Look) -> Look:
        among[look.__name__.removeprefix("_")] = look
        return look

    return added


def ok(message: str) -> Outcome:
    """The check passed."""
    return Outcome(Status.OK, message)


def failed(message: str, places: Sequence[str] = ()) -> Outcome:
    """It failed, and with it the validation; the first places stand behind the message."""
    return Outcome(Status.FAILED, message + shortened(places, len(places)), tuple(places))


def warning(message: str, places: Sequence[str] = ()) -> Outcome:
    """Something to know that fails nothing."""
    return Outcome(Status.WARNING, message + shortened(places, len(places)))


def not_checked(message: str) -> Outcome:
    """What the check needs is not there."""
    return Outcome(Status.NOT_CHECKED, message)


def at(lines: Iterable[int]) -> list[str]:
    """Lines as places."""
    return [f"line {line}" for line in lines]


def key_name(key: RecordKey) -> str:
    """A candidate in words."""
    return f"{key[0]} {key[1]}/{key[2]} batch {key[3]} {key[4]}"
