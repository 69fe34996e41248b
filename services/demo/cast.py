"""Who plays in the demo day. All people are made up, and the names say what happens to them."""

from dataclasses import dataclass, field
from typing import Literal

Course = Literal["completed", "stopped-early", "left-against-advice", "transferred", "not-done", "no-show", "cancelled"]
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
    course: Course = "completed"
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
    Role("Finn Stopped", LOS_ANGELES, 50, course="stopped-early"),
    Role("Gia Left", NEW_YORK, 60, course="left-against-advice"),
    Role("Hal Transferred", CHICAGO, 70, course="transferred"),
    Role("Ida Notdone", LOS_ANGELES, 80, course="not-done"),
    Role("Jon Noshow", NEW_YORK, 90, course="no-show"),
    Role("Kim Cancelled", CHICAGO, 100, course="cancelled"),
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


@dataclass
class Person:
    """A patient of the day with the ids that the APIs gave."""

    role: Role
    birth_date: str
    email: str
    patient_id: str = ""
    patient_number: str = ""
    course_id: str = ""
    infusion_id: str = ""
    answered: list[str] = field(default_factory=list)
