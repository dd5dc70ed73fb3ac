"""What a trace comes to is by prompt, of requests that met another one, and says what it lacks."""

from __future__ import annotations

import pytest

from harness.experiments import TraceRow, traffic
from harness.records import Answer, Witness
from harness.words import Mode, Status

MET = Witness(steps=9, admitted_first_step=1, shared_decode_share=0.5, source="log")
ALONE = Witness(steps=9, admitted_first_step=1, shared_decode_share=0.0, source="log")


def row(question: str, texts: str = "aaa", *, mode: Mode = Mode.STANDARD, **more) -> TraceRow:
    """A row whose answers alone, in the trace and alone again have these texts."""
    alone, answer, again = (Answer(text=text, label=text) for text in texts)
    told = {"row": 1, "line": 2, "mode": mode, "status": Status.OK, "due_s": 0.0, "sent_s": 0.001}
    told |= {"question": question, "key": f"t/{question}", "late_ms": 1.0, "witness": MET}
    told |= {"alone": alone, "again": again, "answer": answer, "neighbours": ((2, 3),)}
    return TraceRow(**(told | more))


def of_standard(*rows: TraceRow):
    return traffic(rows).by_mode[Mode.STANDARD]


def test_a_prompt_that_any_of_its_requests_changes_is_counted_once() -> None:
    found = of_standard(row("q"), row("q", "aba"), row("q", "aba"), row("other"))
    assert (found.prompts, found.text_changes, found.label_flips) == (2, 1, 1)


def test_a_request_that_met_nobody_is_evidence_of_nothing() -> None:
    found = of_standard(row("q", "aba", witness=ALONE, neighbours=()), row("other"))
    assert (found.vacuous, found.prompts, found.text_changes) == (1, 1, 0)


def test_a_request_that_may_have_met_this_one_or_that_counts_if_it_met_one_for_certain() -> None:
    least = Witness(shared_decode_share=0.5, source="log")
    unsure = [
        row("q", "aba", witness=least, neighbours=None),
        row("r", witness=Witness(), neighbours=None),
    ]
    found = traffic([*unsure, row("other")])
    of = found.by_mode[Mode.STANDARD]
    assert (of.witnessed, of.vacuous, of.certain, of.prompts, of.text_changes) == (3, 0, 1, 2, 1)
    assert (of.neighbours, found.gaps) == ((1, 1), ())


def test_a_server_that_says_the_same_to_everything_was_not_asked_anything() -> None:
    found = traffic([row(f"q{n}") for n in range(8)])
    assert found.gaps == ("standard: different prompts have the same answer",)


def test_a_request_without_a_witness_makes_the_trace_uncountable() -> None:
    found = traffic([row("q", "aba", witness=None, neighbours=None), row("other")])
    assert found.by_mode[Mode.STANDARD].text_changes == 0
    assert "1 of 2 requests have no witness" in found.gaps[0]


def test_a_prompt_that_changes_alone_is_noise_and_no_change_of_the_traffic() -> None:
    found = traffic([row("q", "abc"), row("other")])
    of = found.by_mode[Mode.STANDARD]
    assert (of.noise, of.text_changes, of.label_flips) == (1, 0, 0)
    assert "1 of 2 prompts change alone" in found.gaps[0]


def test_a_failed_request_is_said_and_not_counted() -> None:
    bad = row("q", status=Status.ERROR, error="time-out", answer=None, witness=None)
    found = traffic([bad, row("other")])
    assert found.by_mode[Mode.STANDARD].errors == 1
    assert found.gaps == ("standard: 1 of 2 requests failed",)


def test_a_prompt_that_nothing_judges_has_no_label() -> None:
    found = of_standard(row("q", "aba", key=None))
    assert (found.text_changes, found.labelled, found.label_flips) == (1, 0, 0)


def test_the_modes_are_compared_by_the_prompts_that_both_count() -> None:
    texts = "aceg"
    standard = [row(f"q{n}", f"{(a := texts[n % 4])}b{a}") for n in range(8)]
    quiet = [row(f"q{n}", texts[n % 4] * 3, mode=Mode.BATCH_INVARIANT) for n in range(7)]
    found = traffic([*standard, *quiet])
    assert found.paired == (7, 0)
    assert found.p_two_sided == pytest.approx(2 / 2**7)
    assert found.gaps == ()


def test_errors_of_arrival_are_told_by_their_size_early_or_late() -> None:
    rows = [row(f"q{n}", late_ms=-float(n)) for n in range(101)]
    late = of_standard(*rows).late
    assert late is not None
    assert (late.p50_ms, late.p99_ms, late.most_ms) == (50, 99, 100)
