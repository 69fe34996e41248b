"""The report says how a scenario was to end: what a planted bug has lost is no loss of the product."""

from tests.faults.checker import Verdict
from tests.faults.report import Outcome, Report


def test_a_planted_bugs_losses_stand_beside_what_was_wanted() -> None:
    told: list[str] = []
    report = Report(tell=told.append)
    report.add(Outcome("planted: mark first", "killed", "10 requests", Verdict(lost=["event a"]), "caught"))
    report.add(Outcome("SIGTERM", "stopped", "10 requests", Verdict()))
    assert "wanted caught: lost 1" in told[0]
    (planted, stopped) = [line for line in report.table(200).splitlines() if "10 requests" in line]
    assert ("caught" in planted, "whole" in planted, "whole" in stopped) == (True, False, True)
