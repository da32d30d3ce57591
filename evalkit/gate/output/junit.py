"""A gate as JUnit XML: what Jenkins, GitLab and the test reporters of GitHub read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from evalkit.errors import one_line
from evalkit.gate.output.words import (
    difference_of,
    flip_of,
    flips_of,
    heading_of,
    value_of,
    what_of,
    why_of,
)
from evalkit.gate.result import CheckResult, GateResult, Status

FLIPS_LISTED = 100
"""Samples listed of each direction."""
ELEMENTS = {Status.FAIL: "failure", Status.ERROR: "error", Status.INCONCLUSIVE: "skipped"}
"""What a check that has not passed becomes. JUnit knows no "cannot tell": a skipped test is counted apart, as neither
passed nor failed, with its message; a failure would make red what the exit code 4 leaves to the user."""


def as_junit(results: Sequence[GateResult]) -> str:
    """One `testsuite` for each gate, one `testcase` for each check.

    Text goes in without the characters that XML forbids.
    """
    root = Xml.Element("testsuites", name="evalkit gate")
    for result in results:
        root.append(_suite(result))
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _suite(result: GateResult) -> Xml.Element:
    counts = Counter(check.status for check in result.checks)
    suite = Xml.Element(
        "testsuite",
        name=_text(f"evalkit gate, {result.task}"),
        tests=str(len(result.checks)),
        failures=str(counts[Status.FAIL]),
        errors=str(counts[Status.ERROR]),
        skipped=str(counts[Status.INCONCLUSIVE]),
    )
    facts = [
        ("new", result.new),
        ("new_model", result.new_model),
        ("baseline", result.baseline),
        ("baseline_kind", result.baseline_kind),
        ("baseline_model", result.baseline_model),
        ("confidence", f"{result.confidence:g}"),
        ("exit_code", str(int(result.exit_code))),
        *(("allowed_difference", override) for override in result.overrides),
        *(("note", note) for note in result.notes),
    ]
    properties = Xml.SubElement(suite, "properties")
    for name, value in facts:
        Xml.SubElement(properties, "property", name=name, value=_text(value))
    names = Counter[str]()
    for check in result.checks:
        suite.append(_case(result, check, names))
    Xml.SubElement(suite, "system-out").text = "\n".join(_said(result))
    return suite


def _case(result: GateResult, check: CheckResult, names: Counter[str]) -> Xml.Element:
    name = _text(what_of(check))
    names[name] += 1
    # readers tell test cases apart by their name alone
    name += f" ({names[name]})" if names[name] > 1 else ""
    case = Xml.Element("testcase", classname=_text(f"evalkit.gate.{result.task}"), name=name)
    said = "\n".join([*_figures(check), _text(why_of(check))])
    element = ELEMENTS.get(check.status)
    if element is not None:
        found = Xml.SubElement(case, element, message=_text(f"{check.status.upper()}: {why_of(check)}"))
        if element != "skipped":
            found.set("type", str(check.status))
            found.text = said
            return case
    Xml.SubElement(case, "system-out").text = said
    return case


def _figures(check: CheckResult) -> list[str]:
    found = {
        "baseline": value_of(check, check.baseline),
        "new": value_of(check, check.new),
        "difference": difference_of(check),
    }
    return [_text(f"{name}: {value}") for name, value in found.items() if value]


def _said(result: GateResult) -> list[str]:
    lines = [_text(heading_of(result))]
    for direction, flips in flips_of(result).items():
        lines.append(f"{len(flips)} {direction}")
        for flip in flips[:FLIPS_LISTED]:
            lines.append(
                _text(f"{one_line(flip.id, 80)} (right: {one_line(repr(flip.expected), 40)}): {flip_of(flip)}")
            )
        if len(flips) > FLIPS_LISTED:
            lines.append(f"and {len(flips) - FLIPS_LISTED} more, in --json")
    return lines


def _text(text: str) -> str:
    """Printable characters alone, all of which XML allows."""
    return one_line(text, 800)
