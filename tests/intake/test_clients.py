import asyncio
import json
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from joserfc.jwk import ECKey
from pydantic import ValidationError

from services import secrets
from services.intake.identity.commands import register_client
from services.intake.identity.keys import InvalidKeys, KeySet, checked_keys
from services.intake.identity.registration import Registration, built_in
from services.intake.identity.rules import ClientKind
from services.intake.identity.tokens import SigningKeys
from services.intake.identity.workers import Housekeeping
from shared.errors import Conflict
from shared.telemetry import Metrics
from tests.intake.conftest import Caller, Intake, Json, assert_refused, course_body, registered_patient, settings_with


def public_key(curve: str = "P-384", **members: object) -> Json:
    return {**ECKey.generate_key(curve, {"kid": "a"}, private=True).as_dict(private=False), **members}


def client_body(clinic: Caller, **changes: object) -> Json:
    return {
        "clinic_id": str(clinic.clinic_id),
        "kind": "clinic-system",
        "name": "EHR bridge",
        "jwks": {"keys": [public_key()]},
        "scopes": ["system/Patient.cru", "system/Consent.r"],
        "may_act_for_practitioners": True,
        **changes,
    }


# Keys

UNUSABLE: dict[str, tuple[Json, str]] = {
    "another curve": (public_key("P-256"), "key-type-not-allowed"),
    "another key's algorithm": (public_key(alg="RS384"), "key-type-not-allowed"),
    "an Edwards key": ({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "a"}, "key-type-not-allowed"),
    "for encryption": (public_key(use="enc"), "key-not-for-signing"),
    "for another algorithm": (public_key(alg="HS256"), "key-not-for-signing"),
    "not on the curve": (public_key(x="AAAA"), "key-malformed"),
    "without coordinates": ({"kty": "EC", "crv": "P-384", "kid": "a"}, "key-malformed"),
    "an RSA key without a modulus": ({"kty": "RSA", "e": "AQAB", "kid": "a"}, "key-malformed"),
    "no base64": (public_key(x="A"), "key-malformed"),
    "a short RSA key": ({"kty": "RSA", "n": "_" * 170 + "8", "e": "AQAB", "kid": "a"}, "key-size-not-allowed"),
}


@pytest.mark.parametrize("which", UNUSABLE)
def test_only_strong_public_signing_keys_can_be_registered(which: str) -> None:
    key, code = UNUSABLE[which]
    with pytest.raises(InvalidKeys) as refused:
        checked_keys(KeySet.model_validate({"keys": [key]}))
    assert refused.value.code == code


