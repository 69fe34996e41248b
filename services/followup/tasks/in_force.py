"""Which policy of the queue counts in a clinic, and the words for whoever reads it."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.tasks.policy import TASK_POLICY, TaskPolicy
from services.followup.tasks.wording import Texts
from shared.documents.in_force import Documents


class QueueInForce:
    """Those of whichever clinic asks."""

    def __init__(self, documents: Documents, texts: Texts) -> None:
        self._documents, self.texts = documents, texts

    async def policy(self, db: AsyncSession, now: datetime) -> TaskPolicy:
        """Who may do what now, and how long it may wait."""
        return await self._documents.in_force(db, TASK_POLICY, now)
