"""What the page after a sent form says of a call that was asked for, in the patient's time."""

from datetime import datetime
from typing import NamedTuple

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins.answers import form_of
from services.followup.checkins.models import CheckInAnswers, CheckInWorry
from services.followup.checkins.policy import CheckInSetup
from services.followup.checkins.queries import find_zone
from services.followup.pages.commands import Opened
from shared.db import clinic_of
from shared.events.zones import zone_of

_CALL, _YES = "call_today", "yes"
"""The item by which a form asks whether a call is needed, and its answer."""


class CallBy(NamedTuple):
    """A call that the patient asked for: until when it should have come, in words, and whether it was asked for today."""

    time: str
    today: bool


async def call_due(db: AsyncSession, opened: Opened, setup: CheckInSetup) -> tuple[datetime, datetime] | None:
    """When the sent answers asked for a call, and by when it is due; None where they did not."""
    check_in = opened.check_in
    form = form_of(check_in, setup)
    rule = next((rule for rule in setup.rules.reading(form).rules if rule.item == _CALL and rule.holds(_YES)), None)
    if rule is None:
        return None
    same = (col(CheckInAnswers.clinic_id) == CheckInWorry.clinic_id) & (col(CheckInAnswers.check_in_id) == CheckInWorry.check_in_id)
    query = select(CheckInWorry.raised_at).join(CheckInAnswers, same).where(CheckInWorry.clinic_id == clinic_of(db))
    query = query.where(CheckInWorry.check_in_id == check_in.check_in_id, CheckInWorry.rule_id == rule.rule_id, CheckInWorry.item == _CALL)
    asked_at = (await db.exec(query.where(col(CheckInAnswers.answers)[_CALL].as_string() == _YES))).first()
    if asked_at is None:
        return None
    zone = await find_zone(db) or zone_of(check_in.patient_time_zone)
    return asked_at, setup.times.due(rule.within, asked_at, zone)


def call_by(call: tuple[datetime, datetime] | None, now: datetime, time_zone: str) -> CallBy | None:
    """The same as the patient reads it, on the clock where the patient is."""
    if call is None:
        return None
    zone = zone_of(time_zone)
    asked, due, today = (moment.astimezone(zone) for moment in (*call, now))
    time = f"{due.hour % 12 or 12}:{due.minute:02} {'am' if due.hour < _NOON else 'pm'}"
    return CallBy(time if due.date() == today.date() else f"{time} on {due:%A}", asked.date() == today.date())


_NOON = 12
