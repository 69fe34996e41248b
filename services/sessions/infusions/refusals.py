"""From findings to refusals, and who may decide otherwise: a prescriber with a reason, or whoever knows that two visits are two."""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_UP, Decimal

from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.infusions import queries, rules
from services.sessions.infusions.models import Infusion
from services.sessions.infusions.rules import FarApart, Finding, LastGiven, Observation
from services.sessions.infusions.schemas import Override
from services.sessions.infusions.standing import barred_at
from services.sessions.limits import Limits
from services.sessions.met import Met
from services.sessions.subjects.models import Subject
from services.sessions.vitals.queries import holds_before
from shared.errors import Conflict, DomainError, FieldError, Forbidden, Invalid
from shared.events.intake import Role
from shared.security.caller import Actor

_BARRED = {
    "patient-deceased": "The patient has died.",
    "patient-withdrawn": "The patient has withdrawn.",
    "course-on-hold": "The course is on hold.",
    "course-stopped": "The course was stopped.",
    "course-completed": "The course is completed.",
    "patient-was-not-active": "The patient was not in the programme then.",
    "course-did-not-run": "The course did not run then.",
}


def refuse(*findings: Finding | None) -> None:
    """Raises 422 naming all that was found; the first one gives the code."""
    found = [finding for finding in findings if finding is not None]
    if found:
        errors = [FieldError(finding.pointer, finding.code, finding.allowed) for finding in found]
        raise Invalid(found[0].code, found[0].detail, errors=errors)


def refuse_barred(subject: Subject, at: datetime, now: datetime, *, starting: bool, infusion: Infusion | None = None) -> None:
    """Raises 409 when the patient or the course forbids a booking for that moment or a start at it, as they stood then."""
    code = barred_at(subject, at, now, starting=starting)
    if code is not None:
        detail = _BARRED.get(code, "The patient or the course does not allow it.")
        raise infusion.refusal(code, detail) if infusion is not None else Conflict(code, detail)


async def refuse_held(
    db: AsyncSession, actor: Actor, now: datetime, infusion: Infusion, at: datetime, override: Override | None, limits: Limits
) -> None:
    """Raises 409 hold-criteria-met when the last readings before a start hold it and no prescriber has decided otherwise."""
    holds = await holds_before(db, infusion.infusion_id, at, limits)
    if not holds:
        return
    refusal = ask_override(
        infusion,
        holds,
        "hold_override",
        f"The readings of the {limits.infusions.visit.reading_before_start_minutes.value} min before the start hold it, "
        "also one that was struck and not taken again; "
        "a prescriber may repeat the step with hold_override.",
        code="hold-criteria-met",
    )
    names = [hold.rule for hold in holds]
    by_prescriber(actor, now, infusion, override, refusal, criteria=names, limits_version=limits.vitals.version)


async def refuse_duplicate(
    db: AsyncSession, actor: Actor, now: datetime, infusion: Infusion, at: datetime, confirmation: Override | None, limits: Limits
) -> None:
    """Raises 409 possible-duplicate for a visit so near to another one, unless somebody says that they are two, and why."""
    within = limits.infusions.visit.duplicate_within_hours
    near = [other for other in await queries.visits_near(db, infusion, at, within.hours) if not infusion.confirmed_beside(other)]
    if not near:
        return
    ids = [str(other.infusion_id) for other in near]
    if confirmation is None:
        raise Conflict(
            "possible-duplicate",
            f"The patient has another visit within {within.value} h; if they are two, repeat with duplicate_confirmation.",
            extra={"infusion_ids": ids, "override": "duplicate_confirmation", "source": within.source},
        )
    infusion.note_override("possible-duplicate", actor=actor.name, reason=confirmation.reason, at=now, not_the_same_as=ids)


def refuse_far_apart(actor: Actor, now: datetime, infusion: Infusion, override: Override | None, *found: FarApart | None) -> None:
    """Raises 409 needs-override for times so far apart that a wrong date is likelier; whoever records them may say why they are right.

    Nobody is asked again about two times that a reason was given for.
    """
    doubts = [doubt for doubt in found if doubt is not None and not infusion.spoke_of_times(doubt.met.rule, doubt.times)]
    if not doubts:
        return
    if override is None:
        detail = f"The time is usually {doubts[0].usual}; if it is right, repeat the step with time_override."
        raise ask_override(infusion, [doubt.met for doubt in doubts], "time_override", detail)
    for doubt in doubts:
        infusion.note_override(doubt.met.rule, actor=actor.name, reason=override.reason, at=now, times=_kept(doubt.times))


