"""What the completeness audit asks: what has ended, and to be told again."""

from datetime import timedelta
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from services.sessions.infusions.states import InfusionState
from shared.events import sessions as events
from shared.events.followup import InfusionEventRequested
from tests.sessions.clinic import DIRECTOR, PRESCRIBER, Clinic, Json, mg


async def ended(clinic: Clinic, *, start: float = -1, end: float = 1, query: str = "", of: Clinic | None = None) -> httpx.Response:
    """What ended between so many minutes from now."""
    window = f"ended_from={quote(clinic.at(start))}&ended_to={quote(clinic.at(end))}{query}"
    return await clinic.http.get(f"/sessions/v1/ended-infusions?{window}", headers=(of or clinic).service_headers())


async def ask_again(clinic: Clinic, *infusion_ids: str) -> None:
    await clinic.tell(
        *(InfusionEventRequested(occurred_at=clinic.clock.now(), infusion_id=one, patient_id=uuid4()) for one in infusion_ids)  # type: ignore[arg-type]  # pydantic reads the id
    )


async def test_every_ended_infusion_is_listed_as_the_audit_compares_it(clinic: Clinic) -> None:
    states = (InfusionState.COMPLETED, InfusionState.STOPPED_EARLY, InfusionState.LEFT_AGAINST_ADVICE, InfusionState.TRANSFERRED)
    expected = {await clinic.in_state(state): state.value for state in states}
    for unfinished in (InfusionState.RECOVERY, InfusionState.NOT_DONE, InfusionState.NO_SHOW, InfusionState.CANCELLED):
        await clinic.in_state(unfinished)
    items = (await ended(clinic)).json()["items"]
    assert {item["infusion_id"]: item["outcome"] for item in items} == expected
    one = next(item for item in items if item["outcome"] == "completed")
    assert set(one) == {"infusion_id", "patient_id", "version", "outcome", "drug_given", "pump_ended_at", "ended_at"}
    assert (one["drug_given"], one["version"]) == (True, 5)
    assert (one["pump_ended_at"], one["ended_at"]) == ("2026-11-23T12:40:00Z", "2026-11-23T14:00:00Z")


async def test_an_infusion_entered_late_is_found_by_when_it_was_closed_here(clinic: Clinic) -> None:
    infusion_id = await clinic.recovery()
    clinic.clock.advance(timedelta(days=3))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(-60 * 24 * 3)})
    assert [item["infusion_id"] for item in (await ended(clinic)).json()["items"]] == [infusion_id]


@pytest.mark.parametrize("wrong", ["amended", "entered in error"])
async def test_what_is_corrected_long_after_it_ended_is_found_by_when_it_was_corrected(clinic: Clinic, wrong: str) -> None:
    infusion_id, _left_alone = await clinic.completed(), await clinic.completed()
    clinic.clock.advance(timedelta(days=60))
    if wrong == "amended":
        await clinic.step(infusion_id, "amend", {"reason": "Misread", "dose_given": mg(0)}, acting=DIRECTOR)
    else:
        await clinic.step(infusion_id, "entered-in-error", {"reason": "Somebody else's"})
        await clinic.step(infusion_id, "entered-in-error/confirm", {}, acting=PRESCRIBER)
    [item] = (await ended(clinic)).json()["items"]
    told = (await clinic.told(infusion_id))[-1]
    assert isinstance(told, events.InfusionEvent)
    assert (item["infusion_id"], item["version"]) == (infusion_id, told.infusion_version)
    assert item["version"] > 5


async def test_the_window_holds_its_start_and_not_its_end(clinic: Clinic) -> None:
    await clinic.completed()
    found = [len((await ended(clinic, start=start, end=end)).json()["items"]) for start, end in ((0, 1), (-1, 0))]
    assert found == [1, 0]


async def test_a_voided_infusion_stays_listed_as_such(clinic: Clinic) -> None:
    infusion_id = await clinic.in_state(InfusionState.ENTERED_IN_ERROR)
    (item,) = (await ended(clinic)).json()["items"]
    assert (item["infusion_id"], item["outcome"], item["version"]) == (infusion_id, "entered-in-error", 7)


async def test_the_listed_version_is_the_last_one_that_was_told(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    await clinic.step(infusion_id, "entered-in-error", {"reason": "Perhaps"})
    (item,) = (await ended(clinic)).json()["items"]
    told = (await clinic.told(infusion_id))[-1]
    assert isinstance(told, events.InfusionCompleted)
    assert item["version"] == told.infusion_version == 5


async def test_what_has_ended_is_paged_by_key(clinic: Clinic) -> None:
    ids = []
    for minute in range(5):
        infusion_id = await clinic.recovery()
        clinic.clock.advance(timedelta(minutes=1 if minute % 2 else 0))
        await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(-1)})
        ids.append(infusion_id)
    page = (await ended(clinic, start=-60, query="&limit=2")).json()
    seen = [item["infusion_id"] for item in page["items"]]
    while page["next"]:
        page = (await clinic.http.get(page["next"], headers=clinic.service_headers())).json()
        seen += [item["infusion_id"] for item in page["items"]]
    assert sorted(seen) == sorted(ids)
    assert len(seen) == 5