MALFORMED: dict[str, tuple[object, str, str]] = {
    "no set": ("https://ehr.example.org/jwks.json", "type", "/jwks"),
    "no keys": ({}, "required", "/jwks/keys"),
    "an empty set": ({"keys": []}, "too-short", "/jwks/keys"),
    "a word for the keys": ({"keys": "all"}, "type", "/jwks/keys"),
    "a word for a key": ({"keys": ["a"]}, "type", "/jwks/keys/0"),
    "a list for a key": ({"keys": [[public_key()]]}, "type", "/jwks/keys/0"),
    "eleven keys": ({"keys": [public_key()] * 11}, "too-long", "/jwks/keys"),
    "the private half": (
        {"keys": [ECKey.generate_key("P-384", {"kid": "a"}, private=True).as_dict(private=True)]},
        "private-key-sent",
        "/jwks/keys/0",
    ),
    "a shared secret": ({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}, "private-key-sent", "/jwks/keys/0"),
    "the primes of a key": ({"keys": [{"kty": "RSA", "kid": "a", "oth": [{}]}]}, "private-key-sent", "/jwks/keys/0"),
    "a list for a type": ({"keys": [public_key(kty=["EC"])]}, "type", "/jwks/keys/0/kty"),
    "an object for a curve": ({"keys": [public_key(crv={"P": 384})]}, "type", "/jwks/keys/0/crv"),
    "a zero character in a curve": ({"keys": [public_key(crv="P-384\u0000")]}, "format", "/jwks/keys/0/crv"),
    "a number for a coordinate": ({"keys": [public_key(x=7)]}, "type", "/jwks/keys/0/x"),
    "a boolean for a coordinate": ({"keys": [public_key(y=True)]}, "type", "/jwks/keys/0/y"),
    "nested values for a coordinate": ({"keys": [public_key(x=[[[{"a": "\u0000"}]]])]}, "type", "/jwks/keys/0/x"),
    "a zero character in a coordinate": ({"keys": [public_key(x="AAAA\u0000")]}, "format", "/jwks/keys/0/x"),
    "a coordinate in other digits": ({"keys": [public_key(x="\uff21\uff21")]}, "format", "/jwks/keys/0/x"),
    "a padded coordinate": ({"keys": [public_key(x="AAA=")]}, "format", "/jwks/keys/0/x"),
    "an endless modulus": ({"keys": [{"kty": "RSA", "kid": "a", "n": "A" * 1367, "e": "AQAB"}]}, "too-long", "/jwks/keys/0/n"),
    "a number for an exponent": ({"keys": [{"kty": "RSA", "kid": "a", "n": "AAAA", "e": 65537}]}, "type", "/jwks/keys/0/e"),
    "a list for an algorithm": ({"keys": [public_key(alg=["ES384"])]}, "type", "/jwks/keys/0/alg"),
    "an object for a use": ({"keys": [public_key(use={})]}, "type", "/jwks/keys/0/use"),
    "a zero character in its name": ({"keys": [public_key(kid="a\u0000b")]}, "format", "/jwks/keys/0/kid"),
    "a name of many": ({"keys": [public_key(kid="a" * 256)]}, "too-long", "/jwks/keys/0/kid"),
    "a number for a name": ({"keys": [public_key(kid=1)]}, "type", "/jwks/keys/0/kid"),
    "without a name": ({"keys": [{"kty": "EC", "crv": "P-384"}]}, "required", "/jwks/keys/0/kid"),
    "without a type": ({"keys": [{"kid": "a", "crv": "P-384"}]}, "required", "/jwks/keys/0/kty"),
}


@pytest.mark.parametrize("which", MALFORMED)
async def test_a_key_set_is_read_member_by_member(operator: Caller, clinic: Caller, which: str) -> None:
    jwks, code, pointer = MALFORMED[which]
    assert_refused(await operator.post("/intake/v1/clients", client_body(clinic, jwks=jwks)), 422, code, pointer)
    listed = (await operator.get(f"/intake/v1/clients?clinic_id={clinic.clinic_id}")).json()["items"]
    assert [one["client_id"] for one in listed] == [clinic.client_id]


def test_two_keys_of_a_set_have_two_names() -> None:
    with pytest.raises(InvalidKeys) as refused:
        checked_keys(KeySet.model_validate({"keys": [public_key(), public_key()]}))
    assert refused.value.code == "kid-not-unique"


async def test_members_of_a_key_that_nobody_needs_are_not_kept(operator: Caller, clinic: Caller) -> None:
    """A certificate, a comment, and members of another type of key, whatever they hold."""
    key = public_key()
    more = {"x5c": ["certificate"], "comment": "a\u0000b", "ext": [[[{}]]], "n": "AAAA", "e": "AQAB"}
    answer = await operator.post("/intake/v1/clients", client_body(clinic, jwks={"keys": [{**key, **more}], "more": "\u0000"}))
    assert (answer.status_code, answer.json()["jwks"]) == (201, {"keys": [key]})


# By an operator


