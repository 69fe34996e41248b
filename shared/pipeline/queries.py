"""Reading how the pipeline of a service stands."""

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from shared.errors import NotFound
from shared.outbox import LOCKS
from shared.parked_reasons import ParkedReason
from shared.pipeline.models import ParkedEntry
from shared.pipeline.schemas import OutboxOut, ParkedCount, ParkedOverview, ParkedState, RelayOut


async def outbox(db: AsyncSession) -> OutboxOut:
    """What waits for the bus."""
    return OutboxOut.model_validate((await db.execute(_OUTBOX)).mappings().one())


async def relay(db: AsyncSession) -> RelayOut:
    """Whether a relay works, as the locks in the database say."""
    row = (await db.execute(_RELAY, {"locks": LOCKS})).one()
    return RelayOut(active=row.active, standing_by=max(row.connected - int(row.active), 0))


async def parked_overview(db: AsyncSession) -> ParkedOverview:
    """What is parked, by reason."""
    by_reason = [ParkedCount.model_validate(row) for row in (await db.execute(_BY_REASON)).mappings()]
    blocked = (await db.execute(_KEYS_BLOCKED)).scalar_one()
    return ParkedOverview(count=sum(one.count for one in by_reason), keys_blocked=blocked, by_reason=by_reason)


def parked(*, state: ParkedState, reason: ParkedReason | None, key: str | None) -> SelectOfScalar[ParkedEntry]:
    """Parked records, oldest first."""
    statement = select(ParkedEntry).where(ParkedEntry.state == state)
    if reason is not None:
        statement = statement.where(ParkedEntry.reason == reason)
    if key is not None:
        statement = statement.where(ParkedEntry.key == key)
    return statement.order_by(col(ParkedEntry.parked_id))


async def get_parked(db: AsyncSession, parked_id: int, *, for_update: bool = False) -> ParkedEntry:
    """One record, whatever became of it. Raises NotFound."""
    found = await db.get(ParkedEntry, parked_id, with_for_update=True if for_update else None)
    if found is None:
        raise NotFound("There is no parked record of this number.")
    return found


async def count_behind(db: AsyncSession, entry: ParkedEntry) -> int:
    """How many records of its key wait behind it."""
    found = await db.execute(_BEHIND, {"consumer": entry.consumer, "key": entry.key, "parked_id": entry.parked_id})
    count: int = found.scalar_one()
    return count


_OUTBOX = text(
    """
    SELECT count(*) AS pending, extract(epoch FROM now() - min(pending_since))::float AS oldest_seconds FROM platform.outbox_pending
    """
)
_RELAY = text(
    """
    SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = :locks AND granted
                   AND objid = CAST(CAST(hashtext('relay') AS bit(32)) AS bigint)::oid
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS active,
           (SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'afterglow-relay' AND datname = current_database()) AS connected
    """
)
_BY_REASON = text(
    """
    SELECT reason, count(*) AS count, extract(epoch FROM now() - min(parked_at))::float AS oldest_seconds
    FROM platform.parked WHERE state = 'parked' GROUP BY reason ORDER BY reason
    """
)
_KEYS_BLOCKED = text("SELECT count(DISTINCT (consumer, key)) FROM platform.parked WHERE state = 'parked' AND blocks_key")
_BEHIND = text(
    """
    SELECT count(*) FROM platform.parked
    WHERE consumer = :consumer AND key = :key AND state = 'parked' AND blocks_key AND parked_id > :parked_id
    """
)
