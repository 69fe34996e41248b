"""A consumer group or a topic deleted in Kafka while a clinic works: the truth lies in the databases, and nothing goes in silence.

A deleted group is nothing to us: offsets are ours. A deleted topic takes with it what nobody had read. What is promised then is

- by itself: each consumer sees that the log is another one, raises an alarm and begins at its start; every ended infusion has its
  follow-up, once, since the completeness audit has what is missing told again;
- with an operator who publishes the log anew while its producer is stopped, before the topic is there again: everything, once, in order.
  The log is then the same again, record by record, and consumers go on where they were.
"""

import asyncio
from functools import partial

import pytest

from tests.faults.installation import Installation
from tests.faults.report import Report
from tests.faults.scenario import Scenario, scenario
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

TOPIC = "sessions.events"
ANOTHER_LOG = '"reason": "another-log"'
AUDITED = {
    "FOLLOWUP_AUDIT_EVERY_SECONDS": "2",
    "FOLLOWUP_AUDIT_GRACE_SECONDS": "5",
    "FOLLOWUP_AUDIT_LOOK_BACK_DAYS": "70",
}
"""Visits of these scenarios are charted up to 57 days late."""


async def test_group_deleted(installation: Installation, report: Report) -> None:
    await installation.start()
    async with scenario("group deleted", installation, report) as running:
        async with running.fault(completed=10):
            await installation.stop("followup")
            await running.clinic.completes(5)
            await eventually(partial(_deleted, installation, "followup"), within=60, every=0.5)
            assert not await installation.broker.committed("followup", TOPIC), "Kafka still remembers"
            await running.clinic.completes(5)
            await installation.one("followup").start()
        await running.clinic.completes(5)
        await running.followed_up()
    await running.ends_whole("followup's consumer group deleted while it was stopped")
    duplicates = await installation.one("followup").metric("afterglow_inbox_duplicates_total")
    assert duplicates == 0, "it began anew instead of where it was"


async def test_topic_deleted_and_published_anew(installation: Installation, report: Report) -> None:
    await installation.start()
    async with scenario("topic deleted, republished", installation, report) as running:
        await _unread_events(running)
        async with running.fault(completed=10):
            taken = await _topic_lost(installation)
            await running.clinic.completes(10)
            await installation.stop("sessions")  # what its relay has in its hands would come before what is older
            async with installation.superuser("sessions") as admin:
                await admin.execute(_PUBLISH_ANEW)
            await installation.broker.create_topics(TOPIC)
        await asyncio.gather(*(process.start() for process in installation.all("sessions", "followup")))
        await running.clinic.completes(5)
        await running.followed_up()
    await running.ends_whole(f"{TOPIC} deleted with {taken} unread events, the log published anew, then the topic created")
    assert _other_errors(installation) == []


async def test_topic_deleted_and_nobody_noticed(installation: Installation, report: Report) -> None:
    await installation.start(settings=AUDITED)
    async with scenario("topic deleted, audited", installation, report) as running:
        await _unread_events(running)
        async with running.fault(completed=10):
            taken = await _topic_lost(installation)
            await running.clinic.completes(10)
            await installation.broker.create_topics(TOPIC)
        await installation.one("followup").start()
        await running.clinic.completes(5)
        await running.followed_up()
    verdict = await running.verdict(f"{TOPIC} deleted with {taken} unread events and created anew", only_results=True)
    assert verdict.whole, str(verdict)
    assert any(ANOTHER_LOG in line for line in installation.errors()), "another log, and nobody was told"
    assert _other_errors(installation) == []


async def _unread_events(running: Scenario) -> None:
    """See to it that the topic holds what only it holds: published and read by nobody."""
    await running.installation.stop("followup")
    await running.clinic.completes(8)


async def _topic_lost(installation: Installation) -> int:
    """Delete the topic. Returns how many events it held that nobody had read."""
    async with installation.superuser("followup") as admin:
        rows = await admin.fetch("SELECT partition, next_offset FROM platform.consumer_offset WHERE topic = $1", TOPIC)
    ends = await installation.broker.end_offsets(TOPIC)
    await installation.broker.delete_topic(TOPIC)
    unread = sum(ends.values()) - sum(row["next_offset"] for row in rows)
    assert unread >= 5, "nothing was lost with the topic"
    return int(unread)


async def _deleted(installation: Installation, group: str) -> bool:
    """Whether Kafka has let go of the group, which it does when its last member is gone."""
    if await installation.broker.members(group):
        return False
    await installation.broker.delete_group(group)
    return True


def _other_errors(installation: Installation) -> list[str]:
    """What was said beside the alarm: no loop may end, no partition stand still."""
    return [line for line in installation.errors() if ANOTHER_LOG not in line]


_PUBLISH_ANEW = "INSERT INTO platform.outbox_pending (seq, partition) SELECT seq, partition FROM platform.event_log ON CONFLICT DO NOTHING"
