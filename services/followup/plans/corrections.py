"""What a corrected record does to follow-up that exists: open items follow the facts, what is answered or done stays as it is."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import commands as check_ins
from services.followup.checkins.models import UNANSWERED, CheckIn
from services.followup.plans import items, weeks
from services.followup.plans.cancellations import call_off_infusion
from services.followup.plans.items import Whose
from services.followup.plans.means import REASON_OF, Means, clinic_zone
from services.followup.plans.models import Plan
from services.followup.plans.protocol import Protocol
from services.followup.plans.rules import (
    check_ins_after,
    covering,
    due_time_review,
    follow_up,
    items_of,
    office_task,
    re_derive,
    tasks_after,
)
from services.followup.plans.slots import CalledOff, CheckInSlot, EndedInfusion, FollowUp, Item, Kind, Rederived, TaskSlot, Told
from services.followup.reasons import Reason, ReasonCode
from services.followup.subjects.commands import Standing
from services.followup.tasks import commands as tasks
from services.followup.tasks.commands import NewTask
from services.followup.tasks.models import CareTask
from services.followup.tasks.policy import CancelCause
from services.followup.tasks.rules import OPEN
from shared.db import clinic_of

DERIVED = (Kind.INTEGRATION, Kind.STAFF_CHECK_IN, Kind.SAME_EVENING_CALL, Kind.LEFT_AGAINST_ADVICE)
"""Kinds of tasks that follow from the facts of an infusion, and so change with them."""

_CORRECTED = "record-corrected"
_NOTHING_GIVEN = REASON_OF[CancelCause.NO_DRUG_GIVEN]


@dataclass(frozen=True, slots=True)
class _Case:
    """One correction: what is told now, the plan as it was, and how the patient stands."""

    means: Means
    told: Told
    plan: Plan
    standing: Standing
    now: datetime

    @property
    def infusion(self) -> EndedInfusion:
        return self.told.infusion

    @property
    def protocol(self) -> Protocol:
        """The protocol of the plan; what exists keeps it."""
        return self.means.protocols.get(self.plan.protocol_code, self.plan.protocol_version)

    @property
    def called_off(self) -> CalledOff | None:
        return self.means.called_off(self.standing)

    @property
    def clinic_zone(self) -> ZoneInfo:
        return clinic_zone(self.standing, self.infusion.zone)


async def correct(db: AsyncSession, means: Means, told: Told, standing: Standing, now: datetime) -> None:
    """Bring what follows an infusion in line with its record, which may also be told again unchanged because something was missing."""
    plan = await _plan_of(db, told.infusion.infusion_id)
    if not told.infusion.drug_given:
        await _nothing_given(db, means, told, plan, standing, now)
    elif plan is not None:
        discharged_at = told.infusion.discharged_at or plan.discharged_at
        told = replace(told, infusion=replace(told.infusion, discharged_at=discharged_at))
        case = _Case(means, told, plan, standing, now)
        await (_begin_anew(db, case) if plan.status_reason == _NOTHING_GIVEN else _re_derive(db, case))
        plan.take_over(told.infusion, told.version, told.first_of_course, now)
        await db.flush()
        await weeks.begin(db, means, [told] if told.first_of_course else [], now)


async def _plan_of(db: AsyncSession, infusion_id: UUID) -> Plan | None:
    """The plan, locked, but so that others may go on to make tasks that refer to it: they hold a check-in that is wanted here next."""
    query = select(Plan).where(Plan.clinic_id == clinic_of(db), Plan.infusion_id == infusion_id).with_for_update(key_share=True)
    return (await db.exec(query.execution_options(populate_existing=True))).first()


async def _nothing_given(db: AsyncSession, means: Means, told: Told, plan: Plan | None, standing: Standing, now: datetime) -> None:
    """No follow-up, but a new visit; and what had been planned on the wrong dose is called off and listed.

    One visit is asked for at first, and one each time that a dose turns out to have been nothing: told again, it is the same.
    """
    infusion, called_off = told.infusion, means.called_off(standing)
    whose = Whose.of(told, plan.plan_id if plan else None)
    slots = tasks_after(infusion, means.protocols.default, now)
    new = [items.new_task(whose, item, now) for item in items_of(slots, now, called_off)]
    if called_off is None:
        reason, zone = Reason(ReasonCode.NOTHING_GIVEN, infusion.facts), clinic_zone(standing, infusion.zone)
        ordinal = 0 if plan is None else plan.generation + 1
        slot = office_task(Kind.REBOOK, reason, means.protocols.default, now, zone, ordinal=ordinal)
        new.append(items.new_task(whose, Item(slot), now))
    if plan is not None and plan.status_reason != _NOTHING_GIVEN:
        case = _Case(means, told, plan, standing, now)
        new += await _call_off(db, case)
        await db.flush()
    await tasks.add(db, new)


async def _call_off(db: AsyncSession, case: _Case) -> list[NewTask]:
    """Call off a plan whose infusion gave nothing; returns the task that lists what was called off."""
    cause, patient_id, infusion_id = CancelCause.NO_DRUG_GIVEN, case.told.patient_id, case.infusion.infusion_id
    cancelled = await call_off_infusion(db, case.means, cause, patient_id, infusion_id, case.now, caused_by=case.told.event_id)
    case.plan.revoke(_NOTHING_GIVEN, case.now)
    case.plan.infusion_version = case.told.version
    if not cancelled:
        return []
    facts = {**case.infusion.facts, "cause": _NOTHING_GIVEN, "cancelled": sorted(item.code for item in cancelled)}
    reason = Reason(ReasonCode.CALLED_OFF, facts)
    slot = office_task(Kind.CANCELLATION_REVIEW, reason, case.protocol, case.now, case.clinic_zone, ordinal=case.told.version)
    return [items.new_task(Whose.of(case.told, case.plan.plan_id), Item(slot), case.now, details=items.listed(cancelled, _NOTHING_GIVEN))]


async def _begin_anew(db: AsyncSession, case: _Case) -> None:
    """A dose that had been corrected to 0 was not 0: a new generation of the same plan, as for a late entry."""
    case.plan.revive(case.called_off.reason if case.called_off else None, case.now)
    follows = follow_up(
        case.infusion,
        case.protocol,
        case.now,
        clinic_zone=case.clinic_zone,
        called_off=case.called_off,
        generation=case.plan.generation,
        ordinal=case.told.version,
    )
    await tasks.cancel_open(db, now=case.now, infusion_ids=[case.infusion.infusion_id], only=[Kind.REBOOK], reason="drug-given")
    await items.make(db, [(case.told, case.plan.plan_id, follows)], case.now)


async def _re_derive(db: AsyncSession, case: _Case) -> None:
    """Move, drop and add, first the check-ins and then the tasks; a person looks at what could not be moved."""
    work, kept_tasks = await _re_derive_tasks(db, case)
    asked, kept_check_ins = await _re_derive_check_ins(db, case)
    new_tasks = items_of(work.add, case.now, case.called_off)
    new_check_ins = items_of(asked.add, case.now, case.called_off)
    new_tasks += covering(
        case.infusion,
        [*new_tasks, *new_check_ins],
        case.protocol,
        case.now,
        clinic_zone=case.clinic_zone,
        called_off=case.called_off,
        ordinal=case.told.version,
    )
    if kept := [*sorted(kept_check_ins), *kept_tasks]:
        new_tasks.append(Item(due_time_review(case.infusion, kept, case.protocol, case.now, ordinal=case.told.version)))
    await items.make(db, [(case.told, case.plan.plan_id, FollowUp(tuple(new_tasks), tuple(new_check_ins)))], case.now)


async def _re_derive_tasks(db: AsyncSession, case: _Case) -> tuple[Rederived[TaskSlot], list[str]]:
    """Move and drop tasks; returns what is to be added, and the kinds that newly keep a due time.

    A next attempt is dropped with its kind, but never moved: its time is what a person settled.
    """
    focus_id = case.infusion.infusion_id
    query = select(CareTask.kind, CareTask.ordinal, CareTask.status).where(
        CareTask.clinic_id == clinic_of(db), CareTask.focus_id == focus_id, col(CareTask.kind).in_(DERIVED)
    )
    known = (await db.exec(query)).all()
    opened = [(kind, ordinal) for kind, ordinal, status in known if status in OPEN]
    wanted = tasks_after(case.infusion, case.protocol, case.now, generation=case.plan.generation)
    derived = re_derive(opened, [(kind, ordinal) for kind, ordinal, _ in known], wanted, case.now)
    caused_by = case.told.event_id
    await tasks.move(db, focus_id, [items.times_of(slot) for slot in derived.move], case.now, caused_by=caused_by)
    kept = await tasks.keep_due(db, focus_id, [items.times_of(slot) for slot in derived.keep_due], case.now, caused_by=caused_by)
    if derived.drop:
        dropped = [kind for kind, _ in derived.drop]
        await tasks.cancel_open(db, now=case.now, focus_ids=[focus_id], only=dropped, reason=_CORRECTED, caused_by=caused_by)
    return derived, kept


async def _re_derive_check_ins(db: AsyncSession, case: _Case) -> tuple[Rederived[CheckInSlot], list[str]]:
    """Move and drop check-ins; returns what is to be added, and the codes that newly keep a due time."""
    infusion_id = case.infusion.infusion_id
    query = select(CheckIn.code, CheckIn.ordinal, CheckIn.status).where(
        CheckIn.clinic_id == clinic_of(db), CheckIn.infusion_id == infusion_id
    )
    known = (await db.exec(query)).all()
    opened = [(code, ordinal) for code, ordinal, status in known if status in UNANSWERED]
    wanted = check_ins_after(case.infusion, case.protocol, generation=case.plan.generation)
    derived = re_derive(opened, [(code, ordinal) for code, ordinal, _ in known], wanted, case.now)
    kept = await check_ins.move(db, infusion_id, wanted, case.now)
    if derived.drop:
        await check_ins.cancel_open(db, infusion_ids=[infusion_id], codes=[code for code, _ in derived.drop], reason=_CORRECTED)
    return derived, [check_in.code for check_in in kept]
