import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
import structlog

from services.followup.checkins import links
from services.followup.outreach.channels import AddressRefused, ChannelAway, Outgoing
from services.followup.outreach.contacts import Contact
from services.followup.outreach.policy import load_policy
from services.followup.outreach.rules import NotSent, Waits
from shared.failpoints import InjectedFault
from shared.telemetry import Metrics
from tests.followup.checkins.world import PUBLIC_URL, SECRET, World


@dataclass
class Interrupted:
    """A channel or a directory at whose moment something else happens."""

    inner: object
    before: Callable[[], Awaitable[object]] | None = None
    after: Callable[[], Awaitable[object]] | None = None
    sent: list[Outgoing] = field(default_factory=list)

    async def send(self, message: Outgoing) -> None:
        if self.before:
            await self.before()
        self.sent.append(message)
        await self.inner.send(message)  # type: ignore[attr-defined]  # a channel
        if self.after:
            await self.after()

    async def contact(self, clinic_id: UUID, patient_id: UUID) -> Contact:
        answer: Contact = await self.inner.contact(clinic_id, patient_id)  # type: ignore[attr-defined]  # contacts
        if self.after:
            await self.after()
        return answer


async def fail() -> None:
    raise InjectedFault


async def be_killed() -> None:
    """As a process that ends in the middle of it: no more of ours runs."""
    raise asyncio.CancelledError


async def lease_ends(world: World) -> None:
    await world.write("UPDATE platform.message_queue SET free_at = clock_timestamp()")


async def test_a_message_leaves_once_with_a_link_that_only_the_secret_can_make(world: World) -> None:
    new = await world.opened()
    assert await world.outreach.send_due() == 1
    assert await world.outreach.send_due() == 0
    (left,) = world.outbox()
    token = links.token_of(SECRET, new.check_in_id, 1)
    assert left["link"] == f"{PUBLIC_URL}/c/{token}"
    assert left["path"] == f"/c/{token}"
    assert (left["to"], left["channel"], left["from"]) == ("patient@example.org", "email", "North Street Office")
    (message,) = await world.messages()
    assert (message.status, message.channel, message.sent_at) == ("sent", "email", world.clock.now())
    assert str(message.message_id) == left["message_id"]
    assert await world.read("SELECT 1 FROM platform.message_queue") == []


async def test_the_token_is_stored_nowhere_only_its_hash(world: World) -> None:
    _, path = await world.sent()
    token = path.removeprefix("/c/")
    (link,) = await world.read("SELECT * FROM patient_link")
    assert link.token_sha256 == links.hash_of(token)
    stored = [
        await world.read("SELECT * FROM patient_link"),
        await world.read("SELECT * FROM message"),
        await world.read("SELECT * FROM platform.check_in_link"),
        await world.read("SELECT * FROM check_in"),
    ]
    assert all(stored)
    assert token not in str(stored)


async def test_without_an_answer_of_intake_it_waits_and_tries_again(world: World) -> None:
    await world.opened()
    world.contacts.away = True
    await world.outreach.send_due()
    assert await world.outreach.send_due() == 0, "not before the back-off is over"
    assert [message.status for message in await world.messages()] == ["queued"]
    world.contacts.away = False
    await lease_ends(world)
    await world.outreach.send_due()
    assert len(world.outbox()) == 1


async def test_intake_is_asked_at_every_try(world: World) -> None:
    await world.opened()
    away = Interrupted(world.channel, before=channel_away)
    await world.another_outreach(channels={"email": away}).send_due()
    world.known(world.patient_id, may_send=False, reason="deceased")
    await lease_ends(world)
    await world.outreach.send_due()
    assert world.contacts.asked == 2
    assert world.outbox() == []
    assert [(message.status, message.reason) for message in await world.messages()] == [("not-sent", "deceased")]
    assert await world.tasks() == []


async def channel_away() -> None:
    raise ChannelAway


async def test_a_channel_that_is_away_is_tried_again_with_the_same_link(world: World) -> None:
    await world.opened()
    away = Interrupted(world.channel, before=channel_away)
    await world.another_outreach(channels={"email": away}).send_due()
    await lease_ends(world)
    await world.outreach.send_due()
    (message,) = await world.messages()
    assert (message.status, message.attempts) == ("sent", 2)
    assert len(await world.read("SELECT 1 FROM patient_link")) == 1


@pytest.mark.parametrize("reason", ["opted-out", "no-channel", "consent-expired"])
async def test_who_may_not_be_written_to_is_called_by_a_person(world: World, reason: str) -> None:
    new = await world.opened()
    world.known(world.patient_id, may_send=False, reason=reason)
    await world.outreach.send_due()
    (task,) = await world.tasks()
    assert (task.kind, task.focus_id, task.due_at) == ("staff-check-in", new.check_in_id, new.due_at)
    assert [(message.status, message.reason) for message in await world.messages()] == [("not-sent", reason)]
    assert await world.read("SELECT 1 FROM patient_link") == []


