"""Records that cannot be handled among good ones: they are parked with their reason, each once, and everything else flows."""

from collections.abc import Sequence
from functools import partial
from uuid import uuid4

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from shared.events.intake import PatientChanged
from shared.events.sessions import InfusionScheduled
from tests.faults.clinic import Clinic
from tests.faults.installation import READS, Installation
from tests.faults.poison import Poison, cabinet
from tests.faults.report import Report
from tests.faults.scenario import Scenario, scenario
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

ROUNDS = 3
KINDS = 14
"""Of records, in both topics that are read."""


async def test_poison_among_good_records(installation: Installation, report: Report) -> None:
    await installation.start()
    await installation.add("followup")
    poisons: list[Poison] = []
    async with scenario("poison records", installation, report) as running:
        async with running.fault(completed=ROUNDS * KINDS):
            for _ in range(ROUNDS):
                poisons += await _swallowed(running, _brewed(running.clinic))
        with pytest.raises(MessageSizeTooLargeError):
            await installation.broker.send("sessions.events", 0, [(b"key", b"x" * 700 * 1024, ())])
        await running.followed_up()
    kinds = sorted({poison.what for poison in poisons})
    await running.ends_whole(f"{len(poisons)} records: {', '.join(kinds)}", foreign=[poison.event_id for poison in poisons])
    for service in READS:
        await _parked_with_their_reasons(installation, service, [poison for poison in poisons if poison.topic in READS[service]])
    assert not any(process.deaths for process in installation.all())


def _brewed(clinic: Clinic) -> list[Poison]:
    """One of each kind for both topics, about a patient whose events flow at the same time."""
    patient_id = next(reversed(clinic.ledger.patients))
    now, zone = clinic.opened_at, "Asia/Tokyo"
    changed = PatientChanged(
        occurred_at=now, patient_id=patient_id, patient_version=99, patient_number="P1", time_zone=zone, language="en",
        status="withdrawn", messages_allowed=False,
    )  # fmt: skip
    scheduled = InfusionScheduled(
        occurred_at=now, infusion_id=uuid4(), infusion_version=1, patient_id=patient_id, patient_number="P1", patient_time_zone=zone,
        course_id=uuid4(), protocol_code="default", protocol_version=1, therapist_id=None, coordinator_id=None, scheduled_at=now,
    )  # fmt: skip
    made: list[Poison] = []
    for event in (changed, scheduled):
        kind = event.type
        made += cabinet(kind.topic, kind.full_name, patient_id=patient_id, valid=event.to_bytes(), clinic_id=clinic.clinic_id)
    return made


async def _swallowed(running: Scenario, poisons: list[Poison]) -> list[Poison]:
    """One after the other, with a completed visit before each."""
    for poison in poisons:
        await running.clinic.completes(1)
        await running.installation.broker.send(poison.topic, poison.partition, [(poison.key.encode(), poison.value, poison.headers)])
    return poisons


async def _parked_with_their_reasons(installation: Installation, service: str, poisons: Sequence[Poison]) -> None:
    """Each by its own key, once, with reason and class; what is of a type that nobody knows is counted and forgotten."""
    wanted = [(poison.key, *poison.parked) for poison in poisons if poison.parked]
    async with installation.superuser(service) as admin:
        rows = await admin.fetch("SELECT key, reason, error_class FROM platform.parked WHERE consumer = $1 AND state = 'parked'", service)
    assert sorted(map(tuple, rows)) == sorted(wanted)
    ignored = sum(poison.parked is None for poison in poisons)
    counted = partial(_counted, installation, service, "afterglow_inbox_ignored_total")
    assert await eventually(counted, lambda count: count >= ignored) == ignored


async def _counted(installation: Installation, service: str, metric: str) -> float:
    return sum([await process.metric(metric) for process in installation.all(service)])
