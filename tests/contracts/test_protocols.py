"""intake lets a course name a protocol by its own list; followup has the files. Neither asks the other."""

from pathlib import Path

import yaml

from services.intake.policy import INTAKE_POLICY

FILES = Path(__file__).parents[2] / "services/followup/plans/protocols"


def test_a_course_may_name_the_protocols_that_followup_has_a_file_for_and_no_others() -> None:
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in FILES.glob("*.yaml")]
    files = {(document["code"], document["version"]) for document in documents}
    assert {(code, version) for code, versions in INTAKE_POLICY.default.protocols.known.items() for version in versions} == files
    assert files
