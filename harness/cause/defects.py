"""The register of known defects of batch invariance, and what it says of a stack.

The facts are in ``harness/defects.yaml``, each with its threads; here is how they are read. A stack
of which something is not known is never said to be clear of what hangs on it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib.resources import files

from msgspec import Struct, yaml

from harness.prove import ahead_of_release, parse_version


class Trait(StrEnum):
    """What of a stack a defect may hang on; each has words, such as ``9.0`` and ``9.x``."""

    PLATFORM = "platform"
    MODE = "mode"
    CAPABILITY = "capability"
    ATTENTION = "attention"
    FLASH = "flash"
    DTYPE = "dtype"
    QUANTIZATION = "quantization"
    FEATURE = "feature"
    TENSOR_PARALLEL = "tensor_parallel"
    DATA_PARALLEL = "data_parallel"
    PREFIX_CACHE = "prefix_cache"
    ASYNC_SCHEDULING = "async_scheduling"
    GRAPHS = "graphs"
    COMPILED = "compiled"
    ALLREDUCE_FUSION = "allreduce_fusion"
    SEQUENCE_PARALLEL = "sequence_parallel"
    SPECULATIVE = "speculative"
    BACKEND_GIVEN = "backend_given"
    WARM_UP = "warm_up"
    COMPILE_CACHE = "compile_cache"
    PLUGIN = "plugin"


class Outcome(StrEnum):
    """What a defect does."""

    CHANGES = "changes"
    REFUSES = "refuses"
    CONFOUNDS = "confounds"


class Shows(StrEnum):
    """Between which askings a defect shows."""

    BATCH = "batch"
    CACHE = "cache"
    NOISE = "noise"
    SIZE = "size"


class Has(StrEnum):
    """Whether a stack has a defect: it does, it may, something is not known, or it does not."""

    YES = "has"
    MAY = "may have"
    UNKNOWN = "not known"
    NO = "does not have"


class Defect(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry; the head of ``defects.yaml`` says what each field means."""

    id: str
    title: str
    threads: tuple[str, ...]
    when: dict[Trait, tuple[str, ...]]
    first_bad: str | None
    first_good: str | None
    outcome: Outcome
    seen: str
    workaround: str
    known_by: tuple[str, ...]
    source: str = ""
    clean_before: bool = False
    read: str | None = None
    repaired: str = ""
    possible: bool = False
    shows: tuple[Shows, ...] = ()
    schedules: tuple[str, ...] = ()
    removed_by: dict[str, tuple[str, ...]] = {}

    @property
    def where(self) -> str:
        """The thread to read first, in short (``vllm#51902``); the source where there is none."""
        return short(self.threads[0]) if self.threads else self.source


class Judged(Struct, frozen=True):
    """What the register says of one defect and one stack."""

    defect: Defect
    has: Has
    reason: str


@cache
def known_defects() -> tuple[Defect, ...]:
    """The register, in the order of its file."""
    text = files("harness").joinpath("defects.yaml").read_text(encoding="utf-8")
    return yaml.decode(text, type=tuple[Defect, ...])


def short(thread: str) -> str:
    """``vllm-project/vllm#51902`` as ``vllm#51902``."""
    return thread.rpartition("/")[2]


def judge_stack(release: str | None, traits: Mapping[Trait, Collection[str]]) -> tuple[Judged, ...]:
    """Every defect against a stack.

    Args:
        release: vLLM's; ``None`` where it is not known.
        traits: the words of each trait; one that is not known is left out.
    """
    return tuple(Judged(one, *_has(one, release, traits)) for one in known_defects())


@cache
def newest_read() -> str:
    """The newest release that any entry names: what came after it, nobody has looked at."""
    told = {one for d in known_defects() for one in (d.first_bad, d.first_good, d.read) if one}
    return max(told, key=lambda one: parse_version(one) or (0, 0, 0))


def not_judged(release: str | None) -> str:
    """Why the register says nothing of a release: not known, or too new; empty where it does."""
    version, newest = parse_version(release), newest_read()
    if version is None:
        return "vLLM's release not known"
    newer = version > (parse_version(newest) or version)
    return f"{release} is newer than {newest}, the last release that was looked at" if newer else ""


def _has(
    defect: Defect, release: str | None, traits: Mapping[Trait, Collection[str]]
) -> tuple[Has, str]:
    missing = []
    for trait, words in defect.when.items():
        if trait not in traits:
            missing.append(trait)
        elif not set(words) & set(traits[trait]):
            return (
                Has.NO,
                f"{trait} is {', '.join(sorted(traits[trait]))}, not {' or '.join(words)}",
            )
    in_range, why = _in_range(defect, release)
    if in_range is Has.NO:
        return Has.NO, why
    if missing:
        return Has.UNKNOWN, f"{' and '.join(missing)} not known"
    if in_range is Has.YES and (defect.possible or defect.repaired):
        return Has.MAY, defect.repaired or "nobody has seen it: by source or documentation only"
    return in_range, why


def _in_range(defect: Defect, release: str | None) -> tuple[Has, str]:
    """Whether a release is one that has the defect, and by what that is known."""
    version = parse_version(release)
    bad, good, read = map(parse_version, (defect.first_bad, defect.first_good, defect.read))
    if version is None and bad is None and good is None:
        return Has.YES, "any release"
    if version is None or not_judged(release):
        return Has.UNKNOWN, not_judged(release)
    if ahead_of_release(release) and version in (bad, good):
        return Has.MAY, f"{release} came before the release whose number it bears"
    if good and version >= good:
        return Has.NO, f"repaired in {defect.first_good}"
    if bad and version < bad:
        if defect.clean_before:
            return Has.NO, f"since {defect.first_bad}"
        return Has.MAY, f"known of {defect.first_bad} and later; {release} was not looked at"
    if not good and read and version > read:
        return Has.MAY, f"known up to {defect.read}; {release} was not looked at"
    return Has.YES, f"{defect.first_bad or 'first'} to {defect.first_good or 'open'}"


def fitting(
    judged: Sequence[Judged],
    shows: Collection[str],
    schedules: Collection[str] = (),
    removed_by: tuple[str, str] | None = None,
) -> tuple[Defect, ...]:
    """The entries that fit what was seen on a stack: none is a good answer too.

    Args:
        judged: the register against the stack on which it was seen.
        shows: the effects that were seen.
        schedules: under which; an entry that names schedules fits if one of them is among these.
        removed_by: axis and value that took the change away; without it any entry may fit.
    """
    found = []
    for defect in (one.defect for one in judged if one.has in (Has.YES, Has.MAY)):
        axis, value = removed_by or ("", "")
        takes = not removed_by or (axis in defect.removed_by and value in defect.removed_by[axis])
        under = not (defect.schedules and schedules) or set(defect.schedules) & set(schedules)
        if takes and under and set(defect.shows) & set(shows):
            found.append(defect)
    return tuple(found)