def refuse_early_no_show(infusion: Infusion, now: datetime, limits: Limits) -> None:
    """Raises 409 visit-not-due: nobody has stayed away from what is still to come."""
    after = limits.infusions.times.no_show_after_minutes
    possible_from = infusion.scheduled_at + after.minutes
    if now < possible_from:
        detail = "The visit is not due yet; who says that they will not come cancels it."
        raise infusion.refusal("visit-not-due", detail, possible_from=possible_from.isoformat(), source=after.source)


def refuse_unlikely_weight(
    actor: Actor,
    now: datetime,
    infusion: Infusion,
    weight_kg: Decimal,
    last: LastGiven,
    override: Override | None,
    limits: Limits,
) -> Decimal:
    """The weight by which the dose is judged. Raises 409 needs-override for an unlikely one that nobody has given a reason for.

    Whoever weighed may give it; the lower weight counts then, until a prescriber says that the weight is right. What was said of it
    stands, and only a prescriber adds to it.
    """
    doubt = rules.unlikely_weight(weight_kg, last, limits.infusions.weight_kg)
    if doubt is None:
        return weight_kg
    settles = override is not None and Role.PRESCRIBER in actor.roles
    if infusion.spoke_of(weight_kg) and (infusion.counted_weight(weight_kg) == weight_kg or not settles):
        return infusion.counted_weight(weight_kg)
    if override is None:
        detail = "The weight is not like this patient's last ones; if it was measured in kilograms, repeat the step with weight_override."
        raise ask_override(infusion, [doubt.met], "weight_override", detail)
    counts = weight_kg if settles else doubt.counts_kg
    said = {"weight_kg": str(weight_kg), "counts_kg": str(counts), "limits_version": limits.infusions.version}
    infusion.note_override(doubt.met.rule, actor=actor.name, reason=override.reason, at=now, **said)
    return counts


def refuse_unusual_dose(
    actor: Actor,
    now: datetime,
    infusion: Infusion,
    dose_mg: Decimal,
    weight_kg: Decimal,
    last_mg: Decimal | None,
    override: Override | None,
    limits: Limits,
) -> None:
    """Raises 409 needs-override for a dose unusual by weight or by the last one, that no prescriber has given a reason for."""
    dose = limits.infusions.dose
    unlike = dose_mg > infusion.approved_mg_per_kg * weight_kg and rules.unlike_last_dose(dose_mg, last_mg, dose)
    found = [Met("dose-unlike-last", dose.rise_percent.source)] if unlike else []
    detail = "The dose is far above the last one; a prescriber may repeat the step with dose_override."
    if rules.dose_needs_reason(dose_mg, weight_kg, dose, infusion.approved_mg_per_kg):
        unusual = dose.override_above_mg_per_kg
        found.insert(0, Met("dose-unusual", unusual.source))
        detail = f"The dose is above {unusual.value} mg/kg; a prescriber may repeat the step with dose_override."
    if not found:
        return
    refusal = ask_override(infusion, found, "dose_override", detail)
    approved = (dose_mg / weight_kg).quantize(Decimal("0.0001"), ROUND_UP)
    by_prescriber(actor, now, infusion, override, refusal, mg_per_kg=str(approved), limits_version=limits.infusions.version)


def refuse_short_observation(
    actor: Actor, now: datetime, infusion: Infusion, observation: Observation, override: Override | None, limits: Limits
) -> None:
    """Raises 409 observation-not-over for a discharge so soon after the pump's end, unless a prescriber has decided about these times."""
    times = (observation.pump_ended_at, observation.discharged_at)
    needed = limits.infusions.visit.observation_minutes
    met = Met("observation-not-over", needed.source)
    if rules.observed_long_enough(observation, limits.infusions) or infusion.spoke_of_times(met.rule, times):
        return
    detail = f"Discharge is due {needed.value} min after the pump ended; a prescriber may repeat the step with observation_override."
    refusal = ask_override(infusion, [met], "observation_override", detail, code=met.rule)
    by_prescriber(actor, now, infusion, override, refusal, limits_version=limits.infusions.version, times=_kept(times))


def ask_override(infusion: Infusion, met: Sequence[Met], override: str, detail: str, *, code: str = "needs-override") -> Conflict:
    """The 409 that names what was met, and the member of the body that answers it."""
    return infusion.refusal(code, detail, override=override, source=met[0].source, rules=[one._asdict() for one in met])


def by_prescriber(
    actor: Actor, now: datetime, infusion: Infusion, override: Override | None, refusal: DomainError, **details: object
) -> None:
    """Let a prescriber act against a rule with a reason, which is kept under the refusal's code; without one the refusal stands."""
    if override is None:
        raise refusal
    if Role.PRESCRIBER not in actor.roles:
        raise Forbidden("prescriber-needed", "Only a prescriber may decide this.")
    infusion.note_override(refusal.code, actor=actor.name, reason=override.reason, at=now, **details)


def _kept(times: tuple[datetime, datetime]) -> list[str]:
    return [at.isoformat() for at in times]
