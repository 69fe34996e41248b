"""From the changes of items to the rows that are made and changed. Values in, values out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from services.followup.checkins.changes import ChangedCheckIn, MadeCheckIn
from services.followup.plans.anchors import VOID
from services.followup.plans.changes import ItemChange, Step
from services.followup.plans.difference import Difference
from services.followup.plans.item_reasons import item_reason
from services.followup.plans.slots import Kind
from services.followup.plans.stored import Stored
from services.followup.plans.wanted import Key, State, Wanted
from services.followup.reasons import moment
from services.followup.tasks.changes import ChangedTask, MadeTask
from services.followup.tasks.commands import NewTask
from services.followup.tasks.rules import Action, BusinessStatus, Priority, TaskStatus

HANDED_OVER = "handed-over"
"""Why a row ends whose item somebody else asks from now on."""

_ENDS = {State.SUPERSEDED: "superseded", State.CANCELLED: "cancelled", State.NOT_ASKED: "cancelled"}
_ACTIONS = {
    Step.MOVE: Action.MOVED,
    Step.KEEP_DUE: Action.DUE_KEPT,
    Step.OFFER: Action.OFFERED,
    Step.CHASE: Action.CHASED,
}


@dataclass(slots=True)
class Rows:
    """What is to be written for many patients."""

    made_check_ins: list[MadeCheckIn] = field(default_factory=list)
    changed_check_ins: list[ChangedCheckIn] = field(default_factory=list)
    made_tasks: list[MadeTask] = field(default_factory=list)
    changed_tasks: list[ChangedTask] = field(default_factory=list)
    closed: list[UUID] = field(default_factory=list)
    """Expired check-ins whose links are taken back."""
    row_of: dict[Key, UUID] = field(default_factory=dict)
    """Where each changed item is from now on."""


Asked = Mapping[Key, tuple[UUID, int]]
"""The check-ins in whose place a person asked, by key: row and version."""


def given_back(change: ItemChange) -> bool:
    """Whether the patient is asked by a link again, after a person was to ask."""
    return change.before is not None and change.before.is_task and not change.after.is_task


def add_items(rows: Rows, difference: Difference, asked_before: Asked, actor: str, now: datetime) -> None:
    """Put the rows of one patient's items to the others."""
    for change in difference.item_changes:
        _Item(rows, difference, change, actor, now).add(asked_before.get(change.after.key))


