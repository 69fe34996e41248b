"""The queue: views whose counts are the lengths of their lists, filters, orders, and pages that lose nothing."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from uuid import UUID, uuid4

import pytest
from sqlalchemy import ClauseElement, text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins.queries import get_check_in
from services.followup.checkins.work import overdue_task
from services.followup.reasons import Reason, ReasonCode
from services.followup.tasks import commands as tasks
from services.followup.tasks.commands import NewTask
from services.followup.tasks.pressing import Place, statement
from services.followup.tasks.queries import Filters, Sort, View, tasks_in
from services.followup.tasks.rules import BusinessStatus, Priority
from shared.db import Database
from shared.events import sessions as infusions
from tests.followup.clinic import COORDINATOR, NURSE, PRESCRIBER, THERAPIST, Clinic, Json
from tests.support.databases import Databases

VIEWS = ("mine", "unassigned", "on-hold", "done", "open", "cancelled")


async def listed(clinic: Clinic, role: str | None = COORDINATOR, **query: object) -> list[Json]:
    """A whole list, page by page."""
    answer = await clinic.get("tasks", role, **query)
    assert answer.status_code == 200, answer.text
    items: list[Json] = answer.json()["items"]
    while following := answer.json()["next"]:
        answer = await clinic.get(following, role)
        items += answer.json()["items"]
    return items


async def busy(clinic: Clinic) -> None:
    """A queue with something in every view."""
    for kind in ("integration-session", "same-evening-call", "left-against-advice", "rebook", "rebook", "rebook"):
        await clinic.task(kind)
    mine = (await listed(clinic, view="unassigned", kind="rebook"))[:3]
    for task in mine:
        await clinic.post(f"tasks/{task['task_id']}/claim")
    until = (clinic.clock.now() + timedelta(hours=2)).isoformat()
    await clinic.post(f"tasks/{mine[0]['task_id']}/hold", {"until": until, "reason": "waiting-for-record"})
    await clinic.post(f"tasks/{mine[1]['task_id']}/complete", {"outcome": "done"})
    gone = clinic.visit()
    await clinic.tell(gone.told(), gone.told(infusions.InfusionEnteredInError, 5))


async def test_every_view_holds_what_its_count_says(clinic: Clinic) -> None:
    await busy(clinic)
    counts = (await clinic.get("tasks/counts")).json()["counts"]
    assert counts == {view: len(await listed(clinic, view=view)) for view in VIEWS}
    assert counts == {"mine": 1, "unassigned": 6, "on-hold": 1, "done": 1, "open": 8, "cancelled": 1}


@pytest.mark.parametrize(
    "filters",
    [{"kind": "rebook"}, {"priority": "urgent"}, {"overdue": "true"}, {"overdue": "false"}, {"due_before": "2026-11-24T01:00:00Z"}],
)
async def test_a_count_is_the_length_of_its_list_with_any_filter(clinic: Clinic, filters: Json) -> None:
    await busy(clinic)
    clinic.clock.advance(timedelta(hours=30))
    counts = (await clinic.get("tasks/counts", **filters)).json()["counts"]
    assert counts == {view: len(await listed(clinic, view=view, **filters)) for view in VIEWS}
    assert sum(counts.values()) > 0


async def test_filters_narrow_by_patient_owner_and_due_time(clinic: Clinic) -> None:
    visit = clinic.visit()
    task = await clinic.task("same-evening-call", visit)
    await clinic.task()
    assert {row["patient_id"] for row in await listed(clinic, patient_id=str(visit.patient_id))} == {str(visit.patient_id)}
    await clinic.post(f"tasks/{task['task_id']}/claim", role=NURSE)
    assert [row["task_id"] for row in await listed(clinic, owner_id=str(clinic.people[NURSE]))] == [task["task_id"]]
    assert [row["kind"] for row in await listed(clinic, due_before="2026-11-24T01:00:01Z")] == ["same-evening-call"]
    assert await listed(clinic, due_before="2026-11-24T01:00:00Z") == []


async def test_overdue_is_what_is_open_and_strictly_past_due(clinic: Clinic) -> None:
    task = await clinic.task("left-against-advice")
    clinic.clock.advance(timedelta(minutes=30))
    assert await listed(clinic, overdue="true") == []
    clinic.clock.advance(timedelta(seconds=1))
    [late] = await listed(clinic, overdue="true")
    assert (late["task_id"], late["overdue"]) == (task["task_id"], True)


@pytest.mark.parametrize(
    ("sort", "key", "reverse"),
    [
        ("due_at", "due_at", False),
        ("-due_at", "due_at", True),
        ("created_at", "created_at", False),
        ("-created_at", "created_at", True),
    ],
)
async def test_lists_come_in_the_wanted_order(clinic: Clinic, sort: str, key: str, reverse: bool) -> None:
    for kind in ("integration-session", "left-against-advice", "rebook"):
        await clinic.task(kind)
        clinic.clock.advance(timedelta(minutes=7))
    values = [row[key] for row in await listed(clinic, sort=sort)]
    assert values == sorted(values, reverse=reverse)


async def test_the_most_pressing_comes_first_and_then_what_is_due_first(clinic: Clinic) -> None:
    for kind in ("integration-session", "rebook", "same-evening-call", "left-against-advice"):
        await clinic.task(kind)
    kinds = [row["kind"] for row in await listed(clinic, sort="priority")]
    assert kinds[:2] == ["left-against-advice", "same-evening-call"]
    assert kinds[2] == "rebook"


async def made(clinic: Clinic, priority: str, due_in: timedelta, *, business_status: str = "to-do") -> UUID:
    """A task that is due then."""
    now, visit = clinic.clock.now(), clinic.visit()
    await clinic.patient(visit)
    new = NewTask(
        kind="rebook", focus_kind="Infusion", focus_id=uuid4(), patient_id=visit.patient_id, patient_number="P-0007",
        priority=Priority(priority), reason=Reason(ReasonCode.NO_INFUSION), due_at=now + due_in, created_at=now,
        business_status=BusinessStatus(business_status),
    )  # fmt: skip
    async with clinic.database.transaction(clinic.clinic_id) as db:
        await tasks.add(db, [new])
    return new.task_id


HOUR = timedelta(hours=1)


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_by_default_stat_comes_first_then_the_overdue_by_level_and_age_then_what_is_due_first(clinic: Clinic, limit: int) -> None:
    wanted = [
        await made(clinic, "stat", -HOUR),
        await made(clinic, "stat", 5 * HOUR),
        await made(clinic, "asap", -HOUR),
        await made(clinic, "urgent", -3 * HOUR),
        await made(clinic, "urgent", -2 * HOUR),
        await made(clinic, "routine", -72 * HOUR),
        await made(clinic, "routine", -1 * HOUR),
        await made(clinic, "routine", -9 * HOUR, business_status="offered"),
        await made(clinic, "routine", timedelta(0)),
        await made(clinic, "asap", HOUR),
        await made(clinic, "routine", 2 * HOUR),
    ]
    for view in ("open", "unassigned"):
        assert [UUID(row["task_id"]) for row in await listed(clinic, view=view, limit=limit)] == wanted
    for row in await listed(clinic):
        await clinic.post(f"tasks/{row['task_id']}/claim")
    assert [UUID(row["task_id"]) for row in await listed(clinic, view="mine", limit=limit)] == wanted
    late = [row["task_id"] for row in await listed(clinic, overdue="true", limit=limit)]
    not_late = [row["task_id"] for row in await listed(clinic, overdue="false", limit=limit)]
    assert late == [str(wanted[place]) for place in (0, 2, 3, 4, 5, 6)]
    assert not_late == [str(wanted[place]) for place in (1, 7, 8, 9, 10)]
    assert [UUID(row["task_id"]) for row in await listed(clinic, priority="urgent", limit=limit)] == wanted[3:5]


async def test_a_call_for_help_is_the_first_of_a_long_queue(clinic: Clinic) -> None:
    for _ in range(26):
        await made(clinic, "routine", -HOUR)
    called = await made(clinic, "stat", timedelta(minutes=15))
    assert (await clinic.get("tasks", limit=1)).json()["items"][0]["task_id"] == str(called)


async def test_what_falls_due_while_somebody_reads_on_is_neither_left_out_nor_repeated(clinic: Clinic) -> None:
    wanted = [await made(clinic, "urgent", minutes * timedelta(minutes=1)) for minutes in (-30, -20, 5, 6, 7, 8, 90)]
    first = (await clinic.get("tasks", limit=3)).json()
    seen, following = [row["task_id"] for row in first["items"]], first["next"]
    while following:
        clinic.clock.advance(timedelta(minutes=3))
        page = (await clinic.get(following)).json()
        seen += [row["task_id"] for row in page["items"]]
        following = page["next"]
    assert seen == [str(task_id) for task_id in wanted]


async def test_a_cursor_of_an_order_by_columns_is_none_of_the_pressing_order(clinic: Clinic) -> None:
    for _ in range(3):
        await made(clinic, "routine", HOUR)
    by_due = (await clinic.get("tasks", sort="due_at", limit=1)).json()["next"]
    assert (await clinic.get(by_due.replace("sort=due_at&", ""))).json()["code"] == "cursor-invalid"


async def test_what_was_closed_last_comes_first(clinic: Clinic) -> None:
    done = []
    for _ in range(3):
        task = await clinic.task("rebook")
        await clinic.post(f"tasks/{task['task_id']}/claim")
        await clinic.post(f"tasks/{task['task_id']}/complete", {"outcome": "done"})
        done.append(task["task_id"])
        clinic.clock.advance(timedelta(minutes=1))
    assert [row["task_id"] for row in await listed(clinic, view="done")] == done[::-1]
    assert (await clinic.get("tasks", sort="-closed_at")).json()["code"] == "sort-not-applicable"


async def test_pages_lose_and_repeat_nothing_while_others_work(clinic: Clinic) -> None:
    made = {(await clinic.task("rebook"))["task_id"] for _ in range(11)}
    first = (await clinic.get("tasks", view="unassigned", limit=4)).json()
    seen = [row["task_id"] for row in first["items"]]
    # Of the first page two are claimed; a new, later one comes in; of the rest one is claimed.
    for task_id in (*seen[:2], next(iter(made - set(seen)))):
        assert (await clinic.post(f"tasks/{task_id}/claim")).status_code == 200
    clinic.clock.advance(timedelta(hours=1))
    late = (await clinic.task("rebook"))["task_id"]
    following = first["next"]
    while following:
        page = (await clinic.get(following)).json()
        seen += [row["task_id"] for row in page["items"]]
        following = page["next"]
    assert len(seen) == len(set(seen))
    assert set(seen) >= (made | {late}) - {row["task_id"] for row in await listed(clinic, view="mine")}


async def test_a_cursor_is_good_for_its_own_list_only(clinic: Clinic) -> None:
    for _ in range(3):
        await clinic.task("rebook")
    following = (await clinic.get("tasks", view="unassigned", limit=1)).json()["next"]
    assert (await clinic.get(following.replace("view=unassigned", "view=open"))).json()["code"] == "cursor-invalid"


async def test_a_task_moves_from_view_to_view_with_its_work(clinic: Clinic) -> None:
    task = await clinic.task("rebook")

    async def where() -> list[str]:
        return [view for view in VIEWS if task["task_id"] in {row["task_id"] for row in await listed(clinic, view=view)}]

    assert await where() == ["unassigned", "open"]
    await clinic.post(f"tasks/{task['task_id']}/claim")
    assert await where() == ["mine", "open"]
    until = (clinic.clock.now() + timedelta(hours=2)).isoformat()
    await clinic.post(f"tasks/{task['task_id']}/hold", {"until": until, "reason": "waiting-for-record"})
    assert await where() == ["on-hold", "open"]
    await clinic.post(f"tasks/{task['task_id']}/complete", {"outcome": "unable"})
    assert await where() == ["done"]


async def test_mine_needs_to_know_who_looks(clinic: Clinic) -> None:
    answer = await clinic.get("tasks", None, view="mine")
    assert (answer.status_code, answer.json()["code"]) == (403, "practitioner-required")
    assert (await clinic.get("tasks/counts", None)).json()["counts"]["mine"] == 0


@pytest.mark.parametrize("role", [COORDINATOR, None, NURSE, PRESCRIBER, THERAPIST])
async def test_what_was_met_is_read_by_clinical_roles_only_and_nobody_named_reads_as_a_coordinator(
    clinic: Clinic, role: str | None
) -> None:
    visit = clinic.visit()
    await clinic.patient(visit)
    await clinic.tell(visit.told())
    await clinic.worry((await clinic.items(visit))["C24"]["check_in_id"])
    [row] = await listed(clinic, role, kind="safety-review")
    one = (await clinic.get(f"tasks/{row['task_id']}", role)).json()
    history = (await clinic.get(f"tasks/{row['task_id']}/history", role)).json()
    assert (row["title"], row["level"], row["reason"]) == ("Answers to look at: Urgent", "Urgent", "worrying-answers")
    assert row["why"].startswith("Answers to the 24-hour check-in came at 09:00 (their time)")
    assert row.items() <= one.items()
    assert [line["says"] for line in history["items"]] == ["Made."]
    clinical = role in (NURSE, PRESCRIBER, THERAPIST)
    for answer in (row, one):
        assert ("blood" in json.dumps(answer)) is clinical
    assert "blood" not in json.dumps(history)


async def test_what_was_called_off_is_listed_in_words(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), visit.told(infusions.InfusionEnteredInError, 5))
    [row] = await listed(clinic, kind="cancellation-review")
    assert row["why"] == (
        "The record of the infusion was entered in error. This was called off: 24-hour check-in, 72-hour check-in and integration session."
    )
    one = (await clinic.get(f"tasks/{row['task_id']}")).json()
    assert "24-hour check-in: the record of the infusion was entered in error" in one["lists"]


_AS_THE_VERSION_BEFORE_WROTE = {
    "integration-session": "Infusion completed on 2026-11-23 at 08:00 (America/New_York): integration session between 24 and 72 hours.",
    "safety-review": "C24 answers to look at, level urgent",
    "rebook": "Visit no-show: book a new one.",
    "cancellation-review": "infusion-entered-in-error: 3 open items cancelled (C24, C72, integration-session).",
    "check-in-overdue-call": "C24 not answered",
}


async def test_what_the_version_before_wrote_gets_a_code_from_what_it_holds(clinic: Clinic, databases: Databases) -> None:
    visit, gone, missed = clinic.visit(), clinic.visit(), clinic.visit()
    await clinic.patient(visit)
    await clinic.tell(visit.told(), gone.told(), gone.told(infusions.InfusionEnteredInError, 5), missed.told(infusions.InfusionNoShow))
    await clinic.worry((await clinic.items(visit))["C24"]["check_in_id"])
    async with clinic.database.transaction(clinic.clinic_id) as db:
        check_in = await get_check_in(db, (await clinic.items(visit))["C24"]["check_in_id"])
        await tasks.add(db, [overdue_task(check_in, clinic.clock.now(), clinic.clock.now(), sent=True)])
        rule = {"clinic_id": clinic.clinic_id, "id": check_in.check_in_id, "now": clinic.clock.now()}
        await db.execute(_WORRY, rule)
    statement = "SELECT kind, reason, facts - 'zone' AS facts FROM care_task WHERE status = 'requested' ORDER BY kind"
    ours = {row["kind"]: row for row in await clinic.rows(statement)}
    for kind, why in _AS_THE_VERSION_BEFORE_WROTE.items():
        await clinic.rows("UPDATE care_task SET why = :why, reason = NULL, facts = NULL WHERE kind = :kind RETURNING 1", why=why, kind=kind)
    assert {row["title"] for row in await listed(clinic)} >= {"Integration session", "Book a new visit"}, "before they have a code"
    owner = Database(await databases.unguarded(clinic.database.url, "followup"), name="followup")
    async with owner.transaction() as db:
        await db.execute(text(import_module("services.followup.migrations.versions.0006_reasons").CODES))
    await owner.close()
    theirs = {row["kind"]: row for row in await clinic.rows(statement)}
    assert {kind: row["reason"] for kind, row in theirs.items()} == {kind: row["reason"] for kind, row in ours.items()}
    for kind, row in theirs.items():
        for name, fact in ours[kind]["facts"].items():
            told = row["facts"][name]
            assert told == fact or datetime.fromisoformat(told) == datetime.fromisoformat(fact), (kind, name)


_WORRY = text(
    """
    INSERT INTO check_in_worry (clinic_id, check_in_id, rule_id, item, rule_version, level, why, source, raised_at)
    VALUES (:clinic_id, :id, 'blood-in-urine', 'urine_blood', 1, 'urgent', 'x', 'x', :now)
    """
)


async def test_another_clinics_queue_is_empty_here(clinic: Clinic, open_clinic: object) -> None:
    assert callable(open_clinic)
    other: Clinic = await open_clinic()
    task = await other.task()
    assert await listed(clinic) == []
    for path in (f"tasks/{task['task_id']}", f"tasks/{task['task_id']}/history", f"tasks/{uuid4()}"):
        answer = await clinic.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_misspelled_filter_is_refused(clinic: Clinic) -> None:
    assert (await clinic.get("tasks", veiw="mine")).json()["code"] == "unknown-parameter"
    assert (await clinic.get("tasks", view="everything")).status_code == 422


@pytest.mark.parametrize("role", [COORDINATOR, NURSE, PRESCRIBER, THERAPIST, None])
async def test_everybody_who_works_at_the_queue_sees_it(clinic: Clinic, role: str | None) -> None:
    await clinic.task()
    assert len(await listed(clinic, role)) == 1


LARGE = [
    (View.UNASSIGNED, Sort.DUE, "ix_care_task_unowned"),
    (View.MINE, Sort.DUE, "ix_care_task_mine"),
    (View.ON_HOLD, Sort.DUE, "ix_care_task_on_hold"),
    (View.DONE, None, "ix_care_task_done"),
    (View.CANCELLED, None, "ix_care_task_cancelled"),
    (View.OPEN, Sort.DUE, "ix_care_task_open_by_due"),
    (View.OPEN, Sort.PRIORITY, "ix_care_task_open_by_priority"),
    (View.OPEN, Sort.NEWEST, "ix_care_task_open_by_age"),
]


async def plan_of(clinic: Clinic, databases: Databases, page: Callable[[AsyncSession], ClauseElement]) -> str:
    """How PostgreSQL would read this page of a large queue, for the service's own role, knowing how the queue is made up."""
    visit = clinic.visit()
    await clinic.patient(visit)
    many = _MANY.bindparams(clinic_id=clinic.clinic_id, patient_id=visit.patient_id, me=clinic.people[COORDINATOR])
    async with clinic.database.transaction(clinic.clinic_id) as db:
        rows, query = (sql.compile(db.get_bind(), compile_kwargs={"literal_binds": True}) for sql in (many, page(db)))
    superuser = await databases.server.admin(clinic.database.engine.url.database or "")
    try:
        await superuser.execute(f"BEGIN; {rows}; ANALYZE care_task; SET LOCAL ROLE followup; SET LOCAL enable_bitmapscan = off")
        await superuser.execute("SELECT set_config('app.clinic_id', $1, true)", str(clinic.clinic_id))
        return "\n".join(row[0] for row in await superuser.fetch(f"EXPLAIN {query}"))
    finally:
        await superuser.close()


