"""Which work and which check-ins follow an infusion, and when: values in, values out. This is the file that a clinical change edits.

Hours are elapsed time, days and times of day are wall-clock time in the patient's zone; a limit itself is still inside, so that
something is past due only strictly after its due time. All times are aware; all results are in UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.followup.local_time import after_quiet_hours, business_days_later, days_later, on_the_clock
from services.followup.plans.protocol import DayAfter, Protocol
from services.followup.plans.slots import (
    PAST_DUE,
    CalledOff,
    CheckInSlot,
    EndedInfusion,
    FollowUp,
    InfusionOutcome,
    Item,
    Kind,
    Rederived,
    S,
    Slot,
    TaskSlot,
)
from services.followup.reasons import Reason, ReasonCode, moment


def tasks_after(infusion: EndedInfusion, protocol: Protocol, now: datetime, *, generation: int = 0) -> list[TaskSlot]:
    """The tasks that follow an infusion: always the integration session where drug was given, and a person where the end was not the usual.

    ``generation`` counts how often follow-up was begun anew, after a dose corrected to 0 and back.
    """
    slots = []
    if infusion.outcome is InfusionOutcome.LEFT_AGAINST_ADVICE:
        slots.append(_clinician_at_once(infusion, protocol, now, generation))
    if not infusion.drug_given:
        return slots
    slots.append(_integration(infusion, protocol, generation))
    if infusion.outcome is InfusionOutcome.STOPPED_EARLY:
        slots.append(_same_evening_call(infusion, protocol, generation))
    if infusion.outcome is InfusionOutcome.TRANSFERRED:
        slots.append(_staff_check_in(infusion, protocol, generation))
    return slots


def check_ins_after(infusion: EndedInfusion, protocol: Protocol, *, generation: int = 0) -> list[CheckInSlot]:
    """The check-ins that follow an infusion with drug given. After a transfer to emergency care a person asks in place of C24."""
    if not infusion.drug_given:
        return []
    c72 = third_day(infusion.pump_ended_at, protocol, generation=generation)
    if infusion.outcome is InfusionOutcome.TRANSFERRED:
        return [c72]
    return [_day_after(infusion, protocol.check_ins.C24, generation), c72]


def third_day(t0: datetime, protocol: Protocol, *, generation: int = 0) -> CheckInSlot:
    """C72 of an infusion whose pump stopped at ``t0``."""
    third = protocol.check_ins.C72
    return CheckInSlot("C72", generation, t0 + third.opens.delta, t0 + third.due.delta, t0 + third.expires.delta)


def is_superseded(c72: CheckInSlot, outcome: InfusionOutcome, next_starts: Iterable[datetime]) -> bool:
    """Whether C72 gives way to the next infusion, whose own check-ins ask the same: one that was started strictly before C72 is due.

    ``next_starts`` are of infusions after this one, without those known to have given nothing or never to have been: nobody asks after
    them. After an infusion that was stopped early C72 is always asked.
    """
    return outcome is not InfusionOutcome.STOPPED_EARLY and any(start < c72.due_at for start in next_starts)


def course_day_0(infusion: EndedInfusion) -> date:
    """The local date from which a course's weeks are counted, if this is its first infusion with drug given."""
    return infusion.started_at.astimezone(infusion.zone).date()


def weekly_check_in(day_0: date, week: int, zone: ZoneInfo, protocol: Protocol) -> CheckInSlot:
    """WK number ``week`` (from 1) of a course."""
    weekly = protocol.weekly
    opens_at = on_the_clock(day_0 + timedelta(days=weekly.every.days * week), weekly.opens.at, zone)
    return CheckInSlot("WK", week, opens_at, opens_at + weekly.due.delta, opens_at + weekly.expires.delta)


