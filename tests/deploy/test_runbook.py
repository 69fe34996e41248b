"""docs/operations.md has a section for every alert and none for what is not there; what is typed stands in blocks that a test types."""

import re

from tests.deploy import observed
from tests.deploy.runbook import PAGE, commands, sections

TEXT = PAGE.read_text()


def test_every_alert_has_its_section_and_every_section_of_an_alert_its_alert() -> None:
    alerts = set(observed.alerts())
    assert [alert for alert in alerts if alert not in sections(TEXT)] == []
    assert [name for name in re.findall(r"^### (.*)$", TEXT, flags=re.MULTILINE) if name not in alerts] == []


def test_every_link_inside_the_page_leads_to_a_section() -> None:
    places = {re.sub(r"[^a-z0-9 -]", "", section.lower()).replace(" ", "-") for section in sections(TEXT)}
    assert [target for target in re.findall(r"\]\(#([^)]+)\)", TEXT) if target not in places] == []


def test_only_what_is_typed_is_in_a_block() -> None:
    """A block of another kind would be a command that no test types."""
    assert set(re.findall(r"^```(.*)$", TEXT, flags=re.MULTILINE)) == {"sh", ""}
    assert not re.findall(r"^(?: {4}|\t)\S", TEXT, flags=re.MULTILINE)
    assert len(list(commands(TEXT))) > 40
