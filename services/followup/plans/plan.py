"""From facts to what should exist: every item of every anchor, and why nothing more hangs on one. Nothing is read, nothing is written."""

from collections.abc import Mapping
from datetime import datetime

from services.followup.plans.anchors import OF_COURSE, OF_PATIENT, OF_VISIT, Found, Gone
from services.followup.plans.conditions import as_left_by_the_rest, not_this_one
from services.followup.plans.draft import Draft, Place, item_of, moments_of
from services.followup.plans.entries import PRIORITIES, ProtocolList
from services.followup.plans.facts import Facts
from services.followup.plans.overview import REASON_OF, Overview
from services.followup.plans.pinned import Pinned
from services.followup.plans.series import give_way_on_the_same_day, name_series
from services.followup.plans.times import Moments, moment, times_of
from services.followup.plans.wanted import CoverTerms, Hanging, Key, Plan


def plan(facts: Facts, protocols: Pinned, now: datetime) -> Plan:
    """What should exist for a patient. ``now`` matters only for series without an end and for clocks that run from the making."""
    draft = Draft(Overview(facts), protocols, now)
    for visit in facts.visits:
        if not visit.followed:
            continue
        protocol = protocols.of(visit.infusion_id, draft.overview.course(visit.course_id).protocol)
        _follow(draft, protocol, {name: find(draft.overview, visit) for name, find in OF_VISIT.items()})
    for course in draft.overview.courses:
        protocol = protocols.of(course.course_id, course.protocol)
        _follow(draft, protocol, {name: find(draft.overview, course) for name, find in OF_COURSE.items()})
    # Last, for whether somebody who left is offered a call depends on what is still asked.
    protocol = protocols.of(facts.patient_id, protocols.default.name)
    _follow(draft, protocol, {name: find(draft.overview) for name, find in OF_PATIENT.items()})
    give_way_on_the_same_day(draft)
    return Plan(draft.wanted, draft.gone, _covers(draft), draft.pins, min(draft.wakes, default=None))


def _follow(draft: Draft, protocol: ProtocolList, anchors: Mapping[str, Found]) -> None:
    for entry in protocol.items:
        found = anchors.get(entry.anchor)
        if isinstance(found, Gone):
            draft.gone[Hanging(found.anchor_id, entry.code)] = found.reason
        elif found is not None:
            _place(draft, Place(entry, protocol, found))


def _place(draft: Draft, place: Place) -> None:
    if reason := not_this_one(draft, place.entry, place.at):
        draft.gone[place.hangs] = reason
        return
    draft.pins[place.at.anchor_id] = place.protocol.name
    if place.entry.repeat:
        name_series(draft, place)
    else:
        _once(draft, place)


def _once(draft: Draft, place: Place) -> None:
    """One item; none where its time had run out before the anchor came about."""
    at = place.at
    times = times_of(place.entry, moments_of(draft, at, at.counts_from))
    if at.since and times.expires_at and times.expires_at < at.since:
        return
    key = Key(at.anchor_id, place.entry.code, at.number)
    draft.wanted[key] = as_left_by_the_rest(draft, place, item_of(draft, place, key, times))


def _covers(draft: Draft) -> Mapping[str, CoverTerms]:
    """How the machine's own calls and reviews are made for this patient: of several protocols, as the one that asks most."""
    moments = Moments(draft.overview.facts.zone, draft.overview.facts.clinic_zone, {"made": draft.now})
    terms: dict[str, CoverTerms] = {}
    for protocol in draft.protocols.named(draft.pins.values()):
        for kind, entry in protocol.covers.items():
            absence = draft.overview.absent(entry.stays_after)
            due_at = moment(entry.due, moments) if entry.due else None
            own = CoverTerms(entry.priority, due_at, REASON_OF[absence.cause] if absence else None)
            terms[kind.value] = _asking_most(terms.get(kind.value, own), own)
    return terms


def _asking_most(one: CoverTerms, other: CoverTerms) -> CoverTerms:
    """The earlier of two due times, the higher priority, and open as long as either says so."""
    due_at = min(filter(None, (one.due_at, other.due_at)), default=None)
    return CoverTerms(min(one.priority, other.priority, key=PRIORITIES.index), due_at, one.ends_because if other.ends_because else None)
