"""The shape of what a check found."""

from __future__ import annotations

import pytest

from harness.findings import Finding, Status


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (Finding.ok("gpu", "one H200"), "ok       gpu: one H200"),
        (
            Finding.failed("disk", "3 GB free", "free some"),
            "failed   disk: 3 GB free\n           free some",
        ),
        (
            Finding.warning("no-licence", "none", place="tasks/a.yaml:3"),
            "warning  tasks/a.yaml:3: no-licence: none",
        ),
        (Finding.not_checked("proof", "no log"), "not checked proof: no log"),
    ],
)
def test_a_finding_reads_as_a_line_and_its_remedy_below(finding, line):
    assert str(finding) == line


def test_each_way_to_make_a_finding_sets_its_status():
    made = (Finding.ok, Finding.failed, Finding.warning, Finding.not_checked)
    assert [make("c", "m").status for make in made] == list(Status)[:4]


def test_what_passed_has_no_remedy_and_no_place():
    assert Finding.ok("c", "m") == Finding("c", Status.OK, "m", remedy="", place="")
