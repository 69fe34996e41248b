"""Nothing answers without a valid token, and a valid one opens only what was declared."""

import base64
import hmac
import json
import time
from uuid import UUID, uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import text

from shared.events.intake import ClientChanged, PractitionerChanged
from shared.security.access import census
from shared.security.projection import upsert_client, upsert_practitioner
from tests.shared.web.client import (
    CLINIC,
    KEY,
    NOW,
    NURSE,
    OPERATOR,
    OTHER_CLINIC,
    PRESCRIBER_ELSEWHERE,
    SERVICE,
    Client,
    bearer,
    claims,
    note,
    token,
)


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned() -> str:
    return f"{encoded({'alg': 'none', 'kid': 'first'})}.{encoded(claims())}."


def signed_with_the_public_key() -> str:
    content = f"{encoded({'alg': 'HS256', 'kid': 'first'})}.{encoded(claims())}"
    signature = hmac.digest(KEY.as_pem(private=False), content.encode(), "sha256")
    return f"{content}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def signed_by(key: ECKey, kid: str | None = "first") -> str:
    header = {"alg": "ES256"} | ({"kid": kid} if kid else {})
    return jwt.encode(header, claims(), key, algorithms=["ES256"])


def tampered() -> str:
    head, _, signature = token().split(".")
    _, body, _ = token(scope="system/Note.cru system/Organization.c").split(".")
    return f"{head}.{body}.{signature}"


LATER = int(time.time()) + 3600
BAD_CREDENTIALS = {
    "none": None,
    "empty": "",
    "garbage": "Bearer garbage",
    "two-parts": "Bearer e30.e30",
    "basic": "Basic Y2xpZW50OnNlY3JldA==",
    "not-ascii": "Bearer t\u00f6ken",
    "huge": f"Bearer {'a' * 5000}",
    "alg-none": f"Bearer {unsigned()}",
    "hs256-with-public-key": f"Bearer {signed_with_the_public_key()}",
    "other-key": f"Bearer {signed_by(ECKey.generate_key('P-256'))}",
    "unknown-kid": f"Bearer {signed_by(KEY, 'second')}",
    "no-kid": f"Bearer {signed_by(KEY, None)}",
    "tampered": f"Bearer {tampered()}",
    "expired": f"Bearer {token(exp=int(time.time()) - 10)}",
    "not-yet": f"Bearer {token(nbf=LATER)}",
    "issued-later": f"Bearer {token(iat=LATER)}",
    "other-audience": f"Bearer {token(aud=['other'])}",
    "other-issuer": f"Bearer {token(iss='https://elsewhere.example')}",
    "no-expiry": f"Bearer {token(exp=None)}",
    "expiry-is-text": f"Bearer {token(exp='2099-01-01')}",
    "no-id": f"Bearer {token(jti=None)}",
    "no-clinic": f"Bearer {token(clinic_id=None)}",
    "clinic-not-an-id": f"Bearer {token(clinic_id='all')}",
    "no-client": f"Bearer {token(sub=None)}",
    "other-kind": f"Bearer {token(kind='root')}",
    "operator-with-clinic": f"Bearer {token(kind='operator')}",
    "scope-is-a-list": f"Bearer {token(scope=['system/Note.r'])}",
}


@pytest.mark.parametrize("credential", BAD_CREDENTIALS.values(), ids=BAD_CREDENTIALS)
async def test_a_bad_credential_opens_nothing(client: Client, credential: str | None) -> None:
    before = await client.rows("public.note")
    for operation, declared in census(client.app, also=["/tiny/openapi.json"]).items():
        method, path = operation.split(" ")
        headers = {"Content-Type": "application/json", "Idempotency-Key": "x", "If-Match": 'W/"1"'}
        headers |= {"Authorization": credential.encode("latin-1").decode("latin-1")} if credential is not None else {}
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = await client.http.request(method, path.replace("{note_id}", str(uuid4())), content=b"{}", headers=sent)
        if declared.kind is None:
            assert answer.status_code in (200, 415)
        else:
            assert (operation, answer.status_code, answer.headers["www-authenticate"]) == (operation, 401, "Bearer")
    assert await client.rows("public.note") == before


async def test_a_token_is_refused_before_the_body_is_read(client: Client) -> None:
    assert (await client.send(b"not json", Authorization="Bearer garbage")).status_code == 401


