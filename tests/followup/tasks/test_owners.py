"""Who leaves or loses a role loses the work: it is for everybody again, at once, with why it is there and what to do about it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.followup.tasks.leavers import Leavers
from services.followup.tasks.policy import shipped_policy
from shared.events import intake as people
from tests.followup.clinic import COORDINATOR, DIRECTOR, NURSE, PRESCRIBER, THERAPIST, Clinic, Json, Statements, Visit, all_wait

TABS = ("mine", "unassigned", "on-hold")


def changed(
    clinic: Clinic, person: str | UUID, version: int = 2, roles: tuple[str, ...] = (), *, active: bool = True
) -> people.PractitionerChanged:
    """What intake tells of somebody."""
    practitioner_id = clinic.people[person] if isinstance(person, str) else person
    return people.PractitionerChanged(
        occurred_at=clinic.clock.now(), practitioner_id=practitioner_id, practitioner_version=version, roles=list(roles), active=active
    )


async def claimed(clinic: Clinic, kind: str = "rebook", role: str = COORDINATOR) -> Json:
    """A task that somebody has."""
    task = await clinic.task(kind)
    answer = await clinic.post(f"tasks/{task['task_id']}/claim", role=role)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def held(clinic: Clinic, for_hours: float = 3) -> Json:
    """A task that its owner lets wait."""
    task = await claimed(clinic)
    until = (clinic.clock.now() + timedelta(hours=for_hours)).isoformat()
    answer = await clinic.post(f"tasks/{task['task_id']}/hold", {"until": until, "reason": "waiting-for-patient"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def shown(clinic: Clinic, task: Json) -> Json:
    return dict((await clinic.get(f"tasks/{task['task_id']}", DIRECTOR)).json())


async def tabs(clinic: Clinic, task: Json, *roles: str) -> list[str]:
    """In which tabs these people see the task."""
    found = []
    for role in roles or (DIRECTOR,):
        for view in TABS:
            listed = (await clinic.get("tasks", role, view=view, limit=200)).json()["items"]
            found += [view for row in listed if row["task_id"] == task["task_id"]]
    return found


async def test_what_somebody_had_who_left_is_unassigned_at_once_with_its_mark_and_its_remedy(clinic: Clinic) -> None:
    task = await claimed(clinic)
    left = clinic.delivery(changed(clinic, COORDINATOR, active=False))
    assert clinic.service.inbox is not None
    async with clinic.database.transaction() as db:
        await clinic.service.inbox.dispatch(db, [left])
    now = await shown(clinic, task)
    assert (now["status"], now["owner_id"], now["unassigned_because"]) == ("requested", None, "owner-left")
    assert now["remedy"] == "Who had this does not work here any more. Take it, or give it to somebody who may do it."
    assert await tabs(clinic, task) == ["unassigned"]
    line = (await clinic.get(f"tasks/{task['task_id']}/history", DIRECTOR)).json()["items"][-1]
    assert (line["action"], line["says"]) == ("released", "Put back for everybody: who had it does not work here any more.")
    assert (line["actor"], line["caused_by"]) == ("Service/followup", str(left.event_id))
    assert line["details"] == {"cause": "owner-left", "owner_before": task["owner_id"]}
    taken = (await clinic.post(f"tasks/{task['task_id']}/claim", role=NURSE)).json()
    assert (taken["owner_id"], taken["unassigned_because"], taken["remedy"]) == (str(clinic.people[NURSE]), None, None)
    back = (await clinic.post(f"tasks/{task['task_id']}/release", role=NURSE)).json()
    assert back["unassigned_because"] == "not-taken", "why it was there before counts no more"


async def test_who_loses_the_role_loses_only_the_work_that_asks_for_it(clinic: Clinic) -> None:
    session, rebook = await claimed(clinic, "integration-session"), await claimed(clinic)
    await clinic.tell(changed(clinic, COORDINATOR, 2, (NURSE,)))
    assert (await shown(clinic, rebook))["owner_id"] == str(clinic.people[COORDINATOR]), "a nurse may book a visit"
    lost = await shown(clinic, session)
    assert (lost["owner_id"], lost["status"], lost["unassigned_because"]) == (None, "requested", "role-lost")
    assert lost["remedy"].startswith("Who had this may not do it any more.")


async def test_a_hold_goes_on_without_its_owner_and_ends_for_everybody(clinic: Clinic) -> None:
    task = await held(clinic)
    await clinic.tell(changed(clinic, COORDINATOR, active=False))
    waiting = await shown(clinic, task)
    assert (waiting["status"], waiting["owner_id"], waiting["held_until"]) == ("on-hold", None, task["held_until"])
    assert waiting["remedy"].startswith("Who had this does not work here any more. It was to wait until ")
    assert await tabs(clinic, task) == ["unassigned"]
    await clinic.pass_time(timedelta(hours=3))
    woken = await shown(clinic, task)
    assert (woken["status"], woken["owner_id"], woken["held_until"]) == ("requested", None, None)
    assert (woken["unassigned_because"], await tabs(clinic, task)) == ("owner-left", ["unassigned"])


@pytest.mark.parametrize("step", ["claim", "assign"])
async def test_what_waits_without_an_owner_may_be_taken_before_its_hold_ends(clinic: Clinic, step: str) -> None:
    task = await held(clinic)
    await clinic.tell(changed(clinic, COORDINATOR, active=False))
    refused = (await clinic.post(f"tasks/{task['task_id']}/resume", role=DIRECTOR)).json()
    assert refused["code"] == "not-owner"
    body = {"owner_id": str(clinic.people[DIRECTOR])} if step == "assign" else None
    taken = (await clinic.post(f"tasks/{task['task_id']}/{step}", body, role=DIRECTOR)).json()
    assert (taken["status"], taken["held_until"], taken["status_reason"]) == ("accepted", None, None)
    await clinic.pass_time(timedelta(hours=4))
    assert (await shown(clinic, task))["owner_id"] == str(clinic.people[DIRECTOR])


async def test_told_late_or_twice_it_changes_nothing_more_and_who_returns_sees_nothing_twice(clinic: Clinic) -> None:
    task = await claimed(clinic)
    gone, back = changed(clinic, COORDINATOR, 3, active=False), changed(clinic, COORDINATOR, 4, (COORDINATOR,))
    await clinic.tell(gone, gone, changed(clinic, COORDINATOR, 2, (COORDINATOR,)))
    once = await shown(clinic, task)
    assert (once["version"], once["owner_id"]) == (3, None)
    await clinic.tell(back, gone)
    assert await shown(clinic, task) == once, "a role that comes back does not take the work back"
    assert await tabs(clinic, task, COORDINATOR) == ["unassigned"]
    assert (await clinic.post(f"tasks/{task['task_id']}/claim")).status_code == 200
    await clinic.tell(gone)
    assert await tabs(clinic, task, COORDINATOR) == ["mine"], "an event that is older than what is known takes nothing"


async def test_however_much_somebody_had_it_costs_the_same_statements(clinic: Clinic) -> None:
    counted = []
    for number in (1, 12):
        person = await clinic.practitioner(COORDINATOR)
        for _ in range(number):
            task = await clinic.task("rebook")
            assert (await clinic.post(f"tasks/{task['task_id']}/claim", role=person)).status_code == 200
        with Statements(clinic.database) as sent:
            await clinic.tell(changed(clinic, person, active=False))
        counted.append(len(sent.texts))
        left = await clinic.rows("SELECT 1 FROM care_task WHERE owner_id = :id", id=person)
        assert left == []
    assert counted[0] == counted[1], counted


async def test_who_takes_work_while_leaving_does_not_keep_it(clinic: Clinic) -> None:
    task = await clinic.task("rebook")
    path = f"tasks/{task['task_id']}"
    async with clinic.database.transaction(clinic.clinic_id) as db:
        await db.execute(text("SELECT 1 FROM care_task WHERE task_id = :id FOR UPDATE"), {"id": task["task_id"]})
        claiming = asyncio.ensure_future(clinic.post(f"{path}/claim"))
        await all_wait(clinic.database, 1)
        leaving = asyncio.ensure_future(clinic.tell(changed(clinic, COORDINATOR, active=False)))
        await all_wait(clinic.database, 2)
    assert (await claiming).status_code == 200
    await leaving
    assert ((await shown(clinic, task))["owner_id"], await tabs(clinic, task)) == (None, ["unassigned"])


async def test_who_left_while_the_request_ran_gets_nothing(clinic: Clinic) -> None:
    task, other = await clinic.task("rebook"), await claimed(clinic, "rebook", NURSE)
    async with clinic.database.transaction(clinic.clinic_id) as db:
        gone = "UPDATE platform.practitioner SET active = false WHERE practitioner_id = ANY(:ids)"
        await db.execute(text(gone), {"ids": [clinic.people[COORDINATOR], clinic.people[NURSE]]})
        retry = {"outcome": "no-answer", "retry_at": (clinic.clock.now() + timedelta(hours=2)).isoformat()}
        trying = [
            asyncio.ensure_future(clinic.post(f"tasks/{task['task_id']}/claim")),
            asyncio.ensure_future(clinic.post(f"tasks/{task['task_id']}/assign", {"owner_id": str(clinic.people[NURSE])}, DIRECTOR)),
            asyncio.ensure_future(clinic.post(f"tasks/{other['task_id']}/complete", retry, NURSE)),
        ]
        await all_wait(clinic.database, 3)
    assert [(await one).json()["code"] for one in trying] == ["role-missing", "reference-not-found", "role-missing"]
    assert (await shown(clinic, task))["owner_id"] is None


async def test_work_that_nobody_here_may_do_says_so_and_is_counted(clinic: Clinic) -> None:
    task = await claimed(clinic, "left-against-advice", PRESCRIBER)
    await clinic.tell(changed(clinic, PRESCRIBER, active=False))
    assert (await shown(clinic, task))["unassigned_because"] == "owner-left", "the medical director may do it"
    await clinic.tell(changed(clinic, DIRECTOR, 2, (COORDINATOR,)))
    nobody = await shown(clinic, task)
    assert nobody["unassigned_because"] == "nobody-may"
    assert nobody["remedy"].startswith("Nobody here may do this: it is for ")
    assert nobody["remedy"].endswith("Ask a clinic administrator to give such a role to somebody who works here.")
    await clinic.task("rebook")
    counts = (await clinic.get("tasks/counts")).json()
    assert counts["unassigned"] == {"nobody-may": 1, "owner-left": 0, "role-lost": 0, "not-taken": 2}
    assert sum(counts["unassigned"].values()) == counts["counts"]["unassigned"]
    listed = (await clinic.get("tasks", view="unassigned", unassigned_because="nobody-may")).json()["items"]
    assert [row["task_id"] for row in listed] == [task["task_id"]]
    await clinic.practitioner(PRESCRIBER)
    assert (await shown(clinic, task))["unassigned_because"] == "owner-left", "who may is asked when it is shown"


def course(
    clinic: Clinic, visit: Visit, version: int, *, therapist: UUID | None = None, coordinator: UUID | None = None
) -> people.CourseChanged:
    """What intake tells of a course and its care team."""
    return people.CourseChanged(
        occurred_at=clinic.clock.now(), course_id=visit.course_id, course_version=version, patient_id=visit.patient_id, status="active",
        protocol_code="default", protocol_version=1, planned_infusions=6, responsible_clinician_id=clinic.people[PRESCRIBER],
        therapist_id=therapist, coordinator_id=coordinator,
    )  # fmt: skip


async def test_the_suggested_owner_follows_the_care_team_and_is_always_somebody_who_is_there_and_may(clinic: Clinic) -> None:
    second = await clinic.practitioner(THERAPIST)
    visit = clinic.visit(therapist_id=clinic.people[THERAPIST])
    task = await clinic.task(visit=visit)

    async def suggested() -> UUID | None:
        found = (await clinic.get(f"tasks/{task['task_id']}", None)).json()["suggested_owner_id"]
        assert [row["suggested_owner_id"] for row in (await clinic.get("tasks", None, view="unassigned")).json()["items"]] == [found]
        return None if found is None else UUID(found)

    assert await suggested() == clinic.people[THERAPIST], "of whom the infusion told, as long as no care team was told of"
    await clinic.tell(course(clinic, visit, 2, therapist=second, coordinator=clinic.people[COORDINATOR]))
    assert await suggested() == second
    await clinic.tell(changed(clinic, second, 2, (NURSE,)))
    assert await suggested() == clinic.people[COORDINATOR], "a nurse may not hold the session"
    await clinic.tell(changed(clinic, COORDINATOR, active=False))
    assert await suggested() == clinic.people[PRESCRIBER]
    await clinic.tell(changed(clinic, PRESCRIBER, active=False))
    assert await suggested() is None
    await clinic.tell(course(clinic, visit, 3, therapist=clinic.people[THERAPIST]), course(clinic, visit, 2, therapist=second))
    assert await suggested() == clinic.people[THERAPIST]


async def test_what_people_had_who_left_before_this_release_is_found_counted_and_released(
    clinic: Clinic, open_clinic: Callable[[], Awaitable[Clinic]]
) -> None:
    leavers = clinic.service.workers["leavers"].__self__  # type: ignore[attr-defined]  # the method of the worker
    assert isinstance(leavers, Leavers)
    await leavers.release_all()  # what other tests have left
    other = await open_clinic()
    gone, waiting, kept = await claimed(clinic, "rebook", NURSE), await held(clinic), await claimed(other)
    # As the version before left it: it knows who left, and the tasks stay with them.
    await clinic.rows("UPDATE platform.practitioner SET active = false WHERE practitioner_id = :id RETURNING 1", id=clinic.people[NURSE])
    await clinic.rows(
        "UPDATE platform.practitioner SET roles = '{auditor}' WHERE practitioner_id = :id RETURNING 1", id=clinic.people[COORDINATOR]
    )
    assert await leavers.release_all() == 2
    assert await leavers.release_all() == 0
    assert [(await shown(clinic, task))["unassigned_because"] for task in (gone, waiting)] == ["owner-left", "role-lost"]
    assert (await shown(other, kept))["owner_id"] is not None
    lines = (await clinic.get(f"tasks/{gone['task_id']}/history", DIRECTOR)).json()["items"]
    assert [(line["action"], line["caused_by"]) for line in lines][-1] == ("released", None)


async def test_a_hold_that_the_version_before_ends_without_an_owner_is_still_found(clinic: Clinic) -> None:
    task = await held(clinic)
    await clinic.tell(changed(clinic, COORDINATOR, active=False))
    woken = "UPDATE care_task SET status = 'accepted', held_since = NULL, held_until = NULL WHERE task_id = :id RETURNING 1"
    await clinic.rows(woken, id=task["task_id"])
    assert await tabs(clinic, task, DIRECTOR, NURSE) == ["unassigned", "unassigned"]
    assert (await clinic.post(f"tasks/{task['task_id']}/claim", role=NURSE)).status_code == 200


async def test_work_of_a_closed_clinic_waits_and_is_whole_and_overdue_by_its_clock_when_it_opens_again(clinic: Clinic) -> None:
    mine, waiting, free = await claimed(clinic), await held(clinic), await clinic.task("left-against-advice")
    closed, opened = (
        people.ClinicChanged(
            occurred_at=clinic.clock.now(), clinic_id=clinic.clinic_id, clinic_version=version, time_zone="America/New_York", active=active
        )
        for version, active in ((2, False), (3, True))
    )
    await clinic.tell(closed)
    await clinic.tell(changed(clinic, NURSE, active=False))  # told before it closed, heard behind it
    await clinic.pass_time(timedelta(days=9))
    await clinic.tell(opened)
    assert [await tabs(clinic, task, COORDINATOR) for task in (mine, waiting, free)] == [["mine"], ["mine"], ["unassigned"]]
    assert [(await shown(clinic, task))["overdue"] for task in (mine, waiting, free)] == [True, True, True]
    assert {row["status"] for row in await clinic.rows("SELECT status FROM care_task")} == {"accepted", "requested"}


def test_who_is_suggested_may_do_the_work_by_the_role_that_the_care_team_has_them_for() -> None:
    for kind in shipped_policy().kinds.values():
        assert kind.roles.issuperset({part for part in kind.suggested if part != "responsible-clinician"})


async def test_another_clinics_people_lose_nothing(clinic: Clinic, open_clinic: Callable[[], Awaitable[Clinic]]) -> None:
    other = await open_clinic()
    task = await claimed(clinic)
    await other.tell(changed(other, clinic.people[COORDINATOR], 9, active=False))
    assert (await shown(clinic, task))["owner_id"] == str(clinic.people[COORDINATOR])
    await clinic.tell(changed(clinic, uuid4(), active=False))
    assert await tabs(clinic, task, COORDINATOR) == ["mine"]
