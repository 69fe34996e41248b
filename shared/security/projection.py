"""What a service knows of clients and practitioners: intake's events, or intake's own commands, applied by version."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.events.intake import ClientChanged, PractitionerChanged
from shared.events.registry import Delivery


async def upsert_client(db: AsyncSession, clinic_id: UUID, changed: Sequence[ClientChanged]) -> None:
    """Store the newest state of clients in one statement; what is older than what is known changes nothing."""
    newest = {event.client_id: event for event in sorted(changed, key=lambda event: event.client_version)}
    rows = [newest[client_id] for client_id in sorted(newest)]
    await db.execute(
        _CLIENT,
        {
            "clinic_id": clinic_id,
            "ids": [row.client_id for row in rows],
            "active": [row.active for row in rows],
            "may_act": [row.may_act_for_practitioners for row in rows],
            "versions": [row.client_version for row in rows],
        },
    )


async def upsert_practitioner(db: AsyncSession, clinic_id: UUID, changed: Sequence[PractitionerChanged]) -> None:
    """Store the newest state of practitioners in one statement; what is older than what is known changes nothing."""
    newest = {event.practitioner_id: event for event in sorted(changed, key=lambda event: event.practitioner_version)}
    rows = [newest[practitioner_id] for practitioner_id in sorted(newest)]
    await db.execute(
        _PRACTITIONER,
        {
            "clinic_id": clinic_id,
            "ids": [row.practitioner_id for row in rows],
            "roles": [" ".join(sorted(row.roles)) for row in rows],
            "active": [row.active for row in rows],
            "versions": [row.practitioner_version for row in rows],
        },
    )


async def on_client_changed(db: AsyncSession, deliveries: Sequence[Delivery[ClientChanged]]) -> None:
    """A client was registered, changed or disabled."""
    await upsert_client(db, deliveries[0].clinic_id, [delivery.event for delivery in deliveries])


async def on_practitioner_changed(db: AsyncSession, deliveries: Sequence[Delivery[PractitionerChanged]]) -> None:
    """A practitioner was registered, or roles were given or taken."""
    await upsert_practitioner(db, deliveries[0].clinic_id, [delivery.event for delivery in deliveries])


_CLIENT = text(
    """
    INSERT INTO platform.client AS known (client_id, clinic_id, active, may_act, version)
    SELECT client_id, CAST(:clinic_id AS uuid), active, may_act, version
    FROM unnest(CAST(:ids AS text[]), CAST(:active AS boolean[]), CAST(:may_act AS boolean[]), CAST(:versions AS int[]))
         AS changed(client_id, active, may_act, version)
    ON CONFLICT (client_id) DO UPDATE
    SET active = EXCLUDED.active, may_act = EXCLUDED.may_act, version = EXCLUDED.version
    WHERE known.version < EXCLUDED.version AND known.clinic_id = EXCLUDED.clinic_id
    """
)
_PRACTITIONER = text(
    """
    INSERT INTO platform.practitioner AS known (clinic_id, practitioner_id, roles, active, version)
    SELECT CAST(:clinic_id AS uuid), practitioner_id, string_to_array(roles, ' '), active, version
    FROM unnest(CAST(:ids AS uuid[]), CAST(:roles AS text[]), CAST(:active AS boolean[]), CAST(:versions AS int[]))
         AS changed(practitioner_id, roles, active, version)
    ON CONFLICT (clinic_id, practitioner_id) DO UPDATE
    SET roles = EXCLUDED.roles, active = EXCLUDED.active, version = EXCLUDED.version
    WHERE known.version < EXCLUDED.version
    """
)
