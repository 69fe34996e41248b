"""A clinic as its systems see sessions: what events have told of it, and its requests over HTTP."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import text

from services.sessions.infusions.states import InfusionState
from shared.clock import FrozenClock
from shared.events import Delivery, Event, registry
from shared.events import intake as facts
from shared.service import Service

Json = dict[str, Any]  # Any: a decoded JSON document

NURSE, PRESCRIBER, COORDINATOR, DIRECTOR, THERAPIST = "infusion-nurse", "prescriber", "coordinator", "medical-director", "therapist"
SCOPE = "system/Procedure.cru system/Observation.cr system/Document.cru"
KEY = ECKey.generate_key("P-256", {"kid": "for-tests"})

CALM: Json = {
    "systolic_mmhg": 122,
    "diastolic_mmhg": 78,
    "heart_rate_per_min": 72,
    "spo2_percent": 98,
    "respiratory_rate_per_min": 14,
    "moaa_s_score": 5,
}
_SEQUENCE = count(1)


def token(issuer: str, **claims: object) -> str:
    """An access token of five minutes, as intake would sign it."""
    now = int(time.time())
    standard = {"iss": issuer, "aud": ["sessions"], "iat": now, "nbf": now, "exp": now + 300, "jti": str(uuid4())}
    return jwt.encode({"alg": "ES256", "kid": "for-tests"}, {**standard, **claims}, KEY)


def mg(value: float) -> Json:
    return {"value": value, "unit": "mg"}


def kg(value: float) -> Json:
    return {"value": value, "unit": "kg"}


CORRECTIONS = ("/amend", "/entered-in-error", "/entered-in-error/confirm")
"""Steps that need the version of the infusion that was seen."""


@dataclass
class Clinic:
    """One clinic with a patient, a running course and people in every role, unless told otherwise."""

    service: Service
    http: httpx.AsyncClient
    clock: FrozenClock
    clinic_id: UUID = field(default_factory=uuid4)
    client_id: str = field(default_factory=lambda: f"ehr-{uuid4()}")
    people: dict[str, UUID] = field(default_factory=dict)
    last: httpx.Response | None = None

    async def open(self) -> None:
        """Let events say who works here."""
        now = self.clock.now()
        changed = facts.ClientChanged(
            occurred_at=now, client_id=self.client_id, client_version=1, active=True, may_act_for_practitioners=True
        )
        told: list[Event] = [
            facts.ClinicChanged(occurred_at=now, clinic_id=self.clinic_id, clinic_version=1, time_zone="America/New_York", active=True),
            changed,
        ]
        for role in (NURSE, PRESCRIBER, COORDINATOR, DIRECTOR, THERAPIST):
            self.people[role] = uuid4()
            told.append(
                facts.PractitionerChanged(
                    occurred_at=now, practitioner_id=self.people[role], practitioner_version=1, roles=[role], active=True
                )
            )
        await self.tell(*told)

    async def tell(self, *events: Event) -> None:
        """Hand events to the service as its inbox does, one transaction each."""
        assert self.service.inbox is not None
        for event in events:
            delivery = Delivery(event, uuid4(), self.clinic_id, next(_SEQUENCE))
            async with self.service.database.transaction() as db:
                await self.service.inbox.dispatch(db, [delivery])

    async def patient(self, *, consented: bool = True, status: str = "active") -> "Person":
        """A patient with a running course and, unless told otherwise, a treatment consent."""
        person = Person(self)
        await self.tell(person.described(status=status), person.course())
        if consented:
            await self.tell(person.consent())
        return person

    async def post(self, path: str, body: object = None, *, acting: str | UUID | None = NURSE, **headers: str) -> httpx.Response:
        """POST with a new Idempotency-Key, for the practitioner in that role.

        A correction is made by somebody who has just read the record, unless told otherwise.
        """
        if path.endswith(CORRECTIONS) and "vital-signs" not in path and "If-Match" not in headers:
            headers["If-Match"] = await self._seen(path.split("/")[2])
        sent = {"Idempotency-Key": str(uuid4()), **self._headers(acting), **headers}
        self.last = await self.http.post(f"/sessions/v1{path}", json={} if body is None else body, headers=sent)
        return self.last

    async def get(self, path: str, *, acting: str | UUID | None = None, **headers: str) -> httpx.Response:
        """GET, by the machine alone unless a role is named."""
        address = path if path.startswith("/sessions/") else f"/sessions/v1{path}"
        return await self.http.get(address, headers={**self._headers(acting), **headers})

    async def _seen(self, infusion_id: str) -> str:
        read = await self.get(f"/infusions/{infusion_id}")
        return str(read.headers.get("ETag", 'W/"1"'))

    def _headers(self, acting: str | UUID | None) -> dict[str, str]:
        issued = token(
            self.service.settings.token_issuer, sub=self.client_id, kind="clinic-system", clinic_id=str(self.clinic_id), scope=SCOPE
        )
        practitioner = self.people[acting] if isinstance(acting, str) else acting
        named = {"Afterglow-Practitioner": str(practitioner)} if practitioner else {}
        return {"Authorization": f"Bearer {issued}", **named}

    def service_headers(self) -> dict[str, str]:
        """As another one of our services asks."""
        issued = token(self.service.settings.token_issuer, sub="afterglow-followup", kind="service", scope="service/Procedure.r")
        return {"Authorization": f"Bearer {issued}", "Afterglow-Clinic": str(self.clinic_id)}

    async def told(self, infusion_id: str | None = None) -> list[Event]:
        """What the service has said about this clinic, or one infusion of it, in order."""
        async with self.service.database.transaction() as db:
            rows = await db.execute(
                text("SELECT type, data FROM platform.event_log WHERE clinic_id = :clinic AND (:one = '' OR subject = :one) ORDER BY seq"),
                {"clinic": self.clinic_id, "one": f"Infusion/{infusion_id}" if infusion_id else ""},
            )
            return [registry.read(row.type, row.data) for row in rows]

    async def counts(self) -> dict[str, int]:
        """Rows of this clinic in every table that a request may write."""
        tables = ("infusion", "infusion_version", "vital_signs")
        async with self.service.database.transaction(self.clinic_id) as db:
            return {table: (await db.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() for table in tables}  # noqa: S608

    # The steps of a visit that goes as it should, each returning the infusion's id.

    async def scheduled(self, person: "Person | None" = None, *, at: datetime | None = None, **body: object) -> str:
        person = person or await self.patient()
        booking = {
            "patient_id": str(person.patient_id),
            "course_id": str(person.course_id),
            "scheduled_at": (at or self.clock.now()).isoformat(),
            **body,
        }
        answer = await self.post("/infusions", booking)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["infusion_id"])

    async def step(self, infusion_id: str, step: str, body: object = None, *, acting: str = NURSE) -> Json:
        """A step that must succeed."""
        answer = await self.post(f"/infusions/{infusion_id}/{step}", body, acting=acting)
        assert answer.is_success, answer.text
        return answer.json()  # type: ignore[no-any-return]  # JSON is Any

    async def seen(self, infusion_id: str) -> dict[str, str]:
        """The header of somebody who has just read the record."""
        return {"If-Match": f'W/"{(await self.get(f"/infusions/{infusion_id}")).json()["version"]}"'}

    async def correct(self, infusion_id: str, step: str, body: object = None, *, acting: str = NURSE) -> Json:
        """A correction that must succeed, by somebody who has just read the record."""
        answer = await self.post(f"/infusions/{infusion_id}/{step}", body, acting=acting, **await self.seen(infusion_id))
        assert answer.is_success, answer.text
        return answer.json()  # type: ignore[no-any-return]  # JSON is Any

    async def read(self, infusion_id: str, *, minutes: float = -125, **readings: object) -> Json:
        """Readings saved for that many minutes from now."""
        return await self.step(infusion_id, "vital-signs", {"measured_at": self.at(minutes), **(readings or CALM)})

    async def strike(self, infusion_id: str, signs: Json, *, acting: str = NURSE) -> httpx.Response:
        """Ask to strike readings as entered in error, by somebody who has seen them as they are in ``signs``."""
        path = f"/infusions/{infusion_id}/vital-signs/{signs['vital_signs_id']}/entered-in-error"
        seen = {"If-Match": f'W/"{signs["version"]}"'}
        return await self.post(path, {"reason": "Readings of another patient"}, acting=acting, **seen)

    async def arrived(self, person: "Person | None" = None, *, at: datetime | None = None, readings: Json | None = None) -> str:
        infusion_id = await self.scheduled(person, at=at)
        await self.step(infusion_id, "check-in", {"arrived_at": self.at(-150)})
        if readings is None or readings:
            await self.step(infusion_id, "vital-signs", {"measured_at": self.at(-125), **(readings or CALM)})
        return infusion_id

    async def in_progress(self, person: "Person | None" = None, **start: object) -> str:
        infusion_id = await self.arrived(person)
        await self.step(infusion_id, "start", self.start_body(**start))
        return infusion_id

    async def recovery(self, person: "Person | None" = None, *, dose: float = 40) -> str:
        infusion_id = await self.in_progress(person)
        await self.step(infusion_id, "pump-end", self.pump_body(dose))
        return infusion_id

    async def completed(self, person: "Person | None" = None, *, dose: float = 40) -> str:
        infusion_id = await self.recovery(person, dose=dose)
        await self.step(infusion_id, "complete", {"discharged_at": self.at(0)})
        return infusion_id

    async def in_state(self, state: InfusionState) -> str:
        """An infusion of a new patient that stands there."""
        straight: dict[InfusionState, Callable[[], Awaitable[str]]] = {
            InfusionState.SCHEDULED: self.scheduled,
            InfusionState.ARRIVED: self.arrived,
            InfusionState.IN_PROGRESS: self.in_progress,
            InfusionState.RECOVERY: self.recovery,
            InfusionState.COMPLETED: self.completed,
        }
        if state in straight:
            return await straight[state]()
        before, step, body = self.last_steps()[state]
        infusion_id = await self.in_state(before)
        await self.step(infusion_id, step, body)
        if state is InfusionState.STOPPED_EARLY:
            await self.step(infusion_id, "complete", {"discharged_at": self.at(0)})
        if state is InfusionState.ENTERED_IN_ERROR:
            await self.step(infusion_id, "entered-in-error/confirm", {}, acting=PRESCRIBER)
        return infusion_id

    def last_steps(self) -> dict[InfusionState, tuple[InfusionState, str, Json]]:
        """The state before, and the step that leads out of it, for states off the straight way."""
        left, taken = {"left_at": self.at(0), "reason": "Wanted to go home"}, {"transferred_at": self.at(0), "reason": "Chest pain"}
        return {
            InfusionState.STOPPED_EARLY: (InfusionState.IN_PROGRESS, "stop-early", self.stop_body(15)),
            InfusionState.LEFT_AGAINST_ADVICE: (InfusionState.RECOVERY, "leave-against-advice", left),
            InfusionState.TRANSFERRED: (InfusionState.RECOVERY, "transfer", taken),
            InfusionState.CANCELLED: (InfusionState.SCHEDULED, "cancel", {"cancelled_by": "patient"}),
            InfusionState.NO_SHOW: (InfusionState.SCHEDULED, "no-show", {}),
            InfusionState.NOT_DONE: (InfusionState.ARRIVED, "not-done", {"reason": "Ate breakfast"}),
            InfusionState.ENTERED_IN_ERROR: (InfusionState.COMPLETED, "entered-in-error", {"reason": "Wrong patient"}),
        }

    # Bodies: the pump starts two hours before now and stops 80 minutes before.

    def at(self, minutes: float) -> str:
        """So many minutes from now, as a body says it."""
        return (self.clock.now() + timedelta(minutes=minutes)).isoformat()

    def start_body(self, **other: object) -> Json:
        return {"pump_started_at": self.at(-120), "weight": kg(80), "dose_ordered": mg(40), **other}

    def pump_body(self, dose: float = 40, **other: object) -> Json:
        return {"pump_ended_at": self.at(-80), "dose_given": mg(dose), **other}

    def stop_body(self, dose: float, **other: object) -> Json:
        return {**self.pump_body(dose), "reason_code": "patient-request", "reason": "Asked to stop", **other}


@dataclass
class Person:
    """One patient of a clinic, and the events that intake would send about them."""

    clinic: Clinic
    patient_id: UUID = field(default_factory=uuid4)
    course_id: UUID = field(default_factory=uuid4)
    consent_id: UUID = field(default_factory=uuid4)
    therapist_id: UUID = field(default_factory=uuid4)
    coordinator_id: UUID = field(default_factory=uuid4)

    @property
    def now(self) -> datetime:
        return self.clinic.clock.now()

    def described(
        self,
        *,
        version: int = 1,
        status: str = "active",
        zone: str = "America/Chicago",
        number: str = "P-0042",
        active: list[facts.Span] | None = None,
    ) -> facts.PatientChanged:
        return facts.PatientChanged(
            occurred_at=self.now,
            patient_id=self.patient_id,
            patient_version=version,
            patient_number=number,
            time_zone=zone,
            language="en",
            status=status,
            messages_allowed=True,
            active=active,
        )

    def course(
        self, *, version: int = 1, status: str = "active", protocol_version: int = 1, ran: list[facts.Span] | None = None
    ) -> facts.CourseChanged:
        return facts.CourseChanged(
            occurred_at=self.now,
            course_id=self.course_id,
            course_version=version,
            patient_id=self.patient_id,
            status=status,
            protocol_code="default",
            protocol_version=protocol_version,
            planned_infusions=6,
            responsible_clinician_id=uuid4(),
            therapist_id=self.therapist_id,
            coordinator_id=self.coordinator_id,
            ran=ran,
        )

    def consent(
        self, *, kind: str = "treatment", signed: timedelta = timedelta(days=-7), valid: timedelta = timedelta(days=83)
    ) -> facts.ConsentSigned:
        return facts.ConsentSigned(
            occurred_at=self.now,
            consent_id=self.consent_id,
            patient_id=self.patient_id,
            consent_type=kind,
            consent_version="1",
            signed_at=self.now + signed,
            valid_until=self.now + valid,
        )

    def standing(
        self, standing: str, *spans: facts.Span, version: int = 1, kind: str = "treatment", since: datetime | None = None
    ) -> facts.ConsentChanged:
        """What intake decided of all signatures and revocations."""
        return facts.ConsentChanged(
            occurred_at=self.now,
            patient_id=self.patient_id,
            consent_type=kind,
            consent_standing=version,
            standing=standing,
            since=since or self.now,
            until=spans[-1].until if standing == "active" else None,
            stood=list(spans),
        )

    def span(self, since: timedelta = timedelta(days=-60), until: timedelta | None = None) -> facts.Span:
        """From so long before now, to so long after or, negative, before it."""
        return facts.Span(since=self.now + since, until=None if until is None else self.now + until)

    def revoked(self, *, at: timedelta = timedelta(0)) -> facts.ConsentRevoked:
        return facts.ConsentRevoked(
            occurred_at=self.now + at, consent_id=self.consent_id, patient_id=self.patient_id, consent_type="treatment"
        )
