"""From the changes of covering work to the rows that are made and changed. Values in, values out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.followup.outreach.commands import CancelledMessage
from services.followup.plans.changes import CoverChange, CoverStep
from services.followup.plans.conditions import NEXT_INFUSION
from services.followup.plans.difference import Difference
from services.followup.plans.facts import Cause
from services.followup.plans.item_reasons import infusion_facts
from services.followup.plans.item_rows import Rows, task_end
from services.followup.plans.overview import REASON_OF
from services.followup.plans.stored import PAST_DUE, TASK_KIND_OF, Cover, CoverKind, Stored
from services.followup.plans.wanted import Key
from services.followup.reasons import Fact, Reason, ReasonCode, moment
from services.followup.tasks.changes import ChangedTask, MadeTask
from services.followup.tasks.commands import NewTask
from services.followup.tasks.rules import Action, Priority

_OF_PATIENT = frozenset(REASON_OF.values())
_BY_MISTAKE = frozenset(REASON_OF[cause] for cause in (Cause.DEATH, Cause.WITHDRAWAL, Cause.TRANSFER))
_CONSENT = REASON_OF[Cause.CONSENT_REVOKED]

Listed = Mapping[str, object]


def add_covers(rows: Rows, difference: Difference, unsent: Iterable[CancelledMessage], actor: str, now: datetime) -> None:
    """Put the rows of one patient's covers to the others, once it is known where the items are; ``unsent`` are messages called off."""
    messages = {message.check_in_id: message for message in unsent}
    for change in difference.cover_changes:
        if change.before is None:
            rows.made_tasks.append(_made(rows, difference, change.after, messages, actor, now))
        else:
            rows.changed_tasks.append(_changed(rows, difference, change))


def _made(
    rows: Rows, difference: Difference, cover: Cover, messages: Mapping[UUID, CancelledMessage], actor: str, now: datetime
) -> MadeTask:
    focus_kind, focus_id, infusion_id = _focus(rows, difference, cover)
    terms = difference.wanted.covers[cover.kind.value]
    listing = cover.kind in (CoverKind.CATCH_UP, CoverKind.CALLED_OFF)
    assert cover.due_at is not None  # the comparison says when new work is due
    task = NewTask(
        kind=TASK_KIND_OF[cover.kind],
        focus_kind=focus_kind,
        focus_id=focus_id,
        patient_id=difference.facts.patient_id,
        patient_number="",
        priority=Priority(terms.priority),
        reason=_reason(difference, cover),
        due_at=max(cover.due_at, now),
        created_at=now,
        infusion_id=infusion_id,
        details={"items": _listed(rows, difference, cover, cover.covers, messages)} if listing else {},
        actor=actor,
        caused_by=difference.caused_by,
    )
    return MadeTask(task, number=cover.number, covers=sorted(cover.covers), begun_anew=True)


def _changed(rows: Rows, difference: Difference, change: CoverChange) -> ChangedTask:
    before, after = change.before, change.after
    assert before is not None
    assert before.row_id is not None
    ended = change.step is CoverStep.END
    joined = after.covers - before.covers if change.step is CoverStep.JOIN else frozenset[Key]()
    actions = {CoverStep.END: Action.CANCELLED, CoverStep.JOIN: Action.EXTENDED}
    return ChangedTask(
        before.row_id,
        before.version,
        actions.get(change.step, Action.MOVED),
        None,
        after.due_at,
        None,
        ended=task_end(change.because) if ended else None,
        status_reason=change.because,
        reason=Reason(ReasonCode.MISSED_SEVERAL, {"missed": _codes(joined)}) if joined else None,
        joined=_listed(rows, difference, after, joined, {}),
        covers=sorted(joined),
        caused_by=difference.caused_by,
    )


def _focus(rows: Rows, difference: Difference, cover: Cover) -> tuple[str, UUID, UUID | None]:
    """What it is about: the check-in whose link is dead; the one infusion that all of it hangs on; else the patient."""
    about = _infusion_of(difference, cover)
    if cover.kind is CoverKind.TELEPHONE:
        (key,) = cover.covers
        return "CheckIn", rows.row_of[key], about
    if about is None or cover.reason in _OF_PATIENT:
        return "Patient", difference.facts.patient_id, None
    return "Infusion", about, about


