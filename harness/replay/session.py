"""One server lifetime's records: every row's askings, in one order for a run and for a scan.

Rows are taken by group: those whose prompts meet, in whatever dispatch modes. Rows that are sent in
the same batch share the one dispatch, and all rows of a prompt in a group its askings alone: S1 is
asked before the first batch, S2 after the last. What has been asked alone in this lifetime is
remembered, because the first asking of a prompt meets another cache than all later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from harness.plan import BatchGroup, Lifetime, PlannedRecord
from harness.records import Answer, Record, Witness
from harness.replay.asked import Asked, Scribe
from harness.replay.completion import RequestFailed
from harness.replay.dispatch import Dispatcher
from harness.replay.finished import Unfinished
from harness.settings import RunSpec
from harness.tasks import Prompt
from harness.words import Asking

log = structlog.get_logger()
WARM_UP_PROMPT = "The quick brown fox jumps over the lazy dog."


async def warm_up(dispatcher: Dispatcher, requests: int) -> None:
    """Send prompts whose answers are thrown away, so that no record is a server's first.

    Raises:
        RequestFailed, ServerDied: as the dispatcher says.
    """
    for n in range(requests):
        await dispatcher.solo(f"{n}. {WARM_UP_PROMPT}")


class ReplaySession:
    """Asks for each planned record of a lifetime and hands the finished record on.

    Args:
        dispatcher: sends prompts to the server.
        spec: sampling, askings and cache policy.
        run_id: goes into the records.
        write: receives each record as soon as it is whole.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        spec: RunSpec,
        *,
        run_id: str,
        write: Callable[[Record], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._spec = spec
        self._run_id = run_id
        self._write = write

    async def replay(self, lifetime: Lifetime) -> None:
        """Write one record for each planned one, group after group.

        Raises:
            ServerDied: the server is gone; what was written stays.
        """
        scribe = Scribe(self._spec, lifetime.model, self._run_id)
        askings = _Askings(self._dispatcher, self._spec, scribe, self._write)
        for slices in lifetime.groups:
            await askings.of_group(slices)


class _Seen(NamedTuple):
    """An answer to a prompt alone, and what the engine's steps show of that asking."""

    answer: Answer
    witness: Witness | None


class _Alone:
    """What each prompt was answered alone in this lifetime: the first time, and the last after it.

    A first asking that failed stays failed: a second try would meet the cache that it left.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.first: dict[str, _Seen | RequestFailed] = {}
        self.latest: dict[str, _Seen] = {}
        self.last: dict[str, _Seen] = {}

    async def begin(self, prompt: Prompt) -> None:
        """Ask the first time, unless that was done."""
        if prompt.sha256 not in self.first:
            try:
                self.first[prompt.sha256] = await self._ask(prompt)
            except RequestFailed as error:
                self.first[prompt.sha256] = error

    async def _ask(self, prompt: Prompt) -> _Seen:
        return _Seen(await self._dispatcher.solo(prompt.text), self._dispatcher.witness)

    async def again(self, prompt: Prompt) -> _Seen:
        """Ask once more.

        Raises:
            RequestFailed, ServerDied: as the dispatcher says.
        """
        seen = self.latest[prompt.sha256] = await self._ask(prompt)
        return seen

    async def before_batch(self, prompt: Prompt) -> _Seen:
        """The last answer after the first one; asked for now where there is none.

        Raises:
            RequestFailed, ServerDied: as the dispatcher says.
        """
        known = self.latest.get(prompt.sha256)
        return known or await self.again(prompt)

    async def after_batches(self, prompt: Prompt) -> _Seen:
        """The answer since ``last`` was emptied; asked for now where there is none.

        Raises:
            RequestFailed, ServerDied: as the dispatcher says.
        """
        if prompt.sha256 not in self.last:
            self.last[prompt.sha256] = await self.again(prompt)
        return self.last[prompt.sha256]

    def begun(self, group: BatchGroup) -> int:
        """How many of a target's companions were asked alone."""
        others = (p for place, p in enumerate(group.prompts) if place != group.target_index)
        return sum(isinstance(self.first.get(other.sha256), _Seen) for other in others)


class _Askings:
    """The askings of one lifetime, group by group."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        spec: RunSpec,
        scribe: Scribe,
        write: Callable[[Record], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._wanted = spec.controls.askings
        self._cache_lasts = not spec.controls.prefix_caching.forbids_earlier
        self._alone = _Alone(dispatcher)
        self._scribe = scribe
        self._write = write

    async def of_group(self, slices: Sequence[Sequence[PlannedRecord]]) -> None:
        """All prompts alone, S1 of each target, each slice's batch once, then S2 of each target.

        Where the cache lasts, the companions are asked alone too, so that the batch finds all its
        prompts in one state.
        """
        targets = {one.group.target.sha256 for planned in slices for one in planned}
        for prompt in slices[0][0].group.prompts:
            if self._cache_lasts or prompt.sha256 in targets:
                await self._alone.begin(prompt)
        asked = [[row for row in map(Asked, planned) if self._first(row)] for planned in slices]
        if Asking.S1 in self._wanted:
            asked = [[row for row in rows if await self._solo(row, Asking.S1)] for rows in asked]
        answered: list[Asked] = []
        for rows in asked:
            whole = rows
            for asking in (Asking.B, Asking.B2):
                if asking in self._wanted and whole:
                    whole = await self._batch(whole, asking)
            answered += whole
        self._alone.last.clear()
        for row in answered:
            if Asking.S2 not in self._wanted or await self._solo(row, Asking.S2):
                self._write(self._scribe.answered(row))

    def _first(self, row: Asked) -> bool:
        seen = self._alone.first[row.planned.group.target.sha256]
        if isinstance(seen, RequestFailed):
            return self._fail(row, Asking.S0, seen)
        self._scribe.take(row, Asking.S0, *seen)
        return True

    async def _solo(self, row: Asked, asking: Asking) -> bool:
        prompt = row.planned.group.target
        ask = self._alone.before_batch if asking is Asking.S1 else self._alone.after_batches
        try:
            self._scribe.take(row, asking, *await ask(prompt))
        except RequestFailed as error:
            return self._fail(row, asking, error)
        return True

    async def _batch(self, rows: list[Asked], asking: Asking) -> list[Asked]:
        """One dispatch for all rows; none of them is left where it failed."""
        group, mode = rows[0].planned.group, rows[0].planned.candidate.dispatch_mode
        for row in rows if asking is Asking.B else ():
            row.warmed = self._alone.begun(row.planned.group)
        try:
            if self._cache_lasts:
                self._insist_begun(group)
            batch = await self._dispatcher.batch([prompt.text for prompt in group.prompts], mode)
        except RequestFailed as error:
            return [row for row in rows if self._fail(row, asking, error)]
        for row in rows:
            self._scribe.take_batch(row, asking, batch, self._dispatcher.witness)
        return rows

    def _insist_begun(self, group: BatchGroup) -> None:
        """No batch of which a prompt could not be asked alone: the cache would be another."""
        for prompt in group.prompts:
            found = self._alone.first.get(prompt.sha256)
            if isinstance(found, RequestFailed):
                told = _told(found, [prompt.key])
                raise RequestFailed(f"not sent, for alone {told}", retryable=False)

    def _fail(self, row: Asked, asking: Asking, error: RequestFailed) -> bool:
        """Write the record of a row that cannot be answered; it is not asked on."""
        group = row.planned.group
        is_batch = asking in (Asking.B, Asking.B2)
        told = f"{asking}: {_told(error, group.ids if is_batch else (group.target.key,))}"
        log.error("record_failed", record_id=row.planned.record_id, error=told)
        self._write(self._scribe.failed(row.planned, told))
        return False


def _told(error: RequestFailed, prompts: Sequence[str]) -> str:
    return error.naming(prompts) if isinstance(error, Unfinished) else str(error)
