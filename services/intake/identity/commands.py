import math
import time
from collections.abc import Hashable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, text
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.clinics.models import ClinicEntry
from services.intake.identity import assertions
from services.intake.identity.models import RegisteredClient, UsedAssertion
from services.intake.identity.queries import find_usable_client, get_client
from services.intake.identity.registration import Registration, checked
from services.intake.identity.rules import ASSERTION_TYPE, granted
from services.intake.identity.tokens import AccessToken, TokenIssuer
from services.intake.refusals import unknown_reference
from shared.db import Database, enter_clinic
from shared.errors import Conflict
from shared.events.intake import ClientChanged
from shared.outbox import emit
from shared.security.caller import OUTSIDE_CLINICS, Actor
from shared.security.projection import upsert_client
from shared.security.tries import Tries


class TokenRefused(Exception):
    """The token endpoint's answer as RFC 6749 section 5.2 names it; ``description`` is ours and quotes nothing."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description


FREE_TRIES = 10
"""Wrong assertions of one client from one address, or of one address, before the next has to wait."""


class TooManyTries(Exception):
    """Another wrong assertion too soon; ``seconds`` says for how long there is no answer to one."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


async def exchange(database: Database, issuer: TokenIssuer, form: dict[str, str], tries: Tries, address: str | None) -> AccessToken:
    """An access token for a client assertion. Raises TokenRefused; an assertion that was good is spent even then.

    Raises TooManyTries where wrong ones come too often. A good one is taken all the same: nobody can lock a client out.
    """
    if form.get("grant_type") != "client_credentials":
        raise TokenRefused("unsupported_grant_type", "The grant_type must be client_credentials.")
    if form.get("client_assertion_type") != ASSERTION_TYPE or not form.get("client_assertion"):
        raise TokenRefused("invalid_request", f"Send a client_assertion, with the client_assertion_type {ASSERTION_TYPE}.")
    client = await _authenticate(database, issuer, form["client_assertion"], form.get("client_id"), tries, address)
    scopes = granted(form.get("scope", "").split(), client.scopes)
    if not scopes:
        raise TokenRefused("invalid_scope", "Name scopes that the client is registered for.")
    return issuer.issue(client, scopes)


async def register_client(db: AsyncSession, registration: Registration, *, at: datetime, by: str) -> RegisteredClient:
    """Register a client, or bring a registered one up to date; the same registration again changes nothing.

    ``db`` may be outside of any clinic; afterwards it is in the client's. Raises Invalid for keys or scopes that cannot be,
    or an unknown clinic; Conflict when the id belongs to a client of another kind or clinic.
    """
    wanted = checked(registration)
    if wanted.clinic_id is not None and await db.get(ClinicEntry, wanted.clinic_id) is None:
        raise unknown_reference("/clinic_id")
    await enter_clinic(db, wanted.clinic_id or OUTSIDE_CLINICS)
    client = await db.get(RegisteredClient, wanted.client_id, with_for_update=True)
    if client is None:
        client = RegisteredClient(**wanted.model_dump(), registered_at=at, registered_by=by)
        db.add(client)
    elif not _updated(client, wanted):
        return client
    await _tell(db, client, client.changed(at))
    return client


async def disable_client(db: AsyncSession, actor: Actor, now: datetime, client_id: str) -> RegisteredClient:
    """Give a client no more tokens and refuse those it has, here at once, elsewhere within a second. Raises NotFound or Conflict."""
    client = await get_client(db, client_id, lock=True)
    await enter_clinic(db, client.clinic_id or OUTSIDE_CLINICS)
    await _tell(db, client, client.disable(now, actor.name))
    return client


async def forget_used_assertions(database: Database) -> None:
    """Delete what has expired: an assertion past its ``exp`` is refused without being remembered."""
    async with database.transaction() as db:
        await db.execute(delete(UsedAssertion).where(col(UsedAssertion.expires_at) < datetime.now(UTC)))


async def _authenticate(
    database: Database, issuer: TokenIssuer, assertion: str, named: str | None, tries: Tries, address: str | None
) -> RegisteredClient:
    """The client behind an assertion. Unknown, disabled and unproven clients get answers that do not tell them apart."""
    keys: list[Hashable] = [("address", address)] if address else []
    try:
        client_id = assertions.claimed_client(assertion)
        keys.append((client_id, address))
        client = await _proven(database, issuer, assertion, client_id, named)
    except assertions.InvalidAssertion as invalid:
        if wait := tries.wait(*keys):
            raise TooManyTries(math.ceil(wait)) from None
        tries.wrong(*keys)
        raise TokenRefused("invalid_client", str(invalid)) from None
    tries.right(*keys)
    return client


async def _proven(database: Database, issuer: TokenIssuer, assertion: str, client_id: str, named: str | None) -> RegisteredClient:
    if named not in (None, client_id):
        raise assertions.InvalidAssertion("The parameter client_id names another client than the assertion.")
    async with database.transaction() as db:
        client = await find_usable_client(db, client_id)
        if client is None:
            raise assertions.InvalidAssertion(assertions.UNPROVEN)
        now = datetime.fromtimestamp(time.time(), UTC)
        proof = assertions.verified(assertion, client.jwks, client_id=client_id, token_url=issuer.token_url, now=now)
        await _spend(db, client_id, proof)
    return client


async def _spend(db: AsyncSession, client_id: str, proof: assertions.Assertion) -> None:
    values: dict[str, Any] = {"client_id": client_id, "jti": proof.jti, "expires_at": proof.expires_at}  # Any: column values
    if (await db.execute(_SPEND, values)).first() is None:
        raise assertions.InvalidAssertion("The assertion was used before; make a new one, with its own jti, for every request.")


def _updated(client: RegisteredClient, wanted: Registration) -> bool:
    if (client.kind, client.clinic_id) != (wanted.kind, wanted.clinic_id):
        raise Conflict("client-id-taken", "This client_id belongs to a client of another kind or clinic.")
    changes = {name: value for name, value in wanted.model_dump().items() if getattr(client, name) != value}
    for name, value in changes.items():
        setattr(client, name, value)
    client.version += bool(changes)
    return bool(changes)


async def _tell(db: AsyncSession, client: RegisteredClient, changed: ClientChanged) -> None:
    await upsert_client(db, client.clinic_id or OUTSIDE_CLINICS, [changed])
    emit(db, changed)


_SPEND = text(
    """
    INSERT INTO platform.used_assertion (client_id, jti, expires_at) VALUES (:client_id, :jti, :expires_at)
    ON CONFLICT DO NOTHING RETURNING 1
    """
)