@pytest.mark.parametrize(("view", "sort", "index"), LARGE)
async def test_a_page_of_a_large_queue_is_read_from_its_views_index(
    clinic: Clinic, databases: Databases, view: View, sort: Sort | None, index: str
) -> None:
    wanted = Filters(clinic.clock.now(), me=clinic.people[COORDINATOR])
    plan = await plan_of(clinic, databases, lambda db: tasks_in(db, view, wanted, sort).limit(51))
    assert index in plan, plan
    assert "Sort" not in plan, plan


@pytest.mark.parametrize(
    ("view", "filters", "late", "ahead"),
    [
        (View.UNASSIGNED, {}, "ix_care_task_unowned_by_priority", "ix_care_task_unowned"),
        (View.MINE, {}, "ix_care_task_mine_by_priority", "ix_care_task_mine"),
        (View.ON_HOLD, {}, "ix_care_task_on_hold_by_priority", "ix_care_task_on_hold"),
        (View.OPEN, {}, "ix_care_task_open_by_priority", "ix_care_task_open_by_due"),
        (View.OPEN, {"kind": "rebook"}, "ix_care_task_kind_by_priority", "ix_care_task_open_by_kind"),
        (View.OPEN, {"owner_id": "me"}, "ix_care_task_owner_by_priority", "ix_care_task_open_by_owner"),
    ],
)
async def test_the_pressing_order_of_a_large_queue_is_read_from_indexes_part_by_part(
    clinic: Clinic, databases: Databases, view: View, filters: Json, late: str, ahead: str
) -> None:
    filters = {name: clinic.people[COORDINATOR] if value == "me" else value for name, value in filters.items()}
    wanted = Filters(datetime.now(UTC) + timedelta(minutes=2000), me=clinic.people[COORDINATOR], **filters)
    for after in (None, Place(wanted.now, 2, wanted.now - timedelta(hours=1), uuid4())):
        plan = await plan_of(clinic, databases, partial(statement, view=view, filters=wanted, after=after, limit=51))
        assert plan.count(f"{late} ") + plan.count(f"{late}\n") >= (4 if after is None else 2), plan
        assert f"{ahead} " in plan, plan
        assert plan.count("Sort Key") == 1, "of what the parts have given, which is never more than their number of pages: " + plan
        assert "Seq Scan" not in plan, plan