async def test_an_operator_registers_and_reads_a_clinics_system(operator: Caller, clinic: Caller) -> None:
    answer = await operator.post("/intake/v1/clients", client_body(clinic))
    client = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/intake/v1/clients/{client['client_id']}")
    assert client["scopes"] == ["system/Consent.r", "system/Patient.c", "system/Patient.r", "system/Patient.u"]
    assert client["registered_by"] == f"Client/{operator.client_id}"
    assert (await operator.get(f"/intake/v1/clients/{client['client_id']}")).json() == client
    listed = (await operator.get(f"/intake/v1/clients?clinic_id={clinic.clinic_id}")).json()["items"]
    assert {one["client_id"] for one in listed} == {clinic.client_id, client["client_id"]}


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"kind": "operator"}, "not-one-of", "/kind"),
        ({"scopes": ["system/*.cruds"]}, "format", "/scopes/0"),
        ({"scopes": ["system/Client.c"]}, "scope-not-allowed", "/scopes"),
        ({"scopes": ["service/Directory.r"]}, "scope-not-allowed", "/scopes"),
        ({"scopes": ["system/Patient.cruds"]}, "scope-not-allowed", "/scopes"),
        ({"scopes": []}, "too-short", "/scopes"),
        ({"jwks": {"keys": [public_key("P-256")]}}, "key-type-not-allowed", "/jwks"),
        ({"name": "a\u2028b"}, "text-not-allowed", "/name"),
        ({"name": {"a": 1}}, "type", "/name"),
        ({"scopes": [["system/Patient.r"]]}, "type", "/scopes/0"),
        ({"scopes": ["system/Patient.r\u0000"]}, "format", "/scopes/0"),
        ({"may_act_for_practitioners": 1}, "type", "/may_act_for_practitioners"),
        ({"clinic_id": str(uuid4())}, "reference-not-found", "/clinic_id"),
        ({"client_id": "chosen-by-me"}, "unknown-field", ""),
    ],
)
async def test_a_client_beyond_what_a_clinics_system_may_be_is_refused(
    operator: Caller, clinic: Caller, changes: Json, code: str, pointer: str
) -> None:
    assert_refused(await operator.post("/intake/v1/clients", client_body(clinic, **changes)), 422, code, pointer)


async def test_disabling_twice_is_a_conflict_and_an_unknown_client_is_not_found(operator: Caller, clinic: Caller) -> None:
    path = f"/intake/v1/clients/{clinic.client_id}"
    assert (await operator.post(f"{path}/disable")).status_code == 200
    assert_refused(await operator.post(f"{path}/disable"), 409, "state")
    assert_refused(await operator.post(f"/intake/v1/clients/{uuid4()}/disable"), 404, "not-found")
    for path in ("/intake/v1/clients/%00", "/intake/v1/clients/%ff"):
        assert_refused(await operator.get(path), 404, "not-found")


async def test_clinic_systems_see_and_change_no_client(clinic: Caller) -> None:
    assert_refused(await clinic.get("/intake/v1/clients"), 403, "caller-kind")
    assert_refused(await clinic.post("/intake/v1/clients", client_body(clinic)), 403, "caller-kind")
    assert_refused(await clinic.post(f"/intake/v1/clients/{clinic.client_id}/disable"), 403, "caller-kind")


async def test_a_new_and_a_disabled_client_are_told_to_the_others(intake: Intake, operator: Caller, clinic: Caller) -> None:
    await operator.post(f"/intake/v1/clients/{clinic.client_id}/disable")
    events = await intake.events(of=clinic.client_id)
    assert [(kind, data["active"], data["client_version"]) for kind, data in events] == [
        ("client.changed", True, 1),
        ("client.changed", False, 2),
    ]


async def test_only_a_client_registered_for_it_acts_for_practitioners(intake: Intake, clinic: Caller) -> None:
    machine = await intake.client(ClientKind.CLINIC_SYSTEM, clinic_id=clinic.clinic_id, may_act_for_practitioners=False)
    patient = await registered_patient(machine)
    assert patient["status_changed_by"] == f"Client/{machine.client_id}"
    machine.acting = clinic.acting
    assert_refused(await machine.post("/intake/v1/courses", course_body(clinic, patient)), 403, "client-may-not-act")


# By the settings


def registration(**changes: object) -> Registration:
    values: Json = {"client_id": f"svc-{uuid4()}", "kind": "service", "jwks": {"keys": [public_key()]}, "scopes": ["service/Directory.r"]}
    return Registration.model_validate({**values, **changes})


async def test_the_same_registration_again_changes_nothing_and_a_new_key_does(intake: Intake) -> None:
    first = registration()
    database, now = intake.service.database, intake.service.clock.now()
    for wanted, version in ((first, 1), (first, 1), (first.model_copy(update={"jwks": {"keys": [public_key()]}}), 2)):
        async with database.transaction() as db:
            assert (await register_client(db, wanted, at=now, by="Test")).version == version
    assert len(await intake.events(of=first.client_id)) == 2


async def test_a_client_id_does_not_change_its_kind(intake: Intake, clinic: Caller) -> None:
    now = intake.service.clock.now()
    with pytest.raises(Conflict) as refused:
        async with intake.service.database.transaction() as db:
            await register_client(db, registration(client_id=clinic.client_id), at=now, by="Test")
    assert refused.value.code == "client-id-taken"