def _infusion_of(difference: Difference, cover: Cover) -> UUID | None:
    """The one infusion that all of it is about, but for what the course asks besides."""
    infusions = {infusion_id for key in cover.covers if (infusion_id := difference.infusion_of(key))}
    return infusions.pop() if len(infusions) == 1 and not cover.lists_more else None


def _reason(difference: Difference, cover: Cover) -> Reason:
    facts = infusion_facts(difference, difference.visit(_infusion_of(difference, cover)))
    codes = _codes(cover.covers)
    if cover.kind is CoverKind.TELEPHONE:
        return Reason(ReasonCode.ASKED_AFTER_ALL, {"zone": facts["zone"], "check_in": codes[0], "cause": "taken-up-again"})
    if cover.kind is CoverKind.DUE_REVIEW:
        return Reason(ReasonCode.DUE_KEPT, {**facts, "kept": codes})
    if cover.kind is CoverKind.CALLED_OFF:
        return Reason(ReasonCode.CALLED_OFF, {**facts, "cause": cover.reason, "cancelled": codes})
    return _missed_reason(difference, cover, facts, codes)


def _missed_reason(difference: Difference, cover: Cover, facts: Mapping[str, Fact], codes: list[str]) -> Reason:
    """Why nobody was asked: by what it had ended before."""
    ended = {stored.reason for key in cover.covers if (stored := difference.existing.stored.get(key))}
    if ended == {NEXT_INFUSION}:
        return Reason(ReasonCode.GAVE_WAY_IN_VAIN, {**facts, "check_in": codes[0], "missed": codes})
    if ended == {_CONSENT}:
        return Reason(ReasonCode.CONSENT_AGAIN, {**facts, "cause": _CONSENT, "missed": codes})
    if ended and ended <= _BY_MISTAKE:
        cause = next(one for one in REASON_OF.values() if one in ended)
        return Reason(ReasonCode.RECORDED_BY_MISTAKE, {**facts, "cause": cause, "missed": codes})
    if len(ended) > 1 or "ended_at" not in facts:
        return Reason(ReasonCode.MISSED_SEVERAL, {**facts, "missed": codes})
    return Reason(ReasonCode.HEARD_LATE, {**facts, "missed": codes})


def _listed(
    rows: Rows, difference: Difference, cover: Cover, keys: Iterable[Key], messages: Mapping[UUID, CancelledMessage]
) -> Sequence[Listed]:
    entries: list[Listed] = []
    of_one = cover.kind is CoverKind.CALLED_OFF and _infusion_of(difference, cover) is not None
    for key in sorted(keys):
        item = difference.becomes(key)
        row_id = rows.row_of.get(key) or (item.row_id if item else None)
        if item is None or row_id is None:
            continue
        told = {
            "code": item.key.code,
            "reason": _told_why(difference, item) or cover.reason,
            **({} if of_one else _after(difference, item)),
        }
        entries.append({"kind": "task" if item.is_task else "check-in", "id": str(row_id), **told})
        if message := messages.get(row_id):
            entries.append({"kind": "message", "id": str(message.message_id), **told})
    return entries


def _after(difference: Difference, item: Stored) -> Mapping[str, object]:
    """The end of the infusion that it follows."""
    visit = difference.visit(difference.infusion_of(item.key))
    return {"ended_at": moment(visit.pump_ended_at)} if visit and visit.pump_ended_at else {}


def _told_why(difference: Difference, item: Stored) -> str | None:
    """Why it was not asked, where that is known better than that its due time had passed: it had been called off before."""
    before = difference.existing.stored.get(item.key)
    if before is None or before.reason is None or item.reason != PAST_DUE:
        return item.reason
    return ReasonCode.RECORDED_BY_MISTAKE.value if before.reason in _BY_MISTAKE else before.reason


def _codes(keys: Iterable[Key]) -> list[str]:
    return sorted(key.code for key in keys)
