from uuid import UUID, uuid4

import pytest

from tests.intake.conftest import Caller, Intake, Json, assert_refused, clinic_body, practitioner


async def test_an_operator_registers_reads_and_lists_a_clinic(operator: Caller) -> None:
    answer = await operator.post("/intake/v1/clinics", clinic_body())
    clinic = answer.json()
    path = f"/intake/v1/clinics/{clinic['clinic_id']}"
    assert (answer.status_code, answer.headers["Location"], answer.headers["ETag"]) == (201, path, 'W/"1"')
    assert "988" in clinic["crisis_line"]
    assert "911" in clinic["crisis_line"]
    assert (await operator.get(path)).json() == clinic
    found: list[Json] = []
    following = "/intake/v1/clinics?limit=200"
    while following:
        listed = (await operator.get(following)).json()
        found, following = found + listed["items"], listed["next"]
    assert {"clinic_id": clinic["clinic_id"], "name": "Harbor Clinic", "active": True, "registered_at": "2026-11-23T14:00:00Z"} in found


async def test_a_clinic_registered_twice_with_one_key_is_one_clinic(operator: Caller) -> None:
    key = str(uuid4())
    first = await operator.post("/intake/v1/clinics", clinic_body(), Idempotency_Key=key)
    again = await operator.post("/intake/v1/clinics", clinic_body(), Idempotency_Key=key)
    assert (again.status_code, again.json()) == (201, first.json())


async def test_a_changed_clinic_is_told_to_the_others_without_its_name(intake: Intake, operator: Caller, clinic: Caller) -> None:
    path = f"/intake/v1/clinics/{clinic.clinic_id}"
    changed = await operator.patch(path, {"name": "New Name", "time_zone": "America/Chicago"}, 1)
    assert (changed.json()["name"], changed.json()["version"]) == ("New Name", 2)
    events = [data for kind, data in await intake.events(of=str(clinic.clinic_id)) if kind == "clinic.changed"]
    assert [(data["clinic_version"], data["time_zone"], data["active"]) for data in events] == [
        (1, "America/New_York", True),
        (2, "America/Chicago", True),
    ]
    assert "New Name" not in str(events)
    assert_refused(await operator.patch(path, {"name": "Newer"}, 1), 412, "version-stale")


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"time_zone": "Mars/Olympus"}, "time-zone-unknown", "/time_zone"),
        ({"phone": "555-0100"}, "phone-invalid", "/phone"),
        ({"phone": "+1 212 555 0100 Front desk"}, "phone-invalid", "/phone"),
        ({"crisis_line": "Call us, whatever it is."}, "crisis-line-without-number", "/crisis_line"),
        ({"crisis_line": "Call \uff19\uff18\uff18."}, "crisis-line-without-number", "/crisis_line"),
        ({"sender_name": "\u0000"}, "not-utf8", None),
        ({"name": ""}, "too-short", "/name"),
        ({"active": False}, "unknown-field", ""),
    ],
)
async def test_what_cannot_be_a_clinic_is_refused(operator: Caller, changes: Json, code: str, pointer: str | None) -> None:
    answer = await operator.post("/intake/v1/clinics", clinic_body(**changes))
    assert answer.json()["code"] in {code, "text-not-allowed"}
    assert answer.status_code in {400, 422}


async def test_an_unknown_clinic_is_not_found(operator: Caller) -> None:
    assert_refused(await operator.get(f"/intake/v1/clinics/{uuid4()}"), 404, "not-found")
    assert_refused(await operator.get("/intake/v1/clinics/not-an-id"), 404, "not-found")
    assert_refused(await operator.patch(f"/intake/v1/clinics/{uuid4()}", {"name": "x"}, 1), 404, "not-found")


async def test_operators_see_no_patient_and_clinic_systems_no_clinic_settings(operator: Caller, clinic: Caller) -> None:
    assert_refused(await operator.get("/intake/v1/patients"), 403, "caller-kind")
    assert_refused(await clinic.get("/intake/v1/clinics"), 403, "caller-kind")


# Practitioners


async def test_a_practitioner_can_be_read_back_and_listed(clinic: Caller) -> None:
    registered = await practitioner(clinic, "therapist", "coordinator")
    assert registered["roles"] == ["coordinator", "therapist"]
    assert (await clinic.get(f"/intake/v1/practitioners/{registered['practitioner_id']}")).json() == registered
    listed = (await clinic.get("/intake/v1/practitioners")).json()["items"]
    assert {one["practitioner_id"] for one in listed} == {registered["practitioner_id"], str(clinic.acting)}


@pytest.mark.parametrize(
    ("roles", "code"), [(["surgeon"], "not-one-of"), (["therapist", "therapist"], "not-unique"), ("therapist", "type")]
)
async def test_roles_are_known_ones_each_once(clinic: Caller, roles: object, code: str) -> None:
    body = {"given_name": "Ines", "family_name": "Okafor", "roles": roles}
    assert_refused(await clinic.post("/intake/v1/practitioners", body), 422, code)


async def test_a_role_that_is_taken_away_counts_at_the_next_request(clinic: Caller) -> None:
    prescriber = (await practitioner(clinic, "prescriber"))["practitioner_id"]
    path = f"/intake/v1/practitioners/{prescriber}"
    start = {"patient_id": str(uuid4())}
    assert_refused(await clinic.post("/intake/v1/courses", start, acting=UUID(prescriber)), 422, "invalid")
    assert (await clinic.patch(path, {"roles": ["coordinator"]}, 1)).json()["roles"] == ["coordinator"]
    assert_refused(await clinic.post("/intake/v1/courses", start, acting=UUID(prescriber)), 403, "role-missing")
    assert (await clinic.patch(path, {"roles": ["prescriber"], "active": False}, 2)).json()["active"] is False
    assert_refused(await clinic.post("/intake/v1/courses", start, acting=UUID(prescriber)), 403, "practitioner-not-active")


async def test_practitioners_are_told_to_the_others_by_id_and_roles(intake: Intake, clinic: Caller) -> None:
    registered = await practitioner(clinic, "therapist")
    await clinic.patch(f"/intake/v1/practitioners/{registered['practitioner_id']}", {"roles": [], "given_name": "Inez"}, 1)
    events = await intake.events(of=registered["practitioner_id"])
    assert [(kind, data["roles"], data["practitioner_version"]) for kind, data in events] == [
        ("practitioner.changed", ["therapist"], 1),
        ("practitioner.changed", [], 2),
    ]
    assert not {"Ines", "Inez", "Okafor"} & set(str(events).split("'"))


async def test_a_practitioner_may_have_one_name_and_has_at_least_one(clinic: Caller) -> None:
    assert_refused(await clinic.post("/intake/v1/practitioners", {"roles": []}), 422, "required", "/family_name")
    registered = (await clinic.post("/intake/v1/practitioners", {"given_name": "Suharto", "roles": []})).json()
    path = f"/intake/v1/practitioners/{registered['practitioner_id']}"
    assert (registered["given_name"], registered["family_name"]) == ("Suharto", None)
    changed = (await clinic.patch(path, {"given_name": None, "family_name": "Suharto"}, 1)).json()
    assert (changed["given_name"], changed["family_name"]) == (None, "Suharto")
    assert_refused(await clinic.patch(path, {"family_name": None}, 2), 422, "required", "/family_name")
    assert (await clinic.get(path)).json() == changed
