"""What records say of their batches, looked at together: who was in them, and how it was sent."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from typing import NamedTuple

import msgspec

from harness.records.answers import Witness, text_hash
from harness.records.dispatches import Dispatches
from harness.records.effects import raw_hash
from harness.records.record import SCHEMA_VERSION, Sampling
from harness.records.rows import AnswerRow, CompanionRow, Row
from harness.words import Asking, DispatchMode, Mode

Server = tuple[str, Mode]
"""A model and a mode; its lifetimes are told apart by the number of the start."""
Way = tuple[Server, int, str]
"""A server, its start, and how its batches were sent."""
_EMPTY = text_hash("")
_BATCHES = (Asking.B, Asking.B2)


class Oddity(NamedTuple):
    """Something of a record that no server can have answered, or no engine have done.

    Attributes:
        of: ``answer`` or ``witness``.
        context: tokens of prompt and answer, where a context that was full would explain it.
        tokens_a_step: that speculative decoding would have to give, where it would explain it.
    """

    of: str
    line: int
    reason: str
    model: str
    context: int | None = None
    tokens_a_step: float = inf


@dataclass(slots=True)
class Texts:
    """What each prompt was answered: eight bytes of a text are kept, since there may be millions.

    Attributes:
        first: the hash of its first text.
        again: prompts that were answered more than once.
        others: prompts with more than one text.
    """

    first: dict[str, int] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)

    def hear(self, prompt: str, told: int) -> None:
        """One answer more, by the hash of its text."""
        if (known := self.first.get(prompt)) is None:
            self.first[prompt] = told
            return
        self.again.add(prompt)
        if known != told:
            self.others.add(prompt)

    def join(self, later: Texts) -> None:
        """Add what later lines tell."""
        self.again |= later.again | (self.first.keys() & later.first.keys())
        self.others |= later.others
        for prompt, told in later.first.items():
            if self.first.setdefault(prompt, told) != told:
                self.others.add(prompt)

    def __len__(self) -> int:
        return len(self.first)


@dataclass(slots=True)
class CompanionFinds:
    """What companions were answered in batches, and the same prompts alone.

    Attributes:
        batched: by server, what each prompt was answered as a companion.
        alone: likewise its S1 and S2, where it is the target of a row too.
        said: by server and start (0 where not recorded) the hash of each companion's last text.
        idle: likewise those of which it was degenerate.
        untold: lines of records that hold their batch and not its companions' answers.
    """

    batched: dict[Server, Texts] = field(default_factory=lambda: defaultdict(Texts))
    alone: dict[Server, Texts] = field(default_factory=lambda: defaultdict(Texts))
    said: dict[Way, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    idle: dict[Way, set[str]] = field(default_factory=lambda: defaultdict(set))
    untold: list[int] = field(default_factory=list)

    def add(self, row: Row, companions: Sequence[CompanionRow]) -> None:
        """One good record more."""
        server = row.model, row.mode
        way = server, row.start or 0, row.dispatch_mode
        hear, said, idle = self.batched[server].hear, self.said[way], self.idle[way]
        for one in companions:
            key, text = one.key, one.response_hash
            said[key] = told = hash(text)
            hear(key, told)
            if one.degenerate or text == _EMPTY:
                idle.add(key)
            elif idle:
                idle.discard(key)
        own, texts, batched = f"{row.task_name}/{row.sample_id}", self.alone[server], row.batched
        for again in (row.askings.S1, row.askings.S2):
            if again is not None:
                same = batched is not None and again.said == batched.said
                own_text = row.batch_response_hash if same else raw_hash(again.said)
                texts.hear(own, hash(own_text))

    def join(self, later: CompanionFinds) -> None:
        """Add what later lines tell."""
        for texts, more in ((self.batched, later.batched), (self.alone, later.alone)):
            for server, heard in more.items():
                texts[server].join(heard)
        for way, said in later.said.items():
            self.said[way].update(said)
            self.idle[way] = (self.idle[way] - said.keys()) | later.idle[way]
        self.untold += later.untold

    def unsteady(self, server: Server) -> int:
        """Prompts that one server answered with several texts when asked alone again (S1, S2).

        Within a row that is the noise; rows of one prompt, sent in other ways, are looked at here.
        """
        return len(self.alone[server].others)

    def moved(self, server: Server) -> tuple[list[str], int]:
        """Companions that a batch answered otherwise, and how many could be compared.

        A prompt's answers in batches are set against its own S1 and S2 where these are one text,
        and against each other where it was not asked alone again.
        """
        told, alone = self.batched[server], self.alone[server]
        known = (told.again | alone.first.keys()) - alone.others
        compared = [prompt for prompt in told.first if prompt in known]
        moved = [
            prompt
            for prompt in compared
            if prompt in told.others
            or alone.first.get(prompt, told.first[prompt]) != told.first[prompt]
        ]
        return moved, len(compared)


@dataclass(slots=True)
class BatchFinds:
    """What good records of schema 2 say of the batches they were asked in.

    Attributes:
        known: records that hold their batch and its companions.
        misplaced: line and reason of each whose batch is not the one that it names.
        dispatches: what each batch was answered, and records of one that do not tell the same.
        gated: records of gated batches; ungated: line and requests admitted in the first step of
            those that the engine's log shows to have been admitted in several.
        asked: lines by the askings that they hold.
        warmed: records that tell how many companions were asked alone before.
        cold: line, companions that were, and companions of those of which not all were.
        companions: what they answered.
    """

    known: int = 0
    misplaced: list[tuple[int, str]] = field(default_factory=list)
    dispatches: Dispatches = field(default_factory=Dispatches)
    gated: int = 0
    ungated: list[tuple[int, int]] = field(default_factory=list)
    asked: dict[tuple[Asking, ...], array[int]] = field(default_factory=dict)
    warmed: int = 0
    cold: list[tuple[int, int, int]] = field(default_factory=list)
    companions: CompanionFinds = field(default_factory=CompanionFinds)

    def add(
        self,
        row: Row,
        line: int,
        companions: Sequence[CompanionRow],
    ) -> None:
        """One good record more and the other prompts of its batch."""
        if row.is_of_schema_1:
            return
        self._lines_of(tuple([asking for asking, _ in row.asked])).append(line)
        self._see_gate(row, line)
        group = row.told_group
        if group is None and bytes(row.group) != b"null":
            self.misplaced.append((line, "its group is no list of prompts"))
            return
        self.companions.add(row, companions)
        if group is None or not companions:
            if group is not None and row.told_companions is None:
                self.companions.untold.append(line)
            return
        self.known += 1
        if reason := _misplaced(row, list(map(str, group)), companions):
            self.misplaced.append((line, reason))
            return
        self.dispatches.add(row, line, group, companions)
        if row.warmed is not None:
            self.warmed += 1
            if row.warmed != len(companions):
                self.cold.append((line, row.warmed, len(companions)))

    def _lines_of(self, asked: tuple[Asking, ...]) -> array[int]:
        return self.asked.setdefault(asked, array("q"))

    def _see_gate(self, row: Row, line: int) -> None:
        seen = row.witness.B if row.witness else None
        if row.dispatch_mode != DispatchMode.GATED or seen is None:
            return
        if (first := seen.admitted_first_step) is not None:
            self.gated += 1
            if first != row.batch_size:
                self.ungated.append((line, first))

    def join(self, later: BatchFinds) -> None:
        """Add what later lines tell.

        Raises:
            Apart: as `Dispatches.join`.
        """
        self.known += later.known
        self.misplaced += later.misplaced
        self.dispatches.join(later.dispatches)
        self.gated += later.gated
        self.ungated += later.ungated
        for asked, lines in later.asked.items():
            self._lines_of(asked).extend(lines)
        self.warmed += later.warmed
        self.cold += later.cold
        self.companions.join(later.companions)


def _misplaced(row: Row, group: list[str], companions: Sequence[CompanionRow]) -> str | None:
    """Why a record's batch is not the one that it names, if so."""
    if len(group) != row.batch_size:
        return f"its batch has {len(group)} prompts, not {row.batch_size}"
    place, own = row.target_index, f"{row.task_name}/{row.sample_id}"
    if place is None or not 0 <= place < len(group) or group[place] != own:
        return f"place {place} of its batch is not {own}"
    others = group[:place] + group[place + 1 :]
    if [one.key for one in companions] != others:
        return "its companions are not the other prompts of its batch"
    return None


