"""The two statements around every endpoint. The first enters the clinic, reads what is known of client and practitioner, and claims
the idempotency key; the last stores the answer under that key and appends the audit row.

Order inside the first: the clinic is set in an optimisation fence on which the reads of the clinic and of stored answers depend, because
row-level security looks at the setting when a table is first touched. Every service knows its clinics in a table ``clinic``.
"""

import json
from dataclasses import dataclass
from uuid import UUID

from fastapi.responses import Response
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import failpoints
from shared.db import enter_clinic, note_clinic
from shared.security.audit import INSERT, AuditEvent, append, unwritable
from shared.security.caller import Standing
from shared.statements import Statement
from shared.web.idempotency import AnswerSeal, Claim, Stored, in_flight, kept_headers


@dataclass(frozen=True, slots=True)
class Opened:
    """What the first statement found."""

    standing: Standing
    claimed: bool
    stored: Stored | None


async def open_frame(
    db: AsyncSession, clinic_id: UUID, client_id: str, practitioner_id: UUID | None, claim: Claim | None, answers: AnswerSeal
) -> Opened:
    """Enter the clinic and read what decides about the request, in one round trip."""
    parameters = {"clinic_id": str(clinic_id), "client_id": client_id, "practitioner_id": practitioner_id}
    row = (await db.execute(_OPEN, {**parameters, "key": claim.key if claim else None})).one()
    note_clinic(db, clinic_id, row.documents_stamp)
    standing = Standing(row.client_clinic_id, row.client_active, row.may_act, row.practitioner_active, row.roles or (), row.clinic_active)
    if claim is None or row.request_hash is None:
        return Opened(standing, bool(row.claimed), None)
    # An answer of a release that did not seal them stands in ``body`` until it is forgotten.
    body = row.body if row.sealed is None else answers.opened(row.sealed, clinic_id, client_id, claim.key)
    stored = Stored(row.request_hash, row.status, json.loads(row.headers), body, row.patient_id)
    return Opened(standing, bool(row.claimed), stored)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it is stored under its key, in the clinic of the caller."""

    home: UUID
    claim: Claim
    route: str
    response: Response
    answers: AnswerSeal

    def parameters(self, row: AuditEvent) -> dict[str, object]:
        """Of the statement that stores it, besides those of its audit row."""
        sealed = self.answers.sealed(bytes(self.response.body), self.home, row.client_id, self.claim.key)
        named = {"key": self.claim.key, "route": self.route, "request_hash": self.claim.request_hash}
        return {**named, "sealed": sealed, "headers": kept_headers(self.response)}


async def close_frame(db: AsyncSession, row: AuditEvent, kept: Kept) -> None:
    """Store the answer and append the audit row, in one round trip. Raises Conflict when another request was first after all."""
    try:
        (written,) = await _CLOSE.rows(db, **row.parameters(), **kept.parameters(row))
    except DBAPIError as error:
        raise unwritable(error) from error
    if not written["stored"]:
        raise in_flight()
    failpoints.hit("audit.before_commit")


async def close_frame_from_outside(db: AsyncSession, row: AuditEvent, kept: Kept | None) -> None:
    """The same for an endpoint that went into a clinic from outside: its audit row stays there, its answer is stored outside."""
    await append(db, row)
    if kept is None:
        return
    await enter_clinic(db, kept.home)
    about = {"clinic_id": kept.home, "client_id": row.client_id, "outcome": row.outcome, "patient_id": row.patient_id}
    if (await db.execute(_STORE, {**about, **kept.parameters(row)})).first() is None:
        raise in_flight()


_OPEN = text(
    """
    WITH entered AS MATERIALIZED (SELECT CAST(set_config('app.clinic_id', :clinic_id, true) AS uuid) AS clinic_id)
    SELECT client.clinic_id AS client_clinic_id, client.active AS client_active, client.may_act,
           practitioner.active AS practitioner_active, practitioner.roles, clinic.active AS clinic_active,
           documents.stamp AS documents_stamp,
           CASE WHEN CAST(:key AS text) IS NOT NULL
                THEN pg_try_advisory_xact_lock(hashtextextended(concat_ws(' ', entered.clinic_id, :client_id, :key), 0)) END AS claimed,
           stored.request_hash, stored.status, stored.headers, stored.body, stored.sealed, stored.patient_id
    FROM entered
    LEFT JOIN platform.client AS client ON client.client_id = :client_id
    LEFT JOIN platform.practitioner AS practitioner
           ON practitioner.clinic_id = entered.clinic_id AND practitioner.practitioner_id = CAST(:practitioner_id AS uuid)
    LEFT JOIN platform.document_stamp AS documents ON documents.clinic_id = entered.clinic_id
    LEFT JOIN LATERAL (SELECT active FROM public.clinic WHERE clinic_id = entered.clinic_id OFFSET 0) AS clinic ON true
    LEFT JOIN LATERAL (
        SELECT request_hash, status, headers::text AS headers, body, sealed, patient_id FROM public.idempotency_key
        WHERE clinic_id = entered.clinic_id AND client_id = :client_id AND key = CAST(:key AS text) OFFSET 0
    ) AS stored ON true
    """
)
_INSERT_STORED = """
    INSERT INTO public.idempotency_key (clinic_id, client_id, key, route, request_hash, status, headers, body, sealed, patient_id)
    VALUES (CAST(:clinic_id AS uuid), :client_id, :key, :route, :request_hash, :outcome, CAST(:headers AS jsonb), '', :sealed,
        CAST(:patient_id AS uuid))
    ON CONFLICT DO NOTHING RETURNING 1
"""
_STORE = text(_INSERT_STORED)
_CLOSE = Statement(f"WITH stored AS ({_INSERT_STORED}) {INSERT} RETURNING (SELECT count(*) FROM stored) AS stored")  # noqa: S608 - two constants of ours
