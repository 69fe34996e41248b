"""Who may look after the pipeline, and what a person reads who may not, or who is at the wrong address."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from joserfc.jwk import ECKey

from services import secrets
from services.demo.client import ClinicSystem, Refused
from services.secrets import OPERATOR_CLIENT
from shared.security.access import census
from shared.web import application
from tests.pipeline.conftest import Installation
from tests.support.house import Clinic


def operations(installation: Installation) -> Iterator[tuple[str, str, str]]:
    """Every pipeline operation: method, address and scope."""
    for service in installation.house.services.values():
        for operation, access in census(application(service), also=[f"/{service.name}/openapi.json"]).items():
            method, _, path = operation.partition(" ")
            if "/v1/pipeline" in path:
                assert (access.kind, access.phi, access.roles) == ("operator", "none", frozenset())
                yield method, path.replace("{parked_id}", "1"), access.scope


async def test_looking_needs_one_right_and_mending_another(installation: Installation) -> None:
    table = {(method, scope) for method, _, scope in operations(installation)}
    assert table == {("GET", "system/Pipeline.r"), ("POST", "system/Pipeline.u")}
    by_service = {path.split("/")[1] for _, path, _ in operations(installation)}
    assert by_service == {"intake", "sessions", "followup"}


async def test_nobody_but_the_operator_comes_in(installation: Installation, clinic: Clinic) -> None:
    for method, path, _ in operations(installation):
        with pytest.raises(Refused) as refused:
            await (clinic.system.get(path) if method == "GET" else clinic.system.post(path, {}))
        assert (refused.value.status, refused.value.code) == (403, "caller-kind")
        anonymous = await installation.house.http.request(method, path, headers={"Idempotency-Key": str(uuid4())})
        assert (anonymous.status_code, anonymous.json()["code"]) == (401, "token-required")


async def test_who_may_only_look_may_not_mend(installation: Installation) -> None:
    key = ECKey.import_key(json.loads(secrets.read(installation.house.folder / "secrets", "operator-client-key.json")))
    looking = ClinicSystem(installation.house.origin, OPERATOR_CLIENT, key, ("system/Pipeline.r",))
    assert (await looking.get("/followup/v1/pipeline"))["service"] == "followup"
    with pytest.raises(Refused) as refused:
        await looking.post("/followup/v1/pipeline/redrive", {"reason": "poison"})
    assert (refused.value.status, refused.value.code) == (403, "scope-missing")
    await looking.close()
    denied = [row for row in await installation.audit() if row["outcome"] == 403]
    assert [(row["operation"], row["clinic_id"]) for row in denied] == [("redrive_parked", UUID(int=0))]


async def test_a_number_that_nothing_has_is_not_found(installation: Installation) -> None:
    shown = await installation.run("show", "followup/404")
    given_up = await installation.run("discard", "followup/404", "--by", "A. Person", "--reason", "gone")
    for told in (shown, given_up):
        assert (told.code, "404 not-found" in told.err, "afterglow pipeline parked" in told.err) == (1, True, True)


async def test_a_failure_says_what_to_do_next(installation: Installation, tmp_path: Path) -> None:
    nowhere = await installation.run("status", url="http://127.0.0.1:9")
    assert (nowhere.code, "Nothing answers" in nowhere.err, "--url" in nowhere.err) == (1, True, True)
    keyless = await installation.run("status", secrets=str(tmp_path))
    assert (keyless.code, "cannot be read" in keyless.err, "--secrets" in keyless.err) == (1, True, True)
    secrets.generate(tmp_path / "of-another")
    stranger = await installation.run("status", secrets=str(tmp_path / "of-another"))
    assert (stranger.code, "does not accept this key" in stranger.err) == (1, True)
    for wrong in (("show", "17"), ("redrive", "--from", "followup/1", "--to", "sessions/2"), ("status", "--service", "kitchen")):
        told = await installation.run(*wrong)
        assert (told.code, "Error" in told.err or "Usage" in told.err) == (2, True)
    for nobody in ("nobody", "intake"):
        since = ("--since", "2020-01-01T00:00:00Z", "--by", "A. Person", "--reason", "a lost log")
        told = await installation.run("replay", "--consumer", nobody, "--topic", "intake.events", *since)
        assert (told.code, "--consumer is sessions or followup" in " ".join(told.err.split())) == (2, True)


async def test_status_shows_all_services_at_once(installation: Installation) -> None:
    told = await installation.run("status")
    assert told.code == 0, told.err
    for service in ("intake", "sessions", "followup"):
        assert service in told.out
    document = (await installation.run("status", "--json")).json()
    assert {name: one["relay"]["active"] for name, one in document.items()} == dict.fromkeys(("intake", "sessions", "followup"), True)
    assert document["intake"]["consumer"] is None


@pytest.mark.parametrize("selection", [(), ("--key", "k", "--reason", "poison"), ("--from", "followup/1"), ("--to", "followup/1")])
async def test_a_redrive_without_one_selection_names_the_options(installation: Installation, selection: tuple[str, ...]) -> None:
    told = await installation.run("redrive", *selection)
    assert (told.code, "exactly one of --key, --reason, or --from with --to" in " ".join(told.err.split())) == (2, True)


async def test_a_value_that_a_service_refuses_is_named_with_what_is_allowed(installation: Installation) -> None:
    since = await installation.run("republish", "--since", "yesterday", "--by", "A. Person", "--reason", "a lost log")
    assert (since.code, "--since: Send a date, a time and an offset, such as" in since.err) == (1, True)
    reason = await installation.run("redrive", "--reason", "misfortune")
    assert (reason.code, "--reason: Allowed: 'poison', 'undecodable'," in reason.err) == (1, True)
