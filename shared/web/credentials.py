"""How a request shows who sends it. The frame asks a credential three things; the rest it does the same for all.

``RegisteredClients`` is here. Links of patients and sessions of staff are made by the services that give them out.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from fastapi import Request
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.security.caller import KINDS, Caller, Kind, Standing
from shared.web import frame
from shared.web.asked import Asked
from shared.web.call import Ground, surroundings_of
from shared.web.idempotency import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Who sends a request, once the transaction is inside the clinic."""

    caller: Caller
    clinic_id: UUID
    practitioner_id: UUID | None = None
    standing: Standing = Standing()  # noqa: RUF009 - frozen
    claimed: bool = True
    stored: Stored | None = None
    """The first answer to this request, where it is a repeated one."""
    patient_id: UUID | None = None
    subject: str | None = None
    opens: object = None
    """What the credential stands for, such as the check-in of a link, for the endpoints that it was made for."""


class Credential(Protocol):
    """Who may come in by it, and how that is seen."""

    @property
    def kinds(self) -> Collection[Kind]:
        """Of which kinds its callers are."""

    def ground(self, request: Request) -> Ground:
        """What its operations stand on."""

    async def caller(self, request: Request) -> Caller | None:
        """Who sends the request, where that can be told before anything else of it is read. Raises a DomainError."""

    async def admit(self, db: AsyncSession, request: Request, asked: Asked) -> Admitted:
        """Enter the clinic, and say who sends the request. Raises a DomainError for a credential that opens nothing."""


class RegisteredClients:
    """Access tokens of SMART Backend Services: clinic systems, our own services, the operator."""

    kinds = KINDS

    def ground(self, request: Request) -> Ground:
        """The service's own."""
        return surroundings_of(request.app)

    async def caller(self, request: Request) -> Caller:
        """By the token alone, before a byte of the body is read."""
        return await surroundings_of(request.app).verifier.caller(request.headers.get("authorization"))

    async def admit(self, db: AsyncSession, request: Request, asked: Asked) -> Admitted:
        """In one statement with what is known of client and practitioner, and with the claim of the idempotency key."""
        caller = asked.known_caller
        answers = surroundings_of(request.app).answers
        opened = await frame.open_frame(db, asked.clinic_id, caller.client_id, asked.practitioner_id, asked.claim, answers)
        return Admitted(
            caller=caller,
            clinic_id=asked.clinic_id,
            practitioner_id=asked.practitioner_id,
            standing=opened.standing,
            claimed=opened.claimed,
            stored=opened.stored,
        )


CLIENTS = RegisteredClients()