async def test_an_address_that_is_refused_becomes_a_call(world: World) -> None:
    async def refuse() -> None:
        raise AddressRefused

    await world.opened()
    await world.another_outreach(channels={"email": Interrupted(world.channel, before=refuse)}).send_due()
    assert [(message.status, message.reason) for message in await world.messages()] == [("not-sent", "address-refused")]
    assert [task.kind for task in await world.tasks()] == ["staff-check-in"]


@pytest.mark.parametrize("reason", [NotSent.ADDRESS_REFUSED, NotSent.ADDRESS_NOT_DELIVERABLE, NotSent.MESSAGE_REFUSED])
async def test_the_call_says_why_the_message_was_refused(world: World, reason: NotSent) -> None:
    async def refuse() -> None:
        raise AddressRefused(reason)

    await world.opened()
    await world.another_outreach(channels={"email": Interrupted(world.channel, before=refuse)}).send_due()
    assert [message.reason for message in await world.messages()] == [reason]
    assert [task.facts["cause"] for task in await world.tasks()] == [reason]


@pytest.mark.parametrize(
    ("reason", "level"), [(Waits.MAILBOX_BUSY, "info"), (Waits.LOGIN_REFUSED, "warning"), (Waits.TLS_REFUSED, "warning")]
)
async def test_the_log_and_the_count_say_why_a_message_waits_and_who_is_to_mend_it(world: World, reason: Waits, level: str) -> None:
    async def refuse() -> None:
        raise ChannelAway(reason)

    await world.opened()
    metrics = Metrics("followup")
    refusing = world.another_outreach(channels={"email": Interrupted(world.channel, before=refuse)}, metrics=metrics)
    with structlog.testing.capture_logs() as lines:
        await refusing.send_due()
    (told,) = [line for line in lines if line["event"] == "outreach.waits"]
    (message,) = await world.messages()
    assert (told["log_level"], told["message_id"], told["reason"], told["attempt"]) == (level, str(message.message_id), reason, 1)
    assert "example.org" not in str(lines)
    assert message.status == "queued"
    assert metrics.registry.get_sample_value("afterglow_message_waits_total", {"reason": reason}) == 1


async def test_an_intake_that_is_away_is_named_as_the_reason(world: World) -> None:
    await world.opened()
    world.contacts.away = True
    with structlog.testing.capture_logs() as lines:
        await world.outreach.send_due()
    assert [line["reason"] for line in lines if line["event"] == "outreach.waits"] == [Waits.NO_ANSWER]


async def test_death_between_opening_and_sending_sends_nothing(world: World) -> None:
    await world.opened()
    await world.cancel("deceased")
    assert await world.outreach.send_due() == 0
    assert world.outbox() == []
    assert world.contacts.asked == 0


async def test_death_while_intake_answers_sends_nothing(world: World) -> None:
    await world.opened()
    asking = Interrupted(world.contacts, after=lambda: world.cancel("deceased"))
    await world.another_outreach(contacts=asking).send_due()
    assert world.outbox() == []
    assert [message.status for message in await world.messages()] == ["cancelled"]
    assert await world.read("SELECT 1 FROM platform.message_queue") == []


async def test_a_message_that_was_leaving_when_it_was_called_off_is_recorded_as_sent(world: World) -> None:
    await world.opened()
    leaving = Interrupted(world.channel, before=lambda: world.cancel("deceased"))
    await world.another_outreach(channels={"email": leaving}).send_due()
    assert len(world.outbox()) == 1
    assert [(message.status, message.reason) for message in await world.messages()] == [("sent", "deceased")]
    assert [row.status for row in await world.read("SELECT status FROM patient_link")] == ["dead"]


async def test_a_crash_between_sending_and_marking_repeats_the_same_message(world: World) -> None:
    await world.opened()
    crashing = Interrupted(world.channel, after=fail)
    await world.another_outreach(channels={"email": crashing}).send_due()
    assert [message.status for message in await world.messages()] == ["queued"]
    again = Interrupted(world.channel)
    await lease_ends(world)
    await world.another_outreach(channels={"email": again}).send_due()
    assert (again.sent[0].link, again.sent[0].message_id) == (crashing.sent[0].link, crashing.sent[0].message_id)
    assert len(world.outbox()) == 1
    assert [message.status for message in await world.messages()] == ["sent"]


async def test_a_crashed_worker_holds_its_message_until_its_lease_ends(world: World) -> None:
    await world.opened()
    with pytest.raises(asyncio.CancelledError):
        await world.another_outreach(channels={"email": Interrupted(world.channel, before=be_killed)}, lease_seconds=3600).send_due()
    assert await world.outreach.send_due() == 0
    await lease_ends(world)
    assert await world.outreach.send_due() == 1


