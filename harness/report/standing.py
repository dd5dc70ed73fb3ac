"""What stands above the numbers: result, device, whether they count; and the tests for CI."""

from collections.abc import Iterable, Iterator, Sequence

from harness.analyse import Summary, Validation
from harness.compare import GateFinding
from harness.findings import Finding, Status
from harness.numbers import p_text, rate_text
from harness.records import RunFiles
from harness.report.document import Banner, Case, Change, Suite, Tone
from harness.words import Effect, Endpoint, Mode

MAX_FAILURES = 500
"""Flips under the batch-invariant path that CI is told one by one."""
MAX_CASES = 200
"""Places of one condition that CI is told one by one; the condition itself counts them all."""


def headline(summary: Summary, *, countable: bool) -> str:
    """The sentence that people quote; it says so itself when the run does not count.

    It tells the label flips, or the text changes where no label flipped: by prompt, of B against
    S1, where that was asked; else B against S0, with a test by prompt where rows share one.
    """
    sentence = _batch_effect(summary) or _study(summary) or "no record was counted."
    return f"{sentence[0].upper()}{sentence[1:]}" if countable else f"Not countable: {sentence}"


def _batch_effect(summary: Summary) -> str:
    """B against S1, by prompt first; empty where S1 was not asked before B of every row."""
    asked = summary.askings
    if not asked or any(of.s1_after_batch for of in asked.values()):
        return ""
    found = {mode: of.effects.of(Effect.BATCH) for mode, of in asked.items()}
    if any(t.text_changes.rows.n < (summary.mode(m).ok or 1) for m, t in found.items()):
        return ""
    flips, texts = (sum(t.of(e).rows.count for t in found.values()) for e in Endpoint)
    shown = Endpoint.TEXT_CHANGES if texts and not flips else Endpoint.LABEL_FLIPS
    sentence = "; ".join(
        f"{mode.words} kernels: {of.prompts.count} of {of.prompts.n} prompts ({of.rows.count} of "
        f"{of.rows.n} rows) change their {'text' if shown is Endpoint.TEXT_CHANGES else 'label'} "
        "with the batch"
        for mode, of in ((mode, table.of(shown)) for mode, table in found.items())
    )
    if len(found) > 1 and summary.paired_askings:
        cells = summary.paired_askings.of(Effect.BATCH).of(shown).prompts
        sentence += f"; exact McNemar p = {p_text(cells.p_two_sided)} by prompt"
    return f"{sentence}."


def _study(summary: Summary) -> str:
    """The study's comparison, B against S0; empty without a record."""
    tables = summary.by_mode
    flips, texts = (sum(t.of(e).count for t in tables.values()) for e in Endpoint)
    shown = Endpoint.TEXT_CHANGES if texts and not flips else Endpoint.LABEL_FLIPS
    sentence = "; ".join(
        f"{mode.words} kernels: {rate_text(counts.of(shown))} {shown.words.lower()}"
        for mode, counts in tables.items()
    )
    if len(tables) > 1 and summary.clusters.largest > 1:
        p = p_text(summary.clusters.of(shown).p_two_sided)
        sentence += f"; exact sign-flip p = {p} over {summary.clusters.n_clusters} prompts"
    elif len(tables) > 1:
        sentence += f"; exact McNemar p = {p_text(summary.paired.of(shown).p_two_sided)}"
    return sentence and f"{sentence}."


def measured_on(summary: Summary, files: RunFiles) -> str:
    """Device, vLLM and torch in one line, as far as the run recorded them."""
    stack, logged = summary.stack, [s.evidence for up in files.startups for s in up.starts]
    kind = {"cpu": "vLLM's CPU engine", "cuda": "GPU"}.get(
        str(summary.stack.device or files.device_kind)
    )
    device = (kind or "device not recorded", stack.device_name or files.device_name)
    known = {
        "vLLM": (stack.vllm, files.versions.get("vllm"), *(e.vllm_version for e in logged)),
        "PyTorch": (files.versions.get("torch"), *(e.torch_version for e in logged)),
    }
    versions = (
        f"{name} {next(filter(None, of), 'version not recorded')}" for name, of in known.items()
    )
    return " · ".join((": ".join(filter(None, device)), *versions))


