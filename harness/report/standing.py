"""What stands above the numbers: result, device, whether they count; and the tests for CI."""

from collections.abc import Iterable, Iterator, Sequence

from harness.analyse import Counted, Summary, Validation
from harness.compare import GateFinding
from harness.findings import Finding, Status
from harness.numbers import p_equals, rate_text
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
    S1, where that was asked before B; else of B against S0, and says so. Where labels lead, what
    the texts did follows: few labels may leave open what the texts show.
    """
    sentence = _counts(summary, summary.leading) or "no record was counted."
    return f"{sentence[0].upper()}{sentence[1:]}" if countable else f"Not countable: {sentence}"


def _counts(summary: Summary, effect: Effect | None) -> str:
    """What changes in each mode, and the test between them; empty without a record."""
    shown = leading_endpoint(summary)
    found = {mode: summary.counted(mode, effect, shown) for mode in summary.by_mode}
    said = _changes if effect else _compared
    parts = [f"{mode.words} kernels: {said(of, shown)}" for mode, of in found.items()]
    pairs = summary.pairs_of(effect, shown)
    if len(found) > 1 and pairs:
        parts.append(f"exact McNemar {p_equals(pairs.prompts.p_two_sided)} by prompt")
    if effect and shown is Endpoint.LABEL_FLIPS:
        parts += _texts(summary, effect)
    if parts and not effect:
        parts.append("B against the first solo answer, which cannot tell a batch from a cache")
    return "; ".join(parts) and f"{'; '.join(parts)}."


def _texts(summary: Summary, effect: Effect) -> Iterator[str]:
    """Prompts whose text changed in each mode, and the test, where both modes have some prompt."""
    found = [summary.counted(mode, effect, Endpoint.TEXT_CHANGES) for mode in summary.by_mode]
    pairs = summary.pairs_of(effect, Endpoint.TEXT_CHANGES)
    if len(found) > 1 and pairs and any(one.prompts.count for one in found):
        counts = " and ".join(f"{one.prompts.count} of {one.prompts.n}" for one in found)
        yield f"texts: {counts}, {p_equals(pairs.prompts.p_two_sided)}"


def leading_endpoint(summary: Summary) -> Endpoint:
    """Labels, or texts where some text changed and no label did."""
    flips, texts = (
        sum(summary.counted(mode, summary.leading, e).rows.count for mode in summary.by_mode)
        for e in Endpoint
    )
    return Endpoint.TEXT_CHANGES if texts and not flips else Endpoint.LABEL_FLIPS


def _changes(of: Counted, shown: Endpoint) -> str:
    """How many prompts change, and where none does what that leaves room for."""
    what = "text" if shown is Endpoint.TEXT_CHANGES else "label"
    if not of.rows.count and of.prompts.upper95 is not None:
        room = f"up to {of.prompts.upper95:.2%} may"
        return f"none of {of.prompts.n} prompts changes its {what} with the batch ({room})"
    rows = f"{of.rows.count} of {of.rows.n} rows"
    return (
        f"{of.prompts.count} of {of.prompts.n} prompts ({rows}) change their {what} with the batch"
    )


def _compared(of: Counted, shown: Endpoint) -> str:
    """The study's comparison, to stand next to its own numbers: by prompt, and by row."""
    what, rows = shown.words.lower(), f"{of.rows.count}/{of.rows.n}"
    if not of.prompts.n:
        return f"{rate_text(of.rows)} {what} by row"
    return f"{rate_text(of.prompts)} {what} by prompt ({rows} by row){_room(of)}"


def _room(of: Counted) -> str:
    return f" (none: up to {of.room})" if of.room else ""


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
    found = summary.counted(Mode.BATCH_INVARIANT, None, Endpoint.LABEL_FLIPS)
    rows, prompts = found.rows, found.prompts
    if rows.n:
        failure = f"{rows.count}/{rows.n} labels flipped" if rows.count else None
        if failure and prompts.n:
            failure = f"labels of {prompts.count}/{prompts.n} prompts flipped ({failure})"
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
