"""The claim ledger: what the records establish, strengthen, and do not establish, with reasons.

Every entry is computed from the counts, the pairing and the stack. A claim is about the selected
rows on the stack that was tested and about nothing wider; a CPU's numbers are no evidence about
a GPU. The order is: measured, strengthened, never established.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from harness.analyse.statistics import ALPHA, MARGINS, trials_for_margin
from harness.analyse.summary import Claim, ClaimStatus, ModeTable, Summary
from harness.numbers import p_equals
from harness.records import Pairing, Records
from harness.words import MODES, Mode

Verdict = tuple[ClaimStatus, str]
_ESTABLISHED, _STRENGTHENED = ClaimStatus.ESTABLISHED, ClaimStatus.STRENGTHENED
_NOT_ESTABLISHED, _INCONCLUSIVE = ClaimStatus.NOT_ESTABLISHED, ClaimStatus.INCONCLUSIVE
_DIFFER = "the dependence on the kernel path is not established"


@dataclass(slots=True)
class _Ledger:
    """What claims are judged by: the numbers, and the claims before."""

    summary: Summary
    records: Records
    pairing: Pairing
    claims: list[Claim] = field(default_factory=list)

    def established(self, *names: str) -> bool:
        """Whether all of these claims are."""
        found = {claim.claim for claim in self.claims if claim.status is _ESTABLISHED}
        return found.issuperset(names)

    @property
    def gap(self) -> str | None:
        """Why nothing can be claimed from these records at all, if so."""
        summary, planned = self.summary, self.summary.stack.planned_records
        records, ok = summary.n_records, summary.n_ok
        if records != ok:
            return f"{records - ok} of {records} records are errors"
        if summary.startup_error_count:
            return f"{summary.startup_error_count} server(s) did not start"
        if planned is not None and records < planned:
            return f"only {records} of {planned} planned records are there"
        if not summary.pairs.complete:
            return "no candidate has a record in both modes"
        if summary.pairs.left_out:
            return f"{summary.pairs.left_out} candidates lack a record in one of the modes"
        return None

    def nothing_to_explain(self) -> Verdict | None:
        """The verdict where the standard path changed no answer."""
        if not _none(self.summary.mode(Mode.STANDARD)):
            return None
        if self.summary.stack.device == "cpu":
            return (
                _INCONCLUSIVE,
                "inconclusive on this CPU: its standard path changed no answer, so there is "
                "nothing for the invariant path to remove",
            )
        return (
            _INCONCLUSIVE,
            "inconclusive: the standard path changed no answer, so there is nothing to remove",
        )


Look = Callable[[_Ledger], Verdict]
_MEASURED: dict[str, tuple[str, Look]] = {}
_FOLLOWING: dict[str, tuple[str, Look]] = {}


def _claim(among: dict[str, tuple[str, Look]], text: str) -> Callable[[Look], Look]:
    """Add a claim, as a sentence, under the name of the function that judges it."""

    def added(look: Look) -> Look:
        among[look.__name__.removeprefix("_")] = text, look
        return look

    return added


def claim_ledger(summary: Summary, records: Records, pairing: Pairing) -> tuple[Claim, ...]:
    """The ledger of a summary."""
    ledger = _Ledger(summary, records, pairing)
    for name, (text, look) in _MEASURED.items():
        gap = ledger.gap
        verdict = (_NOT_ESTABLISHED, gap) if gap else look(ledger)
        ledger.claims.append(Claim(name, text, *verdict))
    for name, (text, look) in _FOLLOWING.items():
        ledger.claims.append(Claim(name, text, *look(ledger)))
    return (*ledger.claims, *_never_established(summary))


def _both(table: ModeTable) -> str:
    flips, changes = table.label_flips, table.text_changes
    return f"{flips.count}/{flips.n} label flips, {changes.count}/{flips.n} text changes"


def _none(table: ModeTable) -> bool:
    return not table.label_flips.count and not table.text_changes.count


@_claim(_MEASURED, "The standard path changes answers with the batch on the selected rows")
def _standard_changes(run: _Ledger) -> Verdict:
    table, place = run.summary.mode(Mode.STANDARD), run.summary.stack.place
    return run.nothing_to_explain() or (_ESTABLISHED, f"{_both(table)} on {place}")


@_claim(_MEASURED, "The batch-invariant path changes no answer with the batch on the same rows")
def _invariant_is_clean(run: _Ledger) -> Verdict:
    table = run.summary.mode(Mode.BATCH_INVARIANT)
    if not _none(table):
        return _NOT_ESTABLISHED, f"{_both(table)} remain"
    bound = table.text_changes.upper95 or 0.0
    margin = max((known for known in MARGINS if bound >= known), default=None)
    more = f"; {trials_for_margin(margin)} rows would bound it under {margin:.1%}" if margin else ""
    return _ESTABLISHED, (
        f"{_both(table)} on {run.summary.stack.place}; on rows like these a rate of up to "
        f"{bound:.2%} is compatible with none in {table.ok} (one-sided 95%){more}"
    )


@_claim(_MEASURED, "The two paths differ on the paired rows")
def _paths_differ(run: _Ledger) -> Verdict:
    tests = {"labels": run.summary.paired.label_flips, "texts": run.summary.paired.text_changes}
    parts = [
        f"{name}: b={cells.first_only} c={cells.second_only} {p_equals(cells.p_two_sided)}"
        + (f" ({cells.note})" if cells.note else "")
        for name, cells in tests.items()
    ]
    significant = all(cells.p_two_sided < ALPHA for cells in tests.values())
    status = _ESTABLISHED if significant else _NOT_ESTABLISHED
    return status, "exact McNemar, " + "; ".join(parts)


@_claim(_MEASURED, "The candidates' flips depend on the kernel path of the tested stack")
def _kernel_path(run: _Ledger) -> Verdict:
    stack = run.summary.stack
    if verdict := run.nothing_to_explain():
        return verdict
    if stack.modes_proven is None:
        return _NOT_ESTABLISHED, (
            "no start-up files came with these records, so which kernels ran is stated, not proven"
        )
    if not stack.modes_proven:
        reason = "; ".join(stack.unproven) or "a server's kernel path is not proven"
        return _NOT_ESTABLISHED, reason
    if not run.established("standard_changes", "invariant_is_clean", "paths_differ"):
        return _NOT_ESTABLISHED, "one of the three findings above is missing"
    return _ESTABLISHED, (
        "same rows, same batches, another kernel path, each proven from its server's log; "
        f"on {stack.place}"
    )


@_claim(_MEASURED, "The standard path's changes come with the batch and not with asking again")
def _batch_not_repetition(run: _Ledger) -> Verdict:
    beyond = run.summary.floor(Mode.STANDARD).batch_beyond_repeat
    if beyond is None:
        return _NOT_ESTABLISHED, (
            "no prompt was sent twice alone, so change without a batch was not measured"
        )
    cells = beyond.text_changes
    repeats = cells.both + cells.repeat_only
    n = repeats + cells.batch_only + cells.neither
    holds = cells.p_two_sided < ALPHA and cells.batch_only > cells.repeat_only
    return _ESTABLISHED if holds else _NOT_ESTABLISHED, (
        f"text changes with the batch {cells.both + cells.batch_only}/{n}, when asked again alone "
        f"{repeats}/{n} (exact paired {p_equals(cells.p_two_sided)})"
    )


@_claim(
    _FOLLOWING,
    "A batch-served model has to be validated on its exact stack, kernel path included",
)
def _exact_stack_validation(run: _Ledger) -> Verdict:
    if not run.established("kernel_path"):
        return _NOT_ESTABLISHED, _DIFFER
    return _STRENGTHENED, "the same rows answer differently under the two paths"


@_claim(_FOLLOWING, "The batch effect is not explained by what the companions in the batch say")
def _not_companions(run: _Ledger) -> Verdict:
    if not run.established("kernel_path"):
        return _NOT_ESTABLISHED, _DIFFER
    complete, group = run.pairing.complete(run.records), run.records.column("group")
    one, other = (group[run.pairing.slots[mode][complete]] for mode in MODES)
    if not len(one) or np.any(one != other) or np.any(one == 0):
        return _NOT_ESTABLISHED, "the records do not show that both modes used the same batches"
    reason = "both modes sent the same companions, and only one path changed its answers"
    return _STRENGTHENED, reason


def _never_established(summary: Summary) -> list[Claim]:
    stack, flips = summary.stack, summary.mode(Mode.STANDARD).label_flips
    surface = f"{flips.count}/{flips.n} is a reproduction on a selected surface"
    if stack.kind == "scan":
        selection = "the rows are a scan of one shipped population, not a sample of traffic"
    elif any(entry.value is not None for entry in summary.breakdowns.original_direction):
        selection = f"the rows were selected because they had flipped; {surface}"
    else:
        selection = f"the records do not say how the rows were selected; {surface}"
    temperature = "the temperature is not recorded"
    if stack.temperature is not None:
        mixed = ": sampling is mixed in" if stack.temperature else ""
        temperature = f"every request used temperature {stack.temperature:g}{mixed}"
    rows = f"{summary.pairs.candidates} rows and {len(summary.breakdowns.model)} model(s)"
    reasons = {
        "universal": f"only {rows}, on {stack.place}",
        "prevalence": selection,
        "temperature": temperature,
        "hardware": f"one device was used: {stack.device_name or stack.device or 'not recorded'}",
        "version": f"one version was tested: {stack.vllm or 'not recorded'}",
    }
    if stack.device == "cpu":
        reasons["gpu"] = (
            "these numbers come from a CPU: they show the mechanism and test the pipeline, and are "
            "no evidence about a GPU or about a real model"
        )
    return [
        Claim(name, text, _NOT_ESTABLISHED, reasons.get(name, reason))
        for name, (text, reason) in _WIDER.items()
        if name != "gpu" or stack.device != "cuda"
    ]


_WIDER = {
    "gpu": (
        "Any of this holds on a GPU",
        "the records do not say on which device they were made",
    ),
    "universal": ("Batch-invariant kernels remove every such flip", ""),
    "prevalence": ("The flip rate of the rows tested is that of prompts at large", ""),
    "behaviour": (
        "Every label flip is a real change of behaviour",
        "labels come from automated scorers; `harness adjudicate` has people judge them",
    ),
    "temperature": ("The result holds for sampled answers", ""),
    "larger_models": (
        "The result holds for larger models or several GPUs",
        "only what is listed under the models was tested",
    ),
    "hardware": ("The result holds on other hardware", ""),
    "version": ("The result holds for other vLLM versions", ""),
    "cost": (
        "The result says what the invariant path costs in throughput",
        "latencies of single requests are recorded; throughput was not measured",
    ),
}
"""Claims that no run establishes: as a sentence, and the reason where it is always the same."""
