"""A clinic as followup sees it: what events have told of it, what time does to it, and its requests over HTTP."""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text

from services.followup.checkins.queries import get_check_in
from services.followup.checkins.rules import Level, Worry
from services.followup.checkins.work import review_task
from services.followup.tasks import commands as tasks
from shared.clock import FrozenClock
from shared.db import Database
from shared.events import Delivery, Event
from shared.events import intake as people
from shared.events import sessions as infusions
from shared.service import Service
from tests.support.waiting import eventually

Json = dict[str, Any]  # Any: a decoded JSON document

COORDINATOR, NURSE, PRESCRIBER, THERAPIST, DIRECTOR = "coordinator", "infusion-nurse", "prescriber", "therapist", "medical-director"
ADMIN = "clinic-admin"
SCOPE = "system/Task.ru system/Audit.r system/QuestionnaireResponse.r system/Document.cru"
KEY = ECKey.generate_key("P-256", {"kid": "for-tests"})
_SEQUENCE = count(1)


def token(issuer: str, **claims: object) -> str:
    """An access token of five minutes, as intake would sign it."""
    now = int(time.time())
    standard = {"iss": issuer, "aud": ["followup"], "iat": now, "nbf": now, "exp": now + 300, "jti": str(uuid4())}
    return jwt.encode({"alg": "ES256", "kid": "for-tests"}, {**standard, **claims}, KEY)


def a_worry() -> Worry:
    """An urgent one."""
    return Worry("blood-in-urine", 1, Level.URGENT, "urine_blood", "test", "urgent", "Blood in the urine.")


@dataclass(frozen=True)
class Visit:
    """One infusion of one patient in one course."""

    clock: FrozenClock
    infusion_id: UUID = field(default_factory=uuid4)
    patient_id: UUID = field(default_factory=uuid4)
    course_id: UUID = field(default_factory=uuid4)
    therapist_id: UUID = field(default_factory=uuid4)
    zone: str = "America/New_York"

    def told(self, kind: type[infusions.InfusionEvent] = infusions.InfusionCompleted, version: int = 4, **facts: Any) -> Event:
        """An event about it; by default it was completed an hour ago, with drug given, as the first of its course."""
        now = self.clock.now()
        standard: Json = {
            "occurred_at": now,
            "infusion_id": self.infusion_id,
            "infusion_version": version,
            "patient_id": self.patient_id,
            "patient_number": "P-0007",
            "patient_time_zone": self.zone,
            "course_id": self.course_id,
            "protocol_code": "default",
            "protocol_version": 1,
            "therapist_id": self.therapist_id,
            "coordinator_id": None,
        }
        if issubclass(kind, infusions.EndedInfusionEvent):
            ended_at = facts.get("pump_ended_at", now - timedelta(hours=1))
            standard |= {
                "started_at": ended_at - timedelta(minutes=40),
                "pump_ended_at": ended_at,
                "drug_given": True,
                "first_of_course": True,
            }
        if kind is infusions.InfusionAmended:
            standard["outcome"] = "completed"
        return kind(**{**standard, **facts})


