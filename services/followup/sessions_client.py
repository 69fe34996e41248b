"""The read-only call to sessions that the audit of completeness makes: what has ended, page by page."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from services.followup.service_token import ServiceToken
from shared.errors import Unavailable

_PAGE = 200


class EndedInfusion(BaseModel):
    """One ended infusion as sessions knows it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    infusion_id: UUID
    patient_id: UUID
    version: int
    outcome: str
    drug_given: bool
    pump_ended_at: AwareDatetime
    ended_at: AwareDatetime


class _Page(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    items: list[EndedInfusion]
    next: str | None


class SessionsClient:
    """Sessions as followup sees it. Never called inside a transaction; every call ends within the HTTP client's timeout."""

    def __init__(self, http: httpx.AsyncClient, token: ServiceToken, sessions_url: str) -> None:
        self._http = http
        self._token = token
        self._origin = sessions_url

    async def ended_infusions(self, clinic_id: UUID, ended_from: datetime, ended_to: datetime) -> AsyncIterator[list[EndedInfusion]]:
        """Pages of what ended or was corrected in the window (from inside, to outside). Raises Unavailable when sessions does not say."""
        query = {"ended_from": ended_from.isoformat(), "ended_to": ended_to.isoformat(), "limit": str(_PAGE)}
        address: str | None = str(httpx.URL(f"{self._origin}/sessions/v1/ended-infusions", params=query))
        while address is not None:
            page = await self._get(address, clinic_id)
            yield page.items
            address = f"{self._origin}{page.next}" if page.next else None

    async def _get(self, address: str, clinic_id: UUID) -> _Page:
        headers = await self._token.headers() | {"Afterglow-Clinic": str(clinic_id)}
        try:
            answer = await self._http.get(address, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable("Sessions cannot be reached.") from error
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token.forget()
        if not answer.is_success:
            raise Unavailable("Sessions gives no answer.")
        try:
            return _Page.model_validate_json(answer.content)
        except ValidationError:
            raise Unavailable("The answer of sessions is not understood.") from None
