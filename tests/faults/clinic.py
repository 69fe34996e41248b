"""A clinic at work while things break: its systems admit patients and chart visits, and ask again until they have an answer."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from joserfc.jwk import ECKey

from services.demo.client import ClinicSystem
from tests.support.house import CLINIC_SCOPES
from tests.support.waiting import eventually

PATIENCE_SECONDS = 240.0
BIRTH_DATE = "1984-06-19"
"""Of every patient; their pages ask for it."""
UNDER_WAY = 7
"""So many requests may be under way when something breaks, one for each hand. What is answered beyond them was asked for afterwards."""
_ASK_SECONDS = 5.0
_LEFT_OUT_SECONDS = 10.0
_CONSENTED = timedelta(days=70)
_LONG_AGO, _LATELY = timedelta(days=57), timedelta(hours=26)
"""When a patient's first visit was: some courses have weeks behind them, so that weekly check-ins are due; others began yesterday."""


class Gateway(httpx.AsyncBaseTransport):
    """What the gateway does in front of several processes: by the first segment of the path, to each in turn.

    One that stayed silent is left out for a while, if there is another one.
    """

    def __init__(self, ports: Callable[[str], Sequence[int]]) -> None:
        self._ports = ports
        self._turn: Counter[str] = Counter()
        self._silent_until: dict[int, float] = {}
        self._to = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=20))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        service = request.url.path.split("/", 2)[1]
        port = self._next(service)
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=port)
        try:
            return await self._to.handle_async_request(request)
        except httpx.TimeoutException:
            self._silent_until[port] = time.monotonic() + _LEFT_OUT_SECONDS
            raise

    def _next(self, service: str) -> int:
        ports, now = self._ports(service), time.monotonic()
        healthy = [port for port in ports if self._silent_until.get(port, now) <= now] or ports
        self._turn[service] += 1
        return healthy[self._turn[service] % len(healthy)]

    async def aclose(self) -> None:
        await self._to.aclose()


class System(ClinicSystem):
    """A clinic's system that goes through our gateway, is patient, and notes when it asked and when it was answered."""

    patience_seconds = PATIENCE_SECONDS

    def __init__(self, gateway: Gateway, client_id: str, key: ECKey, scopes: tuple[str, ...], *, origin: str) -> None:
        super().__init__(origin, client_id, key, scopes)
        self._http = httpx.AsyncClient(base_url=origin, transport=gateway, timeout=_ASK_SECONDS)
        self.asked: list[float] = []
        self.unanswered: list[float] = []
        self.answered: list[float] = []
        self.refused: list[float] = []
        """When it was told to come back later (503)."""
        self.told_again: list[float] = []
        """When it was answered what had been done before, and had not heard of it."""

    async def post(
        self, path: str, body: Mapping[str, object], *, acting: UUID | None = None, version: int | None = None
    ) -> dict[str, Any]:
        # Any: a decoded JSON document
        answer = await super().post(path, body, acting=acting, version=version)
        self.answered.append(time.monotonic())
        return answer

    async def _try(self, *arguments: Any, **named: Any) -> httpx.Response | None:  # Any: handed through
        self.asked.append(time.monotonic())
        answer = await super()._try(*arguments, **named)
        if answer is None:
            self.unanswered.append(time.monotonic())
        elif answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.refused.append(time.monotonic())
        elif "Idempotency-Replayed" in answer.headers:
            self.told_again.append(time.monotonic())
        return answer


@dataclass
class Ledger:
    """What the clinic was told had been done: nothing in it may be missing afterwards, or be there twice."""

    patients: dict[UUID, int] = field(default_factory=dict)
    """Consents of each patient."""
    visits: dict[UUID, UUID] = field(default_factory=dict)
    """The patient of each infusion that was completed."""
    begun: int = 0
    """Visits that were booked, completed or not."""
    claims: set[UUID] = field(default_factory=set)
    """Tasks that somebody took."""


@dataclass
class Patient:
    """One patient, and when the next visit was."""

    patient_id: UUID
    course_id: UUID
    next_visit: datetime
    known: bool = False
    """Whether sessions has heard of the patient, as a visit has shown."""


class Hands:
    """Those who work side by side, and a way to have them all rest at once."""

    def __init__(self) -> None:
        self._may_begin = asyncio.Event()
        self._may_begin.set()
        self._busy = 0

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """One piece of work, begun when it may be."""
        await self._may_begin.wait()
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """A time in which there is no work."""
        self._may_begin.clear()
        try:
            await eventually(self._count, lambda busy: busy == 0, within=PATIENCE_SECONDS)
            yield
        finally:
            self._may_begin.set()

    async def _count(self) -> int:
        return self._busy


