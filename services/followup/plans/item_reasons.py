"""Why a task of a plan is there, as the code and the facts with which a reader is told. Values in, values out."""

from collections.abc import Mapping

from services.followup.plans.difference import Difference
from services.followup.plans.facts import Cause, Outcome, Visit, VisitState
from services.followup.plans.overview import REASON_OF
from services.followup.plans.wanted import Wanted
from services.followup.reasons import Fact, Reason, ReasonCode, moment

_OF_CODE = {
    "integration-session": ReasonCode.SESSION_DUE,
    "same-evening-call": ReasonCode.STOPPED_EARLY,
    "left-against-advice": ReasonCode.LEFT_EARLY,
}
"""Of what follows an infusion; of work that only a clinic's own protocol has, its kind is all that can be told."""


def item_reason(difference: Difference, want: Wanted) -> Reason:
    """Why somebody has to do this."""
    visit = difference.visit(want.why.infusion_id)
    facts = infusion_facts(difference, visit)
    if want.in_place_of_link:
        return _in_place_of_link(want, visit, facts)
    if want.why.anchor == "departure":
        return Reason(ReasonCode.PATIENT_LEFT, {**facts, "cause": _cause(difference)})
    if want.why.anchor == "visit-without-drug" and visit is not None:
        return _no_infusion(visit, facts)
    return Reason(_OF_CODE.get(want.key.code, ReasonCode.OLDER), facts)


def infusion_facts(difference: Difference, visit: Visit | None) -> Mapping[str, Fact]:
    """What is told of an infusion, as far as it is known."""
    facts: dict[str, Fact] = {"zone": difference.facts.zone.key}
    if visit and visit.pump_ended_at:
        facts["ended_at"] = moment(visit.pump_ended_at)
    if visit and visit.outcome:
        facts["outcome"] = visit.outcome.value
    return facts


def _in_place_of_link(want: Wanted, visit: Visit | None, facts: Mapping[str, Fact]) -> Reason:
    if visit and visit.outcome is Outcome.TRANSFERRED:
        return Reason(ReasonCode.TRANSFERRED, facts)
    return Reason(ReasonCode.ASKED_BY_TELEPHONE, {**facts, "check_in": want.key.code, "cause": "opted-out"})


def _no_infusion(visit: Visit, facts: Mapping[str, Fact]) -> Reason:
    if visit.state is VisitState.MISSED:
        return Reason(ReasonCode.NO_INFUSION, {"state": visit.missed_as or ""})
    return Reason(ReasonCode.NOTHING_GIVEN, facts)


def _cause(difference: Difference) -> str:
    present = difference.facts.present_absences()
    return REASON_OF[present[0].cause if present else Cause.WITHDRAWAL]
