"""The claim ledger: what the records establish, strengthen, and do not establish, with reasons.

Every entry is computed from the counts, the pairing and the stack. A claim is about the selected
rows on the stack that was tested and about nothing wider; a CPU's numbers are no evidence about
a GPU.
"""

from __future__ import annotations

import numpy as np

from harness.analyse.statistics import ALPHA, MARGINS, trials_for_margin
from harness.analyse.summary import Claim, ClaimStatus, ModeTable, Stack, Summary
from harness.numbers import p_equals
from harness.records import Pairing, Records
from harness.words import MODES, Mode


def claim_ledger(summary: Summary, records: Records, pairing: Pairing) -> tuple[Claim, ...]:
    """The ledger of a summary, in the order: measured, strengthened, never established."""
    stack = summary.stack
    gap = _gap(summary, stack)
    measured = [
        _reproduces(summary, stack, gap),
        _removed(summary, stack, gap),
        _differs(summary, gap),
    ]
    carried = all(claim.status is ClaimStatus.ESTABLISHED for claim in measured)
    kernel_path = _kernel_path(summary, stack, gap, carried=carried)
    return (
        *measured,
        kernel_path,
        _batch_not_repetition(summary, gap),
        *_strengthened(kernel_path, same_batches=_same_batches(records, pairing)),
        *_not_established(summary, stack),
    )


def _gap(summary: Summary, stack: Stack) -> str | None:
    """Why nothing can be claimed from these records at all, if so."""
    records, ok = summary.n_records, summary.n_ok
    if records != ok:
        return f"{records - ok} of {records} records are errors"
    if summary.startup_error_count:
        return f"{summary.startup_error_count} server(s) did not start"
    if stack.planned_records is not None and records < stack.planned_records:
        return f"only {records} of {stack.planned_records} planned records are there"
    if not summary.pairs.complete:
        return "no candidate has a record in both modes"
    if summary.pairs.left_out:
        return f"{summary.pairs.left_out} candidates lack a record in one of the modes"
    return None


def _both(table: ModeTable) -> str:
    flips, changes = table.label_flips, table.text_changes
    return f"{flips.count}/{flips.n} label flips, {changes.count}/{flips.n} text changes"


def _no_change(table: ModeTable) -> bool:
    return not table.label_flips.count and not table.text_changes.count


def _nothing_to_explain(stack: Stack) -> tuple[ClaimStatus, str]:
    if stack.device == "cpu":
        return (
            ClaimStatus.INCONCLUSIVE,
            "inconclusive on this CPU: its standard path changed no answer, so there is nothing "
            "for the invariant path to remove",
        )
    return (
        ClaimStatus.INCONCLUSIVE,
        "inconclusive: the standard path changed no answer, so there is nothing to remove",
    )


def _reproduces(summary: Summary, stack: Stack, gap: str | None) -> Claim:
    text = "The standard path changes answers with the batch on the selected rows"
    if gap:
        return Claim("standard_changes", text, ClaimStatus.NOT_ESTABLISHED, gap)
    if _no_change(summary.mode(Mode.STANDARD)):
        return Claim("standard_changes", text, *_nothing_to_explain(stack))
    reason = f"{_both(summary.mode(Mode.STANDARD))} on {stack.place}"
    return Claim("standard_changes", text, ClaimStatus.ESTABLISHED, reason)


def _removed(summary: Summary, stack: Stack, gap: str | None) -> Claim:
    text = "The batch-invariant path changes no answer with the batch on the same rows"
    if gap:
        return Claim("invariant_is_clean", text, ClaimStatus.NOT_ESTABLISHED, gap)
    table = summary.mode(Mode.BATCH_INVARIANT)
    if not _no_change(table):
        reason = f"{_both(table)} remain"
        return Claim("invariant_is_clean", text, ClaimStatus.NOT_ESTABLISHED, reason)
    bound = table.text_changes.upper95 or 0.0
    margin = max((known for known in MARGINS if bound >= known), default=None)
    more = f"; {trials_for_margin(margin)} rows would bound it under {margin:.1%}" if margin else ""
    reason = (
        f"{_both(table)} on {stack.place}; on rows like these a rate of up to "
        f"{bound:.2%} is compatible with none in {table.ok} (one-sided 95%){more}"
    )
    return Claim("invariant_is_clean", text, ClaimStatus.ESTABLISHED, reason)


def _differs(summary: Summary, gap: str | None) -> Claim:
    text = "The two paths differ on the paired rows"
    if gap:
        return Claim("paths_differ", text, ClaimStatus.NOT_ESTABLISHED, gap)
    parts, significant = [], []
    for cells, name in (
        (summary.paired.label_flips, "labels"),
        (summary.paired.text_changes, "texts"),
    ):
        significant.append(cells.p_two_sided < ALPHA)
        note = f" ({cells.note})" if cells.note else ""
        parts.append(
            f"{name}: b={cells.first_only} c={cells.second_only} "
            f"{p_equals(cells.p_two_sided)}{note}"
        )
    status = ClaimStatus.ESTABLISHED if all(significant) else ClaimStatus.NOT_ESTABLISHED
    return Claim("paths_differ", text, status, "exact McNemar, " + "; ".join(parts))


