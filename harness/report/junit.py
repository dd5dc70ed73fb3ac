"""A document's suites as JUnit XML: what CI shows as tests."""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from harness.hostile import visible
from harness.report.document import Document


def junit(document: Document) -> str:
    """One ``testsuites`` document, in UTF-8; a suite without a test is left out."""
    root = Element("testsuites", name=document.program)
    for suite in (suite for suite in document.suites if suite.cases):
        name = visible(suite.name)
        element = SubElement(root, "testsuite", name=name)
        if suite.facts:
            properties = SubElement(element, "properties")
            for key, value in suite.facts:
                SubElement(properties, "property", name=key, value=visible(value))
        for case in suite.cases:
            test = SubElement(element, "testcase", classname=name, name=visible(case.name))
            if case.failure is not None:
                failure = SubElement(test, "failure", message=visible(case.failure))
                failure.text = visible(case.detail) or None
            if case.skipped is not None:
                SubElement(test, "skipped", message=visible(case.skipped))
        for count, path in (("tests", ""), ("failures", "/failure"), ("skipped", "/skipped")):
            element.set(count, str(len(element.findall(f"testcase{path}"))))
        element.set("errors", "0")
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"