async def test_an_answer_after_such_a_crash_shows_that_the_message_had_come_through(world: World) -> None:
    new = await world.opened()
    handed_over_at = world.clock.now()
    await world.another_outreach(channels={"email": Interrupted(world.channel, after=fail)}).send_due()
    await world.write("UPDATE check_in SET status = 'submitted', submitted_at = now() WHERE check_in_id = :id", id=new.check_in_id)
    world.clock.set(new.due_at)
    await lease_ends(world)
    await world.outreach.send_due()
    (message,) = await world.messages()
    assert (message.status, message.sent_at) == ("sent", handed_over_at)
    assert len(world.outbox()) == 1


async def test_two_workers_never_have_the_same_message(world: World) -> None:
    for _ in range(10):
        await world.requested(opens_at=world.clock.now())
    await world.until(world.clock.now())
    workers = [world.another_outreach() for _ in range(3)]
    claimed = await asyncio.gather(*(worker.send_due() for worker in workers))
    assert sum(claimed) == 10
    assert world.contacts.asked == 10
    assert len(world.outbox()) == 10


async def test_one_message_that_fails_unexpectedly_does_not_hold_up_the_others(world: World) -> None:
    stranger = await world.another_patient(uuid4())
    await world.opened(patient_id=stranger)
    await world.opened()
    assert await world.outreach.send_due() == 2
    assert len(world.outbox()) == 1
    assert sorted(message.status for message in await world.messages()) == ["queued", "sent"]


async def fails(world: World, channel: Interrupted) -> None:
    """One more try whose time has come, and that fails."""
    await lease_ends(world)
    assert await world.another_outreach(channels={"email": channel}).send_due() == 1


async def test_each_failure_of_a_round_is_told_of_with_its_message(world: World) -> None:
    await world.opened()
    await world.opened()
    failing = world.another_outreach(channels={"email": Interrupted(world.channel, before=fail)})
    with structlog.testing.capture_logs() as lines:
        await failing.send_due()
    told = [line for line in lines if line["event"] == "outreach.failed"]
    assert {line["message_id"] for line in told} == {str(message.message_id) for message in await world.messages()}
    assert [(line["failures"], line["error_class"]) for line in told] == [(1, "InjectedFault")] * 2
    assert all(line["error_place"] for line in told)


async def test_a_message_that_always_fails_becomes_a_call_after_its_last_try(world: World) -> None:
    new = await world.opened()
    failing = Interrupted(world.channel, before=fail)
    for _ in range(load_policy().failures_at_most - 1):
        await fails(world, failing)
    assert [message.status for message in await world.messages()] == ["queued"]
    assert await world.tasks() == []
    await fails(world, failing)
    assert [(message.status, message.reason) for message in await world.messages()] == [("not-sent", "not-handed-over")]
    (task,) = await world.tasks()
    assert (task.kind, task.focus_id, task.due_at, task.status) == ("staff-check-in", new.check_in_id, new.due_at, "requested")
    assert await world.read("SELECT 1 FROM platform.message_queue") == []
    assert world.outbox() == []


async def test_a_message_that_failed_waits_for_its_next_try_and_leaves_when_it_works(world: World) -> None:
    await world.opened()
    await fails(world, Interrupted(world.channel, before=fail))
    assert await world.outreach.send_due() == 0, "not before the back-off is over"
    await lease_ends(world)
    assert await world.outreach.send_due() == 1
    assert [message.status for message in await world.messages()] == ["sent"]
    assert await world.tasks() == []


async def test_a_mail_server_that_is_away_is_waited_for_however_often_it_was_tried(world: World) -> None:
    await world.opened()
    away = world.another_outreach(channels={"email": Interrupted(world.channel, before=channel_away)})
    for _ in range(2 * load_policy().failures_at_most):
        await lease_ends(world)
        await away.send_due()
    assert [message.status for message in await world.messages()] == ["queued"]
    assert await world.tasks() == []
    await fails(world, Interrupted(world.channel, before=fail))
    assert [message.status for message in await world.messages()] == ["queued"], "waiting is no failure of the message"


async def test_the_worker_runs_until_it_is_told_to_stop_and_survives_a_failing_round(world: World) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def unexpected() -> None:
        if not asked.is_set():
            asked.set()
            raise InjectedFault

    async def noted() -> None:
        left.set()

    worker = world.another_outreach(
        contacts=Interrupted(world.contacts, after=unexpected), channels={"email": Interrupted(world.channel, after=noted)}
    )
    await world.opened()
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop, poll_seconds=0.01))
    async with asyncio.timeout(20):
        await asked.wait()
        await lease_ends(world)
        await left.wait()
    assert not running.done()
    stop.set()
    await running
    assert [message.status for message in await world.messages()] == ["sent"]
