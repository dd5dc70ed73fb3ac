"""Axes as people name them, and one lifetime of a cell as a run: what `harness matrix` asks."""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import conduct
from harness.cause import Axis, Cell, Seen, name_of
from harness.errors import Interrupted, RunError, UsageError, nearest, shown
from harness.jobs.certifying import Asked, rows_of
from harness.jobs.runs import conducted, read_sizes
from harness.jobs.together import Work, at_once
from harness.records import RECORDS, iter_records, read_run_files
from harness.settings import Expect, ExternalServer, LoadedSpec, changed_spec
from harness.words import Asking, BackendName, CachePolicy, DispatchMode, Effect, Mode

Changes = dict[str, Any]
_FLASH = {"FA2": "2", "FA3": "3"}
_MOST_RANKS = 1024
_SWITCH = "VLLM_CPU_BATCH_INVARIANT_PARTS"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*=")
_SAFE = re.compile(r"[^A-Za-z0-9.=-]+")
_NAMED: dict[str, tuple[str, ...]] = {
    "attention": ("FA3", "FA2", "TRITON_ATTN"),
    "prefix_cache": ("on", "off"),
    "graphs": ("on", "off"),
    "async_scheduling": ("on", "off"),
    "schedule": ("staggered", "gated"),
    "width": ("8", "2"),
    "tensor_parallel": ("2", "1"),
    "allreduce_fusion": ("on", "off"),
    "sequence_parallel": ("on", "off"),
    "dtype": ("bfloat16", "float32"),
    "plugin": ("no-linear", "all", "no-norm"),
    "mode": ("standard", "batch_invariant"),
    "server": (),
}
"""Axes known by name, with the values that are tried where none are given."""
_SWITCHED = ("on", "off")
_WORDS: dict[str, tuple[str, ...]] = {
    "attention": (
        *(*_FLASH, "FLASH_ATTN", "FLASHINFER", "TRITON_ATTN", "FLEX_ATTENTION", "TREE_ATTN"),
        *("TORCH_SDPA", "XFORMERS", "CPU_ATTN", "ROCM_ATTN", "ROCM_AITER_FA"),
        *("ROCM_AITER_UNIFIED_ATTN", "FLASHMLA", "FLASHMLA_SPARSE", "FLASH_ATTN_MLA"),
        *("FLASHINFER_MLA", "CUTLASS_MLA", "TRITON_MLA", "CPU_MLA", "ROCM_AITER_MLA"),
    ),
    "prefix_cache": tuple(CachePolicy),
    "graphs": _SWITCHED,
    "async_scheduling": _SWITCHED,
    "allreduce_fusion": _SWITCHED,
    "sequence_parallel": _SWITCHED,
    "schedule": tuple(DispatchMode),
    "dtype": ("auto", "half", "float16", "bfloat16", "float", "float32"),
    "plugin": ("all", "no-linear", "no-norm"),
    "mode": tuple(Mode),
}
"""What an axis of ours may be; another word of vLLM's is a free axis (``--dtype X``)."""
_OTHERWISE = {"tensor_parallel": "a number of GPUs", "server": "URL, or URL,LOG"}


@dataclass(frozen=True, slots=True)
class _Draft:
    """A spec and the rows to ask, while values are put into them."""

    server: Changes = field(default_factory=dict)
    controls: Changes = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    modes: tuple[Mode, ...] = ()
    schedules: tuple[DispatchMode, ...] = ()
    widths: tuple[int, ...] = ()
    external: ExternalServer | None = None

    def served(self, **settings: object) -> _Draft:
        """With settings of the server."""
        return replace(self, server=self.server | settings)

    def controlled(self, **settings: object) -> _Draft:
        """With controls."""
        return replace(self, controls=self.controls | settings)

    def given(self, words: Iterable[str]) -> _Draft:
        """With arguments for vLLM; ``NAME=VALUE`` is a variable."""
        words = tuple(words)
        pairs = [word.partition("=") for word in words if _VARIABLE.match(word)]
        variables = {name: value for name, _, value in pairs}
        rest = tuple(word for word in words if not _VARIABLE.match(word))
        environment = {**self.environment, **variables}
        return replace(self, environment=environment, arguments=(*self.arguments, *rest))


def _attention(draft: _Draft, value: str) -> _Draft:
    """A backend, or FLASH_ATTN with a generation stated."""
    if value not in _FLASH:
        return draft.served(attention_backend=value)
    version = f'{{"flash_attn_version": {_FLASH[value]}}}'
    return draft.served(attention_backend="FLASH_ATTN").given(("--attention-config", version))


def _pass(name: str) -> Callable[[_Draft, str], _Draft]:
    """A pass of vLLM's compiler; dotted, so that two are put together."""
    flag = f"--compilation-config.pass_config.{name}"
    return lambda draft, value: draft.given([f"{flag}={str(value == 'on').lower()}"])


