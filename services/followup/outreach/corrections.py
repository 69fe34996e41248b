"""What follows when messages go to a patient by another way than before: another address, another channel.

The old address may have been somebody else's, so the link that went there dies, at once and whoever holds it. What is still asked is asked
anew by one message, which the worker judges like every other: by day, where messages are allowed, to what intake says at that moment. A
check-in about which a person calls, or has spoken to the patient, gets none; nor does one that has had as many links as the policy allows.
So the messages that a correction of many patients can cause are at most those that their open check-ins have caused already.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import links
from services.followup.checkins.commands import locked
from services.followup.checkins.models import ANSWERABLE, WAITING, CheckIn
from services.followup.checkins.queries import telephoned
from services.followup.outreach.commands import NewMessage, cancel, queue
from services.followup.subjects.contact import note_contact


async def ask_anew(db: AsyncSession, patient_id: UUID, contact_version: int, now: datetime) -> None:
    """Kill what went out by an earlier way than this one, and ask again for what is waited for; the patient is locked before."""
    await note_contact(db, patient_id, contact_version)
    await call_back(db, await locked(db, col(CheckIn.patient_id) == patient_id, ANSWERABLE), contact_version, now)


async def call_back(db: AsyncSession, asked: Sequence[CheckIn], contact_version: int, now: datetime) -> bool:
    """The same for these check-ins, which are locked before; says whether a link of theirs had gone out by an earlier way."""
    patient_of = {check_in.check_in_id: check_in.patient_id for check_in in asked}
    issues = await links.close_older(db, list(patient_of), contact_version)
    if not issues:
        return False
    await cancel(db, list(issues), "contact-changed")
    called = await telephoned(db, list(issues))
    again = issues.keys() & {check_in.check_in_id for check_in in asked if check_in.status in WAITING} - called
    await queue(db, [NewMessage(check_in_id, patient_of[check_in_id], now, issues[check_in_id] + 1) for check_in_id in again], now)
    return True
