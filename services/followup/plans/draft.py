"""A plan in the making: what is collected on the way, and one item as the protocol words it."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.followup.plans.anchors import Anchored
from services.followup.plans.entries import Entry, ProtocolList
from services.followup.plans.facts import Absence
from services.followup.plans.overview import Overview
from services.followup.plans.pinned import Pinned
from services.followup.plans.times import Moments
from services.followup.plans.wanted import Hanging, Key, Times, Wanted, Why


@dataclass(slots=True)
class Draft:
    """What has been found out so far."""

    overview: Overview
    protocols: Pinned
    now: datetime
    wanted: dict[Key, Wanted] = field(default_factory=dict)
    gone: dict[Hanging, str] = field(default_factory=dict)
    pins: dict[UUID, tuple[str, int]] = field(default_factory=dict)
    wakes: list[datetime] = field(default_factory=list)
    may_give_way: list[tuple[Key, str]] = field(default_factory=list)
    """Items that give way to an item of this code which opens on the same day."""


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of a protocol on one anchor."""

    entry: Entry
    protocol: ProtocolList
    at: Anchored

    @property
    def hangs(self) -> Hanging:
        """All items of this entry there."""
        return Hanging(self.at.anchor_id, self.entry.code)

    def absent(self, overview: Overview) -> Absence | None:
        """The absence after which it does not stay."""
        return overview.absent(self.entry.stays_after | self.entry.offered_after)

    def passed_meanwhile(self, overview: Overview, times: Times) -> Absence | None:
        """The absence, over by now, in which its time ran out."""
        return overview.passed_meanwhile(times.expires_at, self.entry.stays_after | self.entry.offered_after)


def item_of(draft: Draft, place: Place, key: Key, times: Times) -> Wanted:
    """The item as the protocol words it, open."""
    entry, at = place.entry, place.at
    staff = entry.by_staff_if if entry.by_staff_if and _by_staff(draft, place) else None
    return Wanted(
        key=key,
        is_task=entry.does == "task" or staff is not None,
        by="staff" if staff else entry.by,
        priority=staff.priority if staff else entry.priority,
        times=times,
        why=Why(place.protocol.name, entry.anchor, at.counts_from, _infusion_of(at)),
        offered=any(one.cause in entry.offered_after for one in draft.overview.present),
        counts_from_making=entry.counts_from_making,
        called_about_when_late=entry.late == "call",
        in_place_of_link=staff is not None,
        made_when_it_opens=entry.repeat is not None,
    )


def _infusion_of(at: Anchored) -> UUID | None:
    of_course = at.course is not None and at.anchor_id == at.course.course_id
    return None if of_course or at.visit is None else at.visit.infusion_id


def moments_of(draft: Draft, at: Anchored, counts_from: datetime) -> Moments:
    """What the times of an item may count from."""
    facts, visit = draft.overview.facts, at.visit
    following = draft.overview.next_start(visit) if visit else None
    known = {
        "anchor": counts_from,
        "made": draft.now,
        "discharged": (visit.discharged_at or visit.pump_ended_at) if visit else None,
        "next-infusion": following[0] if following else None,
    }
    return Moments(facts.zone, facts.clinic_zone, known)


def _by_staff(draft: Draft, place: Place) -> bool:
    rule, visit = place.entry.by_staff_if, place.at.visit
    if rule is None:
        return False
    unreachable = rule.messages == "off" and not draft.overview.facts.messages_allowed
    return unreachable or (visit is not None and visit.outcome in rule.outcome)
