"""What the checks of a run came to, in a line."""

from __future__ import annotations

from harness.findings import Finding
from harness.report import checks_text

OK, WARNS = Finding.ok("one_run", ""), Finding.warning("noise_floor", "")
UNMADE = Finding.not_checked("own_server", "")


def test_checks_that_warn_and_that_were_not_made_are_named() -> None:
    assert checks_text([OK]) == "every check passed"
    assert checks_text([OK, WARNS, UNMADE]) == (
        "no check failed, 1 with a warning (noise floor), 1 not checked (own server)"
    )


def test_of_many_that_were_not_made_the_first_are_named_and_the_rest_counted() -> None:
    assert checks_text([UNMADE] * 7).endswith("own server; and 2 more)")


def test_checks_that_failed_are_named_and_no_others() -> None:
    told = checks_text([OK, WARNS, Finding.failed("modes_proven", "")])
    assert told == "1 of 3 checks failed: modes proven"