async def test_a_disabled_client_is_refused_at_once_and_that_is_recorded(client: Client) -> None:
    async with client.database.transaction(CLINIC) as db:
        for version, active in ((1, True), (2, False)):
            event = ClientChanged(client_id="gone", client_version=version, active=active, may_act_for_practitioners=True, occurred_at=NOW)
            await upsert_client(db, CLINIC, [event])
    answer = await client.write_note(**bearer(sub="gone"))
    assert (answer.status_code, answer.json()["code"]) == (401, "client-disabled")
    assert answer.headers["www-authenticate"] == "Bearer"
    recorded = [row for row in await client.rows("public.audit_event") if row["client_id"] == "gone"]
    assert [(row["operation"], row["outcome"], row["phi"]) for row in recorded] == [("write_note", 401, "write")]


async def test_a_client_that_is_not_known_yet_is_trusted_by_its_token(client: Client) -> None:
    assert (await client.get("/tiny/v1/counts", Afterglow_Practitioner="", **bearer(sub="new"))).status_code == 200


async def test_a_client_of_another_clinic_is_refused(client: Client) -> None:
    answer = await client.get("/tiny/v1/counts", **bearer(clinic_id=str(OTHER_CLINIC)))
    assert (answer.status_code, answer.json()["code"]) == (401, "token-invalid")


async def test_an_expired_token_of_a_known_client_is_recorded(client: Client) -> None:
    answer = await client.get("/tiny/v1/notes", **bearer(sub="late", exp=int(time.time()) - 10))
    assert answer.json()["code"] == "token-expired"
    recorded = [row for row in await client.rows("public.audit_event") if row["client_id"] == "late"]
    assert [(row["operation"], row["outcome"]) for row in recorded] == [("list_notes", 401)]


@pytest.mark.parametrize(
    ("path", "scope"),
    [("/tiny/v1/notes", "system/Note.c"), ("/tiny/v1/notes", "system/Notes.r"), ("/tiny/v1/notes", "system/*.r"), ("/tiny/v1/notes", "")],
)
async def test_a_scope_is_needed(client: Client, path: str, scope: str) -> None:
    answer = await client.get(path, **bearer(sub="narrow", scope=scope))
    assert (answer.status_code, answer.json()["code"]) == (403, "scope-missing")
    assert any(row["client_id"] == "narrow" and row["outcome"] == 403 for row in await client.rows("public.audit_event"))


@pytest.mark.parametrize("scope", ["system/Note.r", "system/Note.cruds", "system/Patient.r system/Note.rs"])
async def test_a_scope_may_hold_several_rights(client: Client, scope: str) -> None:
    assert (await client.get("/tiny/v1/notes", **bearer(scope=scope))).status_code == 200


@pytest.mark.parametrize(
    ("path", "token_claims"),
    [
        ("/tiny/v1/facts", {"scope": "service/Note.r"}),
        ("/tiny/v1/notes", {**SERVICE, "scope": "system/Note.r"}),
        ("/tiny/v1/notes", {**OPERATOR, "scope": "system/Note.r"}),
        ("/tiny/v1/facts", {**OPERATOR, "scope": "service/Note.r"}),
    ],
)
async def test_an_operation_is_for_one_kind_of_caller(client: Client, path: str, token_claims: dict[str, object]) -> None:
    answer = await client.get(path, Afterglow_Clinic=str(CLINIC), **bearer(**token_claims))
    assert (answer.status_code, answer.json()["code"]) == (403, "caller-kind")


async def test_a_role_is_needed(client: Client) -> None:
    therapist, absent = uuid4(), uuid4()
    async with client.database.transaction(CLINIC) as db:
        for practitioner_id, active, roles in ((therapist, True, ["therapist"]), (absent, False, ["nurse"])):
            event = PractitionerChanged(
                practitioner_id=practitioner_id, practitioner_version=1, roles=roles, active=active, occurred_at=NOW
            )
            await upsert_practitioner(db, CLINIC, [event])
    expected = {
        "": "practitioner-required",
        str(uuid4()): "practitioner-unknown",
        str(absent): "practitioner-not-active",
        str(PRESCRIBER_ELSEWHERE): "practitioner-unknown",
        str(therapist): "role-missing",
    }
    for practitioner, code in expected.items():
        answer = await client.write_note(Afterglow_Practitioner=practitioner)
        assert (answer.status_code, answer.json()["code"]) == (403, code)
    assert await client.rows("public.note") == []


async def test_a_client_without_the_right_to_act_acts_for_nobody(client: Client) -> None:
    async with client.database.transaction(CLINIC) as db:
        event = ClientChanged(client_id="reader", client_version=1, active=True, may_act_for_practitioners=False, occurred_at=NOW)
        await upsert_client(db, CLINIC, [event])
    answer = await client.write_note(**bearer(sub="reader"))
    assert (answer.status_code, answer.json()["code"]) == (403, "client-may-not-act")


