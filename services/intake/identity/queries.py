from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.clinics.models import ClinicEntry
from services.intake.identity.models import RegisteredClient
from shared.errors import NotFound


async def get_client(db: AsyncSession, client_id: str, *, lock: bool = False) -> RegisteredClient:
    """One registered client. Raises NotFound."""
    client = await db.get(RegisteredClient, client_id, with_for_update=lock or None)
    if client is None:
        raise NotFound
    return client


async def find_usable_client(db: AsyncSession, client_id: str) -> RegisteredClient | None:
    """The client if it may have tokens: registered, not disabled, and its clinic, where it has one, active."""
    client = await db.get(RegisteredClient, client_id)
    if client is None or not client.active:
        return None
    clinic = await db.get(ClinicEntry, client.clinic_id) if client.clinic_id else None
    return client if clinic is None or clinic.active else None