def nature(summary: Summary, files: RunFiles) -> str:
    """What numbers from this kind of device can say; empty for a GPU."""
    kind = summary.stack.device or files.device_kind
    if kind == "cpu":
        return cpu_nature("This run")
    return "The records do not say on which device they were made." if kind is None else ""


def cpu_nature(runs: str) -> str:
    """What the numbers of a run on vLLM's CPU engine can say."""
    return (
        f"{runs} used vLLM's CPU engine. Its numbers show the mechanism and test the "
        "pipeline; they say nothing about a GPU or another model."
    )


def run_banner(validation: Validation | None) -> Banner:
    """Whether a run counts, with every check that failed or could not be made."""
    if validation is None:
        return Banner(Tone.BAD, "Not countable: this run was not validated")
    failed, unsure = (
        tuple(
            f"{f.check}: {f.message}" if f.message else f.check
            for f in validation.findings
            if f.status in among
        )
        for among in ((Status.FAILED,), (Status.NOT_CHECKED, Status.WARNING))
    )
    if not validation.ok:
        title = "Not countable: do not quote these numbers as a result"
        return Banner(Tone.BAD, title, failed or ("no reason was recorded",))
    if unsure:
        return Banner(Tone.NOTE, "Countable with reservations: no check failed", unsure)
    return Banner(Tone.GOOD, "Countable: the run is complete and every check passed")


def validation_cases(findings: Sequence[Finding], banner: Banner) -> Iterator[Case]:
    """A test a check; without checks, one of whether the run counts."""
    for f in findings:
        why = (f.message or f.status) if f.status is Status.FAILED else None
        skipped = f.message if f.status is Status.NOT_CHECKED else None
        yield Case(f.check, why, why or "", skipped)
    if not findings:
        why = banner.title if banner.tone is Tone.BAD else None
        yield Case("run is countable", why, why or "")


def invariance_cases(summary: Summary, flips: Iterable[Change]) -> Iterator[Case]:
    """Flips under the standard path are the phenomenon and no failure; under the other each is."""
    counted = summary.mode(Mode.BATCH_INVARIANT).label_flips
    if counted.n:
        failure = f"{counted.count}/{counted.n} labels flipped" if counted.count else None
        yield Case("no label flips", failure, failure or "")
    for flip in [flip for flip in flips if flip.mode == Mode.BATCH_INVARIANT][:MAX_FAILURES]:
        lines = [f"{flip.model}, {', '.join(flip.context[1:])}: {flip.where[0]}"]
        for answer in flip.answers[0]:
            text = "".join(piece.text for piece in answer.pieces or ())
            lines.append(f"--- {answer.name}: {answer.scored}\n{text}")
        yield Case(f"{flip.model} {flip.heading}", flip.change, "\n".join(lines))


def gate_banner(
    verdicts: Sequence[GateFinding], defects: Sequence[str], unsure: Sequence[str], asked: str
) -> Banner:
    """Whether a comparison counts and its gate passes.

    Args:
        defects: why a side does not count.
        unsure: what the comparison does not show.
        asked: ``prompts`` or ``documents``.
    """
    if defects:
        title = "A run does not count: do not quote these numbers as a result"
        return Banner(Tone.BAD, title, tuple(defects))
    if failed := [verdict.condition for verdict in verdicts if not verdict.ok]:
        return Banner(Tone.BAD, f"The gate fails: {', '.join(failed)}")
    passed = "The gate passes" if verdicts else "Comparable"
    if unsure:
        return Banner(Tone.NOTE, f"{passed}, with reservations", tuple(unsure))
    same = f"the same {asked}, asked in the same way, on both sides"
    return Banner(Tone.GOOD, f"{passed}: {same}")


def gate_suites(
    verdicts: Sequence[GateFinding], facts: tuple[tuple[str, str], ...]
) -> Iterator[Suite]:
    """A test for each condition, and where one fails a test for each place that broke it."""
    cases = [
        Case(v.condition)
        if v.ok
        else Case(v.condition, v.reason, "\n".join(v.places[:MAX_CASES]) or v.reason)
        for v in verdicts
    ]
    yield Suite("gate", tuple(cases or [Case("compared, no gate asked for")]), facts)
    for v in verdicts:
        if not v.ok:
            yield Suite(v.condition, tuple(Case(p, v.meaning) for p in v.places[:MAX_CASES]))