def first_week_after(day_0: date, zone: ZoneInfo, protocol: Protocol, now: datetime) -> int:
    """The first week whose check-in has not opened yet, for a course that is taken up again."""
    days = (now.astimezone(zone).date() - day_0).days
    week = max(1, days // protocol.weekly.every.days)
    return week if weekly_check_in(day_0, week, zone, protocol).opens_at > now else week + 1


def is_past_due(slot: Slot, now: datetime) -> bool:
    """Whether the due time itself has passed."""
    return slot.due_at < now


def follow_up(
    infusion: EndedInfusion,
    protocol: Protocol,
    now: datetime,
    *,
    clinic_zone: ZoneInfo,
    called_off: CalledOff | None = None,
    generation: int = 0,
    ordinal: int = 0,
) -> FollowUp:
    """Everything that follows an infusion, complete and countable: what cannot be done any more is there as cancelled, with its reason.

    One catch-up call covers what was past due when we heard of the infusion. For a patient who has died or left, what is called off
    is there as well, with one review that lists it. ``ordinal`` numbers these covering tasks.
    """
    tasks = items_of(tasks_after(infusion, protocol, now, generation=generation), now, called_off)
    check_ins = items_of(check_ins_after(infusion, protocol, generation=generation), now, called_off)
    tasks += covering(infusion, [*tasks, *check_ins], protocol, now, clinic_zone=clinic_zone, called_off=called_off, ordinal=ordinal)
    return FollowUp(tuple(tasks), tuple(check_ins))


def items_of(slots: Iterable[S], now: datetime, called_off: CalledOff | None) -> list[Item[S]]:
    """Slots as they can be made now: open, or cancelled with the reason."""
    items = []
    for slot in slots:
        reason = PAST_DUE if is_past_due(slot, now) else None
        if called_off is not None and slot.name not in called_off.kept:
            reason = called_off.reason
        items.append(Item(slot, reason, offered=reason is None and called_off is not None and slot.name in called_off.offered))
    return items


def covering(
    infusion: EndedInfusion,
    items: Sequence[Item[TaskSlot] | Item[CheckInSlot]],
    protocol: Protocol,
    now: datetime,
    *,
    clinic_zone: ZoneInfo,
    called_off: CalledOff | None,
    ordinal: int,
) -> list[Item[TaskSlot]]:
    """The people's work that makes up for items which cannot be made open: a catch-up call, a review."""
    slots: list[TaskSlot] = []
    late = [item.slot.name for item in items if item.cancelled_because == PAST_DUE]
    if late:
        reason = Reason(ReasonCode.HEARD_LATE, {**infusion.facts, "missed": sorted(late)})
        slots.append(catch_up(reason, protocol, now, ordinal=ordinal))
    if called_off is not None:
        names = [item.slot.name for item in items if item.cancelled_because == called_off.reason]
        if names:
            reason = Reason(ReasonCode.CALLED_OFF, {**infusion.facts, "cause": called_off.reason, "cancelled": names})
            slots.append(office_task(Kind.CANCELLATION_REVIEW, reason, protocol, now, clinic_zone, ordinal=ordinal))
    return [Item(slot) for slot in slots]


def catch_up(reason: Reason, protocol: Protocol, now: datetime, *, ordinal: int) -> TaskSlot:
    """The one call that covers what is past due and was never asked or done."""
    rule = protocol.catch_up
    return TaskSlot(Kind.CATCH_UP, ordinal, rule.priority, reason, now + rule.due.delta, anchored=False)


def safety_offer(pump_ended_at: datetime, reason: Reason, protocol: Protocol, now: datetime, *, ordinal: int) -> TaskSlot | None:
    """The offer of a safety call to a patient who has left, or None when the last infusion is longer ago."""
    rule = protocol.safety_offer
    last = pump_ended_at + rule.within.delta
    if now > last:
        return None
    due_at = min(last, max(pump_ended_at + rule.not_before.delta, now + rule.due.delta))
    return TaskSlot(Kind.SAFETY_OFFER, ordinal, rule.priority, reason, due_at, expires_at=last, anchored=False)


def due_time_review(infusion: EndedInfusion, kept: Sequence[str], protocol: Protocol, now: datetime, *, ordinal: int) -> TaskSlot:
    """A person looks at once at what could not be moved into the past."""
    rule = protocol.due_time_review
    reason = Reason(ReasonCode.DUE_KEPT, {**infusion.facts, "kept": list(kept)})
    return TaskSlot(Kind.DUE_TIME_REVIEW, ordinal, rule.priority, reason, now + rule.due.delta, anchored=False)


def record_review(code: str, started_at: datetime, zone: ZoneInfo, protocol: Protocol, now: datetime, *, ordinal: int) -> TaskSlot:
    """A prescriber looks at once at what was found out about an infusion; as soon as at any other correction that came too late."""
    rule = protocol.due_time_review
    known = ReasonCode(code) if code in (ReasonCode.START_HELD, ReasonCode.START_BARRED, ReasonCode.START_BEFORE_HOLD) else ReasonCode.OLDER
    reason = Reason(known, {"started_at": moment(started_at), "zone": zone.key})
    return TaskSlot(Kind.RECORD_REVIEW, ordinal, rule.priority, reason, now + rule.due.delta, anchored=False)


def office_task(kind: Kind, reason: Reason, protocol: Protocol, now: datetime, zone: ZoneInfo, *, ordinal: int = 0) -> TaskSlot:
    """Work without a clinical clock, due in business days of the clinic's ``zone``."""
    office = protocol.office
    due_at = business_days_later(now.astimezone(zone), office.due_business_days.days, office.opening.at)
    return TaskSlot(kind, ordinal, office.priority, reason, due_at, anchored=False)


def re_derive(
    open_items: Iterable[tuple[str, int]], known_items: Iterable[tuple[str, int]], wanted: Sequence[S], now: datetime
) -> Rederived[S]:
    """Compare what follows from the corrected facts with what is there.

    Open items that are wanted move, unless the new due time has passed: those keep the old one. Open items that are not wanted any
    more are dropped. What was never made is added. Answered, done and cancelled items are known and stay as they are.
    """
    opened, known = set(open_items), set(known_items)
    of_key = {(slot.name, slot.ordinal): slot for slot in wanted}
    movable = [slot for key, slot in of_key.items() if key in opened and slot.anchored]
    return Rederived(
        move=tuple(slot for slot in movable if not is_past_due(slot, now)),
        keep_due=tuple(slot for slot in movable if is_past_due(slot, now)),
        add=tuple(slot for key, slot in of_key.items() if key not in known),
        drop=tuple(sorted(opened - of_key.keys())),
    )


def _clinician_at_once(infusion: EndedInfusion, protocol: Protocol, now: datetime, generation: int) -> TaskSlot:
    rule = protocol.left_against_advice
    reason = Reason(ReasonCode.LEFT_EARLY, infusion.facts)
    return TaskSlot(Kind.LEFT_AGAINST_ADVICE, generation, rule.priority, reason, now + rule.due.delta, anchored=False)


def _integration(infusion: EndedInfusion, protocol: Protocol, generation: int) -> TaskSlot:
    rule, t0 = protocol.integration, infusion.pump_ended_at
    opens_at = t0 + rule.opens.delta
    if rule.not_on_the_infusion_day:
        next_day = t0.astimezone(infusion.zone).date() + timedelta(days=1)
        opens_at = max(opens_at, on_the_clock(next_day, time.min, infusion.zone))
    return TaskSlot(
        Kind.INTEGRATION,
        generation,
        rule.priority,
        Reason(ReasonCode.SESSION_DUE, infusion.facts),
        due_at=t0 + rule.due.delta,
        window_starts_at=opens_at,
        expires_at=days_later(t0, rule.expires.days, infusion.zone),
        suggested_owner_id=infusion.therapist_id,
    )


def _same_evening_call(infusion: EndedInfusion, protocol: Protocol, generation: int) -> TaskSlot:
    rule = protocol.stopped_early
    evening = on_the_clock(infusion.pump_ended_at.astimezone(infusion.zone).date(), rule.call.at, infusion.zone)
    due_at = max(evening, (infusion.discharged_at or infusion.pump_ended_at) + rule.after_discharge.delta)
    reason = Reason(ReasonCode.STOPPED_EARLY, infusion.facts)
    return TaskSlot(Kind.SAME_EVENING_CALL, generation, rule.priority, reason, due_at, expires_at=due_at + rule.expires.delta)


def _staff_check_in(infusion: EndedInfusion, protocol: Protocol, generation: int) -> TaskSlot:
    rule = protocol.check_ins.C24
    slot = _day_after(infusion, rule, generation)
    return TaskSlot(
        Kind.STAFF_CHECK_IN,
        generation,
        rule.staff_priority,
        Reason(ReasonCode.TRANSFERRED, infusion.facts),
        due_at=slot.due_at,
        window_starts_at=slot.opens_at,
        expires_at=slot.expires_at,
        stands_in_for=slot.code,
    )


def _day_after(infusion: EndedInfusion, rule: DayAfter, generation: int) -> CheckInSlot:
    t0, zone = infusion.pump_ended_at, infusion.zone
    next_noon = on_the_clock(t0.astimezone(zone).date() + timedelta(days=rule.due_not_before.days), rule.due_not_before.at, zone)
    return CheckInSlot(
        "C24",
        generation,
        opens_at=after_quiet_hours(t0 + rule.opens.delta, rule.quiet_from.at, rule.quiet_until.at, zone),
        due_at=max(t0 + rule.due.delta, next_noon),
        expires_at=t0 + rule.expires.delta,
    )