@dataclass
class Clinic:
    """One clinic with people in every role."""

    service: Service
    http: httpx.AsyncClient
    clock: FrozenClock
    clinic_id: UUID = field(default_factory=uuid4)
    client_id: str = field(default_factory=lambda: f"ehr-{uuid4()}")
    people: dict[str, UUID] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        return self.service.database

    async def open(self) -> None:
        """Let events say who works here."""
        now = self.clock.now()
        await self.tell(
            people.ClinicChanged(occurred_at=now, clinic_id=self.clinic_id, clinic_version=1, time_zone="America/New_York", active=True),
            people.ClientChanged(occurred_at=now, client_id=self.client_id, client_version=1, active=True, may_act_for_practitioners=True),
        )
        for role in (COORDINATOR, NURSE, PRESCRIBER, THERAPIST, DIRECTOR, ADMIN):
            self.people[role] = await self.practitioner(role)

    async def practitioner(self, *roles: str) -> UUID:
        """One more person who works here."""
        practitioner_id = uuid4()
        await self.tell(
            people.PractitionerChanged(
                occurred_at=self.clock.now(), practitioner_id=practitioner_id, practitioner_version=1, roles=list(roles), active=True
            )
        )
        return practitioner_id

    def visit(self, **facts: Any) -> Visit:
        """An infusion of a patient of whom nothing else is known yet."""
        return Visit(self.clock, **facts)

    async def tell(self, *events: Event) -> None:
        """Hand events to the service as its inbox does, one transaction each."""
        for event in events:
            await self.tell_at_once(event)

    async def tell_at_once(self, *events: Event) -> None:
        """Hand events to the service in one transaction, as they come in one chunk."""
        assert self.service.inbox is not None
        async with self.database.transaction() as db:
            await self.service.inbox.dispatch(db, [self.delivery(event) for event in events])

    def delivery(self, event: Event) -> Delivery[Event]:
        """An event as the inbox hands it to its handler."""
        return Delivery(event, uuid4(), self.clinic_id, next(_SEQUENCE))

    async def patient(self, visit: Visit, *, status: str = "active", version: int = 1, **facts: Any) -> None:
        """Let intake describe the patient."""
        told = {"language": "en", "messages_allowed": True, "time_zone": visit.zone, "patient_number": "P-0007", **facts}
        changed = people.PatientChanged(
            occurred_at=self.clock.now(), patient_id=visit.patient_id, patient_version=version, status=status, **told
        )
        await self.tell(changed)

    def consent(self, visit: Visit, standing: str, version: int = 1, kind: str = "treatment") -> Event:
        """What intake decided of a patient's consent: it stands for a year since two months ago, or did until now."""
        now = self.clock.now()
        since, until = now - timedelta(days=60), now + timedelta(days=305) if standing == "active" else now
        return people.ConsentChanged(
            occurred_at=now,
            patient_id=visit.patient_id,
            consent_type=kind,
            consent_standing=version,
            standing=standing,
            since=since if standing == "active" else now,
            until=until if standing == "active" else None,
            stood=[people.Span(since=since, until=until)],
        )

    async def rows(self, statement: str, **parameters: Any) -> list[Json]:
        """What the database holds for this clinic."""
        async with self.database.transaction(self.clinic_id) as db:
            return [dict(row) for row in (await db.execute(text(statement), parameters)).mappings()]

    async def items(self, visit: Visit) -> dict[str, Json]:
        """Every task and check-in of an infusion, by code."""
        tasks = await self.rows("SELECT *, kind AS code FROM care_task WHERE infusion_id = :id ORDER BY ordinal", id=visit.infusion_id)
        asked = await self.rows("SELECT * FROM check_in WHERE infusion_id = :id ORDER BY ordinal", id=visit.infusion_id)
        return {row["code"]: row for row in (*tasks, *asked)}

    async def states(self, visit: Visit) -> dict[str, str]:
        """How every item of an infusion stands, by code."""
        return {code: row["status"] for code, row in (await self.items(visit)).items()}

    async def pass_time(self, by: timedelta) -> None:
        """Let time go on and everything happen that was due meanwhile: at least once a day, as nothing is asked after a longer outage."""
        while by > timedelta(0):
            self.clock.advance(min(by, timedelta(days=1)))
            by -= timedelta(days=1)
            while await self.service.firing.fire_due():
                pass

    def headers(self, role: str | UUID | None, **more: str) -> dict[str, str]:
        """As the clinic's system sends them, for the person in this role."""
        issuer = self.service.settings.token_issuer
        claims = {"sub": self.client_id, "kind": "clinic-system", "clinic_id": str(self.clinic_id), "scope": SCOPE}
        person = self.people[role] if isinstance(role, str) else role
        acting = {"Afterglow-Practitioner": str(person)} if person else {}
        return {"Authorization": f"Bearer {token(issuer, **claims)}", **acting, **more}

    async def get(self, path: str, role: str | UUID | None = COORDINATOR, **query: Any) -> httpx.Response:
        return await self.http.get(
            f"/followup/v1/{path}" if "/followup/" not in path else path, params=query or None, headers=self.headers(role)
        )

    async def post(self, path: str, body: Json | None = None, role: str | UUID | None = COORDINATOR, **headers: str) -> httpx.Response:
        keyed = {"Idempotency-Key": f'"{uuid4()}"', **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.http.post(f"/followup/v1/{path}", json=body if body is not None else {}, headers=self.headers(role, **keyed))

    async def worry(self, check_in_id: UUID) -> None:
        """An urgent worry about a check-in's answers, with its review."""
        async with self.database.transaction(self.clinic_id) as db:
            check_in, now = await get_check_in(db, check_in_id), self.clock.now()
            await tasks.add(db, [review_task(check_in, [a_worry()], now, now, number=1)])

    async def task(self, kind: str = "integration-session", visit: Visit | None = None, **facts: Any) -> Json:
        """A task of this kind, from an infusion that makes one."""
        visit = visit or self.visit()
        outcomes = {"same-evening-call": infusions.InfusionStoppedEarly, "left-against-advice": infusions.InfusionLeftAgainstAdvice}
        told = outcomes.get(kind, infusions.InfusionNoShow if kind == "rebook" else infusions.InfusionCompleted)
        await self.tell(visit.told(told, **facts))
        row = (await self.items(visit))[kind]
        return dict((await self.get(f"tasks/{row['task_id']}")).json())


class Statements:
    """Counts what is sent to a database, but for opening and closing transactions."""

    def __init__(self, database: Database) -> None:
        self.texts: list[str] = []
        self._engine = database.engine.sync_engine

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:  # Any: SQLAlchemy's event arguments
        self.texts.append(statement)

    def __enter__(self) -> Self:
        sqlalchemy_event.listen(self._engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        sqlalchemy_event.remove(self._engine, "before_cursor_execute", self._note)


async def all_wait(database: Database, number: int) -> None:
    """Until so many connections wait for a lock; with each of them this says that what it does has come as far as it can."""

    async def waiting() -> int:
        async with database.transaction() as db:  # a new one each time: what it sees of others does not change inside it
            return int((await db.execute(_WAITING)).scalar_one())

    await eventually(waiting, lambda found: found == number)


_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0")


def at(row: Json, column: str) -> datetime:
    """A time of a row."""
    value = row[column]
    assert isinstance(value, datetime)
    return value
