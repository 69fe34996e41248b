"""What is parked can be found, tried again and given up by an operator, who learns nothing of what it says."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest

from services.demo.client import Refused
from tests.pipeline.conftest import MARKER, Installation, spoiled
from tests.support.house import Clinic


async def parked_infusion(installation: Installation, clinic: Clinic) -> str:
    """A finished infusion that followup could not plan; returns its patient's id, which is the key."""
    patient = await clinic.admit()
    await installation.house.settled()
    async with installation.broken():
        await patient.complete()
        await installation.house.settled()
    return patient.patient_id


async def test_a_defect_is_seen_mended_and_redriven(installation: Installation, clinic: Clinic) -> None:
    key = await parked_infusion(installation, clinic)
    overview = (await installation.run("status", "--json", "--service", "followup")).json()["followup"]
    assert overview["parked"]["keys_blocked"] == 1
    assert "poison" in {reason["reason"] for reason in overview["parked"]["by_reason"]}
    listed = (await installation.run("parked", "--json", "--reason", "poison")).json()
    table = (await installation.run("parked")).out
    assert all(f"{row['service']}/{row['parked_id']}" in table and row["key"] in table for row in listed), "nothing is cut short"
    assert [(row["service"], row["key"], row["error_class"]) for row in listed] == [("followup", key, "ProgrammingError")]

    done = await installation.run("redrive", "--key", key, "--yes")
    assert (done.code, "0 failed again" in done.out) == (0, True)
    assert "followup: 0 redriven" not in done.out
    assert len(await installation.house.rows("followup", clinic.clinic_id, "SELECT * FROM plan")) == 1
    assert {row["state"] for row in await installation.parked()} == {"resolved"}
    assert {row["settled_by"] for row in await installation.parked()} == {"Client/operator"}
    assert (await installation.run("parked")).out.strip() == "Nothing is parked."


async def test_a_dry_run_changes_nothing(installation: Installation, clinic: Clinic) -> None:
    key = await parked_infusion(installation, clinic)
    before = await installation.parked()
    told = await installation.run("redrive", "--key", key)
    assert (told.code, "of 1 keys" in told.out, "add --yes" in told.out) == (0, True, True)
    assert await installation.parked() == before
    assert await installation.house.rows("followup", clinic.clinic_id, "SELECT * FROM plan") == []


async def test_what_fails_again_stays_parked_with_a_fresh_reason_and_one_more_try(installation: Installation, clinic: Clinic) -> None:
    key = await parked_infusion(installation, clinic)
    (first, *behind) = await installation.parked()
    async with installation.broken(table="infusion"):
        again = await installation.run("redrive", "--reason", "poison", "--yes")
    assert (again.code, "1 failed again" in again.out) == (1, True)
    tried = (await installation.parked())[0]
    assert (tried["state"], tried["reason"], tried["attempts"]) == ("parked", "poison", first["attempts"] + 1)
    assert len(await installation.parked()) == 1 + len(behind)
    assert (await installation.run("redrive", "--key", key, "--yes")).code == 0


async def test_the_chosen_are_held_up_by_what_was_not_chosen(installation: Installation) -> None:
    key = str(uuid4())
    await installation.give(spoiled(key, 1), spoiled(key, 2))
    (first, second) = [row["parked_id"] for row in await installation.parked()]
    for arguments in ((), ("--yes",)):
        told = await installation.run("redrive", "--from", f"followup/{second}", "--to", f"followup/{second}", *arguments)
        assert f"followup/{first} was not chosen" in told.out
    assert [row["attempts"] for row in await installation.parked()] == [1, 1]


async def test_giving_up_leaves_a_name_a_reason_and_an_audit_row(installation: Installation) -> None:
    key = str(uuid4())
    await installation.give(spoiled(key, 1), spoiled(key, 2))
    (first, second) = [row["parked_id"] for row in await installation.parked()]
    done = await installation.run("discard", f"followup/{first}", "--by", "A. Person", "--reason", "told by phone")
    assert (done.code, f"redrive --key {key}" in done.out) == (0, True)
    rows = await installation.parked()
    assert [(row["state"], row["settled_by"], row["settled_why"]) for row in rows] == [
        ("discarded", "A. Person (Client/operator)", "told by phone"),
        ("parked", None, None),
    ]
    row = (await installation.audit())[-1]
    assert (row["operation"], row["client_id"], row["subject"]) == ("discard_parked", "operator", f"parked/{first}")
    assert row["purpose"] == "A. Person: told by phone"
    nobody = {"by": " ", "reason": "told by phone"}
    assert (await refusal(installation, f"/followup/v1/pipeline/parked/{second}/discard", nobody))[0] == 422
    once_more = await installation.run("discard", f"followup/{first}", "--by", "B. Person", "--reason", "again")
    assert (once_more.code, "409 state" in once_more.err) == (1, True)
    assert (await installation.run("show", f"followup/{second}", "--json")).json()["behind"] == 0


