"""What the pages need, and what they show and check of a patient's clinic: as intake says it at that moment."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from services.followup.checkins import links
from services.followup.checkins.birth_dates import BirthDates
from services.followup.checkins.policy import CheckInSetup
from services.followup.pages.commands import Opened
from services.followup.pages.cookies import Cookies
from services.followup.pages.facts import Intake, PageFacts
from services.followup.pages.seals import Seals, Whose
from shared.clock import Clock
from shared.db import Database
from shared.errors import Unavailable
from shared.security.tries import Tries


class Shown(NamedTuple):
    """What a page says beside its matter."""

    language: str
    sender_name: str
    clinic_phone: str
    crisis_line: str
    clinic_active: bool
    time_zone: str


@dataclass(frozen=True)
class PageMeans:
    """``public_url`` is the origin under which patients open the pages, ``secret`` what their links are derived from."""

    database: Database
    clock: Clock
    setup: CheckInSetup
    public_url: str
    secret: bytes
    intake: Intake

    @cached_property
    def seals(self) -> Seals:
        return Seals(self.secret)

    @cached_property
    def birth_dates(self) -> BirthDates:
        return BirthDates(self.secret)

    @cached_property
    def tries(self) -> Tries:
        """Wrong birth dates by the address that they come from, in this process."""
        return Tries(free=self.setup.policy.wrong_tries_per_address)

    @cached_property
    def cookies(self) -> Cookies:
        policy = self.setup.policy
        return Cookies(self.seals, self.public_url.startswith("https://"), policy.link_life, policy.session_life)

    def token(self, whose: Whose) -> str:
        """The token of the link that a session or a form came from."""
        return links.token_of(self.secret, whose.check_in_id, whose.issue)

    async def facts(self, opened: Opened) -> PageFacts | None:
        """What intake says now; None where it does not answer, and then the last known values count."""
        try:
            return await self.intake.page_facts(opened.link.clinic_id, opened.check_in.patient_id)
        except Unavailable:
            return None

    async def shown(self, opened: Opened) -> Shown:
        """What a page of this check-in says now. To be asked for after the transaction that opened it."""
        return shown_of(opened, await self.facts(opened))


def shown_of(opened: Opened, facts: PageFacts | None) -> Shown:
    """Intake's answer, or the last known values."""
    link = opened.link
    if facts is None:
        zone = opened.check_in.patient_time_zone
        return Shown(link.language, link.sender_name, link.clinic_phone, link.crisis_line, opened.clinic_active, zone)
    return Shown(link.language, facts.sender_name, facts.clinic_phone, facts.crisis_line, facts.clinic_active, facts.time_zone)
