"""A protocol of follow-up: every offset with its source, as a versioned file that a clinic owns. Handed in, never a constant."""

from collections.abc import Iterable
from datetime import time, timedelta
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

_FILES = Path(__file__).with_name("protocols")

PriorityCode = Literal["stat", "asap", "urgent", "routine"]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Elapsed(_Data):
    """Hours and minutes of elapsed time."""

    hours: int = 0
    minutes: int = 0
    source: str

    @property
    def delta(self) -> timedelta:
        return timedelta(hours=self.hours, minutes=self.minutes)


class Days(_Data):
    """Days on the wall calendar."""

    days: int
    source: str


class WallTime(_Data):
    """A time of day where the patient lives, or where the clinic is, as the item says."""

    at: time
    source: str


class DayAndTime(_Data):
    """A time of day so many days later."""

    days: int
    at: time
    source: str


class Integration(_Data):
    """The integration session, from T0."""

    priority: PriorityCode
    opens: Elapsed
    due: Elapsed
    expires: Days
    not_on_the_infusion_day: bool


class DayAfter(_Data):
    """C24, from T0."""

    opens: Elapsed
    quiet_from: WallTime
    quiet_until: WallTime
    due: Elapsed
    due_not_before: DayAndTime
    expires: Elapsed
    staff_priority: PriorityCode


class ThirdDay(_Data):
    """C72, from T0."""

    opens: Elapsed
    due: Elapsed
    expires: Elapsed


class CheckIns(_Data):
    """The check-ins of one infusion."""

    C24: DayAfter
    C72: ThirdDay


class Weekly(_Data):
    """WK: opening at a time of day every so many days from course day 0; due and expiry count from opening."""

    every: Days
    opens: WallTime
    due: Elapsed
    expires: Elapsed


class StoppedEarly(_Data):
    """The call on the evening of an infusion that was stopped."""

    priority: PriorityCode
    call: WallTime
    after_discharge: Elapsed
    expires: Elapsed


class AtOnce(_Data):
    """Work that counts from the moment at which we hear of it."""

    priority: PriorityCode
    due: Elapsed


class SafetyOffer(AtOnce):
    """The offer of a call to a patient who has left soon after an infusion; ``within`` and ``not_before`` count from T0."""

    within: Elapsed
    not_before: Elapsed


class Office(_Data):
    """Work without a clinical clock, in the clinic's business days."""

    priority: PriorityCode
    due_business_days: Days
    opening: WallTime


class Protocol(_Data):
    """One version of one protocol."""

    code: str
    version: int
    status: str
    integration: Integration
    check_ins: CheckIns
    weekly: Weekly
    stopped_early: StoppedEarly
    left_against_advice: AtOnce
    catch_up: AtOnce
    safety_offer: SafetyOffer
    due_time_review: AtOnce
    office: Office


class Protocols:
    """The protocols of this installation. What a course asks for and is not here is followed up by the default, never not at all."""

    def __init__(self, known: Iterable[Protocol]) -> None:
        self._known = {(protocol.code, protocol.version): protocol for protocol in known}
        defaults = [protocol for protocol in self._known.values() if protocol.code == "default"]
        self.default = max(defaults, key=lambda protocol: protocol.version)

    def get(self, code: str, version: int) -> Protocol:
        """The protocol of this name and version, else the newest default."""
        return self._known.get((code, version), self.default)


def shipped_protocols() -> Protocols:
    """The protocols that come with the product. Raises pydantic's ValidationError for a file that is not complete."""
    files = sorted(_FILES.glob("*.yaml"))
    return Protocols(Protocol.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files)