def _ranks(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= _MOST_RANKS):
        raise ValueError(value)
    return int(value)


def running_server(value: str) -> ExternalServer:
    """``URL``, or ``URL,LOG`` with the file that the server writes its log to.

    Raises:
        ValueError: it is no URL.
    """
    url, _, log = value.partition(",")
    if not url.startswith(("http://", "https://")):
        raise ValueError(value)
    return ExternalServer(url=url, log=log or None)


_SETTERS: dict[str, Callable[[_Draft, str], _Draft]] = {
    "attention": _attention,
    "prefix_cache": lambda d, v: d.controlled(prefix_caching=CachePolicy(v)),
    "graphs": lambda d, v: d.given([f"--{'no-' if v == 'on' else ''}enforce-eager"]),
    "async_scheduling": lambda d, v: d.controlled(async_scheduling="on" if v == "on" else "off"),
    "schedule": lambda d, v: replace(d, schedules=(DispatchMode(v),)),
    "width": lambda d, v: replace(d, widths=read_sizes(v, "--axis width")),
    "tensor_parallel": lambda d, v: d.served(tensor_parallel=_ranks(v)).controlled(
        worker_proof=True
    ),
    "allreduce_fusion": _pass("fuse_allreduce_rms"),
    "sequence_parallel": _pass("enable_sp"),
    "dtype": lambda d, v: d.served(dtype=v),
    "plugin": lambda d, v: d.given([f"{_SWITCH}={v}"]),
    "mode": lambda d, v: replace(d, modes=(Mode(v),)),
    "server": lambda d, v: replace(d, external=running_server(v)),
}


def read_axes(texts: Iterable[str]) -> tuple[Axis, ...]:
    """Axes from flags: ``attention``, ``attention=FA3|FA2``, or a free ``name=ARGS|ARGS``.

    Raises:
        UsageError: a name without values that is none of ours, one value only, or a name twice.
    """
    found: dict[str, Axis] = {}
    for text in texts:
        name, given, told = text.partition("=")
        values = tuple(told.split("|")) if given else _NAMED.get(name, ())
        if not values:
            hint = nearest(name, _NAMED, "known axes")
            raise UsageError(f"--axis: '{name}' has no values", hint=f"{hint}; or {name}=A|B")
        if len(set(values)) < 2 or len(set(values)) < len(values):
            raise UsageError(
                f"--axis: '{text}' needs two values or more, each another",
                hint="the first is the base: --axis attention=FA3|TRITON_ATTN",
            )
        if name in found:
            raise UsageError(f"--axis: '{name}' is given twice")
        found[name] = Axis(name, values)
        for value in values:
            _put(_Draft(), name, value)  # refuses a value that means nothing
    return tuple(found.values())


def _put(draft: _Draft, name: str, value: str) -> _Draft:
    """The draft with one axis at one value; a free one's are split as a shell would.

    Raises:
        UsageError: the axis has no such value.
    """
    if name not in _SETTERS:
        try:
            return draft.given(shlex.split(value))
        except ValueError as error:
            told = f"{str(error).lower()}: {shown(value)}"
            raise UsageError(f"--axis {name}: {told}", hint="as a shell would read it") from None
    try:
        if value not in _WORDS.get(name, (value,)):
            raise ValueError(value)
        return _SETTERS[name](draft, value)
    except ValueError:
        words = _WORDS.get(name)
        hint = nearest(value, words, "known") if words else _OTHERWISE[name]
        raise UsageError(f"--axis {name}: {shown(value)} is no value of it", hint=hint) from None


