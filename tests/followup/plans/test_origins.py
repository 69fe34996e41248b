"""Why something is there: the event, the entry of which protocol, and the moment from which its times count."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.events import sessions as infusions
from tests.followup.clinic import COORDINATOR, Clinic

HOUR = timedelta(hours=1)


async def origin(clinic: Clinic, kind: str, item_id: object) -> dict[str, Any]:  # Any: JSON
    answer = await clinic.get(f"{kind}/{item_id}/origin")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize(("kind", "code", "row"), [("check-ins", "C24", "check_in_id"), ("tasks", "integration-session", "task_id")])
async def test_what_follows_an_infusion_names_event_protocol_and_moment(clinic: Clinic, kind: str, code: str, row: str) -> None:
    visit = clinic.visit()
    event = visit.told()
    delivery = clinic.delivery(event)
    assert clinic.service.inbox is not None
    async with clinic.database.transaction() as db:
        await clinic.service.inbox.dispatch(db, [delivery])
    item = (await clinic.items(visit))[code]
    why = await origin(clinic, kind, item[row])
    assert UUID(why["caused_by"]) == delivery.event_id
    [asked] = why["asks"]
    assert (asked["code"], asked["anchor"], UUID(asked["infusion_id"])) == (code, "infusion-end", visit.infusion_id)
    assert (asked["protocol_code"], asked["protocol_version"], asked["ended_because"]) == ("default", 2, None)
    assert asked["counts_from"] == event.model_dump(mode="json")["pump_ended_at"]
    assert set(asked["sources"]) == {"opens", "due", "expires"}


async def test_a_call_names_all_that_it_is_about(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(pump_ended_at=clinic.clock.now() - 80 * HOUR))
    why = await origin(clinic, "tasks", (await clinic.task("catch-up-call", visit))["task_id"])
    assert {asked["code"] for asked in why["asks"]} == {"C24", "C72", "integration-session"}


async def test_what_was_called_off_says_why_the_facts_do_not_want_it(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), visit.told(infusions.InfusionEnteredInError, 5))
    [asked] = (await origin(clinic, "check-ins", (await clinic.items(visit))["C24"]["check_in_id"]))["asks"]
    assert (asked["anchor"], asked["ended_because"]) == (None, "infusion-entered-in-error")


async def test_an_item_of_another_clinic_is_unknown_like_any_other_id(clinic: Clinic, open_clinic: Any) -> None:  # Any: a fixture
    other = await open_clinic()
    visit = other.visit()
    await other.tell(visit.told())
    for item_id in ((await other.items(visit))["C24"]["check_in_id"], uuid4()):
        answer = await clinic.get(f"check-ins/{item_id}/origin", role=COORDINATOR)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