@dataclass(frozen=True, slots=True)
class _Item:
    rows: Rows
    difference: Difference
    change: ItemChange
    actor: str
    now: datetime

    def add(self, asked_before: tuple[UUID, int] | None) -> None:
        """Somebody else asks: what exists ends. A task that is asked again is a new one, a check-in is the same."""
        before, after = self.change.before, self.change.after
        if before is not None and self.change.step is Step.CLOSE:
            self.rows.closed.append(_row(before)[0])
            return
        if before is not None and before.is_open and before.is_task is not after.is_task:
            self._end(before)
        if after.is_task:
            anew = before is None or self.change.step in (Step.RESTORE, Step.HAND_OVER)
            self._make_task() if anew else self._change_task(before)
        elif before is None or (before.is_task and asked_before is None):
            self._make_check_in()
        else:
            self._change_check_in(asked_before if before.is_task and asked_before else _row(before))

    def _end(self, before: Stored) -> None:
        row_id, seen = _row(before)
        times, caused_by = before.times, self.difference.caused_by
        if before.is_task:
            ended = ChangedTask(row_id, seen, Action.CANCELLED, *times, TaskStatus.CANCELLED, HANDED_OVER, caused_by=caused_by)
            self.rows.changed_tasks.append(ended)
        else:
            opens_at, expires_at = _whole(before)
            ended_check_in = ChangedCheckIn(
                row_id, seen, "cancelled", HANDED_OVER, opens_at, times.due_at, expires_at, None, None, caused_by
            )
            self.rows.changed_check_ins.append(ended_check_in)

    def _make_check_in(self) -> None:
        difference, after = self.difference, self.change.after
        infusion_id = difference.infusion_of(after.key)
        visit = difference.visit(infusion_id)
        opens_at, expires_at = _whole(after)
        made = MadeCheckIn(
            check_in_id=uuid4(),
            patient_id=difference.facts.patient_id,
            patient_time_zone=difference.facts.zone.key,
            infusion_id=infusion_id,
            course_id=visit.course_id if visit else after.key.anchor_id,
            anchor_id=after.key.anchor_id,
            code=after.key.code,
            number=after.key.number,
            ordinal=after.key.number,
            opens_at=opens_at,
            due_at=after.times.due_at,
            expires_at=expires_at,
            status=_ENDS.get(after.state, "planned"),
            ended_reason=after.reason,
            superseded_by=after.gives_way_to,
            caused_by=difference.caused_by,
        )
        self.rows.made_check_ins.append(made)
        self.rows.row_of[after.key] = made.check_in_id

    def _change_check_in(self, row: tuple[UUID, int]) -> None:
        after, (row_id, seen) = self.change.after, row
        opens_at, expires_at = _whole(after)
        self.rows.changed_check_ins.append(
            ChangedCheckIn(
                check_in_id=row_id,
                seen=seen,
                ended=_ENDS.get(after.state),
                ended_reason=after.reason,
                opens_at=opens_at,
                due_at=after.times.due_at,
                expires_at=expires_at,
                refused_due_at=after.refused,
                superseded_by=after.gives_way_to,
                caused_by=self.difference.caused_by,
            )
        )
        self.rows.row_of[after.key] = row_id

    def _make_task(self) -> None:
        difference, after = self.difference, self.change.after
        want = difference.want(after.key)
        assert want is not None  # what is made or asked again is wanted
        infusion_id = want.why.infusion_id
        focus = ("Infusion", infusion_id) if infusion_id else ("CarePlan", after.key.anchor_id)
        ended = after.state in _ENDS
        task = NewTask(
            kind=Kind.STAFF_CHECK_IN.value if want.in_place_of_link else after.key.code,
            focus_kind=focus[0],
            focus_id=focus[1],
            patient_id=difference.facts.patient_id,
            patient_number="",
            priority=Priority(want.priority),
            reason=item_reason(difference, want),
            due_at=after.times.due_at,
            created_at=self.now,
            ordinal=after.key.number,
            window_starts_at=after.times.opens_at,
            expires_at=after.times.expires_at,
            infusion_id=infusion_id if want.why.anchor != "departure" else None,
            status=task_end(after.reason) if ended else TaskStatus.REQUESTED,
            status_reason=after.reason,
            business_status=BusinessStatus.OFFERED if after.offered and not ended else BusinessStatus.TO_DO,
            details={"code": after.key.code} if want.in_place_of_link else {},
            actor=self.actor,
            caused_by=difference.caused_by,
        )
        self.rows.made_tasks.append(
            MadeTask(
                task,
                *after.key,
                generation=after.generation,
                # Which departure an offer is for its key says; two may follow one infusion.
                begun_anew=self.change.before is not None or want.why.anchor == "departure",
                suggested_role=want.by,
                because=because(want),
            )
        )
        self.rows.row_of[after.key] = task.task_id

    def _change_task(self, before: Stored | None) -> None:
        assert before is not None
        after, want = self.change.after, self.difference.want(self.change.after.key)
        row_id, seen = _row(before)
        ended = after.state in _ENDS
        self.rows.changed_tasks.append(
            ChangedTask(
                row_id,
                seen,
                Action.CANCELLED if ended else _ACTIONS.get(self.change.step, Action.MOVED),
                *after.times,
                ended=task_end(after.reason) if ended else None,
                status_reason=after.reason,
                offered=after.offered,
                refused_due_at=after.refused,
                superseded_by=after.gives_way_to,
                reason=item_reason(self.difference, want) if want and not ended else None,
                caused_by=self.difference.caused_by,
                because=because(want),
            )
        )
        self.rows.row_of[after.key] = row_id


def because(want: Wanted | None) -> Mapping[str, object]:
    """From which rule of which document, and from which moment, something follows, for its history."""
    if want is None:
        return {}
    code, version = want.why.protocol
    return {"protocol": code, "protocol_version": version, "anchor": want.why.anchor, "counts_from": moment(want.why.counts_from)}


def task_end(reason: str | None) -> TaskStatus:
    """How a task ends for this reason."""
    return TaskStatus.ENTERED_IN_ERROR if reason == VOID else TaskStatus.CANCELLED


def _row(stored: Stored) -> tuple[UUID, int]:
    assert stored.row_id is not None  # what exists has a row
    return stored.row_id, stored.version


def _whole(stored: Stored) -> tuple[datetime, datetime]:
    """When a check-in opens and expires: each one does, or the protocol is refused."""
    assert stored.times.opens_at
    assert stored.times.expires_at
    return stored.times.opens_at, stored.times.expires_at
