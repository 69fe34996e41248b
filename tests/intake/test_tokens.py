"""The token endpoint, as SMART's own test kit tries it and as an attacker would."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, RSAKey
from joserfc.jws import serialize_compact
from sqlalchemy import text

from services.intake.identity.commands import FREE_TRIES, forget_used_assertions
from services.intake.identity.rules import ASSERTION_TYPE, ClientKind, audience, expanded, granted
from tests.intake.conftest import ORIGIN, Caller, Intake, Json, assert_refused

TOKEN_URL = f"{ORIGIN}/intake/oauth/token"


def claims_of(client_id: str, **changes: object) -> Json:
    now = int(time.time())
    claims = {"iss": client_id, "sub": client_id, "aud": TOKEN_URL, "iat": now, "exp": now + 240, "jti": str(uuid4()), **changes}
    return {name: value for name, value in claims.items() if value is not None}


def assertion(client: Caller, **changes: object) -> str:
    """A good assertion, but for what is changed in its claims; None leaves a claim out."""
    return signed_by(client.key, claims_of(client.client_id, **changes))


def signed_by(key: Key, claims: Json, **header: object) -> str:
    named: Json = {"alg": "ES384", "kid": key.kid, **header}
    return jwt.encode(named, claims, key, algorithms=[named["alg"]])


def by_hand(header: Json, claims: Json, signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def exchange(intake: Intake, signed: str, *, scope: str = "system/Patient.r", **changes: str | None) -> httpx.Response:
    form = {"grant_type": "client_credentials", "scope": scope, "client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
    sent = {name: value for name, value in {**form, **changes}.items() if value is not None}
    return await intake.http.post("/intake/oauth/token", data=sent)


def assert_oauth_error(answer: httpx.Response, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"


# Rules


def test_scopes_are_granted_letter_by_letter_and_never_beyond_the_registration() -> None:
    assert expanded(["system/Patient.cru"]) == ["system/Patient.c", "system/Patient.r", "system/Patient.u"]
    assert granted(["system/Patient.cru", "system/Consent.r"], ["system/Patient.r"]) == ["system/Patient.r"]
    assert granted(["system/*.cruds", "*", "system/Patient.", "system/Patient.d"], ["system/Patient.r"]) == []


def test_a_token_is_for_the_services_of_its_scopes_only() -> None:
    assert audience(ClientKind.CLINIC_SYSTEM, ["system/Patient.r"]) == ["intake"]
    assert audience(ClientKind.CLINIC_SYSTEM, ["system/Patient.r", "system/Task.r"]) == ["intake", "followup"]
    assert audience(ClientKind.SERVICE, ["service/Directory.r", "service/Procedure.r"]) == ["intake", "sessions"]


# A good assertion


async def test_a_good_assertion_gives_a_token_that_the_published_keys_verify(intake: Intake, clinic: Caller) -> None:
    answer = await exchange(intake, assertion(clinic), scope="system/Patient.cr system/Task.r")
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert (body["token_type"], body["expires_in"]) == ("bearer", 300)
    assert body["scope"] == "system/Patient.c system/Patient.r system/Task.r"
    assert answer.headers["Cache-Control"] == "no-store"
    published = KeySet.import_key_set((await intake.http.get("/intake/.well-known/jwks.json")).json())
    claims = jwt.decode(body["access_token"], published, algorithms=["ES256"]).claims
    assert claims["exp"] - claims["iat"] == 300
    assert (claims["iss"], claims["sub"], claims["aud"]) == (f"{ORIGIN}/intake", clinic.client_id, ["intake", "followup"])
    assert (claims["kind"], claims["clinic_id"], claims["scope"]) == ("clinic-system", str(clinic.clinic_id), body["scope"])


async def test_the_token_opens_what_its_scopes_name_and_nothing_else(intake: Intake, clinic: Caller) -> None:
    clinic.token = (await exchange(intake, assertion(clinic), scope="system/Patient.r")).json()["access_token"]
    assert (await clinic.get("/intake/v1/patients")).status_code == 200
    assert_refused(await clinic.get("/intake/v1/practitioners"), 403, "scope-missing")


async def test_a_client_with_an_rsa_key_may_sign_with_rs384(intake: Intake, clinic: Caller) -> None:
    key = RSAKey.generate_key(2048, {"kid": "rsa-1"}, private=True)
    client = await intake.client(ClientKind.CLINIC_SYSTEM, clinic_id=clinic.clinic_id, jwks={"keys": [key.as_dict(private=False)]})
    answer = await exchange(intake, signed_by(key, claims_of(client.client_id), alg="RS384"))
    assert answer.status_code == 200, answer.text


async def test_a_service_and_an_operator_get_tokens_without_a_clinic(intake: Intake, followup: Caller, operator: Caller) -> None:
    for client, scope in ((followup, "service/Directory.r"), (operator, "system/Organization.r")):
        token = (await exchange(intake, assertion(client), scope=scope)).json()["access_token"]
        claims = jwt.decode(token, intake.issuer.keys.active, algorithms=["ES256"]).claims
        assert ("clinic_id" in claims, claims["aud"]) == (False, ["intake"])


async def test_the_audience_may_come_in_a_list_and_the_expiry_up_to_five_minutes_ahead(intake: Intake, clinic: Caller) -> None:
    answer = await exchange(intake, assertion(clinic, aud=[TOKEN_URL], exp=int(time.time()) + 300, iat=None))
    assert answer.status_code == 200, answer.text


async def test_scopes_beyond_the_registration_are_left_out(intake: Intake, clinic: Caller) -> None:
    answer = await exchange(intake, assertion(clinic), scope="system/Patient.r system/Client.c system/*.cruds openid")
    assert (answer.status_code, answer.json()["scope"]) == (200, "system/Patient.r")


# Many wrong ones


async def test_wrong_assertions_have_to_wait_and_a_good_one_never_does(intake: Intake, clinic: Caller) -> None:
    stranger = ECKey.generate_key("P-384", {"kid": str(clinic.key.kid)}, private=True)
    answers = [await exchange(intake, signed_by(stranger, claims_of(clinic.client_id))) for _ in range(FREE_TRIES + 3)]
    assert [answer.status_code for answer in answers] == [400] * FREE_TRIES + [429] * 3
    answer = answers[-1]
    assert (answer.json()["error"], answer.headers["Retry-After"]) == ("invalid_client", "1")
    assert (await exchange(intake, assertion(clinic))).status_code == 200


async def test_one_clients_wrong_assertions_are_not_anothers(intake: Intake, clinic: Caller, other_clinic: Caller) -> None:
    for _ in range(FREE_TRIES + 1):
        await exchange(intake, assertion(clinic, aud="somewhere-else"))
    assert_oauth_error(await exchange(intake, assertion(other_clinic, aud="somewhere-else")), "invalid_client")


async def test_an_address_that_tries_one_client_after_the_other_waits_and_another_address_does_not(intake: Intake) -> None:
    key = ECKey.generate_key("P-384", {"kid": "none"}, private=True)

    async def tried(address: str) -> int:
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
        form["client_assertion"] = signed_by(key, claims_of(str(uuid4())))
        return (await intake.http.post("/intake/oauth/token", data=form, headers={"X-Forwarded-For": address})).status_code

    assert [await tried("8.8.8.8") for _ in range(FREE_TRIES + 1)] == [400] * FREE_TRIES + [429]
    assert await tried("8.8.4.4") == 400


# Bad requests


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, "invalid_request"),
        ({"client_assertion_type": None}, "invalid_request"),
        ({"client_assertion": None}, "invalid_request"),
        ({"client_assertion": ""}, "invalid_request"),
        ({"client_assertion": "not-a-jwt"}, "invalid_client"),
        ({"client_assertion": "a.b.c"}, "invalid_client"),
        ({"client_assertion": "e30.e30.e30"}, "invalid_client"),
        ({"client_assertion": "W10.W10.W10"}, "invalid_client"),
        ({"client_assertion": "ünïcode.\u0000.\ud7ff"}, "invalid_request"),
        ({"client_id": "somebody-else"}, "invalid_client"),
    ],
)
async def test_a_request_of_the_wrong_form_is_refused_by_name(intake: Intake, clinic: Caller, changes: Json, error: str) -> None:
    assert_oauth_error(await exchange(intake, assertion(clinic), **changes), error)


@pytest.mark.parametrize("scope", ["", " ", "system/Client.c", "system/*.cruds", "openid fhirUser", "system/Patient.d"])
async def test_a_scope_of_which_nothing_is_registered_is_invalid(intake: Intake, clinic: Caller, scope: str) -> None:
    assert_oauth_error(await exchange(intake, assertion(clinic), scope=scope), "invalid_scope")


async def test_a_body_that_is_no_form_is_an_invalid_request(intake: Intake) -> None:
    assert_oauth_error(await intake.http.post("/intake/oauth/token", json={"grant_type": "client_credentials"}), "invalid_request")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in ("grant_type=a&grant_type=b", "%ff=%ff", "a;b;c"):
        assert_oauth_error(await intake.http.post("/intake/oauth/token", content=body, headers=form), "invalid_request")
    huge = urlencode({"client_assertion": "x" * 70_000})
    assert (await intake.http.post("/intake/oauth/token", content=huge, headers=form)).status_code == 413
    assert (await intake.http.get("/intake/oauth/token")).status_code == 405


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": -1},
        {"exp": 0},
        {"exp": 400},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"iat": 60},
        {"nbf": 60},
        {"aud": "https://elsewhere.example.org/oauth/token"},
        {"aud": f"{ORIGIN}/intake"},
        {"aud": None},
        {"aud": [f"{ORIGIN}/intake"]},
        {"iss": "somebody-else"},
        {"sub": "somebody-else"},
        {"sub": None},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 256},
        {"jti": "line\nbreak"},
    ],
)
async def test_claims_that_prove_nothing_are_refused(intake: Intake, clinic: Caller, changes: Json) -> None:
    now = int(time.time())
    moved = {name: now + value if name in {"exp", "iat", "nbf"} and type(value) is int else value for name, value in changes.items()}
    assert_oauth_error(await exchange(intake, assertion(clinic, **moved)), "invalid_client")


@pytest.mark.parametrize("expires", ["NaN", "Infinity", "1e400", "1" + "0" * 400])
async def test_an_expiry_that_is_no_time_is_refused(intake: Intake, clinic: Caller, expires: str) -> None:
    claims = json.dumps(claims_of(clinic.client_id, exp=-777)).replace("-777", expires)
    signed = serialize_compact({"alg": "ES384", "kid": clinic.key.kid}, claims.encode(), clinic.key, algorithms=["ES384"])
    assert_oauth_error(await exchange(intake, signed), "invalid_client")


async def test_an_unsigned_assertion_is_refused(intake: Intake, clinic: Caller) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        signed = by_hand({"alg": algorithm, "kid": clinic.key.kid}, claims_of(clinic.client_id))
        assert_oauth_error(await exchange(intake, signed), "invalid_client")


async def test_an_assertion_signed_with_the_public_key_as_a_secret_is_refused(intake: Intake, clinic: Caller) -> None:
    header, claims = {"alg": "HS256", "kid": clinic.key.kid}, claims_of(clinic.client_id)
    for secret in (clinic.key.as_pem(private=False), json.dumps(clinic.key.as_dict(private=False)).encode()):
        signing_input = by_hand(header, claims).rsplit(".", 1)[0]
        signed = by_hand(header, claims, hmac.new(secret, signing_input.encode(), hashlib.sha256).digest())
        assert_oauth_error(await exchange(intake, signed), "invalid_client")


async def test_algorithms_outside_the_profile_are_refused_even_with_the_right_key(intake: Intake, clinic: Caller) -> None:
    key = RSAKey.generate_key(2048, {"kid": "rsa-1"}, private=True)
    client = await intake.client(ClientKind.CLINIC_SYSTEM, clinic_id=clinic.clinic_id, jwks={"keys": [key.as_dict(private=False)]})
    for algorithm in ("RS256", "RS512", "PS384"):
        signed = signed_by(key, claims_of(client.client_id), alg=algorithm)
        assert_oauth_error(await exchange(intake, signed), "invalid_client")


async def test_an_assertion_signed_by_somebody_else_is_refused(intake: Intake, clinic: Caller) -> None:
    stranger = ECKey.generate_key("P-384", private=True)
    signed = signed_by(stranger, claims_of(clinic.client_id), kid=clinic.key.kid)
    assert_oauth_error(await exchange(intake, signed), "invalid_client")


async def test_a_key_that_the_assertion_brings_along_or_points_to_is_never_used(intake: Intake, clinic: Caller) -> None:
    stranger = ECKey.generate_key("P-384", {"kid": "brought-along"}, private=True)
    for header in (
        {"kid": "brought-along", "jwk": stranger.as_dict(private=False)},
        {"kid": "brought-along", "jku": "https://evil.example.org"},
    ):
        assert_oauth_error(await exchange(intake, signed_by(stranger, claims_of(clinic.client_id), **header)), "invalid_client")


async def test_an_assertion_without_a_kid_is_refused(intake: Intake, clinic: Caller) -> None:
    signed = jwt.encode({"alg": "ES384"}, claims_of(clinic.client_id), clinic.key, algorithms=["ES384"])
    assert_oauth_error(await exchange(intake, signed), "invalid_client")


async def test_a_changed_payload_is_refused(intake: Intake, clinic: Caller) -> None:
    header, _, signature = assertion(clinic).split(".")
    _, payload, _ = assertion(clinic, exp=int(time.time()) + 299).split(".")
    assert_oauth_error(await exchange(intake, f"{header}.{payload}.{signature}"), "invalid_client")


async def test_unknown_and_unproven_clients_cannot_be_told_apart(intake: Intake, clinic: Caller) -> None:
    stranger = ECKey.generate_key("P-384", {"kid": "unknown"}, private=True)
    unknown = signed_by(stranger, claims_of("no-such-client"))
    unproven = signed_by(stranger, claims_of(clinic.client_id))
    answers = [await exchange(intake, signed) for signed in (unknown, unproven)]
    assert answers[0].content == answers[1].content
    assert_oauth_error(answers[0], "invalid_client")


# One use


async def test_an_assertion_is_good_for_one_token(intake: Intake, clinic: Caller) -> None:
    signed = assertion(clinic)
    assert (await exchange(intake, signed)).status_code == 200
    assert_oauth_error(await exchange(intake, signed), "invalid_client")


async def test_of_ten_at_the_same_moment_one_gets_a_token(intake: Intake, clinic: Caller) -> None:
    signed = assertion(clinic)
    answers = await asyncio.gather(*(exchange(intake, signed) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9


async def test_an_assertion_is_spent_even_when_its_scope_is_refused(intake: Intake, clinic: Caller) -> None:
    signed = assertion(clinic)
    assert_oauth_error(await exchange(intake, signed, scope="system/Client.c"), "invalid_scope")
    assert_oauth_error(await exchange(intake, signed), "invalid_client")


async def test_two_clients_may_choose_the_same_jti(intake: Intake, clinic: Caller, other_clinic: Caller) -> None:
    jti = str(uuid4())
    answers = [await exchange(intake, assertion(client, jti=jti)) for client in (clinic, other_clinic)]
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_used_assertions_are_forgotten_once_they_have_expired_and_not_before(intake: Intake, clinic: Caller) -> None:
    named = {"client_id": clinic.client_id}
    await exchange(intake, assertion(clinic, jti="valid"))
    async with intake.service.database.transaction() as db:
        await db.execute(text("INSERT INTO platform.used_assertion VALUES (:client_id, 'expired', now() - interval '1 second')"), named)
    await forget_used_assertions(intake.service.database)
    async with intake.service.database.transaction() as db:
        kept = await db.execute(text("SELECT jti FROM platform.used_assertion WHERE client_id = :client_id"), named)
        assert kept.scalars().all() == ["valid"]


# Disabled


async def test_a_disabled_client_gets_no_token_and_the_one_it_has_is_refused_at_once(
    intake: Intake, operator: Caller, clinic: Caller
) -> None:
    assert (await clinic.get("/intake/v1/patients")).status_code == 200
    disabled = await operator.post(f"/intake/v1/clients/{clinic.client_id}/disable")
    assert (disabled.json()["active"], disabled.json()["disabled_by"]) == (False, f"Client/{operator.client_id}")
    assert_oauth_error(await exchange(intake, assertion(clinic)), "invalid_client")
    assert_refused(await clinic.get("/intake/v1/patients"), 401, "client-disabled")


async def test_a_disabled_operator_is_refused_at_once_too(intake: Intake, operator: Caller) -> None:
    other = await intake.client(ClientKind.OPERATOR)
    await operator.post(f"/intake/v1/clients/{other.client_id}/disable")
    assert_refused(await other.get("/intake/v1/clinics"), 401, "client-disabled")


async def test_systems_of_an_inactive_clinic_get_no_token(intake: Intake, operator: Caller, clinic: Caller) -> None:
    assert (await operator.patch(f"/intake/v1/clinics/{clinic.clinic_id}", {"active": False}, 1)).status_code == 200
    assert_oauth_error(await exchange(intake, assertion(clinic)), "invalid_client")


# What is published


async def test_no_private_part_of_a_signing_key_is_published(intake: Intake) -> None:
    published = (await intake.http.get("/intake/.well-known/jwks.json")).json()
    assert [sorted(key) for key in published["keys"]] == [["alg", "crv", "kid", "kty", "use", "x", "y"]]


async def test_smart_configuration_says_how_to_get_a_token(intake: Intake) -> None:
    said = (await intake.http.get("/intake/.well-known/smart-configuration")).json()
    assert said["token_endpoint"] == TOKEN_URL
    assert said["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert said["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert said["grant_types_supported"] == ["client_credentials"]
    assert set(said["capabilities"]) >= {"client-confidential-asymmetric", "permission-v2"}


async def test_claims_of_any_clinic_come_from_the_registration_and_not_from_the_caller(intake: Intake, clinic: Caller) -> None:
    signed = assertion(clinic, clinic_id=str(UUID(int=7)), kind="operator", scope="system/Client.c")
    token = (await exchange(intake, signed)).json()["access_token"]
    claims = jwt.decode(token, intake.issuer.keys.active, algorithms=["ES256"]).claims
    assert (claims["clinic_id"], claims["kind"], claims["scope"]) == (str(clinic.clinic_id), "clinic-system", "system/Patient.r")
