"""What is measured on: a durable PostgreSQL, a real Kafka, one clinic, and infusions that wait for their completion."""

import asyncio
import logging
import random
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg

from services.demo.client import ClinicSystem
from tests.faults.clinic import Clinic, steps
from tests.faults.installation import Installation, installed
from tests.faults.servers import DurableServer
from tests.support.broker import Broker
from tests.support.waiting import eventually

_VISIT_BEGAN = timedelta(minutes=110)
_INFUSIONS_A_COURSE = 6
_GIVE_UP_SECONDS = 120.0
UUID_FORM = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Waiting(NamedTuple):
    """An infusion in recovery, which one request completes."""

    infusion_id: UUID
    patient_id: UUID
    course_id: UUID
    first: bool
    """Whether it is its course's first, with which the weekly check-ins begin."""

    @property
    def ids(self) -> tuple[UUID, UUID, UUID]:
        return self[:3]

    @property
    def named(self) -> dict[str, UUID]:
        return {"infusion_id": self.infusion_id, "patient_id": self.patient_id, "course_id": self.course_id}


@dataclass
class Ground:
    """The parts, and what every measurement asks of them."""

    installation: Installation
    clinic: Clinic
    discharged_at: datetime
    model: Waiting
    sessions: "asyncpg.Connection[asyncpg.Record]"
    followup: "asyncpg.Connection[asyncpg.Record]"
    _ready: list[Waiting] = field(default_factory=list)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """The connection answers one question at a time, and who drives and who watches both ask how far it has come."""

    @property
    def system(self) -> ClinicSystem:
        return self.clinic.system

    @property
    def prescriber(self) -> UUID:
        return UUID(self.clinic.staff["prescriber"])

    @property
    def constants(self) -> set[UUID]:
        """Ids that stay the same whatever infusion is completed."""
        named = UUID_FORM.findall(self.system.client_id)
        return {self.clinic.clinic_id, *map(UUID, self.clinic.staff.values()), *map(UUID, named)}

    async def waiting(self, count: int) -> list[Waiting]:
        """So many infusions that nobody has completed yet."""
        if len(self._ready) < count:
            self._ready += await seed(self, count - len(self._ready))
        taken, self._ready = self._ready[:count], self._ready[count:]
        return taken

    async def mixed(self, count: int) -> list[Waiting]:
        """The same, each of another patient, and every sixth the first of its course, as it is on average."""
        wanted = {True: round(count / _INFUSIONS_A_COURSE)}
        wanted[False] = count - wanted[True]
        taken: dict[UUID, Waiting] = {}
        for one in await self.waiting(100 * count):
            if wanted[one.first] and one.patient_id not in taken:
                taken[one.patient_id] = one
                wanted[one.first] -= 1
            else:
                self._ready.append(one)
        assert len(taken) == count
        return list(taken.values())

    def give_back(self, unused: list[Waiting]) -> None:
        """What was not completed after all."""
        self._ready = unused + self._ready

    async def finished(self) -> int:
        """How many events of sessions have had their effect in followup: the offsets move in the transaction of the effects."""
        async with self._asking:
            count: int = await self.followup.fetchval(_FINISHED)
        return count

    async def finish(self, target: int) -> None:
        """Wait until so many events have had their effect. Fails when nothing moves any more."""
        done, since = await self.finished(), asyncio.get_running_loop().time()
        while done < target:
            await asyncio.sleep(0.01)
            now, before = asyncio.get_running_loop().time(), done
            done = await self.finished()
            if done > before:
                since = now
            if now - since > _GIVE_UP_SECONDS:
                raise AssertionError(f"{target - done} events stay without effect")

    async def quiet(self) -> None:
        """Wait until nothing is under way any more."""
        done, before = await self.finished(), -1
        while done > before or await self.sessions.fetchval("SELECT EXISTS (SELECT 1 FROM platform.outbox_pending)"):
            await asyncio.sleep(0.5)
            done, before = await self.finished(), done

    async def wal(self) -> int:
        """Bytes of write-ahead log so far, of both databases."""
        position: int = await self.followup.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
        return position

    async def plans_of(self, infusions: list[Waiting]) -> int:
        """How many of these infusions have their follow-up; each has exactly one plan, with its tasks and check-ins."""
        ids = [one.infusion_id for one in infusions]
        count: int = await self.followup.fetchval("SELECT count(*) FROM plan WHERE infusion_id = ANY($1::uuid[])", ids)
        return count

    async def visible_at(self, infusions: list[Waiting]) -> Mapping[UUID, datetime]:
        """When the transaction that made each infusion's tasks was committed, by the server's clock, which is ours."""
        ids = [one.infusion_id for one in infusions]
        rows = await self.followup.fetch(
            "SELECT infusion_id, pg_xact_commit_timestamp(xmin) AS at FROM plan WHERE infusion_id = ANY($1::uuid[])", ids
        )
        return {row["infusion_id"]: row["at"] for row in rows}

    async def settle(self) -> None:
        """Between two measurements: what the last one left to do is done now, so that it is not in the next one's figures."""
        for connection in (self.sessions, self.followup):
            await connection.execute("VACUUM (ANALYZE)")
        await self.followup.execute("CHECKPOINT")


