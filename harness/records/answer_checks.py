"""What a look at the answers themselves finds, record by record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.records.answers import FINISHED
from harness.records.batches import BatchFinds, CompanionFinds, Oddity, oddities
from harness.records.dispatches import Dispatches
from harness.records.effects import raw_hash, retokenized
from harness.records.footprints import Footprints
from harness.records.record import SCHEMA_VERSION, record_id
from harness.records.rows import Row
from harness.words import Asking, Effect, Status

_MOST_PLACES = 20
_ENDINGS = FINISHED | {None}


@dataclass(slots=True)
class CacheFinds:
    """What the askings of good records took from the server's prefix cache.

    Attributes:
        known, unknown: askings of which it is known whether an earlier one served them, or not.
        earlier: askings that took prompt tokens which an earlier one had left.
        inside: askings that took only what their own other requests had left.
        inside_tokens: how many tokens those took.
        places: the first of ``earlier``: line, asking and tokens.
    """

    known: int = 0
    unknown: int = 0
    earlier: int = 0
    inside: int = 0
    inside_tokens: int = 0
    places: list[tuple[int, Asking, int]] = field(default_factory=list)

    def add(self, line: int, asking: Asking, cached: int | None, earlier: int | None) -> None:
        """One asking more."""
        if earlier is None:
            self.unknown += 1
            return
        self.known += 1
        if earlier:
            self.earlier += 1
            if len(self.places) < _MOST_PLACES:
                self.places.append((line, asking, earlier))
        elif cached:
            self.inside += 1
            self.inside_tokens += cached

    def join(self, later: CacheFinds) -> None:
        """Add what was found on later lines."""
        for name in ("known", "unknown", "earlier", "inside", "inside_tokens"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        self.places = [*self.places, *later.places][:_MOST_PLACES]


@dataclass(slots=True)
class AnswerChecks:
    """What a look at the answers themselves found; filled by the lenient reader.

    Attributes:
        answers: records that hold their answers and not only scores and hashes.
        texts_hashed: texts that were compared with their recorded hash.
        hash_mismatches: lines whose text does not have the recorded hash.
        unfinished: lines with an answer that ended in anything but ``stop`` or ``length``.
        unended: lines with an answer of which it is not told how it ended.
        contradicted: lines whose scores are not those of their answers.
        sealed: records whose line carries its checksum.
        newer: lines of a form that this version does not know.
        misnamed: lines whose record id is not that of its candidate and mode.
        retokenized: lines of which two askings have one text and other token ids, and what moved.
        odd: what no server can have answered, or no engine have done.
        cache: what their askings took from the prefix cache.
        batches: what they say of their batches.
        footprints: what the logs of their servers must show of them.
    """

    answers: int = 0
    texts_hashed: int = 0
    hash_mismatches: list[int] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    unended: list[int] = field(default_factory=list)
    contradicted: list[int] = field(default_factory=list)
    sealed: int = 0
    newer: list[int] = field(default_factory=list)
    misnamed: list[int] = field(default_factory=list)
    retokenized: list[tuple[int, list[Effect]]] = field(default_factory=list)
    odd: list[Oddity] = field(default_factory=list)
    cache: CacheFinds = field(default_factory=CacheFinds)
    batches: BatchFinds = field(default_factory=BatchFinds)
    footprints: Footprints = field(default_factory=Footprints)

    def add(self, row: Row, line: int) -> None:
        """One record more, and the line it stands on."""
        if row.schema_version >= SCHEMA_VERSION:
            self.sealed += 1
            self.newer += [line] * (row.schema_version > SCHEMA_VERSION)
            if row.record_id != record_id(row.key, row.mode):
                self.misnamed.append(line)
        if row.solo is None and row.batched is None:
            return
        self.answers += 1
        if moved := retokenized(row):
            self.retokenized.append((line, moved))
        endings, companions = row.endings(), row.told_companions or ()
        endings.update([one.finish_reason for one in companions])
        if row.status is Status.OK:
            self.odd += oddities(row, line)
            self.batches.add(row, line, companions)
            self.footprints.add(row, line, companions)
            for asking, one in row.asked:
                self.cache.add(line, asking, one.cached_tokens, one.cached_earlier)
        if not endings <= _ENDINGS:
            self.unfinished.append(line)
        if not row.is_of_schema_1 and None in endings:
            self.unended.append(line)
        self._compare(row, line)

    def _compare(self, row: Row, line: int) -> None:
        """The two answers with what the record says of them."""
        sides = (
            (row.solo, row.solo_response_hash, (row.solo_score, row.solo_label)),
            (row.batched, row.batch_response_hash, (row.batch_score, row.batch_label)),
        )
        hashed, contradicted = [], False
        for answer, digest, stated in sides:
            if answer is None:
                continue
            contradicted |= (answer.score, answer.label) not in ((None, None), stated)
            if digest is not None and (hash_ := raw_hash(answer.said)) is not None:
                hashed.append(hash_ == digest)
        self.texts_hashed += len(hashed)
        if not all(hashed):
            self.hash_mismatches.append(line)
        if contradicted:
            self.contradicted.append(line)

    def pieces(self) -> Iterator[AnswerChecks]:
        """This one in pieces to be joined one after the other; it holds none that was taken."""
        batches = self.batches
        large = [
            AnswerChecks(footprints=self.footprints),
            AnswerChecks(batches=BatchFinds(dispatches=batches.dispatches)),
            AnswerChecks(batches=BatchFinds(companions=batches.companions)),
        ]
        self.footprints = Footprints()
        batches.dispatches, batches.companions = Dispatches(), CompanionFinds()
        yield self
        while large:
            yield large.pop()

    def join(self, later: AnswerChecks) -> None:
        """Add what was found on later lines.

        Raises:
            Apart: as `BatchFinds.join`.
        """
        for name in self.__slots__:
            found, more = getattr(self, name), getattr(later, name)
            if isinstance(found, int | list):
                setattr(self, name, found + more)
            else:
                found.join(more)
