"""A comparison as JUnit XML: one test a gate condition, and one for each thing that broke it."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from harness.compare import GateVerdict
from harness.hostile import visible
from harness.report.comparison.model import ComparisonReport

__all__ = ["render_comparison_junit"]

MAX_CASES = 200
"""Tests for single places of one condition; the condition's own test counts them all."""


def render_comparison_junit(report: ComparisonReport) -> str:
    """One ``testsuites`` document, in UTF-8. Without a gate it holds one passing test."""
    root = Element("testsuites", name="harness compare")
    gate = Element("testsuite", name="gate")
    _properties(gate, report)
    for verdict in report.verdicts:
        _condition(gate, verdict)
    if not report.verdicts:
        SubElement(gate, "testcase", classname="gate", name="compared, no gate asked for")
    suites = [gate, *(_places(v) for v in report.verdicts if not v.ok and v.places)]
    for suite in suites:
        _count(suite)
        root.append(suite)
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _properties(suite: Element, report: ComparisonReport) -> None:
    properties = SubElement(suite, "properties")
    facts = {"a": report.names[0], "b": report.names[1], "result": "; ".join(report.clauses)}
    for name, value in facts.items():
        SubElement(properties, "property", name=name, value=visible(value))


def _condition(suite: Element, verdict: GateVerdict) -> None:
    case = SubElement(suite, "testcase", classname="gate", name=visible(verdict.condition))
    if not verdict.ok:
        failure = SubElement(case, "failure", message=visible(verdict.reason))
        failure.text = visible("\n".join(verdict.places[:MAX_CASES]) or verdict.reason)


def _places(verdict: GateVerdict) -> Element:
    suite = Element("testsuite", name=visible(verdict.condition))
    for place in verdict.places[:MAX_CASES]:
        name = suite.get("name", "")
        case = SubElement(suite, "testcase", classname=name, name=visible(place))
        SubElement(case, "failure", message=visible(verdict.meaning))
    return suite


def _count(suite: Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", "0")
