"""A certificate as a document: the verdict, what it rests on, and the block that people paste."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.numbers import NONE, percent
from harness.report.document import Banner, Document, Look, Section, Tone, mode_words
from harness.report.wording import wording
from harness.words import MODES, Mode

if TYPE_CHECKING:
    from harness.cause import Certificate, Counts

_TONES = {"invariant": Tone.GOOD, "not invariant": Tone.BAD}
_MOST_LINES = 8
_HIDDEN = ("model", "served_model_name", "host", "port", "worker_extension_cls")
"""Arguments that differ from server to server and say nothing."""
_NOT_GIVEN = "not given"
_Given = tuple[dict[str, Any], dict[str, tuple[Any, ...]]]


def certificate_document(certificate: Certificate, name: str) -> Document:
    """Everything that a certificate's page shows."""
    sections = (
        _paste(certificate),
        _seen(certificate),
        _known(certificate),
        _stack(certificate),
        _proof(certificate),
        _open(certificate),
    )
    verdict = str(certificate.verdict)
    return Document(
        look=Look.CERTIFICATE,
        kicker="Certificate of batch invariance",
        title=f"{name}: {verdict}",
        heading="Certificate of batch invariance",
        names=(name,),
        banner=Banner(_TONES.get(verdict, Tone.NOTE), f"{verdict}.", (certificate.reason,)),
        headline=(certificate.sentence,),
        context=", ".join(
            f"{key} {value}"
            for key, value in certificate.stack.items()
            if value and key in ("device_name", "vllm", "capability")
        ),
        sections=tuple(filter(None, sections)),
        program="harness certify",
    )


def paste_lines(certificate: Certificate) -> Iterator[str]:
    """The block for a thread: verdict, stack, schedules, bounds, control, command's essence."""
    about, bounds = certificate.stack, certificate.bounds
    yield f"batch invariance: {certificate.sentence}"
    place = [about["device_name"] or about["device"], about["capability"], about["driver"]]
    yield f"stack: vLLM {about['vllm']}, " + ", ".join(str(part) for part in place if part)
    if certificate.image:
        yield f"image: {certificate.image.get('reference')}"
    for model, revision in certificate.models.items():
        yield f"model: {model}" + (f" at {revision}" if revision else "")
    yield from _argument_lines(certificate)
    yield "modes differ in: " + ("; ".join(certificate.differences) or "nothing but the mode")
    for mode in MODES:
        cells = [cell for cell in certificate.seen if cell.mode is mode]
        counts = ", ".join(
            f"{cell.schedule}/{cell.width} {cell.changed_prompts} of {cell.prompts}"
            for cell in cells
        )
        yield f"{mode_words(mode)}, prompts that change with the batch: {counts}"
    if bounds.by_prompt is not None:
        token = NONE if bounds.by_token is None else f"{bounds.by_token:.2g}"
        yield (
            f"bounds (95%): {bounds.by_prompt:.2%} of {bounds.prompts} prompts, {token} per token "
            f"of {bounds.tokens or 0:,} compared"
        )
    changed, of = certificate.control
    yield f"positive control: standard mode changes {changed} of {of} prompts"
    yield f"lifetimes: {certificate.lifetimes}; noise: {sum(certificate.noise.values())} rows"
    largest = ", ".join(map(str, certificate.steps[:4])) or NONE
    split = (
        f"{n} of {of} {mode_words(mode)} batches"
        for mode, (n, of) in certificate.split_batches.items()
    )
    yield f"engine steps: largest {largest}; split prefills in {' and '.join(split)}"
    for one in certificate.known:
        yield f"known: {one.cited}; workaround: {one.workaround}"
    for gap in certificate.not_covered:
        yield f"not covered: {gap}"


def _argument_lines(certificate: Certificate) -> Iterator[str]:
    """Arguments of all lifetimes, those that differ from one to the next, and between the modes."""
    standard, given = ((certificate.arguments[m], certificate.by_lifetime[m]) for m in MODES)
    alike, each = given
    told = (f"{key}={value}" for key, value in alike.items() if key not in _HIDDEN)
    every = "" if certificate.lifetimes == 1 else " of every lifetime"
    yield f"arguments{every}: {' '.join(told) or NONE}"
    moved = (
        f"{key}={', '.join(_NOT_GIVEN if one is None else str(one) for one in values)}"
        for key, values in each.items()
        if key not in _HIDDEN
    )
    if line := "; ".join(moved):
        yield f"arguments by lifetime (1 to {certificate.lifetimes}): {line}"
    other = [
        f"{name}: {_shown(standard, name)} in standard, {_shown(given, name)} in batch-invariant"
        for name in dict.fromkeys(name for part in (*standard, *given) for name in part)
        if name not in _HIDDEN and _shown(standard, name) != _shown(given, name)
    ]
    yield "arguments that differ between the modes: " + ("; ".join(other) or "none")


