"""What stands above the numbers: result, device, whether they count; and the tests for CI."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.analyse import RunState, Summary, Validation
from harness.compare import GateFinding
from harness.findings import Finding, Status
from harness.numbers import shortened
from harness.records import RunFiles
from harness.report.document import Banner, Case, Change, Suite, Tone
from harness.words import Endpoint, Mode, RequestEndpoint

MAX_FAILURES = 500
"""Flips under the batch-invariant path that CI is told one by one."""
MAX_CASES = 200
"""Places of one condition that CI is told one by one; the condition itself counts them all."""

_TITLES = {
    RunState.COUNTS: "",
    RunState.DOES_NOT_COUNT: "Not countable: do not quote these numbers as a result",
    RunState.NOT_VALIDATED: "Not countable: this run was not validated",
    RunState.UNPROVEN: "Not countable, unproven: do not quote these numbers as a result",
}


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
    request = files.spec.get("request")
    chat = isinstance(request, Mapping) and request.get("endpoint") == RequestEndpoint.CHAT
    asked = ("asked in the model's chat template",) if chat else ()
    return " · ".join((": ".join(filter(None, device)), *versions, *asked))


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


def state_title(summary: Summary, state: RunState) -> str:
    """Why these numbers are not to be quoted; empty where the run counts."""
    if state is RunState.UNFINISHED:
        there, planned = summary.n_records, summary.stack.planned_records
        lacks = "it did not come to its end"
        if planned is not None and there < planned:
            lacks = f"{there:,} of {planned:,} planned records are there"
        return f"Unfinished: {lacks}; do not quote these numbers as a result"
    return _TITLES[state]


def run_banner(summary: Summary, state: RunState, validation: Validation | None) -> Banner:
    """Whether a run counts, with every check that failed or could not be made."""
    if validation is None:
        return Banner(Tone.BAD, state_title(summary, state))
    failed, unsure = (
        tuple(
            f"{f.words}: {f.message}" if f.message else f.words
            for f in validation.findings
            if f.status in among
        )
        for among in ((Status.FAILED,), (Status.NOT_CHECKED, Status.WARNING))
    )
    if state is not RunState.COUNTS:
        return Banner(Tone.BAD, state_title(summary, state), failed or ("no reason was recorded",))
    if unsure:
        return Banner(Tone.NOTE, "Countable with reservations: no check failed", unsure)
    return Banner(Tone.GOOD, "Countable: the run is complete and every check passed")


def checks_text(findings: Sequence[Finding]) -> str:
    """What the checks came to, with the names of those that warn and of those not made."""
    found = {status: [f.words for f in findings if f.status is status] for status in Status}
    if failed := found[Status.FAILED]:
        return f"{len(failed)} of {len(findings)} checks failed: {shortened(failed, len(failed))}"
    told = {Status.WARNING: "with a warning", Status.NOT_CHECKED: "not checked"}
    reserved = [
        f"{len(names)} {words} ({shortened(names, len(names))})"
        for status, words in told.items()
        if (names := found[status])
    ]
    return f"no check failed, {', '.join(reserved)}" if reserved else "every check passed"


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
    verdicts: Sequence[GateFinding], defects: Sequence[str], facts: tuple[tuple[str, str], ...]
) -> Iterator[Suite]:
    """A test for each condition, and where one fails a test for each place that broke it.

    Where a side does not count, a test that says why fails before all others.
    """
    why = "a run does not count"
    cases = [Case("both sides count", why, "\n".join(defects))] if defects else []
    cases += [
        Case(v.condition)
        if v.ok
        else Case(v.condition, v.reason, "\n".join(v.places[:MAX_CASES]) or v.reason)
        for v in verdicts
    ]
    yield Suite("gate", tuple(cases or [Case("compared, no gate asked for")]), facts)
    for v in verdicts:
        if not v.ok:
            yield Suite(v.condition, tuple(Case(p, v.meaning) for p in v.places[:MAX_CASES]))
