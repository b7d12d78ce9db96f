"""JUnit XML: red is a failure, what could not be decided an error, and a case that no runtime supports is skipped."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from junitparser import Error, Failure, Skipped, TestCase, TestSuite

from benchharness.ci.names import clean, subject_of, title_of
from benchharness.ci.report import GateReport
from benchharness.judge.gate import Colour, Finding
from benchharness.results.result import CANDIDATE, OutcomeKind


def xml(reports: Sequence[GateReport], unreached: Mapping[str, str]) -> str:
    """The document: one suite, with a case for each thing that a gate looked at, and for each device without a gate.

    The suite is the root. A `testsuites` around it would carry a count of skipped cases, which Jenkins' schema refuses.
    """
    suite = TestSuite(clean(": ".join(["benchharness gate", *(report.run.suite for report in reports[:1])])))
    if reports:
        suite.timestamp = reports[0].run.started.isoformat(timespec="seconds")
    for report in reports:
        unsupported = {
            result.job.pair
            for result in report.results
            if result.job.side == CANDIDATE and result.outcome.kind is OutcomeKind.UNSUPPORTED
        }
        for finding in report.gated.findings:
            suite.add_testcase(_case(finding, report.where, skipped=finding.job.pair in unsupported))
    for where, why in unreached.items():
        case = TestCase("gate", classname=clean(where), time=0)
        case.result = [Error(clean(why), "not gated")]
        suite.add_testcase(case)
    written = io.BytesIO()
    suite.write(written, pretty=True)
    return written.getvalue().decode("utf-8")


def _case(finding: Finding, where: str, *, skipped: bool) -> TestCase:
    told = clean(finding.told)
    case = TestCase(clean(title_of(finding)), classname=clean(subject_of(finding.job, where)), time=0)
    if skipped and finding.colour is not Colour.GREEN:
        case.result = [Skipped(told)]
    elif finding.colour is Colour.RED:
        case.result = [Failure(told, "regression")]
    elif finding.colour is Colour.UNDECIDED:
        case.result = [Error(told, "undecided")]
    else:
        case.system_out = clean(f"{finding.told}{f'; accepted by {finding.accepted}' if finding.accepted else ''}")
    return case
