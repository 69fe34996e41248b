"""The task that follows what was found out about an infusion: a prescriber looks at its record."""

from datetime import datetime

from services.followup.plans.entries import ProtocolList
from services.followup.plans.slots import Kind
from services.followup.plans.stored import CoverKind
from services.followup.plans.times import Moments
from services.followup.plans.times import moment as moment_of
from services.followup.reasons import Reason, ReasonCode, moment
from services.followup.tasks.commands import NewTask
from services.followup.tasks.rules import Priority
from shared.events import Delivery
from shared.events.sessions import InfusionReviewNeeded
from shared.events.zones import zone_of

_KNOWN = frozenset({ReasonCode.START_HELD, ReasonCode.START_BARRED, ReasonCode.START_BEFORE_HOLD})


def record_review(delivery: Delivery[InfusionReviewNeeded], protocol: ProtocolList, now: datetime) -> NewTask:
    """Due as soon as a look at any other correction that came too late. It names the infusion and does not fall with it."""
    event, terms = delivery.event, protocol.covers[CoverKind.DUE_REVIEW]
    zone = zone_of(event.patient_time_zone)
    assert terms.due  # or the protocol is refused
    due_at = moment_of(terms.due, Moments(zone, zone, {"made": now}))
    assert due_at  # it counts from the making
    code = ReasonCode(event.code) if event.code in _KNOWN else ReasonCode.OLDER
    return NewTask(
        kind=Kind.RECORD_REVIEW.value,
        focus_kind="Infusion",
        focus_id=event.infusion_id,
        ordinal=event.number,
        patient_id=event.patient_id,
        patient_number=event.patient_number,
        infusion_id=None,
        priority=Priority(terms.priority),
        reason=Reason(code, {"started_at": moment(event.started_at), "zone": zone.key}),
        due_at=due_at,
        created_at=now,
        caused_by=delivery.event_id,
    )