async def test_built_in_clients_are_registered_at_the_start(intake: Intake) -> None:
    wanted = registration()
    housekeeping = Housekeeping(intake.service.database, intake.service.clock, [wanted], intake.service.metrics)
    await housekeeping.register_built_in()
    assert [kind for kind, _ in await intake.events(of=wanted.client_id)] == ["client.changed"]


async def test_intake_is_not_ready_before_its_built_in_clients_are_known(intake: Intake) -> None:
    housekeeping = Housekeeping(intake.service.database, intake.service.clock, [registration()], intake.service.metrics)
    service = replace(intake.service, beginnings={"clients-unregistered": housekeeping.registering}, metrics=Metrics("intake"))
    assert await service.ready() == ["clients-unregistered"]
    await housekeeping.register_built_in()
    assert await service.ready() == []


async def test_replicas_that_start_together_register_a_built_in_client_once(intake: Intake) -> None:
    wanted = registration()
    service = intake.service
    replicas = [Housekeeping(service.database, service.clock, [wanted], service.metrics) for _ in range(4)]
    await asyncio.gather(*(replica.register_built_in() for replica in replicas))
    assert [kind for kind, _ in await intake.events(of=wanted.client_id)] == ["client.changed"]


def test_the_secrets_that_the_product_makes_fit_the_settings(tmp_path: Path) -> None:
    secrets.generate(tmp_path)
    registrations = built_in(secrets.read(tmp_path, "intake-built-in-clients.json"))
    assert {one.client_id: one.kind.value for one in registrations} == {"followup": "service", "operator": "operator"}
    assert SigningKeys(secrets.read(tmp_path, "intake-signing-keys.json")).active.curve_name == "P-256"


def test_a_scope_that_only_a_newer_release_knows_is_left_out_and_told_of(tmp_path: Path) -> None:
    """The list of the newer release is there while replicas of both serve: an older one that restarts must not refuse to."""
    secrets.generate(tmp_path)
    listed = json.loads(secrets.read(tmp_path, "intake-built-in-clients.json"))
    newer = [{**one, "scopes": [*one["scopes"], "system/Tomorrow.r", "system/Pipeline.rx"]} for one in listed]
    left_out: dict[str, int] = {}
    found = built_in(json.dumps(newer), left_out.__setitem__)
    assert {one.client_id: one.scopes for one in found if one.client_id == "followup"} == {
        one.client_id: one.scopes for one in built_in(json.dumps(listed)) if one.client_id == "followup"
    }
    assert left_out == {"operator": 2, "followup": 2}
    assert settings_with(built_in_clients=json.dumps(newer)).built_in_clients == json.dumps(newer)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{}",
        '[{"client_id": "a"}]',
        '[{"client_id": "a", "kind": "service", "jwks": {}, "scopes": []}]',
        '[{"client_id": "a b", "kind": "service", "jwks": {"keys": []}, "scopes": []}]',
    ],
)
def test_built_in_clients_that_cannot_be_read_stop_the_start(document: str) -> None:
    with pytest.raises(ValidationError):
        settings_with(built_in_clients=document)


@pytest.mark.parametrize("keys", ["", "{}", '{"keys": []}', '{"keys": [{"kty": "EC"}]}', '{"keys": ["a"]}'])
def test_signing_keys_that_cannot_be_used_stop_the_start_without_being_shown(keys: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings_with(signing_keys=keys)
    assert [error["loc"] for error in refused.value.errors()] == [("signing_keys",)]


def test_a_public_key_does_not_sign() -> None:
    public = SigningKeys(SigningKeys.generate()).public()
    with pytest.raises(ValueError, match="private keys on P-256"):
        SigningKeys(str(public).replace("'", '"'))


def test_the_first_signing_key_signs_and_all_are_published() -> None:
    old, new = ECKey.generate_key("P-256", {"kid": "old"}), ECKey.generate_key("P-256", {"kid": "new"})
    both = str({"keys": [new.as_dict(private=True), old.as_dict(private=True)]}).replace("'", '"')
    keys = SigningKeys(both)
    assert (keys.active.kid, [key["kid"] for key in keys.public()["keys"]]) == ("new", ["new", "old"])
