"""What calls open follow-up off: a death, a withdrawal, a revoked consent, a record that should never have been."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import commands as check_ins
from services.followup.plans import items, listing, next_infusion, offers, weeks
from services.followup.plans.items import Whose
from services.followup.plans.means import REASON_OF, Means, clinic_zone
from services.followup.plans.models import PlanStatus
from services.followup.plans.rules import office_task
from services.followup.plans.slots import Item, Kind
from services.followup.reasons import Reason, ReasonCode
from services.followup.subjects.commands import Standing, lock_patients, note_infusions
from services.followup.tasks import commands as tasks
from services.followup.tasks.policy import CancelCause
from services.followup.tasks.rules import CancelledItem, TaskStatus
from shared.db import clinic_of
from shared.events import Delivery
from shared.events.sessions import InfusionEnteredInError
from shared.events.zones import zone_of

_UTC = ZoneInfo("UTC")


async def call_off_patient(db: AsyncSession, means: Means, cause: CancelCause, whose: Whose, *, ordinal: int) -> None:
    """Call off what is open about a patient, and leave what people have to do: an offer by telephone, a review of what was cancelled.

    The check-ins come first: somebody who opens or answers one holds its lock, and the task that they make is then found as well.
    """
    now, reason, patient_ids = means.now(), REASON_OF[cause], [whose.patient_id]
    standing = (await lock_patients(db, patient_ids))[whose.patient_id]
    whose = replace(whose, patient_number=standing.patient_number or whose.patient_number)
    cancelled = await check_ins.cancel_open(db, patient_ids=patient_ids, reason=reason)
    kept = means.policy.kept_after(cause)
    cancelled += await tasks.cancel_open(db, now=now, patient_ids=patient_ids, kept=kept, reason=reason, caused_by=whose.caused_by)
    cancelled = await listing.in_place_of_calls(db, whose.patient_id, cancelled)
    if offered := means.calling_off(cause).offered:
        await tasks.offer(db, whose.patient_id, offered, now, caused_by=whose.caused_by)
    running_since = now - timedelta(days=means.protocols.default.integration.expires.days)
    await _revoke_plans(db, "patient_id", patient_ids, PlanStatus.REVOKED, reason, now, since=running_since)
    await tasks.add(db, _review(means, whose, standing, cancelled, reason, now, ordinal))
    await offers.offer_safety(db, means, [(standing, whose.caused_by)], now)


async def void(db: AsyncSession, means: Means, delivery: Delivery[InfusionEnteredInError]) -> None:
    """Two people agreed that this infusion's record should never have existed. Answers and reviews stay, for they tell of somebody."""
    event, now, reason = delivery.event, means.now(), REASON_OF[CancelCause.ENTERED_IN_ERROR]
    standings = await lock_patients(db, [event.patient_id])
    noted = await note_infusions(db, [event])
    if not noted:
        return
    cause, status, caused_by = CancelCause.ENTERED_IN_ERROR, TaskStatus.ENTERED_IN_ERROR, delivery.event_id
    cancelled = await call_off_infusion(db, means, cause, event.patient_id, event.infusion_id, now, status=status, caused_by=caused_by)
    await _revoke_plans(db, "infusion_id", [event.infusion_id], PlanStatus.ENTERED_IN_ERROR, reason, now)
    whose = Whose.of_event(event, delivery.event_id)
    await tasks.add(db, _review(means, whose, standings[event.patient_id], cancelled, reason, now, event.infusion_version))
    await next_infusion.make_way(db, means, noted.values(), standings, now)


async def call_off_infusion(
    db: AsyncSession,
    means: Means,
    cause: CancelCause,
    patient_id: UUID,
    infusion_id: UUID,
    now: datetime,
    *,
    status: TaskStatus = TaskStatus.CANCELLED,
    caused_by: UUID,
) -> list[CancelledItem]:
    """Call off what is open about an infusion that gave nothing, or never was, and about the weeks of its course; returns it.

    The weeks stay where another infusion of the course gave drug. The patient is locked before, and that infusion's record taken over.
    """
    weekly, ids, reason = await weeks.stop(db, infusion_id), [infusion_id], REASON_OF[cause]
    cancelled = await check_ins.cancel_open(db, infusion_ids=ids, check_in_ids=weekly, reason=reason)
    cancelled += await tasks.cancel_open(
        db,
        now=now,
        infusion_ids=ids,
        focus_ids=weekly,
        kept=means.policy.kept_after(cause),
        reason=reason,
        status=status,
        caused_by=caused_by,
    )
    return await listing.in_place_of_calls(db, patient_id, cancelled)


def _review(
    means: Means, whose: Whose, standing: Standing, cancelled: list[CancelledItem], reason: str, now: datetime, ordinal: int
) -> list[tasks.NewTask]:
    if not cancelled:
        return []
    because = Reason(ReasonCode.CALLED_OFF, {"cause": reason, "cancelled": sorted(item.code for item in cancelled)})
    zone = clinic_zone(standing, zone_of(standing.time_zone) if standing.time_zone else _UTC)
    slot = office_task(Kind.CANCELLATION_REVIEW, because, means.protocols.default, now, zone, ordinal=ordinal)
    return [items.new_task(whose, Item(slot), now, details=items.listed(cancelled, reason))]


async def _revoke_plans(
    db: AsyncSession, column: str, ids: list[UUID], status: PlanStatus, reason: str, now: datetime, *, since: datetime | None = None
) -> None:
    parameters = {"clinic_id": clinic_of(db), "ids": ids, "status": status.value, "reason": reason, "now": now, "since": since}
    await db.execute(_REVOKE[column], parameters)


_REVOKE = {
    column: text(
        f"""
        UPDATE plan SET status = :status, status_reason = :reason, changed_at = :now, version = version + 1
        WHERE clinic_id = CAST(:clinic_id AS uuid) AND {column} = ANY(CAST(:ids AS uuid[])) AND status = 'active'
          AND pump_ended_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
        """  # noqa: S608 - our own text
    )
    for column in ("patient_id", "infusion_id")
}
