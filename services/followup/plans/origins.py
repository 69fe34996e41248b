"""Why something is there: from which event, by which entry of which protocol, counted from which moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans.entries import Entry
from services.followup.plans.means import Means
from services.followup.plans.pinned import Pinned
from services.followup.plans.plan import plan
from services.followup.plans.reading import Known, read
from services.followup.plans.wanted import Key, Plan, Wanted
from shared.db import clinic_of
from shared.errors import NotFound


@dataclass(frozen=True, slots=True)
class Asked:
    """One item as the facts want it now; ``want`` is None where they name it no more, and ``gone`` says why."""

    key: Key
    want: Wanted | None
    gone: str | None
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where the numbers of its times come from, by the time: opens, due, expires."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Why a task or a check-in is there."""

    item_id: UUID
    patient_id: UUID
    kind: str
    """task or check-in."""
    code: str
    caused_by: UUID | None
    """The event from which it was made; None where it was time or a person."""
    asked: Sequence[Asked]
    """What it asks, or the items that it is about; empty for what no protocol asks."""


async def origin_of(db: AsyncSession, means: Means, item_id: UUID) -> Origin:
    """Why this task or check-in of this clinic is there. Raises NotFound."""
    row = (await db.execute(_ITEM, {"clinic_id": clinic_of(db), "id": item_id})).mappings().first()
    if row is None:
        raise NotFound
    known = (await read(db, [row["patient_id"]])).get(row["patient_id"])
    asked = _asked(item_id, known, means) if known else []
    return Origin(item_id, row["patient_id"], row["what"], row["code"], row["caused_by"], asked)


def _asked(item_id: UUID, known: Known, means: Means) -> list[Asked]:
    protocols = means.followed_by.with_pins(known.pins)
    wanted = plan(known.facts, protocols, means.now())
    return [_as_wanted(key, wanted, protocols) for key in sorted(_keys(item_id, known))]


def _keys(item_id: UUID, known: Known) -> Iterable[Key]:
    """The item that it is, or those that it covers."""
    own = [key for key, stored in known.items.stored.items() if stored.row_id == item_id]
    return own or {key for cover in known.items.covers if cover.row_id == item_id for key in cover.covers}


def _as_wanted(key: Key, wanted: Plan, protocols: Pinned) -> Asked:
    want = wanted.wanted.get(key)
    if want is None:
        return Asked(key, None, wanted.ended(key))
    [protocol] = protocols.named([want.why.protocol])
    entry = next(one for one in protocol.items if one.code == key.code)
    return Asked(key, want, None, _sources(entry))


def _sources(entry: Entry) -> Mapping[str, str]:
    times = {"opens": entry.opens, "due": entry.due, "expires": entry.expires}
    return {name: when.source for name, when in times.items() if when and when.source}


_ITEM = text(
    """
    SELECT 'check-in' AS what, patient_id, code, caused_by FROM check_in
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND check_in_id = CAST(:id AS uuid)
    UNION ALL
    SELECT 'task', patient_id, kind, (
        SELECT h.caused_by FROM task_history h WHERE h.clinic_id = t.clinic_id AND h.task_id = t.task_id ORDER BY h.version LIMIT 1
    )
    FROM care_task t WHERE clinic_id = CAST(:clinic_id AS uuid) AND task_id = CAST(:id AS uuid)
    """
)
