"""The clinic day as a clinic's own system would report it: one script per patient, all through the HTTP APIs."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from services.demo.cast import CAST, STAFF_ROLES, Person, Staff
from services.demo.client import Json
from services.demo.clinic import Clinic
from services.demo.clock import DayClock
from services.demo.view import Board, Visit

_SLACK = timedelta(minutes=2)
"""Reported moments lie this much in the past: the clinic's clock and ours need not agree to the second."""

_LOOK_SECONDS = 0.2
"""How often somebody who waits looks at the clock, which may have stood still meanwhile."""


class Day:
    """The people, the systems and the clock of one demo day."""

    def __init__(self, clinic: Clinic, clock: DayClock, opens_at: datetime, board: Board) -> None:
        self.clinic_id = clinic.clinic_id
        self.system = clinic.system
        self.clock = clock
        self.opens_at = opens_at
        self.board = board
        self.staff = Staff()
        self.people: list[Person] = []

    async def until(self, moment: datetime) -> None:
        """Wait for a simulated moment."""
        while (remaining := self.clock.remaining(moment).total_seconds()) > 0:  # noqa: ASYNC110 - a clock raises no event
            await asyncio.sleep(min(remaining, _LOOK_SECONDS))

    def said_now(self) -> str:
        """The present moment as the clinic's system reports it."""
        return (self.clock.now() - _SLACK).isoformat()

    async def prepare(self) -> None:
        """Staff, patients, consents, courses and bookings, before the doors open."""
        for name, roles in STAFF_ROLES.items():
            body = {"given_name": name.replace("_", " ").title(), "family_name": "Demo", "roles": list(roles)}
            made = await self.system.post("/intake/v1/practitioners", body)
            setattr(self.staff, name, made["practitioner_id"])
        await asyncio.gather(*(self._admit(index) for index in range(len(CAST))))
        self.people.sort(key=lambda person: person.patient_number)
        for person in self.people:
            self.board.visits.append(Visit(person.patient_number, person.role.time_zone))

    async def _admit(self, index: int) -> None:
        role = CAST[index]
        given, _, family = role.name.partition(" ")
        # Of this day alone: messages of another day's clinic go elsewhere.
        email = f"{role.name.replace(' ', '.')}@{self.clinic_id.hex[:8]}.patients.example".lower()
        person = Person(role, birth_date=f"19{60 + index}-0{1 + index % 9}-15", email=email)
        patient = await self.system.post(
            "/intake/v1/patients",
            {
                "given_name": given,
                "family_name": family or None,
                "birth_date": person.birth_date,
                "email": person.email,
                "time_zone": role.time_zone,
                "preferred_channel": "email",
            },
        )
        person.patient_id, person.patient_number = patient["patient_id"], patient["patient_number"]
        for consent in ("treatment", "messaging"):
            body = {"consent_type": consent, "consent_version": "2027-01", "signed_at": self.said_now()}
            await self.system.post(f"/intake/v1/patients/{person.patient_id}/consents", body)
        course = await self.system.post(
            "/intake/v1/courses",
            {
                "patient_id": person.patient_id,
                "protocol_code": "default",
                "protocol_version": 1,
                "planned_infusions": 6,
                "cadence": "three-per-week",
                "responsible_clinician_id": self.staff.prescriber,
                "therapist_id": self.staff.therapist,
                "coordinator_id": self.staff.coordinator,
            },
            acting=UUID(self.staff.prescriber),
        )
        person.course_id = course["course_id"]
        begins = self.opens_at + timedelta(minutes=role.begins_minute)
        infusion = await self.system.post(
            "/sessions/v1/infusions",
            {"patient_id": person.patient_id, "course_id": person.course_id, "scheduled_at": begins.isoformat()},
            acting=UUID(self.staff.coordinator),
        )
        person.infusion_id = infusion["infusion_id"]
        self.people.append(person)

    async def play(self) -> None:
        """All visits, side by side; ends when the last patient has left and what follows has been entered."""
        await asyncio.gather(*(self._visit(person) for person in self.people))

    async def _visit(self, person: Person) -> None:
        begins = self.opens_at + timedelta(minutes=person.role.begins_minute)
        if person.role.ending == "cancelled":
            await self._step(person, "cancel", {"cancelled_by": "patient"}, "cancelled")
            return
        await self.until(begins)
        if person.role.ending == "no-show":
            await self.until(begins + timedelta(minutes=30))
            await self._step(person, "no-show", {}, "no-show")
            return
        arrived = self.clock.now() - _SLACK
        await self._step(person, "check-in", {"arrived_at": arrived.isoformat()}, "arrived")
        await self._vitals(person, arrived, systolic=124)
        if person.role.ending == "not-done":
            await self._step(person, "not-done", {"reason": "Not fasting"}, "not-done")
            return
        await self._infuse(person, arrived + timedelta(minutes=1))
        await self._afterwards(person)

    async def _infuse(self, person: Person, started: datetime) -> None:
        """All reported moments follow from the start, so a slow machine does not turn them into another story."""
        role = person.role
        weight, dose = {"value": 80, "unit": "kg"}, {"value": 40, "unit": "mg"}
        order = {"pump_started_at": started.isoformat(), "weight": weight, "dose_ordered": dose}
        await self._step(person, "start", order, "in-progress", by="prescriber")
        for minute in (10, 20):
            await self.until(started + timedelta(minutes=minute))
            await self._vitals(person, started + timedelta(minutes=minute), systolic=132 + minute // 5)
        if role.ending == "stopped-early":
            ended = started + timedelta(minutes=21)
            await self.until(ended)
            body = {
                "pump_ended_at": ended.isoformat(),
                "dose_given": {"value": 22, "unit": "mg"},
                "reason_code": "patient-request",
                "reason": "Asked to stop",
            }
            await self._step(person, "stop-early", body, "recovery")
            person.pump_ended_at = ended
        else:
            ended = started + timedelta(minutes=40)
            await self.until(ended)
            await self._step(person, "pump-end", {"pump_ended_at": ended.isoformat(), "dose_given": dose}, "recovery")
            person.pump_ended_at = ended
        await self._leave(person, ended)

    async def _leave(self, person: Person, pump_ended: datetime) -> None:
        ending = person.role.ending
        leaves = pump_ended + timedelta(minutes={"left-against-advice": 20, "transferred": 15}.get(ending, 75))
        await self.until(leaves)
        if ending == "left-against-advice":
            await self._step(person, "leave-against-advice", {"left_at": leaves.isoformat(), "reason": "Did not want to wait"}, ending)
        elif ending == "transferred":
            await self._step(person, "transfer", {"transferred_at": leaves.isoformat(), "reason": "Chest pain"}, ending)
        else:
            await self._vitals(person, leaves, systolic=126)
            await self._step(person, "complete", {"discharged_at": leaves.isoformat()}, ending, by="prescriber")

    async def _afterwards(self, person: Person) -> None:
        path = f"/intake/v1/patients/{person.patient_id}"
        match person.role.afterwards:
            case "amended":
                await self._amend(person)
            case "entered-in-error":
                reason = {"reason": "Charted for the wrong patient"}
                await self._void(person, "entered-in-error", reason, "completed", by="nurse")
                await self._void(person, "entered-in-error/confirm", {}, "entered-in-error", by="second_nurse")
            case "withdrawn":
                await self.system.post(f"{path}/withdrawal", {"requested_by": "patient"})
                person.ended_at = self.clock.now()
                self._mark(person, patient="withdrawn")
            case "died":
                await self.system.post(f"{path}/death", {})
                person.ended_at = self.clock.now()
                self._mark(person, patient="deceased")
            case "opted-out":
                await self.system.post(f"{path}/message-opt-out", {"requested_by": "patient"})
                self._mark(person, patient="opted out")

    async def _void(self, person: Person, step: str, body: Mapping[str, object], state: str, *, by: str) -> None:
        """A step of striking the record, by somebody who has just read it."""
        acting = UUID(getattr(self.staff, by))
        version = (await self._record(person))["version"]
        await self.system.post(f"/sessions/v1/infusions/{person.infusion_id}/{step}", body, acting=acting, version=version)
        self._mark(person, infusion=state)

    async def _record(self, person: Person) -> Json:
        """The infusion as the nurse reads it."""
        return await self.system.get(f"/sessions/v1/infusions/{person.infusion_id}", acting=UUID(self.staff.nurse))

    async def _amend(self, person: Person) -> None:
        """The pump stopped ten minutes later than charted; the patient was watched for an hour after that too."""
        record = await self._record(person)
        later = datetime.fromisoformat(record["pump_ended_at"]) + timedelta(minutes=10)
        body = {"reason": "Pump log read", "pump_ended_at": later.isoformat()}
        await self.system.post(
            f"/sessions/v1/infusions/{person.infusion_id}/amend", body, acting=UUID(self.staff.prescriber), version=record["version"]
        )
        person.pump_ended_at = later
        self._mark(person, news="pump end amended")

    async def _vitals(self, person: Person, measured: datetime, *, systolic: int) -> None:
        body = {
            "measured_at": measured.isoformat(),
            "systolic_mmhg": systolic,
            "diastolic_mmhg": systolic - 46,
            "heart_rate_per_min": 78,
            "spo2_percent": 97,
            "respiratory_rate_per_min": 15,
            "moaa_s_score": 5,
        }
        await self.system.post(f"/sessions/v1/infusions/{person.infusion_id}/vital-signs", body, acting=UUID(self.staff.nurse))

    async def _step(self, person: Person, step: str, body: Mapping[str, object], state: str, *, by: str = "nurse") -> None:
        acting = UUID(getattr(self.staff, by))
        await self.system.post(f"/sessions/v1/infusions/{person.infusion_id}/{step}", body, acting=acting)
        self._mark(person, infusion=state)

    def _mark(self, person: Person, *, infusion: str = "", patient: str = "", news: str = "") -> None:
        """Note what has just been acknowledged, and show it on the board."""
        visit = next(visit for visit in self.board.visits if visit.patient_number == person.patient_number)
        person.infusion = visit.infusion = infusion or visit.infusion
        person.standing = visit.patient = patient or visit.patient
        self.board.requests = self.system.requests
        self.board.tell(self.clock.now(), f"{person.patient_number} {news or infusion or patient}")