@dataclass(slots=True)
class Cells:
    """Asks for cells: a run folder each lifetime, kept, so that the same command goes on.

    Attributes:
        loaded: the spec under all axes.
        axes: with their base values.
        asked: rows of each run.
        results: the folder of run folders.
        folders: the runs of each cell so far.
        anew: what the runs' names end in, where none that is there may be taken up.
        told: what its runs have remarked.
        first: the folder of the base's first run, once it is known.
    """

    loaded: LoadedSpec
    axes: tuple[Axis, ...]
    asked: Asked
    results: Path
    quiet: bool = False
    folders: dict[Cell, list[Path]] = field(default_factory=dict)
    anew: str = ""
    told: set[str] = field(default_factory=set)
    first: list[Path] = field(default_factory=list)

    def spec_of(self, cell: Cell) -> tuple[LoadedSpec, Asked]:
        """The spec and the rows of a cell."""
        values = {axis.name: axis.base for axis in self.axes} | dict(cell)
        draft = _Draft()
        for name, value in values.items():
            draft = _put(draft, name, value)
        spec = self.loaded.spec
        server = {
            **draft.server,
            "extra_args": (*spec.server.extra_args, *draft.arguments),
            "env": {**spec.server.env, **draft.environment},
        }
        controls = {**draft.controls, "askings": (Asking.S0, Asking.S1, Asking.B, Asking.S2)}
        changes: Changes = {
            "server": spec.server.model_copy(update=server),
            "controls": spec.controls.model_copy(update=controls),
            "modes": draft.modes or spec.modes[-1:],
            "expect": Expect(),
            "dispatch_modes": "original",
            "limit": None,
            "candidates": (),
        }
        if draft.external is not None:
            changes["backend"] = BackendName.EXTERNAL
            changes["external"] = {changes["modes"][0]: draft.external}
        told = ", ".join(f"{name} {value}" for name, value in values.items())
        loaded = replace(self.loaded, spec=changed_spec(spec, changes, f"--axis: {told}"))
        schedules = draft.schedules or self.asked.schedules
        widths = draft.widths or self.asked.widths
        return loaded, replace(self.asked, schedules=schedules, widths=widths)

    def work_of(self, cell: Cell, number: int) -> Work:
        """The run of a lifetime of a cell.

        Raises:
            UsageError: an input is wrong.
        """
        loaded, asked = self.spec_of(cell)
        prepared = conduct.prepare(loaded, source=rows_of(asked))
        name, there = name_of(cell), [str(one) for one in loaded.spec.external.values()]
        # servers that run already are no part of a fingerprint, and a base's name is always one
        mark = hashlib.sha256("".join((name, *there)).encode()).hexdigest()[:6]
        name = f"{_SAFE.sub('_', name)[:40]}-{mark}" if cell or there else name
        run_id = f"{loaded.spec.name}-matrix-{prepared.fingerprint[:8]}-{name}-{number}{self.anew}"
        options = conduct.RunOptions(self.results, run_id, retry_errors=True, kind="matrix")
        return prepared, replace(options, beside=self._beside(cell, number, run_id))

    def _beside(self, cell: Cell, number: int, run_id: str) -> tuple[Path, ...]:
        """The base's first run: all are compared with the base, but servers are an axis."""
        if self.has_several_servers:
            return ()
        if not self.first and not cell and number == 1:
            self.first.append(self.results / run_id)
            return ()
        if not self.first:
            self.work_of((), 1)
        return tuple(self.first)

    def insist_on_one_server(self) -> None:
        """Refuse runs that were there and are of several servers, where none are an axis.

        Raises:
            UsageError: with what differs.
        """
        if not self.has_several_servers:
            conduct.insist_on_one_server([one for of in self.folders.values() for one in of])

    @property
    def has_several_servers(self) -> bool:
        """Whether the axes name servers that run already, which need not be one."""
        return any(axis.name == "server" for axis in self.axes)

    def ahead(self, lifetimes: Iterable[tuple[Cell, int]]) -> None:
        """Ask side by side for what will be asked."""
        at_once([self.work_of(*one) for one in lifetimes])

    def __call__(self, cell: Cell, number: int) -> Seen:
        """One lifetime of a cell.

        Raises:
            UsageError, EnvironmentError_, Interrupted: what is wrong is not the cell's.
        """
        prepared, options = self.work_of(cell, number)
        began = time.monotonic()
        try:
            done = conducted(prepared, options, quiet=self.quiet, told=self.told)
        except Interrupted:
            raise
        except RunError as error:
            return _nothing(f"{type(error).__name__}: {error.message}", began)
        self.folders.setdefault(cell, []).append(done.folder)
        if done.failure is not None:
            first = done.validation.failures[0]
            return _nothing(f"{first.check}: {first.message}", began)
        return _seen(done)


def _nothing(why: str, began: float) -> Seen:
    return Seen(frozenset(), 0, not_seen=why, seconds=time.monotonic() - began)


def _seen(done: conduct.Conclusion) -> Seen:
    """What a run's records show, by prompt; answers under other schedules count alike."""
    prompts, changed, cached = set[str](), set[str](), set[str]()
    noise = mixed = rows = 0
    for _, record in iter_records(done.folder / RECORDS):
        prompt = record.prompt_sha256 or f"{record.task_name}/{record.sample_id}"
        prompts.add(prompt)
        changes, cache, time_alone = (record.effect(effect) for effect in Effect)
        changed |= {prompt} if changes and changes.text else set()
        cached |= {prompt} if cache and cache.text else set()
        noise += bool(time_alone and time_alone.text)
        if record.witness and (batch := record.witness.B) and batch.source:
            rows, mixed = rows + 1, mixed + bool(batch.mixed_steps)
    starts = [one for startup in read_run_files(done.folder).startups for one in startup.starts]
    lived = [one.lived for one in starts if all(one.lived)]  # also where it was asked ahead
    return Seen(
        frozenset(changed),
        len(prompts),
        noise=noise,
        cache=len(cached),
        mixed=mixed,
        seconds=sum(one.seconds for one in starts),
        rows=rows,
        began=min((began for began, _ in lived), default=0.0),
        ended=max((ended for _, ended in lived), default=0.0),
    )
