"""Problems as other tools read them: SARIF for code hosts and editors, JUnit for continuous integration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET  # only written, never parsed

from digest.errors import Problem


def sarif(problems: Sequence[Problem]) -> str:
    """One run of SARIF 2.1.0 (OASIS), with a location for each problem that has a place."""
    results = [_sarif_result(problem) for problem in problems]
    rules = [{"id": code} for code in sorted({p.code for p in problems})]
    driver = {"name": "digest", "rules": rules}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": results}],
        },
        ensure_ascii=False,
        indent=2,
    )


def _sarif_result(problem: Problem) -> dict[str, Any]:
    text = f"{problem.message} ({problem.cure})" if problem.cure else problem.message
    result: dict[str, Any] = {"ruleId": problem.code, "level": problem.severity, "message": {"text": text}}
    if problem.place:
        physical: dict[str, Any] = {"artifactLocation": {"uri": problem.place.file}}
        if problem.place.line:
            region = {"startLine": problem.place.line}
            physical["region"] = region | ({"startColumn": problem.place.column} if problem.place.column else {})
        result["locations"] = [{"physicalLocation": physical}]
    return result


def junit(problems: Sequence[Problem]) -> str:
    """A JUnit test suite: one case for each file with problems, failed by its errors."""
    files = sorted({p.place.file if p.place else "" for p in problems}) or ["digest check"]
    suite = ET.Element("testsuite", name="digest check", tests=str(len(files)))
    failures = 0
    for file in files:
        case = ET.SubElement(suite, "testcase", classname="digest", name=file or "digest")
        here = [p for p in problems if (p.place.file if p.place else "") == file]
        errors = [p for p in here if p.severity == "error"]
        failures += bool(errors)
        for problem in errors:
            ET.SubElement(case, "failure", message=problem.message, type=problem.code).text = str(problem)
        told = [str(p) for p in here if p.severity == "warning"]
        if told:
            ET.SubElement(case, "system-out").text = "\n".join(told)
    suite.set("failures", str(failures))
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)
