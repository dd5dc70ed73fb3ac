"""From a spec to work that can begin: inputs read and checked, the plan made, nothing started."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from harness.candidates import Candidate, CandidateKey, candidate_hashes, load_candidates
from harness.conduct.server_files import server_files, sha256_over
from harness.errors import UsageError
from harness.models import weights_folder
from harness.plan import Lifetime, Plan, build_plan
from harness.records import fingerprint
from harness.settings import LoadedSpec, RunSpec
from harness.tasks import Population, load_tasks
from harness.vllm_arguments import number_of, read_arguments
from harness.words import DispatchMode, Mode, RequestEndpoint

CandidateSource = Callable[[RunSpec, Population], tuple[Candidate, ...]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that can begin.

    Attributes:
        loaded: the spec as given and as resolved.
        plan: all work, in order.
        fingerprint: equal for two runs that ask the same questions of the same server settings;
            a run folder is resumed only under the same fingerprint.
        candidate_files: SHA-256 of each candidate file, by its path.
        model_files: SHA-256 over the files of each model that is a local folder, by its name; a
            hub's model is named by its revision instead.
        dispatch_notes: by dispatch mode, what was done in its place and why.
        server_files: as `harness.conduct.server_files.server_files` has them.
    """

    loaded: LoadedSpec
    population: Population
    candidates: tuple[Candidate, ...]
    plan: Plan
    fingerprint: str
    candidate_files: Mapping[str, str]
    model_files: Mapping[str, str]
    dispatch_notes: Mapping[str, str] = field(default_factory=dict)
    server_files: Mapping[str, str] = field(default_factory=dict)

    @property
    def spec(self) -> RunSpec:
        """The resolved spec."""
        return self.loaded.spec

    @property
    def schedules(self) -> frozenset[DispatchMode]:
        """How its batches are sent."""
        return frozenset(candidate.dispatch_mode for candidate in self.candidates)


def prepare(loaded: LoadedSpec, *, source: CandidateSource | None = None) -> Prepared:
    """Read tasks and candidates, make the plan, and refuse what cannot be run.

    Args:
        loaded: the spec.
        source: makes candidates from the population (a scan); else the spec's files are read.

    Raises:
        UsageError: an input is wrong; the message names file and line.
    """
    spec = loaded.spec
    population = load_tasks(spec.tasks)
    if source is not None:
        candidates = source(spec, population)
    elif spec.candidates:
        candidates = load_candidates(spec.candidates, spec=spec, population=population)
    else:
        raise UsageError(
            "no candidate file is given",
            hint="name one with --candidates FILE, or make one with `harness scan`",
        )
    hashes = {} if source else candidate_hashes(spec.candidates)
    return _planned(loaded, population, candidates, hashes)


def lifetime_again(spec: RunSpec, mode: Mode, candidates: Sequence[Candidate]) -> Lifetime:
    """What candidates of one model ask under one mode, as the whole run's plan has it."""
    own = spec.model_copy(update={"modes": (mode,)})
    (lifetime,) = build_plan(own, candidates, load_tasks(spec.tasks)).lifetimes
    return lifetime


def sent_instead(
    prepared: Prepared, instead: DispatchMode, *, of: DispatchMode, note: str
) -> Prepared:
    """The same run with the batches of one dispatch mode sent in another way, each once.

    Raises:
        UsageError: what is left is not what the spec expects.
    """
    found: dict[CandidateKey, Candidate] = {}
    for candidate in prepared.candidates:
        mode = instead if candidate.dispatch_mode is of else candidate.dispatch_mode
        changed = candidate.model_copy(update={"dispatch_mode": mode})
        found.setdefault(changed.key, changed)
    planned = _planned(
        prepared.loaded, prepared.population, tuple(found.values()), prepared.candidate_files
    )
    return replace(planned, dispatch_notes={**prepared.dispatch_notes, str(of): note})


def _planned(
    loaded: LoadedSpec,
    population: Population,
    candidates: tuple[Candidate, ...],
    hashes: Mapping[str, str],
) -> Prepared:
    """The plan of these candidates, and what its run is known by."""
    spec = loaded.spec
    _refuse_what_cannot_be_sent(spec, candidates)
    plan = build_plan(spec, candidates, population)
    if not plan.records:
        raise UsageError(
            "there is nothing to run", hint="no candidate belongs to a model of the spec"
        )
    expected, planned = spec.expect.rows_per_mode, len(plan.records) // len(spec.modes)
    if expected is not None and expected != planned:  # the validation would refuse the run's end
        raise UsageError(
            f"the candidates make {planned} rows in each mode, and the spec expects {expected}",
            hint=f"correct the candidates, or --rows-per-mode {planned}",
        )
    weights = {}
    for model in spec.models:
        path = None
        with suppress(FileNotFoundError):  # of a user without a home, who keeps no models
            path = weights_folder(model.hf_id)
        if path is not None and path.is_dir():
            weights[model.name] = sha256_over(path)
    asked = ((one.record_id, (p.sha256 for p in one.group.prompts)) for one in plan.records)
    mark = fingerprint(spec.model_dump(mode="json"), weights, asked)
    named = server_files(spec)
    return Prepared(loaded, population, candidates, plan, mark, hashes, weights, server_files=named)


def _refuse_what_cannot_be_sent(spec: RunSpec, candidates: Sequence[Candidate]) -> None:
    """A wide batch must hold more requests than the server runs at once, a gated one no more.

    A list of prompts is one request, which only completions take.
    """

    def sizes(mode: DispatchMode) -> set[int]:
        return {c.batch_size for c in candidates if c.dispatch_mode is mode}

    if spec.request.endpoint is RequestEndpoint.CHAT and sizes(DispatchMode.PROMPT_LIST):
        raise UsageError(
            "dispatch mode prompt_list: the chat endpoint takes one prompt a request",
            hint="other dispatch modes, or request.endpoint: completions",
        )
    wide, gated = sizes(DispatchMode.WIDE), sizes(DispatchMode.GATED)
    slots = number_of(read_arguments(spec.server.extra_args), "max_num_seqs")
    if wide and not slots:
        raise UsageError(
            "dispatch mode wide needs to know how many requests the server runs at once",
            hint="add --max-num-seqs N to server.extra_args, with N under the batch size",
        )
    if wide and slots and min(wide) <= slots:
        raise UsageError(
            f"dispatch mode wide: a batch of {min(wide)} does not fill the server's {slots} "
            "slots, so no request would wait and join running ones",
            hint="larger batches, or a smaller --max-num-seqs in server.extra_args",
        )
    if gated and slots and max(gated) > slots:
        raise UsageError(
            f"dispatch mode gated: the server's {slots} slots cannot admit a batch of "
            f"{max(gated)} in one engine step",
            hint="smaller batches, or a larger --max-num-seqs in server.extra_args",
        )