def _kernel_path(summary: Summary, stack: Stack, gap: str | None, *, carried: bool) -> Claim:
    text = "The candidates' flips depend on the kernel path of the tested stack"
    name = "kernel_path"
    if gap:
        return Claim(name, text, ClaimStatus.NOT_ESTABLISHED, gap)
    if _no_change(summary.mode(Mode.STANDARD)):
        return Claim(name, text, *_nothing_to_explain(stack))
    if stack.modes_proven is None:
        reason = (
            "no start-up files came with these records, so which kernels ran is stated, not proven"
        )
        return Claim(name, text, ClaimStatus.NOT_ESTABLISHED, reason)
    if not stack.modes_proven:
        reason = "; ".join(stack.unproven) or "a server's kernel path is not proven"
        return Claim(name, text, ClaimStatus.NOT_ESTABLISHED, reason)
    if not carried:
        reason = "one of the three findings above is missing"
        return Claim(name, text, ClaimStatus.NOT_ESTABLISHED, reason)
    reason = (
        f"same rows, same batches, another kernel path, each proven from its server's log; "
        f"on {stack.place}"
    )
    return Claim(name, text, ClaimStatus.ESTABLISHED, reason)


def _batch_not_repetition(summary: Summary, gap: str | None) -> Claim:
    text = "The standard path's changes come with the batch and not with asking again"
    name = "batch_not_repetition"
    if gap:
        return Claim(name, text, ClaimStatus.NOT_ESTABLISHED, gap)
    beyond = summary.floor(Mode.STANDARD).batch_beyond_repeat
    if beyond is None:
        reason = "no prompt was sent twice alone, so change without a batch was not measured"
        return Claim(name, text, ClaimStatus.NOT_ESTABLISHED, reason)
    cells = beyond.text_changes
    repeats = cells.both + cells.repeat_only
    n = repeats + cells.batch_only + cells.neither
    batch = cells.both + cells.batch_only
    reason = (
        f"text changes with the batch {batch}/{n}, when asked again alone {repeats}/{n} "
        f"(exact paired {p_equals(cells.p_two_sided)})"
    )
    holds = cells.p_two_sided < ALPHA and cells.batch_only > cells.repeat_only
    status = ClaimStatus.ESTABLISHED if holds else ClaimStatus.NOT_ESTABLISHED
    return Claim(name, text, status, reason)


def _same_batches(records: Records, pairing: Pairing) -> bool:
    """Whether every complete pair records the same batch in both modes."""
    complete = pairing.complete(records)
    one, other = (records.column("group")[pairing.slots[mode][complete]] for mode in MODES)
    return bool(len(one) and np.all(one == other) and np.all(one != 0))


def _strengthened(kernel_path: Claim, *, same_batches: bool) -> list[Claim]:
    carried = kernel_path.status is ClaimStatus.ESTABLISHED
    differ = "the dependence on the kernel path is not established"
    strong, weak = ClaimStatus.STRENGTHENED, ClaimStatus.NOT_ESTABLISHED
    exact = Claim(
        "exact_stack_validation",
        "A batch-served model has to be validated on its exact stack, kernel path included",
        strong if carried else weak,
        "the same rows answer differently under the two paths" if carried else differ,
    )
    text = "The batch effect is not explained by what the companions in the batch say"
    if not carried:
        companions = Claim("not_companions", text, weak, differ)
    elif not same_batches:
        reason = "the records do not show that both modes used the same batches"
        companions = Claim("not_companions", text, weak, reason)
    else:
        reason = "both modes sent the same companions, and only one path changed its answers"
        companions = Claim("not_companions", text, strong, reason)
    return [exact, companions]


def _selection(summary: Summary, stack: Stack, count: str) -> str:
    """How the rows came to be tested, as far as the records tell."""
    if stack.kind == "scan":
        return "the rows are a scan of one shipped population, not a sample of traffic"
    surface = f"{count} is a reproduction on a selected surface"
    if any(entry.value is not None for entry in summary.breakdowns.original_direction):
        return f"the rows were selected because they had flipped; {surface}"
    return f"the records do not say how the rows were selected; {surface}"


def _not_established(summary: Summary, stack: Stack) -> list[Claim]:
    n = summary.pairs.candidates
    models = len(summary.breakdowns.model)
    flips = summary.mode(Mode.STANDARD).label_flips
    scope = f"only {n} rows and {models} model(s), on {stack.place}"
    entries = [
        ("universal", "Batch-invariant kernels remove every such flip", scope),
        (
            "prevalence",
            "The flip rate of the rows tested is that of prompts at large",
            _selection(summary, stack, f"{flips.count}/{flips.n}"),
        ),
        (
            "behaviour",
            "Every label flip is a real change of behaviour",
            "labels come from automated scorers; `harness adjudicate` has people judge them",
        ),
        ("temperature", "The result holds for sampled answers", _temperature(stack)),
        (
            "larger_models",
            "The result holds for larger models or several GPUs",
            "only what is listed under the models was tested",
        ),
        ("hardware", "The result holds on other hardware", _hardware(stack)),
        (
            "version",
            "The result holds for other vLLM versions",
            f"one version was tested: {stack.vllm or 'not recorded'}",
        ),
        (
            "cost",
            "The result says what the invariant path costs in throughput",
            "latencies of single requests are recorded; throughput was not measured",
        ),
    ]
    status = ClaimStatus.NOT_ESTABLISHED
    claims = [Claim(name, text, status, reason) for name, text, reason in entries]
    return [_gpu(stack), *claims] if stack.device != "cuda" else claims


def _gpu(stack: Stack) -> Claim:
    reason = (
        "these numbers come from a CPU: they show the mechanism and test the pipeline, and are "
        "no evidence about a GPU or about a real model"
        if stack.device == "cpu"
        else "the records do not say on which device they were made"
    )
    return Claim("gpu", "Any of this holds on a GPU", ClaimStatus.NOT_ESTABLISHED, reason)


def _temperature(stack: Stack) -> str:
    if stack.temperature is None:
        return "the temperature is not recorded"
    if stack.temperature == 0:
        return "every request used temperature 0"
    return f"every request used temperature {stack.temperature:g}: sampling is mixed in"


def _hardware(stack: Stack) -> str:
    return f"one device was used: {stack.device_name or stack.device or 'not recorded'}"