def _shown(given: _Given, name: str) -> str:
    """An argument's value, or its values by lifetime."""
    alike, each = given
    values = each.get(name, (alike.get(name),))
    return ", ".join(_NOT_GIVEN if one is None else str(one) for one in values)


def _paste(certificate: Certificate) -> Section:
    told = wording("certificate/paste")
    block = ("harness certify", tuple(paste_lines(certificate)))
    return Section(told.anchor, told.title, (told.prose,), quotes=(block,), brief=told.brief)


def _seen(certificate: Certificate) -> Section | None:
    told, bounds = wording("certificate/seen"), certificate.bounds
    found = {(cell.schedule, cell.width, cell.mode): cell for cell in certificate.seen}
    places = dict.fromkeys((cell.schedule, cell.width) for cell in certificate.seen)
    rows = (
        (*place, *(text for mode in MODES for text in _counts(found.get((*place, mode)))))
        for place in places
    )
    up_to = [
        ("prompts", bounds.prompts, NONE if bounds.by_prompt is None else f"{bounds.by_prompt:.2%}")
    ]
    if bounds.tokens is not None:
        room = NONE if bounds.by_token is None else f"{bounds.by_token:.2g}"
        up_to.append(("compared tokens", bounds.tokens, room))
    changed, of = certificate.control
    share = percent(changed / of) if of else NONE
    more = [
        ("positive control", f"standard mode changes {changed} of {of} prompts ({share})"),
        ("server lifetimes", str(certificate.lifetimes)),
        ("largest engine steps, in tokens", ", ".join(map(str, certificate.steps)) or NONE),
        *(
            (f"batches with a split prefill, {m.words}", f"{n} of {of}")
            for m, (n, of) in certificate.split_batches.items()
        ),
        *(
            (f"noise, {m.words}", f"{n} rows change with time alone")
            for m, n in _noise(certificate)
        ),
        *(
            (f"between lifetimes, {m.words}", f"{n} prompts have another text alone")
            for m, n in certificate.between_lifetimes.items()
        ),
    ]
    if any((certificate.ties, certificate.confident, certificate.unknown)):
        text = (
            f"{certificate.ties} at a tie, {certificate.confident} at a confident choice, "
            f"{certificate.unknown} not known"
        )
        more.append(("first divergence, batch-invariant", text))
    return told.section(
        told.table("cells", rows), told.table("bounds", up_to), told.table("more", more)
    )


def _noise(certificate: Certificate) -> list[tuple[Mode, int]]:
    return [(mode, certificate.noise[mode]) for mode in MODES]


def _counts(cell: Counts | None) -> tuple[str, str]:
    if cell is None:
        return NONE, NONE
    return f"{cell.changed_prompts}/{cell.prompts}", f"{cell.changed}/{cell.rows}"


def _known(certificate: Certificate) -> Section | None:
    told = wording("certificate/known")
    rows = (
        (one.id, one.title, ", ".join(one.threads), one.workaround) for one in certificate.known
    )
    return told.section(told.table("named", rows))


def _stack(certificate: Certificate) -> Section | None:
    told = wording("certificate/stack")
    facts = [(key.replace("_", " "), value) for key, value in certificate.stack.items() if value]
    image = certificate.image or {}
    facts += [
        (f"image {key}", str(image[key])) for key in ("reference", "image_id") if key in image
    ]
    facts += [("model", model) for model in certificate.models]
    facts += [("modes differ in", one) for one in certificate.differences]
    given = [(certificate.arguments[mode], certificate.by_lifetime[mode]) for mode in MODES]
    names = dict.fromkeys(name for one in given for part in one for name in part)
    rows = ((name, *(_shown(one, name) for one in given)) for name in names if name not in _HIDDEN)
    return told.section(told.table("facts", facts), told.table("arguments", rows))


def _proof(certificate: Certificate) -> Section | None:
    told = wording("certificate/proof")
    rows = (
        (one.lifetime, mode_words(one.mode), one.verdict, f"{len(one.workers)} lines")
        for one in certificate.proofs
    )
    quotes = (
        (
            f"lifetime {one.lifetime}, {mode_words(one.mode)}",
            (*one.lines[:_MOST_LINES], *one.workers[:_MOST_LINES]),
        )
        for one in certificate.proofs
        if one.lines or one.workers
    )
    return told.section(told.table("lifetimes", rows), quotes=quotes)


def _open(certificate: Certificate) -> Section | None:
    told = wording("certificate/open")
    return told.section(told.table("gaps", ((gap,) for gap in certificate.not_covered)))
