"""Every operation of the three services, found in the route tables: nothing without a valid token, nothing of another clinic."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest_asyncio
from joserfc.jwk import ECKey

from shared.clock import FrozenClock
from shared.events.intake import Role
from shared.security.caller import KINDS
from tests.conftest import NEW_YORK_MORNING
from tests.support.databases import Databases
from tests.support.house import CLINIC_SCOPES, Clinic, House, house_on
from tests.support.inventory import inventory
from tests.support.operations import Issuer, Op, address_of, body_of, known_ids, operations
from tests.support.waiting import eventually

OTHER_METHODS = ("HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "POST", "GET")
OVERRIDES = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
Json = dict[str, Any]  # Any: JSON values

_NOTHING = {400, 401, 404, 405}
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass
class World:
    """The product with two clinics, one of which asks."""

    house: House
    ours: Clinic
    other: Clinic
    issuer: Issuer
    acting: str
    theirs: dict[str, list[str]]
    """Ids of everything that the other clinic has."""
    disabled_client: str

    def guarded(self) -> list[Op]:
        """Those that need a token."""
        return [op for op in operations(self.house) if op.access.kind in KINDS]

    def good(self, op: Op, clinic: Clinic | None = None) -> str:
        clinic = clinic or self.ours
        client_id = {"clinic-system": clinic.client_id, "service": "followup"}.get(str(op.access.kind), "operator")
        return f"Bearer {self.issuer.signed(self.issuer.claims(op, client_id, clinic.clinic_id))}"

    async def ask(
        self,
        op: Op,
        authorization: str | None,
        ids: Mapping[str, str],
        *,
        body: Json | None = None,
        query: str = "",
        target: str = "",
        method: str = "",
    ) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid4()), "If-Match": 'W/"1"', "Afterglow-Clinic": self.ours.clinic_id}
        headers |= {"Afterglow-Practitioner": self.acting} if op.access.kind == "clinic-system" else {}
        headers |= {"Authorization": authorization} if authorization is not None else {}
        path = _PLACE.sub(lambda place: ids.get(place[1], str(uuid4())), op.path)
        extensions = {"target": target.encode()} if target else {}
        sends = method or op.method
        document = (body or {}) if sends in {"POST", "PATCH", "PUT"} else None
        return await self.house.http.request(sends, path + query, headers=headers, extensions=extensions, json=document)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(databases: Databases) -> AsyncIterator[World]:
    async with house_on(databases, FrozenClock(NEW_YORK_MORNING)) as house:
        ours, other = await house.clinic(), await house.clinic()
        acting = str(await ours.hire_one("everybody", *Role))
        await ours.known()
        theirs = await inventory(other, documents=True)
        yield World(house, ours, other, Issuer(house), acting, theirs, await disabled_client_of(house, ours))


async def disabled_client_of(house: House, clinic: Clinic) -> str:
    """A client that was disabled, as every service knows."""
    operator = house.operator()
    key = ECKey.generate_key("P-384", parameters={"alg": "ES384", "use": "sig", "kid": "gone"}, private=True)
    wanted = {
        "clinic_id": clinic.clinic_id,
        "name": "Stolen",
        "jwks": {"keys": [key.as_dict(private=False)]},
        "scopes": list(CLINIC_SCOPES),
    }
    client_id: str = (await operator.post("/intake/v1/clients", wanted))["client_id"]
    await operator.post(f"/intake/v1/clients/{client_id}/disable", {})
    await operator.close()

    async def known(service: str) -> bool:
        rows = await house.rows(service, clinic.clinic_id, "SELECT active FROM platform.client WHERE client_id = :id", id=client_id)
        return [row["active"] for row in rows] == [False]

    for service in house.services:
        await eventually(partial(known, service))
    return client_id


PUBLIC = {
    "POST /intake/oauth/token": "sign-in",
    "GET /intake/.well-known/jwks.json": "public keys",
    "GET /intake/.well-known/smart-configuration": "public keys",
    "GET /c": "numbers to call",
    "GET /c/help": "numbers to call",
    "GET /c/static/page.css": "numbers to call",
    "GET /c/leave": "the way out",
    "GET /c/leave/{handle}": "the way out",
    "GET /queue/afterglow.css": "sign-in",
}
"""All that needs no credential, and why. Whatever else there is has one."""


async def test_nothing_is_public_but_sign_in_keys_numbers_to_call_and_the_way_out(world: World) -> None:
    assert {str(op) for op in operations(world.house) if op.access.kind is None} == set(PUBLIC)
    kinds = {op.access.kind for op in operations(world.house)}
    assert kinds == {None, "clinic-system", "service", "operator", "patient", "staff"}


async def test_no_bad_credential_opens_any_operation(world: World) -> None:
    opened = []
    for op in world.guarded():
        claims = world.issuer.claims(op, world.ours.client_id, world.ours.clinic_id)
        for wrong, authorization in world.issuer.bad(claims, world.disabled_client).items():
            answer = await world.ask(op, authorization, {})
            if answer.status_code != 401 or answer.headers.get("www-authenticate") != "Bearer":
                opened.append((str(op), wrong, answer.status_code))
    assert opened == []


async def test_the_good_credential_beside_them_opens_every_operation(world: World) -> None:
    """So that the refusals above are those of the credential."""
    answers = {str(op): await world.ask(op, world.good(op), {}) for op in world.guarded()}
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code in {401, 403, 405, 500}} == {}


async def test_no_other_method_or_spelling_of_an_address_goes_round_the_token(world: World) -> None:
    declared = {(op.method, op.path) for op in operations(world.house)}
    opened = []
    for op in world.guarded():
        path = _PLACE.sub(str(uuid4()), op.path)
        asked = [(method, "") for method in OTHER_METHODS if (method, op.path) not in declared]
        asked += [(op.method, target) for target in spellings(path)]
        for method, target in asked:
            answer = await world.ask(op, None, {}, method=method, target=target)
            if answer.status_code not in _NOTHING:
                opened.append((method, target or path, answer.status_code))
    assert opened == []


def spellings(path: str) -> list[str]:
    """Other ways to write an address that a proxy or a router might take for the same."""
    head, _, tail = path.rpartition("/")
    segment = path.split("/")[1]
    same = [f"{path}/", f"{path}//", f"/{path}", f"{path}/.", f"{path};x=1", f"{path}%2f", f"{path}%00", f"{path}?", path.upper()]
    same += [f"{head}{between}{tail}" for between in ("//", "/./", "/%2e/", "/x/../", "/x/%2e%2e/")]
    same.append(f"{head}/%{ord(tail[0]):x}{tail[1:]}")
    public = (f"/{segment}/.well-known", f"/{segment}/oauth", f"/{segment}/openapi.json")
    return same + [f"{open_to_all}/%2e%2e{path.removeprefix(f'/{segment}')}" for open_to_all in public]


async def test_a_header_cannot_turn_one_method_into_another(world: World) -> None:
    declared = {(op.method, op.path) for op in operations(world.house)}
    turned = []
    for op in world.guarded():
        path = _PLACE.sub(str(uuid4()), op.path)
        for other in {"GET", "POST", "PATCH", "DELETE"} - {op.method}:
            if (other, op.path) in declared:
                continue
            headers = dict.fromkeys(OVERRIDES, op.method) | {"Authorization": world.good(op), "Idempotency-Key": str(uuid4())}
            answer = await world.house.http.request(other, f"{path}?_method={op.method}", headers=headers)
            if answer.status_code != 405:
                turned.append((other, str(op), answer.status_code))
    assert turned == []


async def test_another_clinics_id_in_any_address_is_answered_as_an_unknown_one(world: World) -> None:
    crossed = []
    asked = [op for op in world.guarded() if op.access.kind == "clinic-system" and _PLACE.search(op.path)]
    for op in asked:
        names = _PLACE.findall(op.path)
        for name, theirs in [(place, one) for place in names for one in known_ids(op, world.theirs, place)]:
            body = body_of(world.house, op)
            known = await world.ask(
                op, world.good(op), {one: known_ids(op, world.theirs, one)[0] for one in names} | {name: theirs}, body=body
            )
            unknown = await world.ask(op, world.good(op), {}, body=body)
            if (known.status_code, shown(known)) != (404, shown(unknown)):
                crossed.append((str(op), known.status_code, shown(known)))
    assert crossed == []
    assert len(asked) > 20


async def test_its_own_clinic_finds_what_is_unknown_to_the_others(world: World) -> None:
    for op in world.guarded():
        named = _PLACE.findall(op.path)
        if op.access.kind == "clinic-system" and op.method == "GET" and named and op.access.naming != "required":
            answer = await world.house.http.get(address_of(op, world.theirs), headers={"Authorization": world.good(op, world.other)})
            assert answer.status_code in {200, 403}, op  # 403: only with a practitioner who may see it


async def test_another_clinics_id_in_any_filter_finds_what_an_unknown_one_finds(world: World) -> None:
    crossed, asked = [], 0
    for op in world.guarded():
        names = [
            one["name"] for one in op.described.get("parameters", ()) if one["in"] == "query" and known_ids(op, world.theirs, one["name"])
        ]
        # The trail is left out: it holds what this clinic itself has asked for, and tests before this one asked for these ids.
        for name in names if op.access.kind == "clinic-system" and "audit-events" not in op.path else ():
            asked += 1
            known, unknown = [
                await world.ask(op, world.good(op), {}, query=f"?{name}={value}")
                for value in (known_ids(op, world.theirs, name)[0], uuid4())
            ]
            if (known.status_code, known.text) != (200, unknown.text):
                crossed.append((str(op), name, known.status_code))
    assert crossed == []
    assert asked > 5


def shown(answer: httpx.Response) -> Json:
    """All but the name of the request."""
    return {**answer.json(), "instance": ""}


LOOSE = {
    "integer": ("1_0", "%2B5", "%205", "5.0", "05", "5e0", "%EF%BC%95"),
    "boolean": ("True", "yes", "1", "on"),
    "uuid": ("{6f0f5b0e-0000-4000-8000-000000000000}", "6f0f5b0e000040008000000000000000"),
    "date-time": ("1795444800", "2026-11-23T14:40:00", "2026-11-23", "2026-11-23T14:40:00.%EF%BC%95Z"),
}


def form_of(parameter: Json) -> str:
    options = parameter["schema"].get("anyOf", [parameter["schema"]])
    return next((one.get("format") or one["type"] for one in options if "type" in one and one["type"] != "null"), "")


async def test_every_number_id_boolean_and_time_in_an_address_is_read_strictly(world: World) -> None:
    taken, asked = [], set()
    for op in world.guarded():
        for parameter in op.described.get("parameters", ()):
            place, name, form = parameter["in"], parameter["name"], form_of(parameter)
            for value in LOOSE.get(form, ()) if place in {"query", "path"} else ():
                asked.add((place, form))
                if place == "path":
                    answer = await world.ask(op, world.good(op), {name: value}, body=body_of(world.house, op))
                    as_it_should = answer.status_code == 404
                else:
                    answer = await world.ask(op, world.good(op), {}, query=f"?{name}={value}")
                    as_it_should = answer.status_code == 422 and name in {one["pointer"].strip("/") for one in answer.json()["errors"]}
                if not as_it_should:
                    taken.append((str(op), name, value, answer.status_code))
    assert taken == []
    assert asked == {("query", form) for form in LOOSE} | {("path", "integer"), ("path", "uuid")}
