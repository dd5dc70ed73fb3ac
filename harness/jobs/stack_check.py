"""What the register of known defects says of a stack, before a server or a GPU is there."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from harness.cause import (
    Has,
    Judged,
    Trait,
    Traits,
    judge_stack,
    known_defects,
    not_judged,
    traits_of,
)
from harness.errors import GateFailed, HarnessError, IncompleteRun, UsageError, nearest, shown
from harness.findings import Finding
from harness.images import ImageLock
from harness.jobs import Done
from harness.machine import interpreter_versions, read_gpus
from harness.models import model_config
from harness.settings import RunSpec
from harness.words import BackendName, Mode

_VERSION = r"\d+\.\d+\.\d+(?:(?:\.|-)?(?:a|b|rc|dev|post)\d+)*"
_IN_TAG = re.compile(rf":v?({_VERSION})")
_STATED = re.compile(rf"v?{_VERSION}(?:\+[\w.]+)?")
_CAPABILITY = re.compile(r"\d+\.\d")
_FLAGS = {
    Trait.CAPABILITY: "--capability",
    Trait.FEATURE: "--features",
    Trait.QUANTIZATION: "--quantization",
    Trait.PREFIX_CACHE: "--prefix-caching",
}


def check_invariance(
    spec: RunSpec,
    lock: Path,
    *,
    release: str | None,
    capability: str | None,
    features: str | None,
    quantization: str | None,
) -> Done:
    """Judge the stack that a spec describes; nothing is started and no server is asked.

    Args:
        spec: image or command, arguments, controls, model.
        lock: the lock file, for the release inside of a pinned image.
        release, capability, features, quantization: as a person states them; else what the image's
            tag or the server's own interpreter, this machine's first GPU and the model's
            ``config.json`` say.

    Raises:
        UsageError: a stated word means nothing.
    """
    if release is None:
        release = _release(spec, lock)
    elif not _STATED.fullmatch(release):
        raise UsageError(f"--vllm: {shown(release)} is no release", hint="for example 0.19.1")
    elif not_judged(release) == not_judged(None):
        hint = "0.11.1 is the first with VLLM_BATCH_INVARIANT"
        raise UsageError(f"--vllm: {shown(release)} is older than the mode", hint=hint)
    platform: str | None = "cpu" if _is_cpu(spec, lock) else "cuda"
    if capability is not None and not _CAPABILITY.fullmatch(capability):
        raise UsageError(f"--capability: {shown(capability)} is none", hint="for example 9.0")
    elsewhere = spec.backend is BackendName.EXTERNAL
    if elsewhere and capability is None and not spec.server.on_cpu:
        platform = None  # this machine's GPU need not be that server's
    if capability is None and platform == "cuda":
        gpus = read_gpus().found
        read = gpus[0].capability if gpus else None
        capability = ".".join(map(str, read)) if read else None
    known: dict[str, Any] = {
        "release": release,
        "capability": capability,
        "configs": [model_config(one.hf_id, one.revision) for one in spec.models],
        "features": _words(features, Trait.FEATURE, "dense"),
        "quantization": _words(quantization, Trait.QUANTIZATION, "none"),
        "platform": platform,
    }
    traits = traits_of(spec, Mode.BATCH_INVARIANT, **known)
    judged = judge_stack(release, traits)
    has = [one for one in judged if one.has is Has.YES and one.defect.outcome != "confounds"]
    lines = [_stack_line(release, traits), *_findings(judged)]
    unknown = not_judged(release)
    failure: HarnessError | None = None
    if unknown:
        hint = "state it with --vllm" if release is None else "certify it: `harness certify`"
        failure = IncompleteRun(f"not judged: {unknown}", hint=hint)
    elif open_ := [one for one in judged if one.has is Has.UNKNOWN]:
        what = (
            f"{len(open_)} of {len(judged)} known defects hang on what is not known of this stack"
        )
        failure = IncompleteRun(f"not judged: {what}", hint=_stated_by(open_))
    if has:
        names = ", ".join(f"{one.defect.id} ({one.defect.where})" for one in has)
        failure = GateFailed(f"this stack is not batch-invariant as far as is known: {names}")
    rows = [
        {"id": one.defect.id, "has": str(one.has), "reason": one.reason} | _told(one)
        for one in judged
    ]
    stack = {str(trait): sorted(words) for trait, words in traits.items()}
    value = {"ok": failure is None, "release": release, "stack": stack, "defects": rows}
    return Done(lines, value, failure=failure)


def _told(one: Judged) -> dict[str, Any]:
    return {"threads": one.defect.threads, "workaround": one.defect.workaround}


def _stack_line(release: str | None, traits: Traits) -> str:
    told = (f"{trait} {', '.join(sorted(words))}" for trait, words in traits.items())
    return f"vLLM {release or 'of an unknown release'}; " + "; ".join(told)


def _findings(judged: Collection[Judged]) -> list[Finding]:
    """What it has, what it may have, and in one line each what is not known and what is not so."""
    found = []
    for one in judged:
        if one.has in (Has.YES, Has.MAY):
            defect = one.defect
            certain = one.has is Has.YES and defect.outcome != "confounds"
            kind = Finding.failed if certain else Finding.warning
            message = f"{one.has}: {defect.title} ({defect.where}; {one.reason}). {defect.seen}"
            found.append(kind(defect.id, message, defect.workaround))
    unknown = [one for one in judged if one.has is Has.UNKNOWN]
    for reason in dict.fromkeys(one.reason for one in unknown):
        names = ", ".join(one.defect.id for one in unknown if one.reason == reason)
        found.append(Finding.not_checked(reason, names))
    clear = sum(one.has is Has.NO for one in judged)
    found.append(Finding.ok("register", f"{clear} of {len(judged)} known defects are not its own"))
    return found


def _stated_by(unknown: Collection[Judged]) -> str:
    """The flags that state what is not known; what the spec settles has keys of its own."""
    reasons = {word for one in unknown for word in one.reason.split()}
    flags = [flag for trait, flag in _FLAGS.items() if trait in reasons]
    return f"state it: {', '.join(flags)}" if flags else "state it in the spec (--help-all)"


def _release(spec: RunSpec, lock: Path) -> str | None:
    if spec.backend is BackendName.NATIVE:
        return interpreter_versions(spec.server.native_argv[0]).vllm
    if spec.backend is BackendName.EXTERNAL:
        return None
    entry, tag = ImageLock.load(lock).get(spec.image), _IN_TAG.search(spec.image)
    return (entry.versions.vllm if entry else None) or (tag[1] if tag else None)


def _is_cpu(spec: RunSpec, lock: Path) -> bool:
    """Whether the servers compute on a CPU, as their command or their image says."""
    if spec.backend is BackendName.DOCKER:
        entry = ImageLock.load(lock).get(spec.image)
        built = entry is not None and entry.versions.torch is not None
        return (built and entry is not None and entry.versions.cuda is None) or "cpu" in spec.image
    return spec.server.on_cpu


def _words(text: str | None, trait: Trait, none: str) -> tuple[str, ...] | None:
    """Stated words of a trait.

    Raises:
        UsageError: the register has no such word.
    """
    if text is None:
        return None
    flag = f"--{'features' if none == 'dense' else trait}"
    known = {none, *(word for one in known_defects() for word in one.when.get(trait, ()))}
    known |= {Trait.SPECULATIVE} if trait is Trait.FEATURE else set()
    stated = tuple(dict.fromkeys(text.split(",")))
    for word in stated:
        if word not in known:
            hint = nearest(word, sorted(known), "known words")
            raise UsageError(f"{flag}: {shown(word)}", hint=hint)
    if none in stated and len(stated) > 1:
        raise UsageError(f"{flag}: {shown(text)}", hint=f"'{none}' is said alone, or not at all")
    return stated