class Clinic:
    """One clinic with its staff, its patients and its books."""

    def __init__(self, system: System, clinic_id: UUID, staff: dict[str, str], seed: int) -> None:
        self.system = system
        self.clinic_id = clinic_id
        self.staff = staff
        self.opened_at = datetime.now(UTC)
        self.ledger = Ledger()
        self.completed_at: list[float] = []
        self._random = random.Random(seed)
        self._waiting: list[Patient] = []
        self._admitted = 0
        self._hands = Hands()
        self._coordinator = Hands()
        self.known_first = False
        """Set where events do not flow: whoever was admitted since is unknown to sessions, and a visit would only wait for that."""

    @classmethod
    async def open(cls, gateway: Gateway, operator: ClinicSystem, *, origin: str, seed: int) -> "Clinic":
        """Register a clinic, its system and its staff, as an operator and then as the clinic."""
        body = {"name": "Harbor Clinic", "time_zone": "America/New_York", "phone": "+12125550100", "sender_name": "Harbor Care"}
        clinic_id = (await operator.post("/intake/v1/clinics", body))["clinic_id"]
        key = ECKey.generate_key("P-384", parameters={"alg": "ES384", "use": "sig", "kid": uuid4().hex}, private=True)
        wanted = {
            "clinic_id": clinic_id,
            "name": "Clinic system",
            "jwks": {"keys": [key.as_dict(private=False)]},
            "scopes": list(CLINIC_SCOPES),
            "may_act_for_practitioners": True,
        }
        client = await operator.post("/intake/v1/clients", wanted)
        system = System(gateway, client["client_id"], key, CLINIC_SCOPES, origin=origin)
        staff = {}
        for role in ("prescriber", "infusion-nurse", "therapist", "coordinator"):
            person = {"given_name": "Test", "family_name": role.title(), "roles": [role]}
            staff[role] = (await system.post("/intake/v1/practitioners", person))["practitioner_id"]
        return cls(system, UUID(clinic_id), staff, seed)

    async def admit(self) -> None:
        """A patient whose visits come; every second one's course began weeks ago."""
        patient = await self.admitted()
        patient.next_visit -= _LONG_AGO if self._admitted % 2 else _LATELY
        self._waiting.append(patient)

    async def admitted(self, time_zone: str = "") -> Patient:
        """A patient with both consents and a course, of some American zone if of no other."""
        self._admitted += 1
        now = datetime.now(UTC)
        body = {
            "given_name": "Rosalind",
            "family_name": f"Testerly{uuid4().hex}",
            "birth_date": BIRTH_DATE,
            "email": f"{uuid4().hex[:8]}@patients.example",
            "time_zone": time_zone or self._random.choice(("America/New_York", "America/Chicago", "America/Los_Angeles")),
            "preferred_channel": "email",
        }
        patient_id = UUID((await self.system.post("/intake/v1/patients", body))["patient_id"])
        for consent in ("treatment", "messaging"):
            signed = {"consent_type": consent, "consent_version": "1", "signed_at": (now - _CONSENTED).isoformat()}
            await self.system.post(f"/intake/v1/patients/{patient_id}/consents", signed)
        course = {
            "patient_id": str(patient_id),
            "protocol_code": "default",
            "protocol_version": 1,
            "planned_infusions": 6,
            "cadence": "three-per-week",
            "responsible_clinician_id": self.staff["prescriber"],
            "therapist_id": self.staff["therapist"],
            "coordinator_id": self.staff["coordinator"],
        }
        course_id = UUID((await self.system.post("/intake/v1/courses", course, acting=UUID(self.staff["prescriber"])))["course_id"])
        self.ledger.patients[patient_id] = 2
        return Patient(patient_id, course_id, now)

    async def visit(self) -> None:
        """One visit from booking to discharge, of whoever has waited longest. All its moments lie in the past: it is charted late."""
        while not self._waiting:
            await self.admit()
        patient = self._waiting.pop(self._next())
        began, patient.next_visit = patient.next_visit, patient.next_visit + timedelta(hours=7)
        booking = {"patient_id": str(patient.patient_id), "course_id": str(patient.course_id), "scheduled_at": began.isoformat()}
        infusion_id = (await self._post("/sessions/v1/infusions", booking, by="coordinator"))["infusion_id"]
        self.ledger.begun += 1
        path = f"/sessions/v1/infusions/{infusion_id}"
        for step, body, by in steps(began):
            await self._post(f"{path}/{step}", body, by=by)
        self.ledger.visits[UUID(infusion_id)] = patient.patient_id
        self.completed_at.append(time.monotonic())
        patient.known = True
        if patient.next_visit < datetime.now(UTC) - timedelta(hours=4):
            self._waiting.append(patient)

    def _next(self) -> int:
        known = (place for place, patient in enumerate(self._waiting) if patient.known)
        return next(known, 0) if self.known_first else 0

    async def claim(self) -> None:
        """The coordinator takes one task that nobody has, if there is one."""
        acting = UUID(self.staff["coordinator"])
        queue = await self.system.get("/followup/v1/tasks", acting=acting, view="unassigned", kind="integration-session", limit="1")
        for task in queue["items"]:
            await self._post(f"/followup/v1/tasks/{task['task_id']}/claim", {}, by="coordinator")
            self.ledger.claims.add(UUID(task["task_id"]))

    @asynccontextmanager
    async def at_work(self, *, hands: int = 5, pause_seconds: float = 0.25) -> AsyncIterator["Clinic"]:
        """Visits side by side, and one more hand each for admissions and for the queue, until the block is left.

        Whatever has begun is brought to its end, unless the block is cancelled.
        """
        closing = asyncio.Event()

        async def work(once: Callable[[], Any], pause: float, whose: Hands) -> None:  # Any: a coroutine
            while not closing.is_set():
                async with whose.busy():
                    await once()
                await asyncio.sleep(pause * self._random.uniform(0.5, 1.5))

        working = [asyncio.create_task(work(self.visit, pause_seconds, self._hands)) for _ in range(hands)]
        working.append(asyncio.create_task(work(self.admit, 1.0, self._hands)))
        working.append(asyncio.create_task(work(self.claim, 0.5, self._coordinator)))
        try:
            await self.completes(hands)
            yield self
        except asyncio.CancelledError:
            for task in working:
                task.cancel()
            raise
        finally:
            closing.set()
            await asyncio.gather(*working)

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """Nobody begins anything in this block, and whatever had begun is at its end."""
        async with self._hands.resting(), self._coordinator.resting():
            yield

    @asynccontextmanager
    async def queue_at_rest(self) -> AsyncIterator[None]:
        """Nobody takes a task in this block: one that was on somebody's list before a restore is no task any more."""
        async with self._coordinator.resting():
            yield

    async def completes(self, visits: int, *, within: float = 240.0) -> None:
        """Wait until so many more visits are completed."""
        before = len(self.completed_at)
        await eventually(self._completed, lambda count: count >= before + visits, within=within)

    async def gets_done(self, requests: int, *, within: float = 240.0) -> None:
        """Wait until so many more requests are acknowledged."""
        before = len(self.system.answered)
        await eventually(self._acknowledged, lambda count: count >= before + requests, within=within)

    async def _acknowledged(self) -> int:
        return len(self.system.answered)

    async def _completed(self) -> int:
        return len(self.completed_at)

    async def _post(self, path: str, body: Mapping[str, object], *, by: str) -> dict[str, Any]:  # Any: a decoded JSON document
        return await self.system.post(path, body, acting=UUID(self.staff[by]))


def steps(began: datetime) -> Iterator[tuple[str, dict[str, object], str]]:
    """What is recorded after the booking: the step, its body and who does it."""
    weight, dose = {"value": 80, "unit": "kg"}, {"value": 40, "unit": "mg"}
    ended = began + timedelta(minutes=40)
    vitals: dict[str, object] = {
        "systolic_mmhg": 122, "diastolic_mmhg": 78, "heart_rate_per_min": 70, "spo2_percent": 98, "respiratory_rate_per_min": 14,
        "moaa_s_score": 5,
    }  # fmt: skip
    yield "check-in", {"arrived_at": began.isoformat()}, "infusion-nurse"
    yield "vital-signs", {"measured_at": began.isoformat(), **vitals}, "infusion-nurse"
    order: dict[str, object] = {"pump_started_at": began.isoformat(), "weight": weight, "dose_ordered": dose}
    yield "start", order, "prescriber"
    yield "pump-end", {"pump_ended_at": ended.isoformat(), "dose_given": dose}, "infusion-nurse"
    yield "complete", {"discharged_at": (ended + timedelta(minutes=65)).isoformat()}, "prescriber"
