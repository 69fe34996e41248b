"""Idempotency keys: a POST that is repeated gets its first answer, in the transaction that made it, so never twice and never none.

The key is claimed by an advisory lock in the statement that opens the request (``shared.web.frame``); the answer is stored in the
one that closes it, and the primary key decides where two requests pass each other in between.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response
from sqlalchemy import text

from shared import telemetry
from shared.db import Database, enter_clinic
from shared.errors import Conflict, Invalid, Malformed
from shared.sealing import Box
from shared.security.caller import OUTSIDE_CLINICS

KEEP = timedelta(hours=48)
KEY_FORM = '^("[!#-~]{1,255}"|[!#-~]{1,255})$'
"""Visible ASCII, bare or as a structured string; published in the API's description."""
_KEPT_HEADERS = ("content-type", "location", "etag", "link")


@dataclass(frozen=True, slots=True)
class Claim:
    """A key, and the hash of the request that it stands for."""

    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """The first answer that was given under a key."""

    request_hash: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes | None
    """None where it was sealed with another key."""
    patient_id: UUID | None = None
    """Whom it is about."""


class AnswerSeal:
    """Keeps stored answers unreadable in the database and its copies: they say what operations say of patients.

    Each is bound to its clinic, client and key.
    """

    def __init__(self, secret: str) -> None:
        self._box = Box(secret.encode(), b"afterglow stored answer")

    def sealed(self, answer: bytes, clinic_id: UUID, client_id: str, key: str) -> bytes:
        """What is stored."""
        return self._box.sealed(answer, _place(clinic_id, client_id, key))

    def opened(self, stored: bytes, clinic_id: UUID, client_id: str, key: str) -> bytes | None:
        """The answer; None when it was sealed with another key or for another place."""
        return self._box.opened(stored, _place(clinic_id, client_id, key))


def claim_of(request: Request, body: bytes) -> Claim:
    """The claim of a POST. Raises Malformed (400) without a key of 1 to 255 visible ASCII characters."""
    given = request.headers.get("idempotency-key")
    if given is None:
        raise Malformed("idempotency-key-required", "Send an Idempotency-Key, a new one for every new request.")
    if not re.fullmatch(KEY_FORM, given):
        raise Malformed("idempotency-key-malformed", "An Idempotency-Key has 1 to 255 visible ASCII characters.")
    acting = request.headers.get("afterglow-practitioner", "")
    seen = request.headers.get("if-match", "")
    parts = (request.method, request.url.path, request.url.query, acting.lower(), seen, body)
    return Claim(given.strip('"'), _hash(part.encode() if isinstance(part, str) else part for part in parts))


def _answer_lost(stored: Stored) -> Conflict:
    lost = Conflict("idempotency-answer-lost", "This was done, and its answer can no longer be read: read the record.")
    lost.showed = [stored.patient_id] if stored.patient_id else []
    return lost


def settle(claim: Claim, *, claimed: bool, stored: Stored | None) -> Response | None:
    """The first answer again, or None when this request is the first. Raises Invalid (422) or Conflict (409).

    An answer that cannot be read any more says that the request was done; it is never done twice for that.
    """
    if stored is not None:
        if stored.request_hash != claim.request_hash:
            raise Invalid("idempotency-key-reused", "This Idempotency-Key was used for another request.")
        if stored.body is None:
            raise _answer_lost(stored)
        headers = {**stored.headers, "Idempotency-Replayed": "true"}
        return Response(stored.body, status_code=stored.status, headers=headers)
    if not claimed:
        raise in_flight()
    return None


def in_flight() -> Conflict:
    """The refusal while the first request under a key is still at work."""
    return Conflict("idempotency-key-in-flight", "The first request with this Idempotency-Key has not ended.", headers={"Retry-After": "1"})


def kept_headers(response: Response) -> str:
    """The headers of an answer that belong to its content, as JSON."""
    return json.dumps({name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers})


async def keep_forgetting(database: Database, stop: asyncio.Event, *, every_seconds: float = 3600, older_than: timedelta = KEEP) -> None:
    """Forget old answers now and every hour, until ``stop``."""
    log = telemetry.logger("idempotency", service=database.name)
    stopped = False
    while not stopped:
        try:
            await forget_old(database, older_than=older_than)
        except Exception as error:  # noqa: BLE001 - a worker's loop: it must survive and say so
            log.warning("idempotency.not_forgotten", error_class=type(error).__name__, error_place=telemetry.place_of(error))
        try:
            stopped = await asyncio.wait_for(stop.wait(), every_seconds)
        except TimeoutError:
            continue


async def forget_old(database: Database, *, older_than: timedelta = KEEP) -> int:
    """Delete answers that nobody repeats any more, clinic by clinic; returns how many. Safe to run at any time."""
    async with database.transaction() as db:
        clinics: list[UUID] = [OUTSIDE_CLINICS, *(await db.execute(_CLINICS)).scalars()]
    forgotten = 0
    for clinic_id in clinics:
        async with database.transaction() as db:
            await enter_clinic(db, clinic_id)
            forgotten += len((await db.execute(_FORGET, {"seconds": older_than.total_seconds()})).all())
    return forgotten


def _place(clinic_id: UUID, client_id: str, key: str) -> bytes:
    return _hash((clinic_id.bytes, client_id.encode(), key.encode()))


def _hash(parts: Iterable[bytes]) -> bytes:
    """Every part with its length, so that no two requests run into the same bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


_CLINICS = text("SELECT DISTINCT clinic_id FROM platform.client")
_FORGET = text(
    "DELETE FROM public.idempotency_key WHERE clinic_id = (SELECT current_setting('app.clinic_id')::uuid) "
    "AND created_at < now() - make_interval(secs => :seconds) RETURNING 1"
)