def oddities(row: Row, line: int) -> Iterator[Oddity]:
    """What cannot be in a good record: lengths that no limit explains, and impossible steps."""
    limit = _limit(bytes(row.sampling))
    texts, lengths = dict[bytes, bytes](), set[int]()
    as_list, alike = row.dispatch_mode == DispatchMode.PROMPT_LIST, len(row.told) == 1
    for asking, one in row.asked:
        text, ids = one.said, one.ids
        known = alike or ids in (b"null", b"[]")
        if not known and texts.setdefault(ids, text) != text:
            reason = f"{asking} is another text of the same tokens"
            yield Oddity("answer", line, reason, row.model)
        sent = one.prompt_tokens
        if sent is not None and not (as_list and asking in _BATCHES):
            lengths.add(sent)
        if reason := _odd_time(row, one):
            yield Oddity("answer", line, f"{asking} {reason}", row.model)
        if reason := _odd_length(one, limit):
            short = one.prompt_tokens and one.tokens < (limit or 0)
            context = (one.prompt_tokens or 0) + one.tokens if short else None
            yield Oddity("answer", line, f"{asking} {reason}", row.model, context)
    if len(lengths) > 1 or min(lengths, default=1) < 1:
        yield Oddity("answer", line, f"its prompt has {sorted(lengths)} tokens", row.model)
    if row.witness is None:
        return
    told = dict(row.asked)
    for asking, seen in row.witness.each():
        requests = row.batch_size if asking in _BATCHES else None
        tokens = told[asking].tokens if asking in told else 0
        if reason := _odd_steps(seen, requests):
            yield Oddity("witness", line, f"{asking} {reason}", row.model)
        elif seen.steps is not None and seen.steps < tokens:
            reason = f"{asking} took {seen.steps} steps for {tokens} tokens"
            fast = tokens / seen.steps if seen.steps else inf
            yield Oddity("witness", line, reason, row.model, tokens_a_step=fast)