_MANY = text(
    """
    INSERT INTO care_task (clinic_id, task_id, version, kind, focus_kind, focus_id, ordinal, attempt, patient_id, patient_number, status,
                           business_status, priority, priority_rank, why, details, due_at, due_kept, held_seconds, created_at, changed_at,
                           owner_id, held_until, closed_at)
    SELECT :clinic_id, gen_random_uuid(), 1, CASE WHEN n % 3 = 0 THEN 'rebook' ELSE 'catch-up-call' END, 'Patient', gen_random_uuid(), 0, 1,
           :patient_id, 'P-1', (ARRAY['requested', 'accepted', 'on-hold', 'cancelled'])[1 + n % 4],
           CASE WHEN n % 50 = 0 THEN 'offered' ELSE 'to-do' END, 'routine', n / 8 % 4, 'because', '{}',
           now() + n * interval '1 minute', false, 0, now() - n * interval '1 minute', now() - n * interval '1 second',
           CASE WHEN n % 4 IN (1, 2) THEN CASE WHEN n % 8 = 1 THEN :me ELSE gen_random_uuid() END END,
           CASE WHEN n % 4 = 2 THEN now() END, CASE WHEN n % 4 = 3 THEN now() END
    FROM generate_series(1, 8000) AS n
    """
)


async def test_counting_one_patients_tasks_leaves_an_audit_row_that_names_the_patient(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.task("left-against-advice", visit)
    await clinic.get("tasks/counts", patient_id=str(visit.patient_id), kind="left-against-advice")
    (row,) = await clinic.rows("SELECT * FROM audit_event WHERE operation = 'count_tasks'")
    assert (row["phi"], row["patient_id"], row["outcome"]) == ("read", visit.patient_id, 200)


async def test_a_page_of_the_pressing_order_names_the_patients_on_it_in_its_audit_row(clinic: Clinic) -> None:
    visits = [clinic.visit() for _ in range(3)]
    for visit in visits:
        await clinic.task("rebook", visit)
    await clinic.get("tasks", limit=2)
    (row,) = await clinic.rows("SELECT patient_ids FROM audit_event WHERE operation = 'list_tasks'")
    assert len(set(row["patient_ids"]) & {visit.patient_id for visit in visits}) == 2
