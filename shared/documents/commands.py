"""Writing a version, signing it, and saying from when it counts."""

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.db import clinic_of
from shared.documents.checking import checked
from shared.documents.content import Document
from shared.documents.in_force import Documents
from shared.documents.kinds import Kind
from shared.documents.models import Activation, Version
from shared.documents.queries import activations, get_version, next_version
from shared.documents.schemas import WriteVersion
from shared.errors import Conflict, FieldError, Invalid
from shared.security.caller import Actor

_FARTHEST_AHEAD = timedelta(days=731)


async def write(db: AsyncSession, actor: Actor, now: datetime, documents: Documents, body: WriteVersion) -> Version:
    """A new version, which counts for nothing yet; a dry run saves nothing. Raises Invalid for what is no document of its kind."""
    kind = _known_kind(documents, body.code)
    if not body.dry_run:
        await _lock(db, kind.code)
    number = await next_version(db, kind.code)
    await asyncio.to_thread(checked, kind, body.content, number)
    version = Version(
        clinic_id=clinic_of(db),
        code=kind.code,
        version=number,
        content=body.content,
        written_by=actor.name,
        written_at=now,
    )
    if not body.dry_run:
        db.add(version)
    return version


async def sign_off(
    db: AsyncSession, actor: Actor, now: datetime, kind: Kind[Document], number: int, active_from: datetime | None
) -> Version:
    """Agree to a version, and say from when it counts. Raises 404, 409 already-signed, 403 for the writer, 422 for a time that has passed.

    A default that is signed stays the clinic's when a later release ships another one.
    """
    await _lock(db, kind.code)
    version = await get_version(db, kind, number, now, for_change=True)
    actor.expect_version(version.state)
    version.sign(actor=actor.name, at=now)
    await _refuse_outdated(kind, version)
    db.add(version)
    await db.flush()
    await _activate(db, actor, now, version, active_from)
    return version


async def activate(
    db: AsyncSession, actor: Actor, now: datetime, kind: Kind[Document], number: int, active_from: datetime | None
) -> Version:
    """Say from when a signed version counts: again, sooner, or instead of another. Raises 404, 409 not-signed, 422 for a past time."""
    await _lock(db, kind.code)
    version = await get_version(db, kind, number, now, for_change=True)
    actor.expect_version(version.state)
    if version.signed_at is None:
        raise Conflict("not-signed", "Nobody has signed this version.")
    await _refuse_outdated(kind, version)
    await _activate(db, actor, now, version, active_from)
    return version


def _known_kind(documents: Documents, code: str) -> Kind[Document]:
    if code not in documents.kinds:
        allowed = f"Allowed: {', '.join(sorted(documents.kinds))}."
        raise Invalid("document-unknown", "This service has no such document.", errors=[FieldError("/code", "document-unknown", allowed)])
    return documents.kinds[code]


async def _refuse_outdated(kind: Kind[Document], version: Version) -> None:
    """A version may have been written for the form that an earlier release knew."""
    if version.is_default and version.content == kind.default_text:
        return
    await asyncio.to_thread(checked, kind, version.content, version.version)


async def _activate(db: AsyncSession, actor: Actor, now: datetime, version: Version, wanted: datetime | None) -> None:
    active_from = wanted or now
    if not now <= active_from <= now + _FARTHEST_AHEAD:
        allowed = f"not before the request, and at most {_FARTHEST_AHEAD.days} days ahead"
        wrong = FieldError("/active_from", "time-out-of-range", allowed)
        raise Invalid(wrong.code, "A version cannot count from then.", errors=[wrong])
    db.add(
        Activation(
            clinic_id=clinic_of(db),
            code=version.code,
            number=len(await activations(db, version.code)) + 1,
            version=version.version,
            active_from=active_from,
            activated_by=actor.name,
            activated_at=now,
        )
    )
    await db.execute(_STAMP, {"clinic_id": clinic_of(db)})


async def _lock(db: AsyncSession, code: str) -> None:
    """One change of a document at a time, so that numbers follow each other."""
    await db.execute(_LOCK, {"clinic_id": str(clinic_of(db)), "code": code})


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('document ' || CAST(:clinic_id AS text) || CAST(:code AS text), 0))")
_STAMP = text(
    """
    INSERT INTO platform.document_stamp AS known (clinic_id, stamp) VALUES (:clinic_id, 1)
    ON CONFLICT (clinic_id) DO UPDATE SET stamp = known.stamp + 1
    """
)
