"""Spec and candidates to ordered work: batch groups, server lifetimes, and what is left to do."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import product

from harness.candidates import Candidate, CandidateKey
from harness.errors import UsageError
from harness.records import batch_places, record_id
from harness.settings import ModelSpec, RunSpec
from harness.tasks import Population, Prompt
from harness.words import DispatchMode, Mode


@dataclass(frozen=True, slots=True)
class BatchGroup:
    """The batch that a candidate's prompt shares.

    ``batch_size`` prompts in the order in which they are sent, and where its own stands in them.
    """

    prompts: tuple[Prompt, ...]
    target_index: int

    @property
    def target(self) -> Prompt:
        """The candidate's own prompt."""
        return self.prompts[self.target_index]

    @property
    def ids(self) -> tuple[str, ...]:
        """``task_name/sample_id`` of every prompt, in order."""
        return tuple(prompt.key for prompt in self.prompts)


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """One candidate under one mode: one record to be written.

    ``record_id`` is stable across resumes: a hash of the candidate's key and the mode.
    """

    record_id: str
    candidate: Candidate
    mode: Mode
    group: BatchGroup


@dataclass(frozen=True, slots=True)
class Lifetime:
    """One start and stop of a server, and the records asked of it, in order."""

    model: ModelSpec
    mode: Mode
    records: tuple[PlannedRecord, ...]

    @property
    def is_gated(self) -> bool:
        """Whether the server is paused in the course of it."""
        return any(r.candidate.dispatch_mode is DispatchMode.GATED for r in self.records)

    @property
    def slices(self) -> tuple[tuple[PlannedRecord, ...], ...]:
        """The records of each batch that is sent (dispatch mode, size, group), by its first one."""
        found: dict[tuple[str, int, tuple[str, ...]], list[PlannedRecord]] = {}
        for planned in self.records:
            candidate = planned.candidate
            key = str(candidate.dispatch_mode), candidate.batch_size, planned.group.ids
            found.setdefault(key, []).append(planned)
        return tuple(map(tuple, found.values()))

    @property
    def groups(self) -> tuple[tuple[tuple[PlannedRecord, ...], ...], ...]:
        """The slices with the same prompts together, one a dispatch mode, by the first one."""
        found: dict[tuple[str, ...], list[tuple[PlannedRecord, ...]]] = {}
        for rows in self.slices:
            found.setdefault(rows[0].group.ids, []).append(rows)
        return tuple(map(tuple, found.values()))


@dataclass(frozen=True, slots=True)
class Plan:
    """All work of a run, in order: one lifetime a (model, mode)."""

    lifetimes: tuple[Lifetime, ...]

    @property
    def records(self) -> tuple[PlannedRecord, ...]:
        """Every planned record, in order."""
        return tuple(record for lifetime in self.lifetimes for record in lifetime.records)


def batch_group(
    population: Population, task_name: str, sample_id: str, batch_size: int
) -> BatchGroup:
    """The slice of the population that holds a sample (DESIGN 4.4).

    Prompts in population order are cut into consecutive slices of ``batch_size``. The last slice,
    when it is short, is filled up with ``population[(start + filled) % N]``, which wraps around to
    the first prompts.

    Raises:
        UsageError: no such sample, or a batch larger than the population (its prompts would be in
            it twice).
    """
    position = population.index.get((task_name, sample_id))
    if position is None:
        raise UsageError(f"no sample '{sample_id}' of task '{task_name}' in the population")
    prompts = population.prompts
    places = batch_places(position, batch_size, len(prompts))
    return BatchGroup(tuple(prompts[place] for place in places), position % batch_size)


def build_plan(spec: RunSpec, candidates: Sequence[Candidate], population: Population) -> Plan:
    """One lifetime a (model, mode), in the spec's order of models and then of modes.

    A model without candidates gets none. Records of a lifetime keep the order of ``candidates``,
    and a candidate has the same batch in every mode.

    Raises:
        UsageError: a candidate names a model that the spec lacks, or a sample that the population
            lacks.
    """
    names = {model.name for model in spec.models}
    groups: dict[CandidateKey, BatchGroup] = {}
    for one in candidates:
        if one.model not in names:
            raise UsageError(f"candidate names model '{one.model}', which the spec lacks")
        groups[one.key] = batch_group(population, one.task_name, one.sample_id, one.batch_size)
    lifetimes = []
    for model, mode in product(spec.models, spec.modes):
        asked = [one for one in candidates if one.model == model.name]
        records = (PlannedRecord(record_id(a.key, mode), a, mode, groups[a.key]) for a in asked)
        lifetimes.append(Lifetime(model, mode, tuple(records)))
    return Plan(tuple(lifetime for lifetime in lifetimes if lifetime.records))


def remaining(plan: Plan, done: Collection[str]) -> Plan:
    """The plan without the records whose ids are in ``done``, and without emptied lifetimes."""
    finished, lifetimes = frozenset(done), []
    for lifetime in plan.lifetimes:
        left = tuple(item for item in lifetime.records if item.record_id not in finished)
        lifetimes.append(replace(lifetime, records=left))
    return Plan(tuple(lifetime for lifetime in lifetimes if lifetime.records))
