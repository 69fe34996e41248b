"""What the pages say of what was sent: a call that was asked for, a call for help, in the patient's time."""

from datetime import datetime
from typing import NamedTuple

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins.answers import form_of
from services.followup.checkins.models import CheckInAnswers, CheckInWorry
from services.followup.checkins.policy import CheckInSetup
from services.followup.checkins.queries import find_zone
from services.followup.pages.commands import Opened
from services.followup.pages.drafts import Draft, Note
from shared.db import clinic_of
from shared.events.zones import zone_of

_CALL, _YES = "call_today", "yes"
"""The item by which a form asks whether a call is needed, and its answer."""


class CallBy(NamedTuple):
    """A call that the patient asked for: until when it should have come, in words, and whether it was asked for today."""

    time: str
    today: bool


class HelpAsked(NamedTuple):
    """A call for help: when, in words, or nothing where that is not known; ``here``: on a page of the session that is shown."""

    time: str
    here: bool


class Told(NamedTuple):
    """What a page tells of what this browser sent last."""

    note: Note | None
    help: HelpAsked | None


NOTHING = Told(None, None)


def told_of(draft: Draft, handle: str, now: datetime, time_zone: str) -> Told:
    """What waits, as a page of this session tells of it. Who comes in anew has pressed nothing there, and reads when it was."""
    call = draft.help_call
    if draft.note is Note.HELP and call is None:  # as the release before keeps it
        return Told(None, HelpAsked("", here=True))
    asked = None if call is None else HelpAsked(_clock(call.at, now, time_zone), call.handle == handle)
    return Told(None if draft.note is Note.HELP else draft.note, asked)


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
    asked_at, due_at = call
    zone = zone_of(time_zone)
    return CallBy(_clock(due_at, now, time_zone), asked_at.astimezone(zone).date() == now.astimezone(zone).date())


def _clock(at: datetime, now: datetime, time_zone: str) -> str:
    """A moment as the patient reads it; with the day where that is not today."""
    zone = zone_of(time_zone)
    local = at.astimezone(zone)
    time = f"{local.hour % 12 or 12}:{local.minute:02} {'am' if local.hour < _NOON else 'pm'}"
    return time if local.date() == now.astimezone(zone).date() else f"{time} on {local:%A}"


_NOON = 12
