"""Who plays in the demo day. All people are made up, and the names say what happens to them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Ending = Literal["completed", "stopped-early", "left-against-advice", "transferred", "not-done", "no-show", "cancelled"]
Afterwards = Literal["nothing", "amended", "entered-in-error", "withdrawn", "died", "opted-out"]
Reply = Literal["well", "worrying", "late", "never"]

NEW_YORK = "America/New_York"
CHICAGO = "America/Chicago"
LOS_ANGELES = "America/Los_Angeles"


@dataclass(frozen=True)
class Role:
    """One patient's part: when the visit begins (minutes after 09:00 clinic time), how it goes and what follows."""

    name: str
    time_zone: str
    begins_minute: int
    ending: Ending = "completed"
    afterwards: Afterwards = "nothing"
    reply: Reply = "well"
    wrong_birth_dates: int = 0
    """How often the birth date is mistyped before the link opens."""


CAST: tuple[Role, ...] = (
    Role("Ada Well", NEW_YORK, 0),
    Role("Ben Worried", CHICAGO, 10, reply="worrying"),
    Role("Cleo Silent", LOS_ANGELES, 20, reply="never"),
    Role("Dan Late", NEW_YORK, 30, reply="late"),
    Role("Eve Typo", CHICAGO, 40, wrong_birth_dates=2),
    Role("Finn Stopped", LOS_ANGELES, 50, ending="stopped-early"),
    Role("Gia Left", NEW_YORK, 60, ending="left-against-advice"),
    Role("Hal Transferred", CHICAGO, 70, ending="transferred"),
    Role("Ida Notdone", LOS_ANGELES, 80, ending="not-done"),
    Role("Noshow", NEW_YORK, 90, ending="no-show"),
    Role("Kim Cancelled", CHICAGO, 100, ending="cancelled"),
    Role("Lea Amended", LOS_ANGELES, 110, afterwards="amended"),
    Role("Max Mistake", NEW_YORK, 120, afterwards="entered-in-error"),
    Role("Nia Withdrawn", CHICAGO, 130, afterwards="withdrawn"),
    Role("Oli Died", LOS_ANGELES, 140, afterwards="died"),
    Role("Pia Optedout", NEW_YORK, 150, afterwards="opted-out"),
)


@dataclass
class Staff:
    """Practitioner ids by what they do in the demo."""

    prescriber: str = ""
    nurse: str = ""
    second_nurse: str = ""
    therapist: str = ""
    coordinator: str = ""
    second_coordinator: str = ""


STAFF_ROLES: dict[str, tuple[str, ...]] = {
    "prescriber": ("prescriber",),
    "nurse": ("infusion-nurse",),
    "second_nurse": ("infusion-nurse",),
    "therapist": ("therapist",),
    "coordinator": ("coordinator",),
    "second_coordinator": ("coordinator",),
}


INFUSED = frozenset({"completed", "stopped-early", "left-against-advice", "transferred"})
"""Ends of a visit with drug given."""

NO_VISIT = frozenset({"not-done", "no-show", "cancelled"})


@dataclass
class Person:
    """A patient of the day with the ids that the APIs gave, and everything that was acknowledged to the clinic's system and the patient.

    Nothing here is read from a database: what is counted in the end is held against it.
    """

    role: Role
    birth_date: str
    email: str
    patient_id: str = ""
    patient_number: str = ""
    course_id: str = ""
    infusion_id: str = ""
    infusion: str = "scheduled"
    """The state after the last step that was acknowledged."""
    standing: str = "in care"
    ended_at: datetime | None = None
    """When a death or withdrawal was acknowledged."""
    pump_ended_at: datetime | None = None
    """As charted; after an amendment that was acknowledged, as amended."""
    messages: list[str] = field(default_factory=list)
    """Ids of the messages that came, one for each time that one came."""
    answering: list[str] = field(default_factory=list)
    """Ids of the messages on which answers were sent, acknowledged or not."""
    answered: list[str] = field(default_factory=list)
    worried: list[str] = field(default_factory=list)
    """Those of the acknowledged answers that must worry a clinician."""

    @property
    def infused(self) -> bool:
        return self.infusion in INFUSED

    @property
    def followed(self) -> bool:
        """Whether nothing calls the follow-up off."""
        return self.infused and self.standing in ("in care", "opted out")

    @property
    def may_be_written_to(self) -> bool:
        return self.infused and self.standing == "in care"
