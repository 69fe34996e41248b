"""What an event costs does not grow with what its patient has: a faulty import of one patient must not slow everybody's follow-up."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text

from shared.events import Event
from shared.events import sessions as infusions
from shared.events.intake import PatientWithdrawn
from tests.followup.clinic import Clinic, Visit
from tests.support.databases import Databases

FEW, MANY = 5, 250
"""Infusions of one patient, a minute apart: nearly all of their C72 have given way, as those of an import do."""
READ_AT_MOST = 25
"""Rows of all tables that an event with many may read beyond what it reads with few."""
MINUTE = timedelta(minutes=1)


def another(visit: Visit) -> Visit:
    return replace(visit, infusion_id=uuid4())


async def patient_with(clinic: Clinic, number: int) -> list[Visit]:
    """A patient with so many infusions, oldest first, the last of them an hour ago."""
    visit = clinic.visit()
    await clinic.patient(visit)
    visits = [another(visit) for _ in range(number)]
    ended_at = clinic.clock.now() - timedelta(hours=1)
    events = [one.told(pump_ended_at=ended_at - MINUTE * (number - n), first_of_course=n == 0) for n, one in enumerate(visits)]
    for start in range(0, number, 50):
        await clinic.tell_at_once(*events[start : start + 50])
    return visits


async def both(clinic: Clinic, databases: Databases) -> tuple[list[Visit], list[Visit]]:
    """A patient with few and one with many, and a planner that has looked at the tables, as it does by itself within a minute."""
    patients = await patient_with(clinic, FEW), await patient_with(clinic, MANY)
    await looked_at(clinic, databases)
    return patients


async def looked_at(clinic: Clinic, databases: Databases) -> None:
    superuser = await databases.server.admin(str(make_url(clinic.database.url).database))
    await superuser.execute("VACUUM ANALYZE")
    await superuser.close()


async def rows_read(clinic: Clinic, event: Event) -> int:
    """How many rows of all tables the handler of an event reads; what it did stays.

    A small table is read whole where that is cheaper, now and then; what is asked is whether an index leads to what is looked for.
    """
    assert clinic.service.inbox is not None
    await clinic.database.engine.dispose()  # and with it the plans that were made with small tables
    async with clinic.database.transaction() as db:
        await db.execute(text("SET LOCAL enable_seqscan = off"))
        before = (await db.execute(_READ)).scalar_one()
        await clinic.service.inbox.dispatch(db, [clinic.delivery(event)])
        return int((await db.execute(_READ)).scalar_one() - before)


CASES: dict[str, Callable[[Sequence[Visit]], Event]] = {
    "a start": lambda visits: another(visits[0]).told(infusions.InfusionStarted, started_at=visits[0].clock.now() - 100.5 * MINUTE),
    "an end": lambda visits: another(visits[0]).told(first_of_course=False),
    "an end between the others": lambda visits: another(visits[0]).told(
        first_of_course=False, pump_ended_at=visits[0].clock.now() - 63 * MINUTE - timedelta(seconds=30)
    ),
    "nothing given": lambda visits: another(visits[0]).told(infusions.InfusionStoppedEarly, drug_given=False, first_of_course=False),
    "a new visit to be booked": lambda visits: another(visits[0]).told(infusions.InfusionNoShow),
    "an amendment": lambda visits: visits[-3].told(
        infusions.InfusionAmended, 5, first_of_course=False, pump_ended_at=visits[0].clock.now() - 62 * MINUTE
    ),
    "an end told again": lambda visits: visits[-3].told(first_of_course=False, pump_ended_at=visits[0].clock.now() - 63 * MINUTE),
    "one entered in error": lambda visits: visits[-2].told(infusions.InfusionEnteredInError, 6),
    "the first entered in error": lambda visits: visits[0].told(infusions.InfusionEnteredInError, 6),
}


@pytest.mark.parametrize("case", CASES)
async def test_an_event_reads_as_much_of_a_patient_with_many_infusions_as_of_one_with_few(
    clinic: Clinic, databases: Databases, case: str
) -> None:
    few, many = [await rows_read(clinic, CASES[case](visits)) for visits in await both(clinic, databases)]
    assert many <= few + READ_AT_MOST


@pytest.mark.parametrize("case", ["an end", "one entered in error"])
async def test_so_it_is_where_all_of_them_were_entered_in_error(clinic: Clinic, databases: Databases, case: str) -> None:
    read = []
    for visits in await both(clinic, databases):
        for visit in visits[1:-2]:
            await clinic.tell(visit.told(infusions.InfusionEnteredInError, 6))
        await looked_at(clinic, databases)
        read.append(await rows_read(clinic, CASES[case](visits)))
    assert read[1] <= read[0] + READ_AT_MOST


async def test_so_it_is_for_a_patient_who_has_left_and_is_offered_a_call(clinic: Clinic, databases: Databases) -> None:
    read = []
    for visits in await both(clinic, databases):
        whom = visits[0].patient_id
        now = clinic.clock.now()
        await clinic.tell(PatientWithdrawn(occurred_at=now, patient_id=whom, patient_version=2))
        read.append(await rows_read(clinic, another(visits[0]).told(first_of_course=False)))
        assert len(await clinic.rows(_OFFERS, id=whom)) == 1
    assert read[1] <= read[0] + READ_AT_MOST


_READ = text("SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables")
_OFFERS = "SELECT 1 FROM care_task WHERE kind = 'safety-offer-call' AND patient_id = :id"
