"""The read-only call to sessions that the completeness audit makes: what has ended, page by page."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

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


_ITEMS = TypeAdapter(list[EndedInfusion])


class SessionsClient:
    """Sessions as followup sees it. Never called inside a transaction."""

    def __init__(self, http: httpx.AsyncClient, token: ServiceToken, sessions_url: str) -> None:
        self._http = http
        self._token = token
        self._origin = sessions_url

    async def ended_infusions(self, clinic_id: UUID, ended_from: datetime, ended_to: datetime) -> AsyncIterator[list[EndedInfusion]]:
        """Pages of what ended in the window (from inside, to outside). Raises Unavailable when sessions does not say."""
        query = {"ended_from": ended_from.isoformat(), "ended_to": ended_to.isoformat(), "limit": str(_PAGE)}
        address: str | None = str(httpx.URL(f"{self._origin}/sessions/v1/ended-infusions", params=query))
        while address is not None:
            page = await self._get(address, clinic_id)
            try:
                yield _ITEMS.validate_python(page["items"])
            except (ValidationError, KeyError):
                raise Unavailable("The answer of sessions is not understood.") from None
            following = page.get("next")
            address = f"{self._origin}{following}" if following else None

    async def _get(self, address: str, clinic_id: UUID) -> dict[str, Any]:  # Any: a decoded JSON document
        headers = await self._token.headers() | {"Afterglow-Clinic": str(clinic_id)}
        try:
            answer = await self._http.get(address, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable("Sessions cannot be reached.") from error
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token.forget()
        if not answer.is_success:
            raise Unavailable("Sessions gives no answer.")
        return dict(answer.json())
