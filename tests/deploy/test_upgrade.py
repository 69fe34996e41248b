"""A newer release over a running one, and a stop in between: migrations come first, and no data is lost."""

from datetime import datetime

import pytest

from tests.deploy.stack import NEXT, SERVICES, Stack, service_of

pytestmark = [pytest.mark.compose, pytest.mark.slow, pytest.mark.timeout(2400)]


def at(moment: str) -> datetime:
    """A time as Docker writes it, in UTC and to the nanosecond."""
    return datetime.fromisoformat(f"{moment.rstrip('Z')[:26]}+00:00")


async def test_a_newer_release_migrates_before_it_serves_and_finds_all_data(stack: Stack) -> None:
    clinic_id, system = await stack.registered_clinic("system/Procedure.r")
    await system.close()
    began = max(at(container["State"]["StartedAt"]) for container in stack.containers() if service_of(container) in SERVICES)
    stack.version = NEXT
    stack.compose("build", "--quiet")
    stack.up()
    containers = {service_of(container): container for container in stack.containers()}
    migrated = containers["migrate"]["State"]
    assert migrated["ExitCode"] == 0
    for service in SERVICES:
        assert containers[service]["Config"]["Image"] == f"afterglow/{service}:{NEXT}"
        assert began < at(migrated["FinishedAt"]) <= at(containers[service]["State"]["StartedAt"])
    await known(stack, clinic_id)


async def test_what_was_written_survives_a_stop_of_everything(stack: Stack) -> None:
    clinic_id, system = await stack.registered_clinic("system/Procedure.r")
    stack.down()
    assert stack.containers() == []
    stack.up()
    await known(stack, clinic_id)
    # Its registration reached the other services over Kafka before or reaches them now; their databases know it either way.
    assert await system.get("/sessions/v1/infusions") == {"items": [], "next": None}
    await system.close()


async def known(stack: Stack, clinic_id: str) -> None:
    operator = stack.operator()
    assert (await operator.get(f"/intake/v1/clinics/{clinic_id}"))["clinic_id"] == clinic_id
    await operator.close()
