"""Reading what a clinic has of its documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.db import clinic_of
from shared.documents.kinds import FIRST_OF_A_CLINIC, D, Kind
from shared.documents.models import RELEASE, Activation, Version
from shared.errors import NotFound


@dataclass(frozen=True, slots=True)
class Activated:
    """A version, and from when it counts."""

    version: int
    active_from: datetime
    content: str


async def activated(db: AsyncSession) -> Mapping[str, Sequence[Activated]]:
    """By code everything that counts, has counted or will, the latest moment first and what overrules another before it."""
    rows = await db.execute(
        select(Activation, col(Version.content))
        .join(Version, _same_version())
        .where(col(Activation.clinic_id) == clinic_of(db))
        .order_by(col(Activation.active_from).desc(), col(Activation.number).desc())
    )
    found: dict[str, list[Activated]] = {}
    for activation, content in rows:
        found.setdefault(activation.code, []).append(Activated(activation.version, activation.active_from, content))
    return found


async def activations(db: AsyncSession, code: str, version: int | None = None) -> Sequence[Activation]:
    """Of a document, or of one version of it, as they were entered."""
    query = select(Activation).where(col(Activation.clinic_id) == clinic_of(db), col(Activation.code) == code)
    if version is not None:
        query = query.where(col(Activation.version) == version)
    return (await db.scalars(query.order_by(col(Activation.number)))).all()


def versions(clinic_id: UUID, code: str | None) -> Select[Version]:
    """What a clinic has written or signed, the newest first."""
    query = select(Version).where(col(Version.clinic_id) == clinic_id)
    if code is not None:
        query = query.where(col(Version.code) == code)
    return query.order_by(col(Version.written_at).desc(), col(Version.code), col(Version.version).desc())


async def find_version(db: AsyncSession, code: str, version: int, *, for_change: bool = False) -> Version | None:
    """What the clinic itself has."""
    query = select(Version).where(col(Version.clinic_id) == clinic_of(db), col(Version.code) == code, col(Version.version) == version)
    return await db.scalar(query.with_for_update() if for_change else query)


async def get_version(db: AsyncSession, kind: Kind[D], version: int, now: datetime, *, for_change: bool = False) -> Version:
    """One of the clinic's, or the release's default as nobody has signed it. Raises NotFound."""
    found = await find_version(db, kind.code, version, for_change=for_change)
    if found is not None:
        return found
    if version != kind.default.version:
        raise NotFound
    return Version(clinic_id=clinic_of(db), code=kind.code, version=version, content=kind.default_text, written_by=RELEASE, written_at=now)


async def next_version(db: AsyncSession, code: str) -> int:
    """The number of the next version that the clinic writes."""
    newest = await db.scalar(
        select(func.max(col(Version.version))).where(col(Version.clinic_id) == clinic_of(db), col(Version.code) == code)
    )
    return max(newest or 0, FIRST_OF_A_CLINIC - 1) + 1


def _same_version() -> ColumnElement[bool]:
    return (
        (col(Version.clinic_id) == col(Activation.clinic_id))
        & (col(Version.code) == col(Activation.code))
        & (col(Version.version) == col(Activation.version))
    )