@asynccontextmanager
async def prepared(settings: Mapping[str, str] | None = None) -> AsyncIterator[Ground]:
    """Everything started, one clinic open in it; ``settings`` are variables for all services."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="afterglow-bench-"))
    server, broker = DurableServer(folder), Broker()
    try:
        await server.start()
        await _tune(server)
        await broker.start()
        (folder / "installation").mkdir()
        async with installed(server, broker, folder / "installation", witness=False) as installation:
            await installation.start(settings=settings)
            async with installation.superuser("sessions") as sessions, installation.superuser("followup") as followup:
                clinic = await installation.clinic(seed=1)
                try:
                    yield await _opened(installation, clinic, sessions, followup)
                finally:
                    await clinic.system.close()
    finally:
        await broker.remove()
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _tune(server: DurableServer) -> None:
    """What an operator would set, and the clock of commits, from which latency is read without polling. fsync stays on."""
    admin = await server.server.admin()
    for setting in ("track_commit_timestamp = on", "shared_buffers = '512MB'", "max_wal_size = '4GB'", "wal_compression = off"):
        await admin.execute(f"ALTER SYSTEM SET {setting}")
    await admin.close()
    await server.restart_at_once()


async def _opened(installation: Installation, clinic: Clinic, sessions: Any, followup: Any) -> Ground:  # Any: asyncpg's generic
    """One visit as far as recovery, by the APIs: the model of all that are seeded."""
    model, discharged_at = await in_recovery(clinic)
    ground = Ground(installation, clinic, discharged_at, model, sessions, followup)
    await eventually(partial(followup.fetchval, "SELECT count(*) FROM infusion WHERE state = 'started'"))
    return ground


async def in_recovery(clinic: Clinic) -> tuple[Waiting, datetime]:
    """A new patient's first visit as far as recovery, by the APIs, and when the discharge would be."""
    began = datetime.now(UTC) - _VISIT_BEGAN
    patient = await clinic.admitted()
    booking = {"patient_id": str(patient.patient_id), "course_id": str(patient.course_id), "scheduled_at": began.isoformat()}
    acting = {role: UUID(person) for role, person in clinic.staff.items()}
    infusion_id = (await clinic.system.post("/sessions/v1/infusions", booking, acting=acting["coordinator"]))["infusion_id"]
    for step, body, by in steps(began):
        if step == "complete":
            return Waiting(UUID(infusion_id), patient.patient_id, patient.course_id, True), datetime.fromisoformat(
                str(body["discharged_at"])
            )
        await clinic.system.post(f"/sessions/v1/infusions/{infusion_id}/{step}", body, acting=acting[by])
    raise AssertionError("a visit ends with its completion")


async def seed(ground: Ground, count: int) -> list[Waiting]:
    """So many more infusions in recovery, six to a course, as copies of the model in both databases, with all that was said of them."""
    rows: list[tuple[UUID, UUID, UUID, int]] = []
    while len(rows) < count:
        patient_id, course_id = uuid4(), uuid4()
        rows += [(uuid4(), patient_id, course_id, place) for place in range(_INFUSIONS_A_COURSE)]
    for connection, statements in ((ground.sessions, _IN_SESSIONS), (ground.followup, _IN_FOLLOWUP)):
        async with connection.transaction():
            await connection.execute(
                "CREATE TEMP TABLE given (infusion_id uuid, patient_id uuid, course_id uuid, place int) ON COMMIT DROP"
            )
            await connection.copy_records_to_table("given", records=rows)
            for statement, like in statements:
                await connection.execute(statement, *(getattr(ground.model, name) for name in like))
    await ground.settle()
    # Between two visits of one patient there are days.
    random.Random(len(rows)).shuffle(rows)
    return [Waiting(infusion_id, patient_id, course_id, place == 0) for infusion_id, patient_id, course_id, place in rows]


def _copies(table: str, key: str, changed: str, *, once: bool = True) -> str:
    """Copies of one row with other ids, whatever columns the table has."""
    given = f"(SELECT DISTINCT ON ({key}) * FROM given)" if once else "given"  # noqa: S608 - names of our own
    ids = ", ".join(f"'{name}', g.{name}" for name in changed.split())
    first = ", 'first_of_course', g.place = 0" if table == "infusion" else ""
    return f"""
        INSERT INTO {table}
        SELECT copy.* FROM {table} m CROSS JOIN {given} g
        CROSS JOIN LATERAL jsonb_populate_record(m, jsonb_build_object({ids}{first})) copy WHERE m.{key} = $1
    """  # noqa: S608 - names of our own


_STREAMS = """
    INSERT INTO platform.stream (topic, key, version)
    SELECT DISTINCT s.topic, g.patient_id::text, s.version FROM platform.stream s CROSS JOIN given g WHERE s.key = $1::uuid::text
"""
_OWNERS = """
    INSERT INTO platform.key_clinic (key, clinic_id)
    SELECT DISTINCT g.patient_id::text, o.clinic_id FROM platform.key_clinic o CROSS JOIN given g WHERE o.key = $1::uuid::text
"""
_SUBJECTS = [
    (_copies("patient", "patient_id", "patient_id"), ["patient_id"]),
    (_copies("course", "course_id", "course_id patient_id"), ["course_id"]),
    (_copies("infusion", "infusion_id", "infusion_id patient_id course_id", once=False), ["infusion_id"]),
]
_IN_SESSIONS = [*_SUBJECTS, (_STREAMS, ["patient_id"]), (_OWNERS, ["patient_id"])]
_IN_FOLLOWUP = [*_SUBJECTS, (_OWNERS, ["patient_id"])]
_FINISHED = """
    SELECT coalesce(sum(next_offset), 0)::bigint FROM platform.consumer_offset
    WHERE consumer = 'followup' AND topic = 'sessions.events' AND partition < 100
"""
