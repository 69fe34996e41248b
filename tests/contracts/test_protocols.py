"""intake lets a course name a protocol by its own list; followup has the files. Neither asks the other."""

from services.followup.plans.entry_files import shipped_lists
from services.intake.policy import INTAKE_POLICY

LISTS = shipped_lists({"C24", "C72", "WK"})
NAMED = {(code, version) for code, versions in INTAKE_POLICY.default.protocols.known.items() for version in versions}


def test_a_course_may_name_only_protocols_that_followup_follows() -> None:
    assert NAMED
    assert {(one.code, version) for one in LISTS for version in (one.version, *one.stands_for)} >= NAMED


def test_every_protocol_of_followup_can_be_named_by_a_course() -> None:
    assert LISTS
    assert [one.name for one in LISTS if not NAMED & {(one.code, version) for version in (one.version, *one.stands_for)}] == []