def _odd_time(row: Row, answer: AnswerRow) -> str:
    """No answer comes in no time, or unasked; records of this form tell how long each took."""
    took = answer.latency_s
    if (took is None and row.schema_version >= SCHEMA_VERSION) or (took is not None and took <= 0):
        return f"took {took} s"
    return f"came in {answer.attempts} attempts" if (answer.attempts or 1) < 1 else ""


def _odd_length(answer: AnswerRow, limit: int | None) -> str:
    tokens = answer.tokens
    if b"-" in answer.ids:
        return "has token ids that no vocabulary has"
    if limit is not None and tokens > limit:
        return f"has {tokens} tokens, of {limit} at most"
    if limit is not None and 0 <= tokens < limit and answer.finish_reason == "length":
        return f"ended in length after {tokens} of {limit} tokens"
    if tokens == 0 and answer.said.strip(b'" ') not in (b"", b"null"):
        return "is a text of no token"
    return ""


def _odd_steps(seen: Witness, requests: int | None) -> str:
    """A step admits no more requests than were sent, and no more steps are mixed than there are."""
    if requests is not None and (seen.admitted_first_step or 0) > requests:
        return f"had {seen.admitted_first_step} requests admitted, of {requests}"
    if not 0 <= (seen.shared_decode_share or 0) <= 1:
        return f"shared {seen.shared_decode_share} of its decode steps"
    if seen.steps is not None and seen.steps < (seen.mixed_steps or 0):
        return f"took {seen.steps} steps, of which {seen.mixed_steps} mixed prefill and decode"
    return ""


@lru_cache
def _limit(sampling: bytes) -> int | None:
    try:
        told = msgspec.json.decode(sampling, type=Sampling | None)
    except msgspec.ValidationError:
        return None
    return told.max_tokens if told else None