async def test_a_role_that_was_taken_counts_at_once(client: Client) -> None:
    practitioner_id = uuid4()
    for version, roles, status in ((1, ["nurse"], 201), (2, [], 403)):
        async with client.database.transaction(CLINIC) as db:
            event = PractitionerChanged(
                practitioner_id=practitioner_id, practitioner_version=version, roles=roles, active=True, occurred_at=NOW
            )
            await upsert_practitioner(db, CLINIC, [event])
        assert (await client.write_note(Afterglow_Practitioner=str(practitioner_id))).status_code == status


async def test_a_practitioner_is_named_by_an_id(client: Client) -> None:
    answer = await client.write_note(Afterglow_Practitioner="dr. jones")
    assert (answer.status_code, answer.json()["code"]) == (400, "header-malformed")
    assert "jones" not in answer.text


async def test_who_is_named_is_recorded_and_must_hold_even_where_nobody_need_be_named(client: Client) -> None:
    for named, status in ((NURSE, 200), (uuid4(), 403), (PRESCRIBER_ELSEWHERE, 403), (None, 200)):
        request_id = str(uuid4())
        answer = await client.get("/tiny/v1/notes", Afterglow_Practitioner=str(named or ""), X_Request_Id=request_id)
        assert answer.status_code == status
        assert [(row["practitioner_id"], row["outcome"]) for row in await audited(client, request_id)] == [(named, status)]


async def test_a_refusal_is_recorded_although_the_person_is_named_by_no_id(client: Client) -> None:
    request_id = str(uuid4())
    named = bearer(scope="system/Notes.r")
    assert (await client.get("/tiny/v1/notes", Afterglow_Practitioner="dr. jones", X_Request_Id=request_id, **named)).status_code == 403
    assert [(row["practitioner_id"], row["outcome"]) for row in await audited(client, request_id)] == [(None, 403)]


async def audited(client: Client, request_id: str, clinic_id: UUID = CLINIC) -> list[dict[str, object]]:
    return [row for row in await client.rows("public.audit_event", clinic_id) if row["request_id"] == request_id]


async def test_a_service_names_the_clinic(client: Client) -> None:
    assert (await client.get("/tiny/v1/facts", **bearer(**SERVICE))).json()["code"] == "clinic-required"
    assert (await client.get("/tiny/v1/facts", Afterglow_Clinic="all", **bearer(**SERVICE))).json()["code"] == "header-malformed"
    await client.write_note()
    here = await client.get("/tiny/v1/facts", Afterglow_Clinic=str(CLINIC), **bearer(**SERVICE))
    request_id = str(uuid4())
    there = await client.get("/tiny/v1/facts", Afterglow_Clinic=str(OTHER_CLINIC), **bearer(**SERVICE), X_Request_Id=request_id)
    assert len(here.json()) == len(await client.rows("public.note"))
    assert there.json() == []
    assert [row["client_id"] for row in await audited(client, request_id, OTHER_CLINIC)] == ["service-followup"]


async def test_another_clinics_note_is_not_found(client: Client) -> None:
    written = await client.write_note(note())
    elsewhere = bearer(sub="clinic-b", clinic_id=str(OTHER_CLINIC)) | {"Afterglow_Practitioner": ""}
    answer = await client.get(written.headers["location"], **elsewhere)
    random = await client.get(f"/tiny/v1/notes/{uuid4()}", **elsewhere)
    assert answer.status_code == random.status_code == 404
    assert {**answer.json(), "instance": ""} == {**random.json(), "instance": ""}
    assert (await client.get("/tiny/v1/notes", **elsewhere)).json()["items"] == []


async def test_a_closed_clinics_token_is_refused_at_once_also_for_an_answer_that_was_given(client: Client) -> None:
    body, key, request_id = note(), str(uuid4()), str(uuid4())
    assert (await client.write_note(body, Idempotency_Key=key)).status_code == 201
    await set_active(client, active=False)
    again = await client.write_note(body, Idempotency_Key=key, X_Request_Id=request_id)
    assert (again.status_code, again.json()["code"]) == (401, "clinic-inactive")
    assert [row["outcome"] for row in await audited(client, request_id)] == [401]
    assert (await client.get("/tiny/v1/facts", Afterglow_Clinic=str(CLINIC), **bearer(**SERVICE))).status_code == 200
    await set_active(client, active=True)
    assert (await client.write_note(body, Idempotency_Key=key)).status_code == 201


async def set_active(client: Client, *, active: bool) -> None:
    async with client.database.transaction(CLINIC) as db:
        await db.execute(_CLINIC, {"clinic_id": CLINIC, "active": active})


_CLINIC = text(
    """
    INSERT INTO public.clinic (clinic_id, active) VALUES (:clinic_id, :active)
    ON CONFLICT (clinic_id) DO UPDATE SET active = EXCLUDED.active
    """
)
