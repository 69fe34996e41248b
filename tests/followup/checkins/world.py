"""A clinic with one patient, follow-up's database, and everything that moves check-ins and messages, under a clock that tests move."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest_asyncio
from sqlalchemy import make_url, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import changes
from services.followup.checkins.birth_dates import birth_date_hash
from services.followup.checkins.changes import ChangedCheckIn, MadeCheckIn
from services.followup.checkins.models import UNANSWERED, CheckIn, CheckInStatus
from services.followup.checkins.policy import CheckInSetup, load_setup
from services.followup.checkins.queries import get_check_in
from services.followup.checkins.timers import timer_handlers
from services.followup.outreach.channels import FileChannel
from services.followup.outreach.contacts import ContactBook, KnownContact
from services.followup.outreach.delivery import Letters
from services.followup.outreach.policy import load_policy
from services.followup.outreach.texts import load_texts
from services.followup.outreach.worker import Outreach
from services.followup.plans import models as plans
from services.followup.plans.apply import change_check_ins
from services.followup.tasks.commands import CLOCK
from shared.clock import FrozenClock
from shared.db import Database
from shared.telemetry import Metrics
from shared.timers import DueTimer, Timers, arm, disarm
from tests.support.databases import Databases

KNOWN_TABLES = (plans.Plan,)
"""Check-ins refer to plans, so their tables must be known."""
SALT = "5a" * 16
BORN = date(1985, 3, 27)
PUBLIC_URL = "https://care.test"
SECRET = b"a secret of thirty-two bytes, yes"


def ended_as(check_in: CheckIn, status: str, reason: str) -> ChangedCheckIn:
    """The change that ends a check-in as it is now."""
    times = (check_in.opens_at, check_in.due_at, check_in.expires_at)
    return ChangedCheckIn(check_in.check_in_id, check_in.version, status, reason, *times, None, None, None)


async def _left_alone(db: AsyncSession, due: Sequence[DueTimer]) -> None:
    """Timers of other slices."""


@dataclass
class World:
    database: Database
    clock: FrozenClock
    folder: Path
    zone: str = "America/New_York"
    clinic_id: UUID = field(default_factory=uuid4)
    patient_id: UUID = field(default_factory=uuid4)
    setup: CheckInSetup = field(default_factory=load_setup)
    contacts: ContactBook = field(default_factory=ContactBook)

    def __post_init__(self) -> None:
        self.known(self.patient_id)
        metrics = Metrics("followup")
        handlers = {**timer_handlers(self.clock, setup=self.setup), CLOCK: _left_alone}
        self.timers = Timers(self.database, self.clock, handlers, metrics)
        self.letters = Letters(SECRET, PUBLIC_URL, load_texts())
        self.channel = FileChannel(self.folder)
        self.outreach = self.another_outreach()

    def another_outreach(self, *, lease_seconds: float = 30.0, **changed: Any) -> Outreach:  # Any: a part to be exchanged
        """One more worker, as another process would have."""
        channels = {"email": self.channel, "sms": self.channel}
        parts = {"contacts": self.contacts, "channels": channels, "metrics": Metrics("followup"), **changed}
        return Outreach(
            self.database,
            self.clock,
            policy=load_policy(),
            letters=self.letters,
            lease_seconds=lease_seconds,
            **parts,
        )

    def known(self, patient_id: UUID, **changed: Any) -> None:  # Any: what intake answers
        """What intake answers about a patient."""
        contact = {"birth_date_salt": SALT, "birth_date_hash": birth_date_hash(BORN, SALT), "time_zone": self.zone, **changed}
        self.contacts.contacts[patient_id] = KnownContact(**contact)

    async def found(self) -> None:
        """Clinic and patient, as events would have told of them."""
        await self.write(
            "INSERT INTO clinic (clinic_id, time_zone, active, version) VALUES (:clinic_id, :zone, true, 1)",
            clinic_id=self.clinic_id,
            zone=self.zone,
        )
        await self.another_patient(self.patient_id)

    async def another_patient(self, patient_id: UUID) -> UUID:
        """A further patient of the clinic."""
        await self.write(
            "INSERT INTO patient (clinic_id, patient_id, patient_number, time_zone, version, status, status_version) "
            "VALUES (:clinic_id, :patient_id, 'P-000001', :zone, 1, 'active', 1)",
            clinic_id=self.clinic_id,
            patient_id=patient_id,
            zone=self.zone,
        )
        return patient_id

    def new(self, code: str = "C24", **changed: Any) -> MadeCheckIn:  # Any: any field
        """A check-in to be requested; by default it opens in an hour, is due after 6 hours and expires a day later."""
        now = self.clock.now()
        opens_at = changed.pop("opens_at", now + timedelta(hours=1))
        fields: dict[str, Any] = {  # Any: as above
            "check_in_id": uuid4(),
            "patient_id": self.patient_id,
            "patient_time_zone": self.zone,
            "infusion_id": None if code == "WK" else uuid4(),
            "course_id": uuid4(),
            "code": code,
            "ordinal": 1,
            "opens_at": opens_at,
            "due_at": opens_at + timedelta(hours=6),
            "expires_at": opens_at + timedelta(hours=30),
            "status": CheckInStatus.PLANNED,
            "ended_reason": None,
            "superseded_by": None,
            "caused_by": None,
            **changed,
        }
        weekly = fields["infusion_id"] is None
        anchor = {"anchor_id": fields["course_id"] if weekly else fields["infusion_id"], "number": fields["ordinal"] if weekly else 0}
        return MadeCheckIn(**{**anchor, **fields})

    async def requested(self, code: str = "C24", **changed: Any) -> MadeCheckIn:  # Any: as above
        """A planned check-in."""
        new = self.new(code, **changed)
        async with self.database.transaction(self.clinic_id) as db:
            await changes.make(db, [new])
            await arm(db, *new.timers)
        return new

    async def opened(self, code: str = "C24", **changed: Any) -> MadeCheckIn:  # Any: as above
        """A check-in whose time to open has come."""
        new = await self.requested(code, **changed)
        await self.until(new.opens_at)
        return new

    async def sent(self, code: str = "C24", **changed: Any) -> tuple[MadeCheckIn, str]:  # Any: as above
        """A check-in whose message has left, and the path of its link."""
        new = await self.opened(code, **changed)
        before = {message["message_id"] for message in self.outbox()}
        await self.outreach.send_due()
        (message,) = [message for message in self.outbox() if message["message_id"] not in before]
        return new, str(message["path"])

    async def until(self, moment: datetime) -> None:
        """Let time pass, firing what falls due."""
        self.clock.set(moment)
        while await self.timers.fire_due():
            pass

    async def cancel(self, reason: str = "deceased", *, infusion_id: UUID | None = None) -> None:
        """End what is not answered of the patient, or of one infusion; what has expired loses its link."""
        about = col(CheckIn.patient_id) == self.patient_id if infusion_id is None else col(CheckIn.infusion_id) == infusion_id
        async with self.database.transaction(self.clinic_id) as db:
            found = list(await db.exec(select(CheckIn).where(CheckIn.clinic_id == self.clinic_id, about)))
            expired = [one.check_in_id for one in found if one.status is CheckInStatus.EXPIRED]
            ended = [ended_as(one, "cancelled", reason) for one in found if one.status in UNANSWERED]
            await self._change(db, ended, closed=expired)

    async def supersede(self, check_in_ids: Sequence[UUID]) -> None:
        async with self.database.transaction(self.clinic_id) as db:
            found = await db.exec(select(CheckIn).where(CheckIn.clinic_id == self.clinic_id, col(CheckIn.check_in_id).in_(check_in_ids)))
            await self._change(db, [ended_as(one, "superseded", "next-infusion") for one in found])

    async def move(self, check_in_id: UUID, by: timedelta) -> None:
        """Give a check-in other times, as a correction does."""
        async with self.database.transaction(self.clinic_id) as db:
            one = await get_check_in(db, check_in_id)
            moved = replace(ended_as(one, "", ""), ended=None, ended_reason=None, opens_at=one.opens_at + by, due_at=one.due_at + by)
            await self._change(db, [replace(moved, expires_at=one.expires_at + by)])

    async def _change(self, db: AsyncSession, changed: Sequence[ChangedCheckIn], closed: Sequence[UUID] = ()) -> None:
        became, _ = await change_check_ins(db, changed, self.clock.now(), closed=closed)
        await disarm(db, *(key for one in became for key in one.over))
        await arm(db, *(timer for one in became for timer in one.timers))

    async def end_sessions(self) -> None:
        """The time of all sessions on patients' pages is over."""
        await self.write(
            """
            WITH s AS (DELETE FROM platform.check_in_session RETURNING *) INSERT INTO platform.check_in_session
            SELECT session_sha256, clinic_id, token_sha256, clock_timestamp() - interval '1 second' FROM s
            """
        )

    def outbox(self) -> list[dict[str, Any]]:  # Any: JSON
        """What has left, oldest first."""
        found = [json.loads(path.read_bytes()) for path in self.folder.glob("*.json")]
        return sorted(found, key=lambda message: str(message["written_at"]))

    async def read(self, statement: str, **parameters: object) -> list[Any]:  # Any: rows
        """Rows of this clinic."""
        async with self.database.transaction(self.clinic_id) as db:
            return list(
                (
                    await db.execute(
                        text(statement), {"clinic_id": self.clinic_id, **parameters} if ":clinic_id" in statement else parameters
                    )
                ).all()
            )

    async def write(self, statement: str, **parameters: object) -> None:
        """Change something in this clinic."""
        async with self.database.transaction(self.clinic_id) as db:
            await db.execute(text(statement), parameters)

    async def check_in(self, check_in_id: UUID) -> Any:  # Any: a row
        (row,) = await self.read("SELECT * FROM check_in WHERE check_in_id = :id", id=check_in_id)
        return row

    async def status(self, check_in_id: UUID) -> str:
        return str((await self.check_in(check_in_id)).status)

    async def tasks(self, kind: str | None = None) -> list[Any]:  # Any: rows
        """Open and ended tasks, oldest first."""
        rows = await self.read("SELECT * FROM care_task ORDER BY created_at, ordinal")
        return [row for row in rows if kind in (None, row.kind)]

    async def messages(self) -> list[Any]:  # Any: rows
        return await self.read("SELECT * FROM message ORDER BY queued_at, issue")

    async def events(self) -> list[tuple[str, dict[str, Any]]]:  # Any: JSON
        """Emitted events, oldest first."""
        rows = await self.read("SELECT type, data FROM platform.event_log ORDER BY seq")
        return [(row.type, json.loads(row.data)) for row in rows]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def emptied(databases: Databases) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """``await emptied()`` gives the URL of a database without a row; one database serves all tests of a worker, one after the other."""
    async with databases.clone("followup") as url:
        admin = await databases.server.admin(make_url(url).database or "")
        tables = [row["name"] for row in await admin.fetch(_TABLES)]
        await admin.execute("SET session_replication_role = replica")  # no order of deletion to keep

        async def empty() -> str:
            await admin.execute(";".join(f"DELETE FROM {table}" for table in tables))  # noqa: S608 - names from the catalogue
            return url

        yield empty
        await admin.close()


_TABLES = """
    SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
    WHERE schemaname IN ('public', 'platform') AND tablename NOT LIKE 'alembic_version%'
"""


@pytest_asyncio.fixture(loop_scope="session")
async def world(emptied: Callable[[], Awaitable[str]], clock: FrozenClock, tmp_path: Path) -> AsyncIterator[World]:
    """Monday, 09:00 in New York."""
    database = Database(await emptied(), name="followup", pool_size=5)
    made = World(database, clock, tmp_path / "outbox")
    await made.found()
    yield made
    await database.close()