async def test_only_our_own_services_may_ask_and_only_about_a_clinic_they_name(clinic: Clinic) -> None:
    await clinic.completed()
    window = f"ended_from={quote(clinic.at(-1))}&ended_to={quote(clinic.at(1))}"
    by_clinic_system = await clinic.get(f"/ended-infusions?{window}")
    assert (by_clinic_system.status_code, by_clinic_system.json()["code"]) == (403, "caller-kind")
    nowhere = await clinic.http.get(
        f"/sessions/v1/ended-infusions?{window}", headers={"Authorization": clinic.service_headers()["Authorization"]}
    )
    assert nowhere.status_code == 400
    elsewhere = await ended(clinic, of=Clinic(clinic.service, clinic.http, clinic.clock))
    assert elsewhere.json()["items"] == []


@pytest.mark.parametrize("query", ["", "ended_from=2026-11-23", "ended_from=2026-11-23T00:00:00Z", "ended_from=1&ended_to=2"])
async def test_a_window_needs_both_its_ends(clinic: Clinic, query: str) -> None:
    answer = await clinic.http.get(f"/sessions/v1/ended-infusions?{query}", headers=clinic.service_headers())
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (InfusionState.COMPLETED, events.InfusionCompleted),
        (InfusionState.STOPPED_EARLY, events.InfusionStoppedEarly),
        (InfusionState.LEFT_AGAINST_ADVICE, events.InfusionLeftAgainstAdvice),
        (InfusionState.TRANSFERRED, events.InfusionTransferred),
        (InfusionState.ENTERED_IN_ERROR, events.InfusionEnteredInError),
        (InfusionState.NOT_DONE, events.InfusionNotDone),
        (InfusionState.NO_SHOW, events.InfusionNoShow),
        (InfusionState.CANCELLED, events.InfusionCancelled),
    ],
)
async def test_asked_again_the_service_says_again_how_it_stands(
    clinic: Clinic, state: InfusionState, kind: type[events.InfusionEvent]
) -> None:
    infusion_id = await clinic.in_state(state)
    told = await clinic.told(infusion_id)
    await ask_again(clinic, infusion_id)
    again = (await clinic.told(infusion_id))[len(told) :]
    assert again == told[-1:]
    assert isinstance(again[0], kind)


async def test_asked_again_about_an_amended_infusion_the_amendment_is_told(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    await clinic.step(infusion_id, "amend", {"reason": "Typing mistake", "dose_given": mg(35)})
    told = await clinic.told(infusion_id)
    await clinic.step(infusion_id, "entered-in-error", {"reason": "Perhaps"})
    clinic.clock.advance(timedelta(hours=1))
    await ask_again(clinic, infusion_id)
    again = (await clinic.told(infusion_id))[-1]
    assert isinstance(again, events.InfusionAmended)
    assert again.infusion_version == 6
    assert again == told[-1]


@pytest.mark.parametrize("state", [InfusionState.SCHEDULED, InfusionState.ARRIVED, InfusionState.IN_PROGRESS, InfusionState.RECOVERY])
async def test_asked_about_what_has_not_ended_nothing_is_told(clinic: Clinic, state: InfusionState) -> None:
    infusion_id = await clinic.in_state(state)
    told = await clinic.told()
    await ask_again(clinic, infusion_id, str(uuid4()))
    assert await clinic.told() == told


async def test_asked_about_another_clinics_infusion_nothing_is_told(clinic: Clinic) -> None:
    other = Clinic(clinic.service, clinic.http, clinic.clock)
    await other.open()
    infusion_id = await other.completed()
    told: list[Json] = [event.model_dump() for event in await other.told()]
    await ask_again(clinic, infusion_id)
    assert await clinic.told() == []
    assert [event.model_dump() for event in await other.told()] == told


async def test_a_voided_and_asked_again_infusion_gives_the_confirmed_state(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    await clinic.step(infusion_id, "entered-in-error", {"reason": "Twice"})
    await clinic.step(infusion_id, "entered-in-error/confirm", {}, acting=PRESCRIBER)
    await ask_again(clinic, infusion_id)
    again = (await clinic.told(infusion_id))[-1]
    assert isinstance(again, events.InfusionEnteredInError)
    assert again.infusion_version == 7