async def test_what_waited_behind_what_was_given_up_goes_on_when_it_is_redriven(installation: Installation, clinic: Clinic) -> None:
    async def waiting() -> tuple[int, set[str]]:
        found = (await installation.run("status", "--json", "--service", "followup")).json()["followup"]["parked"]
        return found["keys_blocked"], {one["reason"] for one in found["by_reason"]}

    patient = await clinic.admit()
    await installation.house.settled()
    async with installation.broken():
        await patient.complete()
        installation.house.clock.advance(timedelta(days=3))
        await patient.complete()
        await installation.house.settled()
    first = (await installation.parked())[0]
    await installation.run("discard", f"followup/{first['parked_id']}", "--by", "A. Person", "--reason", "told by phone")
    assert await waiting() == (1, {"behind-parked-key"}), "nothing is wrong with what waits, and still its patient is blocked"
    await installation.run("redrive", "--reason", "behind-parked-key", "--yes")
    assert await waiting() == (0, set())


async def test_every_try_leaves_an_audit_row(installation: Installation, clinic: Clinic) -> None:
    await parked_infusion(installation, clinic)
    count = len(await installation.parked())
    await installation.run("redrive", "--reason", "poison", "--yes")
    tries = [row["subject"] for row in await installation.audit() if (row["subject"] or "").startswith("parked/")]
    assert sorted(tries) == sorted(f"parked/{row['parked_id']}" for row in await installation.parked())
    assert len(tries) == count


async def test_no_answer_holds_what_a_record_says(installation: Installation) -> None:
    key = str(uuid4())

    def everywhere(headers: dict[str, bytes]) -> None:
        for name in headers:
            headers[name] = MARKER.encode()
        headers[MARKER] = MARKER.encode()

    await installation.give(spoiled(key, 1), spoiled(MARKER, 2), spoiled(key, 3, change=everywhere), spoiled(None, 4, change=everywhere))
    numbers = [row["parked_id"] for row in await installation.parked()]
    answers = [
        await installation.run("status", "--json"),
        await installation.run("parked", "--json"),
        await installation.run("parked"),
        *[await installation.run("show", f"followup/{number}", "--json") for number in numbers],
        await installation.run("redrive", "--reason", "undecodable", "--yes", "--json"),
        await installation.run("discard", f"followup/{numbers[1]}", "--by", "A. Person", "--reason", "cannot be read", "--json"),
    ]
    assert all(MARKER not in answer.out + answer.err for answer in answers)
    assert {row["key"] for row in answers[1].json()} == {key, None}
    assert len(answers[1].json()) == len(numbers) == 4


async def test_headers_that_hold_what_they_should_are_shown(installation: Installation) -> None:
    key = str(uuid4())
    await installation.give(spoiled(key, 1))
    found = (await installation.run("show", f"followup/{(await installation.parked())[0]['parked_id']}", "--json")).json()
    assert found["type"] == found["headers"]["ce_type"] == "sessions.infusion.completed.v1"
    assert found["headers"]["ce_partitionkey"] == key
    assert "content-type" not in found["headers"]


async def test_a_list_is_read_page_by_page(installation: Installation) -> None:
    await installation.give(*[spoiled(str(uuid4()), number) for number in range(7)])
    page = await installation.operator.get("/followup/v1/pipeline/parked", limit="3")
    seen = [row["parked_id"] for row in page["items"]]
    while page["next"]:
        path, _, query = page["next"].partition("?")
        page = await installation.operator.get(path, **dict(parse_qsl(query)))
        seen += [row["parked_id"] for row in page["items"]]
    assert seen == [row["parked_id"] for row in await installation.parked()]


async def refusal(installation: Installation, path: str, body: Mapping[str, object]) -> tuple[int, str]:
    try:
        await installation.operator.post(path, body)
    except Refused as refused:
        return refused.status, refused.code
    raise AssertionError("was not refused")


async def test_a_choice_must_be_exactly_one(installation: Installation) -> None:
    path = "/followup/v1/pipeline/redrive"
    assert await refusal(installation, path, {}) == (422, "selection-required")
    assert await refusal(installation, path, {"reason": "poison", "key": str(uuid4())}) == (422, "selection-required")
    assert await refusal(installation, path, {"from_id": 3}) == (422, "range-invalid")
    assert await refusal(installation, path, {"from_id": 3, "to_id": 2}) == (422, "range-invalid")


async def test_a_number_beyond_every_record_is_not_found(installation: Installation) -> None:
    assert (await installation.operator.get("/followup/v1/pipeline"))["service"] == "followup"
    installation.operator.patience_seconds = 0
    for number in (2**31, 2**53 - 1):
        with pytest.raises(Refused) as refused:
            await installation.operator.get(f"/followup/v1/pipeline/parked/{number}")
        assert refused.value.status == 404
