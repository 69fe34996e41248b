"""Which policy of the queue counts in a clinic, and the words for whoever reads it."""

from services.followup.tasks.policy import TASK_POLICY, TaskPolicy
from services.followup.tasks.wording import Texts
from shared.documents.in_force import Documents
from shared.web import CallContext


class QueueInForce:
    """Those of whichever clinic asks."""

    def __init__(self, documents: Documents, texts: Texts) -> None:
        self._documents, self.texts = documents, texts

    async def policy(self, call: CallContext) -> TaskPolicy:
        """Who may do what now, and how long it may wait."""
        return await self._documents.in_force(call.db, TASK_POLICY, call.now)
