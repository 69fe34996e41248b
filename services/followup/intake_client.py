"""The read-only calls to intake's directory: names, which no page asks for yet; contact details at the moment of sending; and what a
patient's page shows at the moment when it is opened.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from services.followup.service_token import ServiceToken
from shared.errors import Unavailable

_NAMES_KEPT_SECONDS = 60.0
_NAMES_AT_MOST = 10_000
_NAMES_AT_ONCE = 200
_PAGE_WAITS_SECONDS = 2.0
"""For what a page shows: somebody sits in front of it, and there are last known values."""


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Contact(_Reply):
    """Intake's answer to who may be reached and how; without ``may_send`` there is no address."""

    may_send: bool
    reason: str | None
    channel: str | None
    address: str | None
    language: str | None
    time_zone: str | None = None
    """None where nothing may be sent, and from an intake of the release before."""
    birth_date_salt: str | None
    birth_date_hash: str | None
    sender_name: str
    clinic_phone: str
    crisis_line: str
    contact_version: int | None = None
    """None from an intake of the release before, which does not count: what it answers is the way of now all the same."""


class PageFacts(_Reply):
    """What a patient's page shows and checks now. ``birth_date_hash`` as ``checkins.birth_dates`` makes it from a date."""

    birth_date_salt: str
    birth_date_hash: str
    time_zone: str
    sender_name: str
    clinic_phone: str
    crisis_line: str
    clinic_active: bool


class Names(_Reply):
    """Intake's answer to how patients are called."""

    names: dict[UUID, str]


R = TypeVar("R", bound=_Reply)


class IntakeClient:
    """Intake as followup sees it. Never called inside a transaction; every call ends within the HTTP client's timeout."""

    def __init__(self, http: httpx.AsyncClient, token: ServiceToken, intake_url: str) -> None:
        self._http = http
        self._token = token
        self._directory = f"{intake_url}/intake/v1/directory"
        self._names: dict[tuple[UUID, UUID], tuple[float, str]] = {}

    async def names(self, clinic_id: UUID, patient_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Display names by patient, for those that could be had: a page shows the patient's number for the others."""
        now = time.monotonic()
        known = {patient: self._names.get((clinic_id, patient), (0.0, "")) for patient in patient_ids}
        found = {patient: name for patient, (until, name) in known.items() if until >= now}
        missing = sorted(known.keys() - found.keys())
        for start in range(0, len(missing), _NAMES_AT_ONCE):
            wanted = [str(patient) for patient in missing[start : start + _NAMES_AT_ONCE]]
            try:
                fresh = (await self._ask("names", clinic_id, {"patient_ids": wanted}, Names)).names
            except Unavailable:
                return found
            self._keep(clinic_id, fresh, now)
            found |= fresh
        return found

    async def contact(self, clinic_id: UUID, patient_id: UUID) -> Contact:
        """Whether and how this patient may be reached right now. Raises Unavailable when intake does not say."""
        return await self._ask("contact", clinic_id, {"patient_id": str(patient_id)}, Contact)

    async def page_facts(self, clinic_id: UUID, patient_id: UUID) -> PageFacts:
        """What this patient's page shows and checks right now. Raises Unavailable when intake does not say, or not soon enough."""
        try:
            async with asyncio.timeout(_PAGE_WAITS_SECONDS):
                return await self._ask("page-facts", clinic_id, {"patient_id": str(patient_id)}, PageFacts)
        except TimeoutError:
            raise Unavailable("Intake does not answer soon enough.") from None

    async def _ask(self, what: str, clinic_id: UUID, body: dict[str, object], reply: type[R]) -> R:
        headers = await self._token.headers() | {"Afterglow-Clinic": str(clinic_id), "Idempotency-Key": f'"{uuid4()}"'}
        try:
            answer = await self._http.post(f"{self._directory}/{what}", json=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable("Intake cannot be reached.") from error
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token.forget()
        if not answer.is_success:
            raise Unavailable("Intake gives no answer.")
        try:
            return reply.model_validate_json(answer.content)
        except ValidationError:
            raise Unavailable("Intake's answer is not understood.") from None

    def _keep(self, clinic_id: UUID, names: dict[UUID, str], now: float) -> None:
        if len(self._names) > _NAMES_AT_MOST:
            self._names.clear()
        self._names |= {(clinic_id, patient): (now + _NAMES_KEPT_SECONDS, name) for patient, name in names.items()}
