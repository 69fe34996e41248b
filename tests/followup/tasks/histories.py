"""Random histories of a queue, and what must hold after each step of them: each open task is in exactly one tab.

That is of somebody who works here and may do it; else it is in Unassigned with why nobody has it and what to do about it. What should
hold is told from the policy's file, the events that were told and the task's history, and not by the code that is tested.
"""

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import literal, select, union_all
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.tasks.models import CareTask
from services.followup.tasks.policy import shipped_policy
from services.followup.tasks.queries import Filters, View, filtered
from shared.events import Delivery
from shared.events.intake import CourseChanged, PractitionerChanged
from tests.followup.clinic import COORDINATOR, DIRECTOR, NURSE, PRESCRIBER, THERAPIST, Clinic, Json

ROLES = (COORDINATOR, NURSE, PRESCRIBER, THERAPIST, DIRECTOR)
KINDS = ("integration-session", "integration-session", "left-against-advice", "rebook", "rebook", "rebook")
POLICY = shipped_policy()
PracticeHandler = Callable[[AsyncSession, Sequence[Delivery[PractitionerChanged]]], Awaitable[None]]


class History:
    """One clinic with five people, and what happened to its queue. ``handler`` stands in for the product's, to plant a bug."""

    def __init__(self, clinic: Clinic, seed: int, handler: PracticeHandler | None = None) -> None:
        self.clinic, self.handler = clinic, handler
        self.dice = random.Random(seed)
        self.people = {clinic.people[role]: frozenset({role}) for role in ROLES}
        self.versions = dict.fromkeys(self.people, 1)
        self.told: list[PractitionerChanged] = []
        self.visits: list[UUID] = []
        self.courses: dict[UUID, tuple[UUID, int]] = {}

    async def found(self, steps: int) -> list[str]:
        """What did not hold after one of so many steps; empty where all did."""
        for number in range(steps):
            does = self.dice.choices(
                (self.new_task, self.work, self.roles_change, self.old_news, self.team_changes, self.time_passes), (2, 10, 3, 1, 1, 3)
            )[0]
            await does()
            if wrong := await self.wrong():
                return [f"step {number}, {does.__name__}: {what}" for what in wrong]
        return []

    async def new_task(self) -> None:
        visit = self.clinic.visit(therapist_id=self.dice.choice(list(self.people)))
        await self.clinic.task(self.dice.choice(KINDS), visit)
        self.visits.append(visit.infusion_id)
        self.courses[visit.course_id] = (visit.patient_id, 0)

    async def work(self) -> None:
        rows = await self.open_tasks()
        if not rows:
            await self.new_task()
            return
        owned = [row for row in rows if row["owner_id"] is not None]
        task = self.dice.choice(owned if owned and self.dice.random() < 0.6 else rows)
        step, body = self._step_of(task)
        fit = [person for person, roles in self.people.items() if not POLICY.kinds[task["kind"]].roles.isdisjoint(roles)]
        anybody = self.dice.choice(fit if fit and self.dice.random() < 0.8 else list(self.people))
        actor = task["owner_id"] if task["owner_id"] and self.dice.random() < 0.9 else anybody
        answer = await self.clinic.post(f"tasks/{task['task_id']}/{step}", body, role=actor)
        assert answer.status_code < 500, answer.text

    def _step_of(self, task: Json) -> tuple[str, Json]:
        """What somebody tries with a task; it may be refused."""
        until = (self.clinic.clock.now() + timedelta(hours=self.dice.randint(1, 16))).isoformat()
        hold, assign = {"until": until, "reason": "waiting-for-patient"}, {"owner_id": str(self.dice.choice(list(self.people)))}
        if task["owner_id"] is None:
            return self.dice.choice((("claim", {}), ("claim", {}), ("assign", assign)))
        ends: tuple[tuple[str, Json], ...] = (
            ("complete", {"outcome": "no-answer", "retry_at": until}),
            ("complete", {"outcome": "unable"}),
            ("release", {}),
        )
        waits = ("resume", {}) if task["status"] == "on-hold" and self.dice.random() < 0.3 else ("hold", hold)
        return self.dice.choice((*ends, ("assign", assign), waits, waits, waits, waits))

    async def roles_change(self) -> None:
        rows = [row for row in await self.open_tasks() if row["owner_id"] is not None]
        waiting = [row["owner_id"] for row in rows if row["status"] == "on-hold"]
        seen = waiting or [row["owner_id"] for row in rows]  # of whom something is to be seen
        person = self.dice.choice(seen if seen and self.dice.random() < 0.7 else list(self.people))
        # Who left returns, and who is there leaves or does other work.
        there = bool(self.people[person])
        roles = frozenset(self.dice.sample(ROLES, self.dice.randint(1, 2)))
        self.versions[person] += 1
        event = PractitionerChanged(
            occurred_at=self.clinic.clock.now(), practitioner_id=person, practitioner_version=self.versions[person], roles=sorted(roles),
            active=not there or self.dice.random() < 0.5,
        )  # fmt: skip
        self.people[person] = roles if event.active else frozenset()
        await self.tell(event)

    async def old_news(self) -> None:
        if self.told:
            await self.tell(self.dice.choice(self.told))

    async def team_changes(self) -> None:
        if not self.courses:
            return
        course_id = self.dice.choice(list(self.courses))
        patient_id, version = self.courses[course_id]
        self.courses[course_id] = (patient_id, version + 1)
        responsible, therapist, coordinator = (self.dice.choice(list(self.people)) for _ in range(3))
        await self.clinic.tell(
            CourseChanged(
                occurred_at=self.clinic.clock.now(), course_id=course_id, course_version=version + 1, patient_id=patient_id,
                status="active", protocol_code="default", protocol_version=1, planned_infusions=6,
                responsible_clinician_id=responsible, therapist_id=therapist, coordinator_id=coordinator,
            )
        )  # fmt: skip

    async def time_passes(self) -> None:
        await self.clinic.pass_time(timedelta(hours=self.dice.randint(2, 30)))

    async def tell(self, event: PractitionerChanged) -> None:
        self.told.append(event)
        if self.handler is None:
            await self.clinic.tell(event)
            return
        async with self.clinic.database.transaction(self.clinic.clinic_id) as db:
            await self.handler(db, [Delivery(event, self.clinic.clinic_id, self.clinic.clinic_id, 1)])

    async def open_tasks(self) -> list[Json]:
        """In an order that is the same in each run of a seed; ids are not."""
        rows = await self.clinic.rows("SELECT * FROM care_task WHERE status IN ('requested', 'accepted', 'on-hold')")
        return sorted(rows, key=lambda row: (self.visits.index(row["infusion_id"]), row["kind"], row["ordinal"], row["attempt"]))

    async def wrong(self) -> list[str]:
        """What does not hold now."""
        tasks = {task["task_id"]: task for task in await self.open_tasks()}
        tabs = await self._tabs()
        listed = {UUID(row["task_id"]): row for row in (await self.clinic.get("tasks", None, view="unassigned", limit=200)).json()["items"]}
        counts = (await self.clinic.get("tasks/counts", None)).json()
        expected = {"open": len(tasks), "unassigned": len(listed), "on-hold": sum(tab == ["on-hold"] for tab in tabs.values())}
        wrong = [f"{view}: {counts['counts'][view]} for {number}" for view, number in expected.items() if counts["counts"][view] != number]
        if sum(counts["unassigned"].values()) != len(listed):
            wrong.append(f"reasons that do not add up: {counts['unassigned']}")
        causes = {row["task_id"]: row["cause"] for row in await self.clinic.rows(_LAST_CAUSES)}
        for task_id, task in tasks.items():
            wrong += [f"{task['kind']} {what}" for what in self._wrong_of(task, tabs[task_id], listed.get(task_id), causes.get(task_id))]
        return wrong + [f"{tab} holds what has ended" for task_id, tab in tabs.items() if task_id not in tasks]

    async def _tabs(self) -> dict[UUID, list[str]]:
        """In which tabs the product lists each task: Mine of everybody, Unassigned and On hold."""
        now, found = self.clinic.clock.now(), defaultdict[UUID, list[str]](list)
        asked = [(View.MINE, Filters(now, me=person)) for person in self.people]
        asked += [(view, Filters(now)) for view in (View.UNASSIGNED, View.ON_HOLD)]
        async with self.clinic.database.transaction(self.clinic.clinic_id) as db:
            lists = [select(col(CareTask.task_id), literal(view.value)).where(*filtered(db, view, filters)) for view, filters in asked]
            for task_id, tab in await db.execute(union_all(*lists)):
                found[task_id].append(tab)
        return found

    def _wrong_of(self, task: Json, tabs: list[str], listed: Json | None, cause: str | None) -> list[str]:
        allowed = POLICY.kinds[task["kind"]].roles
        if len(tabs) != 1:
            return [f"is in {tabs}"]
        if tabs != ["unassigned"]:
            fits = not allowed.isdisjoint(self.people[task["owner_id"]])
            return [] if fits else [f"is with somebody who may not have it, {tabs}"]
        if listed is None:
            return ["is not on the page of its tab"]
        somebody = any(not allowed.isdisjoint(roles) for roles in self.people.values())
        wanted = (cause or "not-taken") if somebody else "nobody-may"
        wrong = [] if listed["unassigned_because"] == wanted else [f"says {listed['unassigned_because']} for {wanted}"]
        suggested = listed["suggested_owner_id"]
        if suggested is not None and allowed.isdisjoint(self.people[UUID(suggested)]):
            wrong.append("suggests somebody who may not have it")
        return wrong if listed["remedy"] else [*wrong, "has no remedy"]


_LAST_CAUSES = """
    SELECT DISTINCT ON (task_id) task_id,
        CASE WHEN action = 'released' AND actor = 'Service/followup' THEN coalesce(details ->> 'cause', 'any cause') END AS cause
    FROM task_history WHERE action IN ('claimed', 'assigned', 'released') ORDER BY task_id, version DESC
"""
