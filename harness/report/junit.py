"""A report as JUnit XML: what CI shows as tests.

A test is a check of validation, or the claim that one mode flipped no label. Flips under the
standard path are the phenomenon and no failure; under the batch-invariant path each is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from harness.hostile import visible
from harness.report.model import PairView, Report

__all__ = ["render_junit"]

MAX_FAILURES = 500


def _case(suite: Element, name: str, failure: str | None = None, detail: str = "") -> None:
    case = SubElement(suite, "testcase", classname=suite.get("name", ""), name=visible(name))
    if failure is not None:
        element = SubElement(case, "failure", message=visible(failure))
        element.text = visible(detail or failure)


def _validation(report: Report) -> Element:
    suite = Element("testsuite", name="validation")
    for name, status, message in report.checks:
        _case(suite, name, (message or status) if status == "failed" else None)
        if status == "not_checked":
            SubElement(suite[-1], "skipped", message=visible(message))
    if not report.checks:
        _case(suite, "run is countable", None if report.countable else report.banner.title)
    return suite


def _answers(pair: PairView) -> Iterator[str]:
    yield f"{pair.model}, batch {pair.batch_size}, {pair.dispatch_mode}: {pair.where}"
    for answer in (pair.solo, pair.batched):
        text = "".join(piece.text for piece in answer.pieces or ())
        yield f"--- {answer.name}: {answer.scored}\n{text}"


def _invariance(report: Report) -> Element:
    suite = Element("testsuite", name="batch_invariant")
    flips = [pair for pair in report.flips if pair.mode == "batch_invariant"]
    counted = [
        count
        for measure in report.headline.measures
        if measure.label == "Label flips"
        for mode, count, _ in measure.entries
        if mode == "batch_invariant"
    ]
    for count in counted:
        failure = None if count.startswith("0/") else f"{count} labels flipped"
        _case(suite, "no label flips", failure)
    for pair in flips[:MAX_FAILURES]:
        _case(suite, f"{pair.model} {pair.sample}", pair.change, "\n".join(_answers(pair)))
    return suite


def _count(suite: Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("errors", "0")


def _properties(suite: Element, report: Report) -> None:
    properties = Element("properties")
    facts = {"run_id": report.run_id, "result": report.headline.sentence}
    facts["measured_on"] = report.headline.measured_on
    for name, value in facts.items():
        SubElement(properties, "property", name=name, value=visible(value))
    suite.insert(0, properties)


def render_junit(report: Report) -> str:
    """One ``testsuites`` document, in UTF-8."""
    root = Element("testsuites", name="harness")
    for suite in (_validation(report), _invariance(report)):
        if len(suite):
            _count(suite)
            _properties(suite, report)
            root.append(suite)
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"
