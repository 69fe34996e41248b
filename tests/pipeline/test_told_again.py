"""What was told can be read again, told again and looked over, and nothing happens twice by it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.bus import partition_of
from shared.pipeline.commands import one_at_a_time
from tests.pipeline.conftest import Installation, spoiled
from tests.pipeline.test_parked import parked_infusion, refusal
from tests.support.house import Clinic

BY = ("--by", "A. Person", "--reason", "a lost log")
LONG_AGO = ("--since", "2020-01-01T00:00:00Z", *BY)
OF_INTAKE = ("--consumer", "followup", "--topic", "intake.events", *LONG_AGO)


DECIDED = {"by": "A. Person", "reason": "a lost log"}


def total(parts: list[dict[str, Any]], name: str) -> int:
    return sum(part[name] for part in parts)


async def told_by(installation: Installation, service: str) -> list[tuple[object, ...]]:
    """Every event of a service: number, id and bytes."""
    async with installation.house.services[service].database.transaction() as db:
        rows = await db.execute(text("SELECT seq, event_id, data FROM platform.event_log ORDER BY seq"))
        return [tuple(row) for row in rows]


async def test_replaying_what_is_known_applies_nothing(installation: Installation, clinic: Clinic) -> None:
    await clinic.admit()
    await installation.house.settled()
    told = await installation.run("replay", *OF_INTAKE, "--yes", "--json")
    assert told.code == 0, told.err
    parts = told.json()
    assert total(parts, "read") == len(await told_by(installation, "intake"))
    assert (total(parts, "applied"), total(parts, "parked")) == (0, 0)
    assert total(parts, "known") == total(parts, "read") - total(parts, "ignored") > 0


async def test_replaying_brings_back_what_was_lost_and_a_dry_run_only_counts_it(installation: Installation, clinic: Clinic) -> None:
    await installation.house.settled()
    known = await installation.clients()
    await installation.lose_clients()
    dry = (await installation.run("replay", *OF_INTAKE, "--json")).json()
    assert (await installation.clients(), total(dry, "applied") > 0) == (set(), True)
    done = await installation.run("replay", *OF_INTAKE, "--yes")
    assert (done.code, f"{total(dry, 'applied')} applied" in done.out) == (0, True)
    assert await installation.clients() == known
    assert clinic.client_id in known


async def test_who_has_told_or_read_what_again_and_why_is_kept(installation: Installation, clinic: Clinic) -> None:
    await installation.run("republish", "--service", "followup", *LONG_AGO, "--yes")
    await installation.run("replay", *OF_INTAKE, "--partition", "3", "--yes")
    rows = [row for row in await installation.audit() if row["operation"] in ("republish_events", "replay_range")]
    assert [row["purpose"] for row in rows] == ["A. Person: a lost log"] * 2
    assert rows[0]["subject"] == "event_log/2020-01-01T00:00:00+00:00/"
    assert rows[1]["subject"].startswith("intake.events/3@")
    nobody = {"since": "2020-01-01T00:00:00Z", "by": " ", "reason": "a lost log"}
    assert (await refusal(installation, "/followup/v1/pipeline/republish", nobody))[0] == 422


async def test_a_replay_that_takes_longer_than_an_idle_transaction_may_keeps_its_place_and_is_answered_and_audited(
    installation: Installation, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, admin = installation.house.services["followup"].bus, await installation.admin("followup")
    again, free = bus.again, []

    async def take_place_for_a_moment(db: AsyncSession) -> None:
        await one_at_a_time(db)
        await db.execute(text("SET LOCAL idle_in_transaction_session_timeout = '3s'"))

    async def again_slowly(*arguments: Any, **named: Any) -> Any:  # Any: whatever the bus is asked
        await admin.execute("SELECT pg_sleep(4)")
        free.append(await admin.fetchval("SELECT pg_try_advisory_lock(2823, hashtext('mending'))"))
        return await again(*arguments, **named)

    monkeypatch.setattr("shared.pipeline.telling.commands.one_at_a_time", take_place_for_a_moment)
    monkeypatch.setattr(bus, "again", again_slowly)
    told = await installation.run("replay", *OF_INTAKE, "--partition", str(partition_of(clinic.client_id)), "--yes")
    await admin.close()
    assert (told.code, free) == (0, [False]), told.err
    assert [row["operation"] for row in await installation.audit()].count("replay_range") == 1


async def test_replaying_stops_where_the_consumer_has_come_itself(installation: Installation, clinic: Clinic) -> None:
    body = {"topic": "intake.events", "partition": partition_of(clinic.client_id), "from_offset": 0, "to_offset": 10**9, **DECIDED}
    assert await refusal(installation, "/followup/v1/pipeline/replay", body) == (409, "range-ahead")
    unknown = {**body, "topic": "followup.events", "to_offset": 1}
    assert await refusal(installation, "/followup/v1/pipeline/replay", unknown) == (422, "topic-not-read")
    neither = {"topic": "intake.events", "partition": 0, **DECIDED}
    assert await refusal(installation, "/followup/v1/pipeline/replay", neither) == (422, "selection-required")


async def test_republishing_brings_back_what_was_lost_by_the_same_events(installation: Installation, clinic: Clinic) -> None:
    await installation.house.settled()
    known, told = await installation.clients(), await told_by(installation, "intake")
    await installation.lose_clients()
    dry = await installation.run("republish", "--service", "intake", *LONG_AGO)
    assert (dry.code, f"{len(told)} events would be told again" in dry.out) == (0, True)
    assert await installation.clients() == set()
    done = await installation.run("republish", "--service", "intake", *LONG_AGO, "--yes")
    assert (done.code, f"{len(told)} events go to the bus again" in done.out) == (0, True)
    await installation.house.settled()
    assert await installation.clients() == known
    assert await told_by(installation, "intake") == told


async def test_republishing_what_is_known_changes_nothing(installation: Installation, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await installation.house.settled()
    before = (await patient.tasks(), await patient.check_ins(), len(await told_by(installation, "followup")))
    assert (await installation.run("republish", *LONG_AGO, "--yes")).code == 0
    await installation.house.settled()
    assert (await patient.tasks(), await patient.check_ins(), len(await told_by(installation, "followup"))) == before


async def test_only_the_named_stretch_of_time_is_republished(installation: Installation, clinic: Clinic) -> None:
    await installation.house.settled()
    nothing = await installation.run("republish", "--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00Z", *BY, "--json")
    assert [total(parts, "events") for parts in nothing.json().values()] == [0, 0, 0]


async def test_an_audit_finds_what_was_not_planned(installation: Installation, clinic: Clinic) -> None:
    whole = await installation.run("audit", "--json")
    assert [(one["clinic_id"], one["missing"]) for one in whole.json()] == [(clinic.clinic_id, {})]
    assert whole.code == 0
    await parked_infusion(installation, clinic)
    installation.house.clock.advance(timedelta(hours=1))
    found = await installation.run("audit", "--json")
    (one,) = found.json()
    assert (found.code, one["missing"], one["last_run"]["compared"]) == (1, {"event": 1, "plan": 1}, 1)
    assert "patient_id" not in found.out


async def test_an_audit_says_from_when_to_when_it_counts(installation: Installation, clinic: Clinic) -> None:
    """An infusion that has just ended is given time; who sees 0 must not take it for a defect."""
    told = await installation.run("audit")
    ran_at = installation.house.clock.now()
    since, until = ((ran_at - before).isoformat(timespec="seconds") for before in (timedelta(days=7), timedelta(seconds=120)))
    assert f"between {since} and {until}; what was closed in the last 120 s is given time." in told.out
    assert "last two minutes" in " ".join((await installation.run("audit", "--help")).out.split())


async def test_a_gap_is_settled_only_where_there_is_one(installation: Installation) -> None:
    body = {"topic": "sessions.events", "partition": 0, "by": "A. Person", "reason": "none", "dry_run": False}
    assert await refusal(installation, "/followup/v1/pipeline/settle-gap", body) == (409, "no-gap")


async def test_two_menders_do_not_work_at_once(installation: Installation) -> None:
    await installation.give(spoiled(str(uuid4()), 1))
    admin = await installation.admin("followup")
    await admin.execute("SELECT pg_advisory_lock(2823, hashtext('mending'))")
    told = await installation.run("redrive", "--reason", "undecodable", "--service", "followup")
    assert (told.code, "mending-under-way" in told.err, "Wait until it is done" in told.err) == (1, True, True)
    await admin.close()
    assert (await installation.run("redrive", "--reason", "undecodable", "--service", "followup")).code == 0
