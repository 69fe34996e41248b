"""The worker that lets messages leave. All talking to intake and channels happens outside transactions.

A message is claimed under a lease, so that one process at a time has it and a killed one loses it. Intake is asked at that moment where
to send it, what to say and where the patient is: none leaves at night there, and none while the clinic is inactive. Then the check-in is
looked at again in the transaction that stores the link, and only then the message is handed over. A death or withdrawal that was handled
before that transaction stops the message; one that comes in the milliseconds after cannot any more. A process that dies between handing
over and marking repeats the message: same id, same link.

Intake, the database or a channel that is away is waited for until the check-in expires; one that nobody answers is called about.
A message that fails for a reason of its own, a defect, is given up after a number of failures, and somebody asks by telephone.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import text

from services.followup.outreach import delivery
from services.followup.outreach.channels import AddressRefused, Channel, ChannelAway
from services.followup.outreach.contacts import Contacts
from services.followup.outreach.delivery import Claim, ContactChanged, Letters
from services.followup.outreach.rules import OURS_TO_MEND, Held, NotSent, OutreachPolicy, Recipient, Unreachable, Waits, judge
from shared import failpoints, telemetry
from shared.clock import Clock
from shared.db import Database
from shared.errors import Unavailable
from shared.pausing import pause

_BATCH = 5
"""Messages under way at once: each takes a database connection now and then, and requests need some too."""
_POLL_SECONDS = 1.0
OUTCOMES = ("sent", "not-sent", "not-now", "called-off", "later")
"""What a try to send a message ends with."""
_OF_LEASE = 0.8
"""The part of its lease after which a message is let go."""


class Outreach:
    """Sends queued messages of one service. ``channels`` carry what patients agreed to, by name; ``lease_seconds`` is real time."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        contacts: Contacts,
        channels: Mapping[str, Channel],
        policy: OutreachPolicy,
        letters: Letters,
        metrics: telemetry.Metrics,
        lease_seconds: float = 30.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._contacts = contacts
        self._channels = channels
        self._policy = policy
        self._letters = letters
        self._lease_seconds = lease_seconds
        self._log = telemetry.logger("outreach", service=database.name)
        self._failures = metrics.worker_failures.labels("outreach")
        self._outcomes = metrics.counter("afterglow_messages_total", "Messages to patients by what became of a try", ("outcome",))
        for outcome in OUTCOMES:
            self._outcomes.labels(outcome)
        self._waits = metrics.counter("afterglow_message_waits_total", "Tries after which a message waits, by why", ("reason",))
        for reason in Waits:
            self._waits.labels(reason)
        self._due = metrics.gauge("afterglow_messages_due", "Messages to patients that should have left, up to 10,000")
        self._late = metrics.gauge("afterglow_messages_oldest_due_seconds", "How late the oldest of them is")

    async def run(self, stop: asyncio.Event, *, poll_seconds: float = _POLL_SECONDS) -> None:
        """Send what is due, again and again, until ``stop``."""
        while not stop.is_set():
            claimed = 0
            try:
                claimed = await self.send_due()
            except Exception as error:  # noqa: BLE001 - a worker's loop: it must survive and say so
                self._failures.inc()
                self._log.warning("outreach.round_failed", error_class=type(error).__name__, error_place=telemetry.place_of(error))
            if claimed < _BATCH:
                await pause(stop, poll_seconds)

    async def measure(self) -> None:
        """Show what should have left, in business time."""
        async with self._database.transaction() as db:
            row = (await db.execute(_WAITING, {"now": self._clock.now()})).one()
        self._due.set(row.due)
        self._late.set(row.late)

    async def send_due(self) -> int:
        """One round: claim a few messages and see to each; returns how many. Raises Unavailable where PostgreSQL is away."""
        async with self._database.transaction() as db:
            rows = await db.execute(_CLAIM, {"now": self._clock.now(), "lease": self._lease_seconds, "limit": _BATCH})
            claims = [Claim(**row) for row in rows.mappings()]
        for failure in await asyncio.gather(*map(self._see_to, claims), return_exceptions=True):
            if failure is not None:
                raise failure
        return len(claims)

    async def _see_to(self, claim: Claim) -> None:
        """Bring one message as far as it gets; without an answer of intake or the channel it is tried again later, never guessed.

        What nobody expected is told of by the message's id; it is tried again as well, but not for ever.
        """
        try:
            async with asyncio.timeout(self._lease_seconds * _OF_LEASE):
                outcome = await self._send(claim)
        except (Unavailable, ChannelAway, ContactChanged, TimeoutError) as why:
            outcome = "later"
            self._tell_why_it_waits(claim, _reason_of(why))
            await self._later(claim)
        except Exception as error:  # noqa: BLE001 - a defect that this message meets must not hold up the others
            self._tell_of(claim, error)
            outcome = await self._after_failure(claim)
        self._outcomes.labels(outcome).inc()
        self._log.info("outreach.seen_to", message_id=str(claim.message_id), outcome=outcome, attempt=claim.attempts)

    async def _send(self, claim: Claim) -> str:
        """Returns what became of it."""
        async with self._database.transaction(claim.clinic_id) as db:
            wanted = await delivery.wanted(db, claim, self._clock.now())
        if wanted is None:
            return "called-off"
        contact = await self._contacts.contact(claim.clinic_id, wanted.patient_id)
        now = self._clock.now()
        recipient = judge(contact, self._channels.keys(), self._policy, now, known_zone=wanted.known_zone)
        if isinstance(recipient, Held):
            return await self._hold(claim, recipient)
        if isinstance(recipient, Recipient) and wanted.issue > self._policy.links_at_most:
            recipient = Unreachable(NotSent.CONTACT_CHANGES_OFTEN)
        if isinstance(recipient, Unreachable):
            return await self._give_up(claim, recipient)
        async with self._database.transaction(claim.clinic_id) as db:
            outgoing = await delivery.prepare(db, claim, recipient, self._clock.now(), self._letters, known_way=wanted.known_way)
        if outgoing is None:
            return "called-off"
        failpoints.hit("outreach.before_send")
        try:
            await self._channels[outgoing.channel].send(outgoing)
        except AddressRefused as refused:
            return await self._give_up(claim, Unreachable(refused.reason))
        failpoints.hit("outreach.after_send")
        async with self._database.transaction(claim.clinic_id) as db:
            await delivery.mark_sent(db, claim, self._clock.now())
        return "sent"

    async def _hold(self, claim: Claim, held: Held) -> str:
        async with self._database.transaction(claim.clinic_id) as db:
            await delivery.hold(db, claim, held, self._clock.now())
        self._log.info("outreach.held", message_id=str(claim.message_id), reason=held.reason)
        return "not-now"

    async def _give_up(self, claim: Claim, why: Unreachable) -> str:
        async with self._database.transaction(claim.clinic_id) as db:
            await delivery.give_up(db, claim, why, self._clock.now())
        self._log.info("outreach.not_sent", message_id=str(claim.message_id), reason=why.reason)
        return "not-sent"

    def _tell_why_it_waits(self, claim: Claim, reason: Waits) -> None:
        """Count and log it, by a code: neither the address nor what the server said, for servers repeat addresses."""
        self._waits.labels(reason).inc()
        tell = self._log.warning if reason in OURS_TO_MEND else self._log.info
        tell("outreach.waits", message_id=str(claim.message_id), reason=reason, attempt=claim.attempts)

    def _tell_of(self, claim: Claim, error: Exception) -> None:
        """Count and log one failure of one message; several of a round are several."""
        self._failures.inc()
        self._log.warning(
            "outreach.failed",
            message_id=str(claim.message_id),
            failures=claim.failures + 1,
            error_class=type(error).__name__,
            error_place=telemetry.place_of(error),
        )

    async def _after_failure(self, claim: Claim) -> str:
        """The failure is this message's own: it waits for its next try, and after the last one a person takes over."""
        failures = claim.failures + 1
        wait = self._policy.backoff.after(failures)
        async with self._database.transaction() as db:
            await db.execute(_FAILED, {"message_id": claim.message_id, "failures": failures, "wait": wait / timedelta(seconds=1)})
        return "later" if failures < self._policy.failures_at_most else await self._give_up(claim, Unreachable(NotSent.NOT_HANDED_OVER))

    async def _later(self, claim: Claim) -> None:
        wait = self._policy.backoff.after(claim.attempts)
        async with self._database.transaction() as db:
            await db.execute(_LATER, {"message_id": claim.message_id, "wait": wait / timedelta(seconds=1)})


def _reason_of(why: Exception) -> Waits:
    if isinstance(why, ChannelAway):
        return why.reason
    if isinstance(why, ContactChanged):
        return Waits.CONTACT_CHANGED
    return Waits.TOOK_TOO_LONG if isinstance(why, TimeoutError) else Waits.NO_ANSWER


_CLAIM = text(
    """
    UPDATE platform.message_queue q SET free_at = clock_timestamp() + make_interval(secs => :lease), attempts = q.attempts + 1
    FROM (
        SELECT message_id FROM platform.message_queue WHERE leaves_at <= :now AND free_at <= clock_timestamp()
        ORDER BY leaves_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ) due
    WHERE q.message_id = due.message_id RETURNING q.message_id, q.clinic_id, q.attempts, q.failures
    """
)
_WAITING = text(
    """
    SELECT count(*) AS due, coalesce(extract(epoch FROM CAST(:now AS timestamptz) - min(leaves_at)), 0)::float8 AS late
    FROM (SELECT leaves_at FROM platform.message_queue WHERE leaves_at <= :now ORDER BY leaves_at LIMIT 10000) head
    """
)
_FAILED = text(
    """
    UPDATE platform.message_queue SET failures = :failures, free_at = clock_timestamp() + make_interval(secs => :wait)
    WHERE message_id = :message_id
    """
)
_LATER = text("UPDATE platform.message_queue SET free_at = clock_timestamp() + make_interval(secs => :wait) WHERE message_id = :message_id")
